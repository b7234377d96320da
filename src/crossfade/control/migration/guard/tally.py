"""Live totals per stage, from the gateways' counters and the records' samples.

What was logged is the floor: after a restart the tally goes on from there. A request that ends
after its stage was left still counts for the stage that sent it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from crossfade.control.migration.guard.plans import LIMITED
from crossfade.control.migration.guard.samples import Sample
from crossfade.domain.attempt import ArmCount, ArmKind
from crossfade.domain.migration import (
    GuardCount,
    Lull,
    MigrationState,
    StageCounts,
)

BAD_FROM = 0.5  # of guards whose number is 1 for bad and 0 for good
ERRORS = "errors"
MINUTE_S = 60.0
_ARMS = frozenset({ArmKind.CANDIDATE, ArmKind.BASELINE})


@dataclass(frozen=True, slots=True)
class News:
    """What came since the last look: counts to `counted`, samples to `sampled` (cursors).

    `is_paused`: the incumbent fails, so its breaker shields it and nothing here is a comparison.
    """

    counted: int
    counts: Sequence[ArmCount]
    sampled: int
    samples: Sequence[Sample] = ()
    is_paused: bool = False


@dataclass(slots=True)
class Pace:
    """Requests per second over whole minutes."""

    began_unix_s: float | None = None
    requests: int = 0

    def add(self, requests: int, now_unix_s: float) -> float:
        """Count them; the rate of the minute that ends here, 0 while none does."""
        if self.began_unix_s is None:
            self.began_unix_s = now_unix_s
        self.requests += requests
        passed_s = now_unix_s - self.began_unix_s
        if passed_s < MINUTE_S:
            return 0.0
        rate, self.began_unix_s, self.requests = self.requests / passed_s, now_unix_s, 0
        return rate


@dataclass(slots=True)
class Tally:
    """Totals of the present epoch. `counted`, `sampled`: how far each queue was read."""

    counted: int = -1
    sampled: int = -1
    epoch: int = 0
    counts: tuple[StageCounts, ...] = ()
    is_moved: bool = False
    present: int | None = None
    heard: dict[ArmKind, float] = field(default_factory=dict)
    unheard: dict[ArmKind, int] = field(default_factory=dict)
    bad_units: set[tuple[str, ArmKind, str]] = field(default_factory=set)
    minute: int = 0
    pace: Pace = field(default_factory=Pace)

    def take(self, state: MigrationState, news: News, now_unix_s: float) -> None:
        """Follow the log's stages, then add what came since."""
        self.counted, self.sampled = news.counted, news.sampled
        if self.epoch != state.epoch or len(state.counts) < len(self.counts):
            self.epoch, self.counts = state.epoch, state.counts
            self._listen_anew()
        elif len(state.counts) > len(self.counts):
            self.counts = (*self.counts, *state.counts[len(self.counts) :])
            self._listen_anew()
        present = self._present(state)
        if present != self.present:
            self.present = present
            self._listen_anew()
        for count in news.counts:
            self._count(state, count, now_unix_s, is_heard_only=news.is_paused)
        fresh: dict[tuple[int, str, ArmKind], tuple[int, int]] = {}
        for sample in () if news.is_paused else news.samples:
            self._sample(state, sample, fresh)
        for (place, guard, arm), (measured, bad) in fresh.items():
            self._put(place, with_events(self.counts[place], guard, arm, measured, bad))

    def skip(self, ahead_s: float) -> None:
        """The clock was set forward: no arm has been silent for that."""
        self.heard = {arm: at + ahead_s for arm, at in self.heard.items()}
        if self.pace.began_unix_s is not None:
            self.pace.began_unix_s += ahead_s

    def lull(self, now_unix_s: float) -> Lull | None:
        """The arm nothing was heard of since the other was served; null if there is none."""
        if self.present is None:
            return None
        latest = self.counts[self.present]
        shares = {ArmKind.CANDIDATE: latest.share, ArmKind.BASELINE: latest.baseline_share}
        for arm, other in ((ArmKind.CANDIDATE, ArmKind.BASELINE), (ArmKind.BASELINE, ArmKind.CANDIDATE)):
            if not shares[arm] or not shares[other] or arm not in self.heard:
                continue
            expected = self.unheard.get(arm, 0) * shares[arm] / shares[other]
            silent_s = now_unix_s - self.heard[arm]
            if expected and silent_s > 0.0:
                return Lull(arm.value, expected, silent_s)
        return None

    def _present(self, state: MigrationState) -> int | None:
        """The stage under way: after a step back that is not the last one that was begun."""
        for place in range(len(self.counts) - 1, -1, -1):
            if self.counts[place].share == state.share:
                return place
        return None

    def _listen_anew(self) -> None:
        self.heard, self.unheard, self.pace = {}, {}, Pace()

    def _count(
        self, state: MigrationState, count: ArmCount, now_unix_s: float, *, is_heard_only: bool
    ) -> None:
        place = self._place(state, count)
        if place is None or not (count.requests or count.first_hard):
            return
        self._hear(place, count, now_unix_s)
        if is_heard_only:
            return
        bad = min(max(count.requests, count.first_hard), max(count.first_hard, count.caller_errors))
        before = self.counts[place]
        if count.arm is ArmKind.CANDIDATE:
            after = replace(
                before,
                candidate_requests=before.candidate_requests + count.requests,
                candidate_bad=before.candidate_bad + bad,
            )
        else:
            after = replace(
                before,
                control_requests=before.control_requests + count.requests,
                control_bad=before.control_bad + bad,
            )
        self._put(place, with_events(after, ERRORS, count.arm, count.requests, count.bad_units))

    def _hear(self, place: int, count: ArmCount, now_unix_s: float) -> None:
        if place != self.present or not count.requests:
            return
        for arm in _ARMS:
            self.heard.setdefault(arm, now_unix_s)
        latest = self.counts[place]
        busiest = self.pace.add(count.requests, now_unix_s) / (latest.share + latest.baseline_share)
        if busiest > latest.busiest_per_s:
            self._put(place, replace(latest, busiest_per_s=busiest))
        self.heard[count.arm] = now_unix_s
        self.unheard[count.arm] = 0
        for other in _ARMS - {count.arm}:
            self.unheard[other] = self.unheard.get(other, 0) + count.requests

    def _sample(
        self, state: MigrationState, sample: Sample, fresh: dict[tuple[int, str, ArmKind], tuple[int, int]]
    ) -> None:
        """Add a sample's events to `fresh`: (stage, guard, arm) to measured and bad."""
        place = self._place(state, sample)
        if place is None:
            return
        limits = state.frozen.limits.get(sample.feature, {}) if state.frozen is not None else {}
        for name, events in sample.events.items():
            if name in state.spec.rollout.watched:
                measured, bad = fresh.get((place, name, sample.arm), (0, 0))
                fresh[place, name, sample.arm] = (measured, bad + events)
        for guard in state.spec.rollout.watched if sample.values else ():
            limit = limits.get(guard, None if guard in LIMITED else BAD_FROM)
            if guard == ERRORS or guard not in sample.values or limit is None:
                continue
            is_bad = sample.values[guard] > limit and self._is_first(guard, sample)
            measured, bad = fresh.get((place, guard, sample.arm), (0, 0))
            fresh[place, guard, sample.arm] = (measured + 1, bad + is_bad)

    def _is_first(self, guard: str, sample: Sample) -> bool:
        """Whether this is the unit's first bad event of the minute, so that one unit is one voice."""
        minute = int(sample.unix_s // 60)
        if minute > self.minute:
            self.minute = minute
            self.bad_units.clear()
        key = (guard, sample.arm, f"{sample.feature}/{sample.unit}/{minute}")
        is_first = key not in self.bad_units
        self.bad_units.add(key)
        return is_first

    def _put(self, place: int, after: StageCounts) -> None:
        self.counts = (*self.counts[:place], after, *self.counts[place + 1 :])
        self.is_moved = True

    def _place(self, state: MigrationState, news: ArmCount | Sample) -> int | None:
        """The latest stage of this share; a share nobody logged is of another epoch."""
        is_ours = news.feature in state.spec.features and news.arm_name == state.spec.name
        if not is_ours or news.arm not in _ARMS or not self.counts:
            return None
        if news.share is None:
            return len(self.counts) - 1
        for place in range(len(self.counts) - 1, -1, -1):
            if abs(self.counts[place].share - news.share) < 1e-9:
                return place
        return None


def with_events(counts: StageCounts, guard: str, arm: ArmKind, measured: int, bad: int) -> StageCounts:
    """The stage with more measured requests and bad events of one guard and arm."""
    found = next((count for count in counts.guards if count.guard == guard), GuardCount(guard))
    if arm is ArmKind.CANDIDATE:
        after = replace(
            found,
            candidate_measured=found.candidate_measured + measured,
            candidate_bad=found.candidate_bad + bad,
        )
    else:
        after = replace(
            found,
            control_measured=found.control_measured + measured,
            control_bad=found.control_bad + bad,
        )
    others = tuple(count for count in counts.guards if count.guard != guard)
    return replace(counts, guards=tuple(sorted((*others, after), key=lambda count: count.guard)))
