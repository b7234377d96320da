//! The endpoints of a pool as its order compares them: what of it the snapshot alone decides.

use xxhash_rust::xxh3::xxh3_64;

use crate::decide::split::fraction;
use crate::domain::by_name::ByName;
use crate::domain::snapshot::{CapacityClass, Snapshot};

/// One endpoint of a pool.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    pub weight: f64,
    /// Bought capacity costs the same whether it is used or not: it goes first.
    pub bought: bool,
    name: u64,
}

impl Member {
    /// Those of each pool, in its order.
    pub fn of(snapshot: &Snapshot) -> ByName<Vec<Self>> {
        let member = |name: &String| {
            let endpoint = snapshot.endpoints.get(name);
            let bought =
                endpoint.is_some_and(|one| one.capacity.capacity_class == CapacityClass::Provisioned);
            Self { weight: endpoint.map_or(0.0, |one| one.weight), bought, name: xxh3_64(name.as_bytes()) }
        };
        let members = |names: &[String]| names.iter().map(member).collect();
        snapshot.pools.iter().map(|(name, pool)| (name.clone(), members(&pool.endpoints))).collect()
    }

    /// Where, in [0, 1), this endpoint has its place for what hashes to `key`: the same wherever it is asked.
    #[must_use]
    pub fn place_of(&self, key: u64) -> f64 {
        fraction(mixed(self.name ^ mixed(key)))
    }

    /// Sorting by these exponential arrival times draws without replacement in proportion to the
    /// weights (Efraimidis and Spirakis 2006), so that whoever is out leaves its traffic to the others
    /// in proportion too. Weight 0 comes last.
    #[must_use]
    pub fn arrival(&self, uniform: f64) -> f64 {
        if self.weight > 0.0 { -(1.0 - uniform).ln() / self.weight } else { f64::INFINITY }
    }
}

/// Bits that differ in one place come out different in half of them (the finaliser of `SplitMix64`,
/// Steele, Lea and Flood 2014).
pub(super) fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
