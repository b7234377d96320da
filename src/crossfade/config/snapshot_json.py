"""The snapshot as the bytes that are signed and sent."""

from __future__ import annotations

import json
from dataclasses import asdict

from crossfade.domain.snapshot import Snapshot


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """UTF-8 JSON; the same snapshot always gives the same bytes."""
    return json.dumps(asdict(snapshot), separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
