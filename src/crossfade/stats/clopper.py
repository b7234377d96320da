"""Exact bounds on one rate, for the rare events where a normal approximation lies."""

from __future__ import annotations

from scipy.special import betaincinv


def upper_bound(events: int, trials: int, *, alpha: float = 0.05) -> float:
    """One-sided (1-alpha) Clopper-Pearson upper bound of a binomial rate.

    U = BetaInv(1-alpha; events+1, trials-events); 1 when every trial was an event. With no event
    this is the rule of three: 299 clean trials bound the rate at 1 %.
    Reference: Clopper & Pearson, Biometrika 26 (1934), doi 10.1093/biomet/26.4.404.

    Raises:
        ValueError: if `events` is not within [0, trials] or `trials` is not positive.
    """
    _require_counts(events, trials)
    if events == trials:
        return 1.0
    return float(betaincinv(events + 1, trials - events, 1.0 - alpha))


def lower_bound(events: int, trials: int, *, alpha: float = 0.05) -> float:
    """One-sided (1-alpha) Clopper-Pearson lower bound of a binomial rate; see `upper_bound`.

    Raises:
        ValueError: if `events` is not within [0, trials] or `trials` is not positive.
    """
    _require_counts(events, trials)
    if events == 0:
        return 0.0
    return float(betaincinv(events, trials - events + 1, alpha))


def _require_counts(events: int, trials: int) -> None:
    if trials <= 0 or not 0 <= events <= trials:
        raise ValueError(f"{events} events of {trials} trials is not a count (hint: 0 <= events <= trials)")
