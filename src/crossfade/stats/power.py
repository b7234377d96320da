"""How many pairs, labels or trials a claim will cost, before paying for them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri


@dataclass(frozen=True, slots=True)
class Claim:
    """A non-inferiority claim: `margin` M, `discordance` = Var(D) (share of differing pairs).

    `deficit`: the true drop one expects. `alpha` one-sided. `design_effect` = 1 + (m-1) ICC for
    m pairs per cluster.
    """

    margin: float
    discordance: float
    power: float = 0.9
    deficit: float = 0.0
    alpha: float = 0.05
    design_effect: float = 1.0


def pairs_needed(claim: Claim) -> int:
    """Pairs for a paired non-inferiority test, every pair scored.

    n = (z_{1-alpha} + z_{power})^2 Var(D) / (M - deficit)^2 x design effect, rounded up.
    Reference: Chow, Shao, Wang, Sample Size Calculations in Clinical Research (2008), ch. 3.

    Raises:
        ValueError: if the expected deficit is not below the margin.
    """
    return math.ceil(_pairs(claim))


def labels_needed(claim: Claim, *, correlation: float) -> int:
    """Human labels with a judge whose differences correlate so with the people's, many pairs judged.

    n = n_labels_only (1 - correlation^2), the limit N >> n of the PPI++ variance.
    Reference: Angelopoulos, Duchi, Zrnic, PPI++ (arXiv 2311.01453).

    Raises:
        ValueError: if the expected deficit is not below the margin.
    """
    return math.ceil(_pairs(claim) * (1.0 - correlation**2))


def clean_trials_needed(rate: float, *, alpha: float = 0.05) -> int:
    """Trials without an event that bound its rate: n = ln(alpha)/ln(1 - rate), the exact rule of three.

    Raises:
        ValueError: if the rate is not within (0, 1).
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate {rate} must lie in (0, 1)")
    return math.ceil(math.log(alpha) / math.log1p(-rate))


def _pairs(claim: Claim) -> float:
    if claim.deficit >= claim.margin:
        raise ValueError("no sample shows parity when the true deficit reaches the margin")
    total = float(ndtri(1.0 - claim.alpha) + ndtri(claim.power))
    return total**2 * claim.discordance / (claim.margin - claim.deficit) ** 2 * claim.design_effect
