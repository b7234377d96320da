"""Short-lived credentials on their way to a gateway. Never written to disk, never printed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AwsCredential:
    """Signs SigV4; `expires_unix_s` null = does not expire."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    expires_unix_s: int | None


@dataclass(frozen=True, slots=True)
class BearerCredential:
    """Sent as `Authorization: Bearer`; `expires_unix_s` null = does not expire."""

    token: str = field(repr=False)
    expires_unix_s: int | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """The whole credentials document: it replaces the one before. By credential name."""

    revision: int
    aws: dict[str, AwsCredential]
    bearer: dict[str, BearerCredential]
