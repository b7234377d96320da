"""Published incidents as faults: what fraction of a cloud's answers goes wrong, and how, by the minute.

Where the publication gives no fraction, one is chosen here and said so in the report.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MINUTE_S = 60.0
# Fractions chosen where none was published: a wave people wrote post-mortems about, and its tail.
CHOSEN = {"degraded": 0.1, "quality_corruption": 0.05, "latency_and_error": 0.25}
CHOSEN_ELSE = 0.5
RAMP_FROM = 0.5  # a recovery begins with so much still failing, and ends with none
ADDED_LATENCY_S = 10.0  # of a brown-out without a published latency
NO_STATUS = 500  # where errors were published without their status
MODES = (
    "normal", "http_error", "http_error_or_timeout", "latency_and_error", "connection_error", "capacity",
    "degraded", "ramp", "stall", "quality", "quality_corruption",
)  # fmt: skip


class IncidentError(ValueError):
    """A file that is no list of incidents, or an incident nobody wrote down."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Seconds from the incident's start. `statuses`: of its errors, evenly; 0 = no HTTP answer at all."""

    begin_s: float
    end_s: float
    mode: str
    fraction: float
    is_chosen: bool
    statuses: tuple[int, ...]
    added_s: float

    def fraction_at(self, since_s: float) -> float:
        """The share that goes wrong at a moment of the phase; a ramp ends at none."""
        if self.mode != "ramp":
            return self.fraction
        return self.fraction * (1.0 - (since_s - self.begin_s) / (self.end_s - self.begin_s))


@dataclass(frozen=True, slots=True)
class Incident:
    """One published outage. `worst_s`: where its worst phase begins; rehearsals start there."""

    incident_id: str
    title: str
    source: str
    phases: tuple[Phase, ...]

    @property
    def end_s(self) -> float:
        """When it was over."""
        return max(phase.end_s for phase in self.phases)

    @property
    def worst_s(self) -> float:
        """Start of the phase that harms most; of several alike, the first."""
        worst = max(phase.fraction for phase in self.phases if phase.mode != "ramp")
        return next(p.begin_s for p in self.phases if p.fraction == worst and p.mode != "ramp")

    @property
    def chosen(self) -> tuple[str, ...]:
        """What had to be chosen because it was not published."""
        return tuple(
            f"{self.incident_id}: {phase.mode} from minute {phase.begin_s / MINUTE_S:.0f}: "
            f"{phase.fraction:.0%} of requests (not published)"
            for phase in self.phases
            if phase.is_chosen
        )

    def at(self, since_s: float) -> tuple[Phase, ...]:
        """The phases in force so long after its start; several may overlap."""
        return tuple(p for p in self.phases if p.begin_s <= since_s < p.end_s and p.fraction > 0.0)

    def was_on(self, since_s: float, within_s: float) -> bool:
        """Whether anything went wrong in the last `within_s` before that moment."""
        return any(
            p.fraction > 0.0 and p.begin_s <= since_s and p.end_s > since_s - within_s for p in self.phases
        )


def read_incidents(path: Path) -> dict[str, Incident]:
    """Incidents by id, in the file's order.

    Raises:
        IncidentError: if the file cannot be read or an incident is not of the known form.
    """
    try:
        rows = json.loads(path.read_text())
    except OSError as error:
        said = error.strerror or str(error)
        raise IncidentError(f"{path}: {said} (hint: --incidents takes a JSON file)") from error
    except ValueError as error:
        raise IncidentError(f"{path}: not JSON: {error} (hint: a list of incidents)") from error
    found: dict[str, Incident] = {}
    for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
        try:
            incident = _incident(row)
        except (KeyError, TypeError, ValueError) as error:
            raise IncidentError(
                f"{path}: incident {number + 1}: {error!s} is wrong or missing (hint: id and phases with "
                f"start_min, end_min and a mode: {', '.join(MODES)})"
            ) from error
        found[incident.incident_id] = incident
    return found


def _incident(row: dict[str, Any]) -> Incident:
    phases = tuple(_phase(phase) for phase in row["phases"])
    if not any(phase.fraction for phase in phases):
        raise ValueError("no phase in which anything fails")
    return Incident(str(row["id"]), str(row.get("title", row["id"])), str(row.get("source", "")), phases)


def _phase(row: dict[str, Any]) -> Phase:
    begin_s, end_s = float(row["start_min"]) * MINUTE_S, float(row["end_min"]) * MINUTE_S
    mode, fraction = str(row["mode"]), row.get("fraction")
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}")
    if not 0.0 <= begin_s < end_s:
        raise ValueError(f"start_min {row['start_min']} with end_min {row['end_min']}")
    chosen = RAMP_FROM if mode == "ramp" else CHOSEN.get(mode, CHOSEN_ELSE)
    if fraction is not None and not 0.0 <= float(fraction) <= 1.0:
        raise ValueError(f"fraction {fraction}")
    added = row.get("added_latency_s")
    slow = mode in {"stall", "latency_and_error"}
    return Phase(
        begin_s=begin_s,
        end_s=end_s,
        mode=mode,
        fraction=chosen if fraction is None else float(fraction),
        is_chosen=fraction is None,
        statuses=_statuses(mode, row.get("status")),
        added_s=float(added) if added is not None else (ADDED_LATENCY_S if slow else 0.0),
    )


def _statuses(mode: str, status: int | Sequence[int] | None) -> tuple[int, ...]:
    if mode == "connection_error":
        return (0,)
    if mode in {"stall", "quality", "quality_corruption", "normal"}:
        return ()
    given = (
        (status,) if isinstance(status, int) else tuple(status or (429 if mode == "capacity" else NO_STATUS,))
    )
    return (*given, 0) if mode == "http_error_or_timeout" else given
