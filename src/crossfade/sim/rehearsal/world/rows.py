"""What the engine's virtual traffic says about each request, and what the guards and people see of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfade.control.migration.guard.plans import KNOWN
from crossfade.control.migration.guard.samples import FEW_TOKENS, Sample
from crossfade.domain.attempt import ArmCount, ArmKind
from crossfade.domain.migration import ArmHealth

# `traffic.rs` writes these; arms and classes in the order of the engine's enums.
ROW = np.dtype(
    [
        ("began", "<f8"), ("ended", "<f8"), ("share", "<f8"), ("first_ms", "<f4"), ("total_ms", "<f4"),
        ("shadow_ms", "<f4"), ("shown_ms", "<f4"), ("unit", "<u4"), ("input", "<u4"), ("output", "<u4"),
        ("feature", "u1"),
        ("arm", "u1"), ("first", "u1"), ("served", "u1"), ("first_class", "u1"), ("caller_error", "u1"),
        ("attempts", "u1"), ("shadow", "u1"), ("shadow_class", "u1"), ("is_bad", "u1"), ("role", "u1"),
        ("last_class", "u1"),
    ]
)  # fmt: skip
MAIN, BASELINE, CANDIDATE = 0, 1, 2
OK, HARD, OVERLOAD, CONFIG, CALLER = 0, 1, 2, 3, 4
FAILOVER = 3
NONE = 255
ARMS = {BASELINE: ArmKind.BASELINE, CANDIDATE: ArmKind.CANDIDATE}
THUMBS, THUMBS_DOWN, THUMBS_DOWN_IF_BAD = 0.02, 0.08, 0.8  # callers who answer; who are unhappy, and then
MINUTE_S = 60.0

Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows become what control would have been told."""

    features: tuple[str, ...]
    migration: str
    guards: tuple[str, ...]
    capture: dict[str, float]  # by feature: share of answers whose text is looked at
    price: Callable[[int, int, int], float | None]  # endpoint, input and output tokens to USD
    epoch_unix_s: float
    incumbents: tuple[int, ...]  # endpoints
    candidates: tuple[int, ...]

    def samples(self, rows: Rows, draw: NDArray[np.float64]) -> list[Sample]:
        """Guards' numbers of the arms' requests; `draw` (n, 2): capture, and feedback."""
        watched = set(self.guards) & set(KNOWN) - {"errors"}
        is_ours = is_watched(rows)
        if not watched or not is_ours.any():
            return []
        ours, chances = rows[is_ours], draw[is_ours]
        is_own = self._is_own(ours)
        columns = (ours[name].tolist() for name in ("feature", "arm", "share", "unit", "began"))
        values = self._values(ours, chances, watched, is_own)
        features, migration, epoch_unix_s = self.features, self.migration, self.epoch_unix_s
        return [
            Sample(features[feature], ARMS[arm], migration, share, f"u{unit}", epoch_unix_s + began, numbers)
            for numbers, feature, arm, share, unit, began in zip(values, *columns, strict=True)
        ]

    def healths(self, rows: Rows, draw: NDArray[np.float64]) -> tuple[ArmHealth, ArmHealth]:
        """How candidate and incumbent served these requests; `draw` as for `samples`."""
        is_ours = rows["arm"] == CANDIDATE
        is_theirs = (rows["arm"] == MAIN) | (rows["arm"] == BASELINE)
        return self._health(rows[is_ours], draw[is_ours]), self._health(rows[is_theirs], draw[is_theirs])

    def _health(self, rows: Rows, chances: NDArray[np.float64]) -> ArmHealth:
        is_own = self._is_own(rows)
        is_failed = is_own & is_bad_attempt(rows)
        looked_at = is_own & (rows["first_class"] == OK) & self._is_captured(rows, chances)
        is_bad = looked_at & (rows["is_bad"] > 0)
        return ArmHealth(
            requests=int(rows.size),
            kept_away=int((~is_own).sum()),
            failed=int(is_failed.sum()),
            answers=int(looked_at.sum()),
            bad=int(is_bad.sum()),
            voices=len(set(rows["unit"][is_failed | is_bad].tolist())),
        )

    def _is_own(self, rows: Rows) -> NDArray[np.bool_]:
        """Whether the arm's own target was asked first, not kept away by its breaker."""
        is_of = np.zeros((2, NONE + 1), dtype=bool)
        is_of[0, list(self.incumbents)] = is_of[1, list(self.candidates)] = True
        found: NDArray[np.bool_] = is_of[(rows["arm"] == CANDIDATE).astype(np.intp), rows["first"]]
        return found

    def _is_captured(self, rows: Rows, chances: NDArray[np.float64]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (
            chances[:, 0] < np.array([self.capture[feature] for feature in self.features])[rows["feature"]]
        )
        return found

    def _values(
        self,
        rows: Rows,
        chances: NDArray[np.float64],
        watched: set[str],
        is_own: NDArray[np.bool_],
    ) -> list[dict[str, float]]:
        """Each row's numbers by guard, as `guard.samples` reads an attempt record."""
        is_ok, output = is_own & (rows["first_class"] == OK), rows["output"].astype(np.float64)
        first_ms, total_ms, bad = (
            rows[name].astype(np.float64) for name in ("first_ms", "total_ms", "is_bad")
        )
        captured = self._is_captured(rows, chances)
        down = np.where(bad > 0, THUMBS_DOWN_IF_BAD, THUMBS_DOWN)
        always = np.ones(rows.size, dtype=bool)
        numbers: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {
            "failovers": (
                ((rows["role"] == FAILOVER) | (rows["caller_error"] > 0)).astype(np.float64),
                always,
            ),
            "rejected": ((rows["last_class"] == CALLER).astype(np.float64), always),
            "guardrail": (np.zeros(rows.size), is_ok),
            "refusals": (np.zeros(rows.size), is_ok),
            "ttft": (first_ms, is_ok),
            "tpot": (
                np.maximum(0.0, total_ms - first_ms) / np.maximum(1.0, output - 1.0),
                is_ok & (output >= FEW_TOKENS),
            ),
            "schema": (bad, is_ok & captured),
            "thumbs": ((chances[:, 1] < THUMBS * down).astype(np.float64), is_ok & (chances[:, 1] < THUMBS)),
        }
        if "cost" in watched:
            usd = [
                self.price(*cells)
                for cells in zip(*(rows[n].tolist() for n in ("first", "input", "output")), strict=True)
            ]
            priced = np.array([one is not None for one in usd], dtype=bool)
            numbers["cost"] = (np.array([one or 0.0 for one in usd]), is_ok & priced)
        wanted = {name: column for name, column in numbers.items() if name in watched}
        whole = {name: given.tolist() for name, (given, there) in wanted.items() if there.all()}
        found = (
            [dict(zip(whole, row, strict=True)) for row in zip(*whole.values(), strict=True)]
            if whole
            else [{} for _ in range(rows.size)]
        )
        for name in wanted.keys() - whole.keys():
            given, there = wanted[name]
            for place, number in zip(np.flatnonzero(there).tolist(), given[there].tolist(), strict=True):
                found[place][name] = number
        return found


def is_watched(rows: Rows) -> NDArray[np.bool_]:
    """Requests of the rollout's two arms."""
    found: NDArray[np.bool_] = (rows["arm"] == CANDIDATE) | (rows["arm"] == BASELINE)
    return found


def is_bad_attempt(rows: Rows) -> NDArray[np.bool_]:
    """The first attempt broke, was refused as full, or was refused as the caller's mistake."""
    found: NDArray[np.bool_] = (rows["first_class"] >= HARD) & (rows["first_class"] <= CALLER)
    return found


def is_hard(rows: Rows) -> NDArray[np.bool_]:
    """The first attempt ended HARD, or could not be made."""
    found: NDArray[np.bool_] = (rows["first_class"] == HARD) | (rows["first_class"] == CONFIG)
    return found


def bad_first(rows: Rows) -> NDArray[np.bool_]:
    """Whose own first attempt failed, or whose caller saw an error: what the gateway counts as bad."""
    bad: NDArray[np.bool_] = is_hard(rows) | (rows["caller_error"] > 0)
    return bad


def counts_of(rows: Rows, reading: Reading, seen: set[tuple[int, int, int, int]]) -> list[ArmCount]:
    """The gateway's counters over these rows. `seen`: units that were bad in the present minute."""
    found = []
    watched = rows[is_watched(rows)]
    # Few rows at a time: a set is made sooner than an array is sorted.
    keys = sorted(set(zip(*(watched[name].tolist() for name in ("feature", "arm", "share")), strict=True)))
    for feature, arm, share in keys:
        is_mine = (watched["feature"] == feature) & (watched["arm"] == arm) & (watched["share"] == share)
        mine = watched[is_mine] if len(keys) > 1 else watched
        bad = mine[bad_first(mine)]
        units = {(feature, arm, int(row["unit"]), int(row["ended"] // MINUTE_S)) for row in bad}
        found.append(
            ArmCount(
                feature=reading.features[feature],
                arm=ARMS[arm],
                arm_name=reading.migration,
                share=share,
                requests=int(mine.size),
                caller_errors=int(mine["caller_error"].sum()),
                first_hard=int(is_hard(mine).sum()),
                bad_units=len(units - seen),
            )
        )
        seen |= units
    return found
