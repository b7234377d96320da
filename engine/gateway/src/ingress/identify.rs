//! Who calls, and for which feature.

use crossfade_core::domain::snapshot::{Key, Snapshot};
use ring::hmac;

use crate::edge::head::CallerHead;
use crate::hex::decode_hex;

/// A caller that was let in. `key` is `None` where no keys are configured.
pub(super) struct Caller<'a> {
    pub(super) key: Option<&'a Key>,
}

/// Why a caller was not let in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stranger {
    NoKey,
    WrongKey,
}

/// Checks the virtual key of `Authorization: Bearer` or `x-api-key`. Keys are looked up by their
/// public id and compared as HMACs in constant time. Without keys, everybody on loopback may call.
///
/// # Errors
/// No key, or not one of ours.
pub(super) fn identify<'a>(
    snapshot: &'a Snapshot,
    head: &CallerHead<'_>,
    pepper: &hmac::Key,
) -> Result<Caller<'a>, Stranger> {
    match presented(head) {
        Some(text) => match known(snapshot, text, pepper) {
            Some(key) => Ok(Caller { key: Some(key) }),
            None if snapshot.edge.open_access => Ok(Caller { key: None }),
            None => Err(Stranger::WrongKey),
        },
        None if snapshot.edge.open_access => Ok(Caller { key: None }),
        None => Err(Stranger::NoKey),
    }
}

impl Caller<'_> {
    /// Whether the key may use `feature`; an open gateway serves all of them.
    #[must_use]
    pub(super) fn may_use(&self, feature: &str) -> bool {
        self.key.is_none_or(|key| key.features.iter().any(|allowed| allowed == "*" || allowed == feature))
    }

    /// Whether the caller may pin endpoints and name request ids.
    #[must_use]
    pub(super) fn may_measure(&self) -> bool {
        self.key.is_some_and(|key| key.measure)
    }
}

fn presented<'a>(head: &CallerHead<'a>) -> Option<&'a str> {
    let bearer = head
        .authorization
        .and_then(|text| text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer ")));
    bearer.or(head.api_key).map(str::trim)
}

fn known<'a>(snapshot: &'a Snapshot, text: &str, pepper: &hmac::Key) -> Option<&'a Key> {
    let (id, _) = text.strip_prefix("cf-")?.split_once('_')?;
    let key = snapshot.key(id)?;
    let expected = decode_hex(&key.hmac)?;
    hmac::verify(pepper, text.as_bytes(), &expected).ok().map(|()| key)
}
