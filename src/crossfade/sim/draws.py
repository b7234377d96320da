"""Seeded draws: every chance in the simulation is a pure function of what it is about.

A draw hashes its parts, so that the answer to one prompt does not depend on what else was asked before,
and two runs under one seed agree whatever the order of arrival.
"""

from __future__ import annotations

import hashlib
from statistics import NormalDist

_NORMAL = NormalDist()


def draw(*parts: str | float) -> float:
    """A number in [0, 1), uniform over the parts."""
    digest = hashlib.blake2b("\x1f".join(str(part) for part in parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def normal(*parts: str | float) -> float:
    """A standard normal number: the inverse distribution function of `draw`."""
    return _NORMAL.inv_cdf(min(max(draw(*parts), 1e-12), 1 - 1e-12))
