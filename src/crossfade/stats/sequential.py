"""Tests that may be looked at after every event: for guards, promotion and streaming parity.

A fixed-sample test looked at forty times is wrong three times in ten. These are valid at every
stopping time, so a guard may watch continuously and act on the first crossing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from crossfade.stats.ppi import Floats

# From a slow leak to a dead candidate; one test then needs no guess of how bad "bad" will be.
HARM_RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
# From a third fewer good events to hardly any.
LOSS_RATIOS = (2.0 / 3.0, 0.5, 1.0 / 3.0, 0.2, 0.1, 0.03)
# What promotion hopes for, an equal candidate, or a better one.
PROMOTION_RATIOS = (1.0, 0.5)


@dataclass(frozen=True, slots=True)
class RatioTest:
    """E-process on the ratio of two arms' bad-event rates, candidate over control.

    `null_ratio`: edge of the null; `ratios`: the mixture's alternatives, all on the same far side of
    it; `log_wealth`: ln of each alternative's likelihood ratio so far; `events`: bad events seen.
    Build it with `harm_test` or `promotion_test`.
    """

    null_ratio: float
    ratios: tuple[float, ...]
    log_wealth: tuple[float, ...]
    events: int = 0

    def observe(self, candidate_bad: int, control_bad: int, weight: float) -> RatioTest:
        """The test after these bad events, when the candidate had `weight` of both arms' traffic.

        Given that a bad event happens, under rate ratio r it is the candidate's with probability
        pi(w, r) = w r / (w r + 1 - w). Each event multiplies alternative j by
        pi(w, r_j)/pi(w, r_0) if the candidate's, else by (1 - pi(w, r_j))/(1 - pi(w, r_0)).
        Under every ratio on the null's side the expected factor is at most 1, for any schedule of w
        and any traffic shape, and an incident of both arms cancels.
        Reference: Ramdas et al., Game-theoretic statistics, Stat. Sci. 38 (2023), doi 10.1214/23-STS894.

        Raises:
            ValueError: for a negative count.
        """
        if candidate_bad < 0 or control_bad < 0:
            raise ValueError("bad events are counts and cannot be negative")
        if not candidate_bad + control_bad:
            return self
        if not 0.0 < weight < 1.0:
            return self  # with one arm only, an event tells nothing about a ratio
        mass = weight * self.null_ratio + 1.0 - weight
        wealth = []
        for ratio, before in zip(self.ratios, self.log_wealth, strict=True):
            control = math.log(mass / (weight * ratio + 1.0 - weight))
            candidate = control + math.log(ratio / self.null_ratio)
            wealth.append(before + candidate_bad * candidate + control_bad * control)
        events = self.events + candidate_bad + control_bad
        return replace(self, log_wealth=tuple(wealth), events=events)

    @property
    def log_e_value(self) -> float:
        """Ln of the uniform mixture, ln E = ln mean_j exp(log_wealth_j)."""
        top = max(self.log_wealth)
        return top + math.log(sum(math.exp(value - top) for value in self.log_wealth) / len(self.log_wealth))

    @property
    def e_value(self) -> float:
        """E; reported only, so an overflow is shown as infinity."""
        return math.exp(self.log_e_value) if self.log_e_value < 700.0 else math.inf

    def is_rejected(self, alpha: float) -> bool:
        """Whether E >= 1/alpha: the null is refuted with error at most alpha, whenever asked."""
        return self.log_e_value >= -math.log(alpha)


def harm_test(null_ratio: float = 1.0, ratios: tuple[float, ...] = HARM_RATIOS) -> RatioTest:
    """Null: candidate rate <= null_ratio x control rate. Rejected = roll back.

    Raises:
        ValueError: if no alternative lies above the null.
    """
    above = tuple(ratio for ratio in ratios if ratio > null_ratio)
    if null_ratio <= 0 or not above:
        raise ValueError(
            f"null ratio {null_ratio} leaves no alternative (hint: it must be below {max(ratios)})"
        )
    return RatioTest(null_ratio, above, (0.0,) * len(above))


def promotion_test(margin_ratio: float = 2.0) -> RatioTest:
    """Mirrored null: candidate rate >= margin_ratio x control rate. Rejected = safe to advance.

    Raises:
        ValueError: if the margin ratio is not above 1.
    """
    if margin_ratio <= 1.0:
        raise ValueError(
            f"margin ratio {margin_ratio} must be above 1 (hint: 2 allows twice the control's rate)"
        )
    return RatioTest(margin_ratio, PROMOTION_RATIOS, (0.0,) * len(PROMOTION_RATIOS))


def loss_test(null_ratio: float = 1.0, ratios: tuple[float, ...] = LOSS_RATIOS) -> RatioTest:
    """Of good events, null: candidate rate >= null_ratio x control rate. Rejected = roll back.

    Raises:
        ValueError: if no alternative lies below the null.
    """
    below = tuple(ratio for ratio in ratios if ratio < null_ratio)
    if not below:
        raise ValueError(
            f"null ratio {null_ratio} leaves no alternative (hint: it must be above {min(ratios)})"
        )
    return RatioTest(null_ratio, below, (0.0,) * len(below))


def upkeep_test(margin_ratio: float = 1.5) -> RatioTest:
    """Of good events, null: candidate rate <= control rate / margin_ratio. Rejected = safe to advance.

    Raises:
        ValueError: if the margin ratio is not above 1.
    """
    if margin_ratio <= 1.0:
        raise ValueError(f"margin ratio {margin_ratio} must be above 1")
    return RatioTest(1.0 / margin_ratio, (1.0, 2.0), (0.0, 0.0))


def confidence_sequence(values: Floats, *, alpha: float, best_at: int) -> tuple[Floats, Floats]:
    """One-sided lower and upper asymptotic confidence sequences of a running mean.

    values: shape (T,), increments whose conditional mean is the estimand. Returns L and U, shape (T,).
    L_t = mean_t - sd_t sqrt{ 2 (t rho^2 + 1)/(t^2 rho^2) ln( sqrt(t rho^2 + 1)/a ) }, a = 2 alpha,
    rho^2 = [-2 ln a + ln(-2 ln a + 1)] / best_at; tightest near t = best_at.
    The first value has no variance: L_1 = -inf, U_1 = inf.
    Reference: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Time-uniform central limit theory,
    Ann. Statist. 52 (2024), doi 10.1214/24-AOS2408.

    Raises:
        ValueError: if alpha is not within (0, 0.5) or best_at not positive.
    """
    if not 0 < alpha < 0.5 or best_at <= 0:
        raise ValueError("alpha must lie in (0, 0.5) and best_at must be positive")
    both = 2.0 * alpha
    rho = (-2.0 * math.log(both) + math.log(-2.0 * math.log(both) + 1.0)) / best_at
    steps = np.arange(1, values.size + 1, dtype=np.float64)
    mean = np.cumsum(values) / steps
    variance = np.maximum(np.cumsum(np.square(values)) / steps - np.square(mean), 0.0)
    growth = steps * rho + 1.0
    radius = np.sqrt(variance * 2.0 * growth / (steps**2 * rho) * np.log(np.sqrt(growth) / both))
    radius[:1] = np.inf
    return mean - radius, mean + radius


def corrected_stream(judge: Floats, human: Floats, probability: float) -> Floats:
    """Increments phi_i of streaming, human-corrected parity, for `confidence_sequence`.

    judge, human: shape (T,) as in `ppi.PairedSample`, in the order of arrival; human is NaN where the
    pair was not drawn; every pair was drawn with `probability`, before its outputs were seen.
    phi_i = lambda_{i-1} F_i + (xi_i/pi)(D_i - lambda_{i-1} F_i), with lambda from the labels so far
    only, so E[phi_i | past] = delta. lambda_{i-1} = Cov(D, F)/Var(F) on past labels, clipped to [0, 1].

    Raises:
        ValueError: if the probability is not within (0, 1].
    """
    if not 0 < probability <= 1:
        raise ValueError(f"label probability {probability} must lie in (0, 1]")
    drawn = ~np.isnan(human)
    outcome = np.where(drawn, human, 0.0)
    seen = np.cumsum(drawn)
    count = np.maximum(seen, 1)
    mean_f = np.cumsum(np.where(drawn, judge, 0.0)) / count
    mean_d = np.cumsum(outcome) / count
    cross = np.cumsum(np.where(drawn, outcome * judge, 0.0)) / count - mean_d * mean_f
    spread = np.cumsum(np.where(drawn, np.square(judge), 0.0)) / count - np.square(mean_f)
    usable = (seen >= 10) & (spread > 1e-12)
    weight = np.where(usable, np.clip(cross / np.where(usable, spread, 1.0), 0.0, 1.0), 0.0)
    weight = np.concatenate([[0.0], weight[:-1]])
    predicted = weight * judge
    result: Floats = predicted + np.where(drawn, (outcome - predicted) / probability, 0.0)
    return result
