"""Has a rate risen for good? A detector for slow trends, valid however the observations depend on each other.

A test that asks "is it worse?" once must be told when to ask. A detector is asked after every
observation, for ever, and promises how long it stays quiet while nothing has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Rates that are watched for, as multiples of the ordinary one.
RISES = (1.25, 1.5, 2.0, 3.0)
# Mean observations until a false alarm, at least. P(alarm within n) <= n/A: 5 % in ten thousand.
QUIET_FOR = 200_000.0


@dataclass(frozen=True, slots=True)
class Detector:
    """e-SR mixture: M_t^j = (M_{t-1}^j + 1)(1 + lambda_j (x_t - p0)), alarm when mean_j M_t^j >= A.

    `ordinary`: p0, an upper bound of the mean of x in [0, 1] while nothing has changed, given the past.
    lambda_j = (p1 - p0)/(p0 (1 - p0)) is the log-optimal bet on p1 = RISES[j] p0, for x in {0, 1}.
    M_t - t is then a supermartingale, so the mean time to a false alarm is at least A, without any
    assumption of independence. Reference: Shin, Ramdas, Rinaldo, E-detectors: a nonparametric framework
    for sequential change detection, New Engl. J. Stat. Data Sci. 2 (2024), doi 10.51387/23-NEJSDS51.
    Build it with `watch`.
    """

    ordinary: float
    bets: tuple[float, ...]
    values: tuple[float, ...]
    seen: int = 0

    def observe(self, value: float) -> Detector:
        """After one more observation.

        Raises:
            ValueError: if it is not within [0, 1].
        """
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{value} is not within 0 and 1")
        gains = (1.0 + bet * (value - self.ordinary) for bet in self.bets)
        values = tuple((before + 1.0) * gain for before, gain in zip(self.values, gains, strict=True))
        return replace(self, values=values, seen=self.seen + 1)

    @property
    def value(self) -> float:
        """The mixture, to be compared with `QUIET_FOR`."""
        return sum(self.values) / len(self.values)

    def is_alarmed(self, quiet_for: float = QUIET_FOR) -> bool:
        """Whether the mean has risen, with at least `quiet_for` observations between false alarms."""
        return self.value >= quiet_for


def watch(ordinary: float) -> Detector:
    """A detector of rises above an ordinary mean.

    Raises:
        ValueError: if the ordinary mean is not strictly between 0 and 1.
    """
    if not 0.0 < ordinary < 1.0:
        raise ValueError(f"the ordinary mean {ordinary} must lie between 0 and 1")
    rates = [min(rise * ordinary, (1.0 + ordinary) / 2.0) for rise in RISES]
    bets = tuple((rate - ordinary) / (ordinary * (1.0 - ordinary)) for rate in rates)
    return Detector(ordinary, bets, (0.0,) * len(bets))
