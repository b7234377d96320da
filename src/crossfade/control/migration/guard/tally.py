"""Live totals per stage, from the gateways' counters and the records' samples.

What was logged is the floor: after a restart the tally goes on from there. A request that ends
after its stage was left still counts for the stage that sent it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crossfade.control.migration.guard.plans import LIMITED
from crossfade.control.migration.guard.samples import Sample
from crossfade.domain.attempt import ArmCount, ArmKind
from crossfade.domain.migration import (
    Frozen,
    GuardCount,
    Lull,
    MigrationState,
    StageCounts,
)
from crossfade.domain.migration_spec import MigrationSpec

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
class Fresh:
    """What came for one stage since the last look: the candidate's measured and bad, then the control's."""

    requests: list[int] = field(default_factory=lambda: [0] * 4)
    guards: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0] * 4))

    def add(self, guard: str, arm: ArmKind, measured: int, bad: int) -> None:
        """More measured requests and bad events of one guard and arm."""
        _add(self.guards[guard], arm, measured, bad)

    def onto(self, before: StageCounts) -> StageCounts:
        """The stage with all of it."""
        guards = {count.guard: count for count in before.guards}
        for name, (ours, ours_bad, theirs, theirs_bad) in self.guards.items():
            known = guards.get(name, GuardCount(name))
            guards[name] = GuardCount(
                name,
                known.candidate_measured + ours,
                known.candidate_bad + ours_bad,
                known.control_measured + theirs,
                known.control_bad + theirs_bad,
            )
        ours, ours_bad, theirs, theirs_bad = self.requests
        return StageCounts(  # `replace` takes twice as long, and this is done every turn
            share=before.share,
            baseline_share=before.baseline_share,
            candidate_requests=before.candidate_requests + ours,
            candidate_bad=before.candidate_bad + ours_bad,
            control_requests=before.control_requests + theirs,
            control_bad=before.control_bad + theirs_bad,
            guards=tuple(guards[name] for name in sorted(guards)),
            busiest_per_s=before.busiest_per_s,
        )


def _first_of(arm: ArmKind) -> int:
    """Where an arm's two numbers begin."""
    return 0 if arm is ArmKind.CANDIDATE else 2


def _add(numbers: list[int], arm: ArmKind, measured: int, bad: int) -> None:
    first = _first_of(arm)
    numbers[first] += measured
    numbers[first + 1] += bad


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
    limited: tuple[MigrationSpec, Frozen | None, tuple[str, ...], dict[str, dict[str, float]]] | None = None

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
        fresh: defaultdict[int, Fresh] = defaultdict(Fresh)
        arrived = dict.fromkeys(_ARMS, 0)
        for count in news.counts:
            place = self._count(state, count, None if news.is_paused else fresh)
            if place is not None and place == self.present:
                arrived[count.arm] += count.requests
        self._hear(arrived, now_unix_s)
        if news.samples and not news.is_paused:
            self._sample(state, news.samples, fresh)
        for place, one in fresh.items():
            if one.guards:
                self._put(place, one.onto(self.counts[place]))

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
        candidate, baseline = latest.share, latest.baseline_share
        if not candidate or not baseline:
            return None
        for arm, own, other in (
            (ArmKind.CANDIDATE, candidate, baseline),
            (ArmKind.BASELINE, baseline, candidate),
        ):
            unheard = self.unheard.get(arm, 0)
            silent_s = now_unix_s - self.heard.get(arm, now_unix_s)
            if unheard and silent_s > 0.0:
                return Lull(arm.value, unheard * own / other, silent_s)
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
        self, state: MigrationState, count: ArmCount, fresh: defaultdict[int, Fresh] | None
    ) -> int | None:
        """Add a second's requests to `fresh`; null = they are heard of and not counted. Of which stage."""
        place = self._place(state, count)
        if place is None or not (count.requests or count.first_hard) or fresh is None:
            return place
        bad = min(max(count.requests, count.first_hard), max(count.first_hard, count.caller_errors))
        _add(fresh[place].requests, count.arm, count.requests, bad)
        fresh[place].add(ERRORS, count.arm, count.requests, count.bad_units)
        return place

    def _hear(self, arrived: Mapping[ArmKind, int], now_unix_s: float) -> None:
        """Of what arrived since the last look nobody knows the order: an arm that is among it is there."""
        requests = sum(arrived.values())
        if self.present is None or not requests:
            return
        latest = self.counts[self.present]
        busiest = self.pace.add(requests, now_unix_s) / (latest.share + latest.baseline_share)
        if busiest > latest.busiest_per_s:
            self._put(self.present, replace(latest, busiest_per_s=busiest))
        for arm, own in arrived.items():
            self.heard.setdefault(arm, now_unix_s)
            if own:
                self.heard[arm], self.unheard[arm] = now_unix_s, 0
            else:
                self.unheard[arm] = self.unheard.get(arm, 0) + requests

    def _sample(
        self, state: MigrationState, samples: Sequence[Sample], fresh: defaultdict[int, Fresh]
    ) -> None:
        """Add the samples' events to `fresh`, by stage."""
        watched, limits = self._limits_of(state)
        places: dict[tuple[str | None, str, ArmKind, float | None], int | None] = {}
        for sample in samples:
            about = sample.arm_name, sample.feature, sample.arm, sample.share
            if about not in places:
                places[about] = self._place(state, sample)
            place = places[about]
            if place is None:
                continue
            one, values, first = fresh[place], sample.values, _first_of(sample.arm)
            for name, events in sample.events.items():
                if name in watched:
                    one.add(name, sample.arm, 0, events)
            for guard, limit in limits[sample.feature].items() if values else ():
                if guard in values:
                    numbers = one.guards[guard]
                    numbers[first] += 1
                    if values[guard] > limit and self._is_first(guard, sample):
                        numbers[first + 1] += 1

    def _limits_of(self, state: MigrationState) -> tuple[tuple[str, ...], dict[str, dict[str, float]]]:
        """What guards, and above which number: found anew where the file or what was frozen is another."""
        if self.limited is None or self.limited[0] is not state.spec or self.limited[1] is not state.frozen:
            watched = state.spec.rollout.watched
            limits = {feature: limits_of(state, feature, watched) for feature in state.spec.features}
            self.limited = state.spec, state.frozen, watched, limits
        return self.limited[2:]

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
        is_arm = news.arm is ArmKind.CANDIDATE or news.arm is ArmKind.BASELINE
        is_ours = news.arm_name == state.spec.name and news.feature in state.spec.features
        if not is_arm or not is_ours or not self.counts:
            return None
        if news.share is None:
            return len(self.counts) - 1
        for place in range(len(self.counts) - 1, -1, -1):
            if abs(self.counts[place].share - news.share) < 1e-9:
                return place
        return None


def limits_of(state: MigrationState, feature: str, watched: Sequence[str]) -> dict[str, float]:
    """Above which number a sample of the feature is bad, by guard; a guard that lacks its limit is left out.

    Errors are told by the counters.
    """
    frozen = state.frozen.limits.get(feature, {}) if state.frozen is not None else {}
    limits = {guard: frozen.get(guard, None if guard in LIMITED else BAD_FROM) for guard in watched}
    return {guard: limit for guard, limit in limits.items() if limit is not None and guard != ERRORS}
