//! Failures that come together: a provider, one of its regions, or a model. When two endpoints of a
//! group open at about the same time, and they carried most of its traffic, the others are suspected.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::snapshot::{BreakerPolicy, Endpoint, Snapshot};

/// Which groups are suspected.
#[derive(Debug, Default)]
pub struct Groups {
    opened: BTreeMap<String, f64>,
    suspects: BTreeSet<String>,
}

/// The groups an endpoint belongs to.
pub fn groups_of(endpoint: &Endpoint) -> impl Iterator<Item = String> {
    let region = endpoint.region.as_ref().map(|region| format!("region {}@{region}", endpoint.provider));
    [format!("provider {}", endpoint.provider), format!("model {}", endpoint.model)].into_iter().chain(region)
}

impl Groups {
    /// An endpoint's breaker opened. Gives the groups that became suspect by it.
    pub fn opened(
        &mut self,
        snapshot: &Snapshot,
        endpoint: &str,
        traffic: impl Fn(&str) -> u32,
        now: f64,
    ) -> Vec<String> {
        self.opened.insert(endpoint.to_owned(), now);
        let Some(place) = snapshot.endpoints.get(endpoint) else {
            return Vec::new();
        };
        let policy = &place.breaker;
        self.opened.retain(|_, at| now - *at <= policy.group_within_s);
        let is_struck = |group: &str| self.is_struck(snapshot, group, policy, &traffic);
        let fresh: Vec<_> =
            groups_of(place).filter(|group| !self.suspects.contains(group) && is_struck(group)).collect();
        self.suspects.extend(fresh.iter().cloned());
        fresh
    }

    fn is_struck(
        &self,
        snapshot: &Snapshot,
        group: &str,
        policy: &BreakerPolicy,
        traffic: &impl Fn(&str) -> u32,
    ) -> bool {
        let members = members_of(snapshot, group);
        let share = |names: &[&String]| names.iter().map(|name| f64::from(traffic(name))).sum::<f64>();
        let open: Vec<_> = members.iter().copied().filter(|name| self.opened.contains_key(*name)).collect();
        open.len() >= policy.group_openings as usize && share(&open) >= policy.group_traffic * share(&members)
    }

    /// One of its members has come back far enough: its groups are no longer suspected.
    pub fn recovered(&mut self, endpoint: &Endpoint) {
        if self.suspects.is_empty() {
            return; // as nearly always: the names of its groups need not be made
        }
        for group in groups_of(endpoint) {
            self.suspects.remove(&group);
        }
    }

    #[must_use]
    pub fn is_suspect(&self, endpoint: &Endpoint) -> bool {
        !self.suspects.is_empty() && groups_of(endpoint).any(|group| self.suspects.contains(&group))
    }

    #[must_use]
    pub fn suspects(&self) -> &BTreeSet<String> {
        &self.suspects
    }
}

/// The endpoints of a group.
#[must_use]
pub fn members_of<'a>(snapshot: &'a Snapshot, group: &str) -> Vec<&'a String> {
    let is_in = |endpoint: &Endpoint| groups_of(endpoint).any(|own| own == group);
    snapshot.endpoints.iter().filter(|(_, one)| is_in(one)).map(|(name, _)| name).collect()
}
