"""Virtual keys: made once, shown once, stored as an HMAC."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from crossfade.control.store.state_dir import StateDir
from crossfade.domain.snapshot import Key, Snapshot


def hash_key(text: str, pepper: str) -> str:
    """Hex HMAC-SHA-256 of a whole key, keyed by the pepper."""
    return hmac.new(pepper.encode(), text.encode(), hashlib.sha256).hexdigest()


def create_key(name: str, pepper: str) -> tuple[str, str]:
    """A new key's text, and its `hash:` line for the config."""
    key_id = f"{name}-{secrets.token_hex(3)}"
    text = f"cf-{key_id}_{secrets.token_hex(32)}"
    return text, f"cfh_{key_id}_{hash_key(text, pepper)}"


def measure_key(folder: StateDir) -> Key:
    """Control's own key for load tests and judges."""
    digest = hash_key(folder.measure_key(), folder.pepper())
    return Key(id="measure", hmac=digest, features=("*",), measure=True, rpm=None, tpm=None, usd_per_day=None)


def is_caller(bearer: str, snapshot: Snapshot, folder: StateDir) -> bool:
    """Whether the gateways would take this bearer in: one of the snapshot's keys, or anybody on loopback."""
    if snapshot.edge.open_access:
        return True
    digest = hash_key(bearer, folder.pepper())
    return any(hmac.compare_digest(key.hmac, digest) for key in snapshot.keys)
