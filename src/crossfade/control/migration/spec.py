"""The migration file (`migrations/NAME.yaml`): read with line numbers, checked whole, defaults filled in.

Every problem is reported, not the first one only. What the file may ask for but this version cannot
do is an error that says so: a guard that is silently not watched would be worse than none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from crossfade.config.load import Problem
from crossfade.config.quantity import parse_duration_s, parse_profile, parse_share
from crossfade.control.migration.guard.plans import KNOWN
from crossfade.domain.migration import (
    CapacitySpec,
    ComplianceSpec,
    FreezeWindow,
    MigrationSpec,
    QualitySpec,
    RolloutSpec,
)

DEFAULT_MARGINS = {"rubric": "5pt", "schema": "1pt", "refusals": "0.5pt"}
DEFAULT_GUARDS = ("errors", "failovers", "rejected")
DEFAULT_LATENCY = {"ttft_p50": "10%", "ttft_p90": "10%"}
AVAILABLE_GUARDS = frozenset(KNOWN) - {"judge"}
MOST_ALPHA = 0.1  # one equal candidate in ten rolled back: more is not a guard but noise
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MOMENT = rf"({'|'.join(_DAYS)}) ([01]\d|2[0-3]):([0-5]\d)"
_WINDOW = re.compile(rf"{_MOMENT} - {_MOMENT}")
KNOWN_SLO = frozenset({"ttft_p50", "ttft_p90", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p90", "e2e_p95"})


class SpecError(ValueError):
    """A migration file that does not check."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


Marks = Mapping[str, tuple[int, int]]


def load_document(text: str, file: str) -> tuple[dict[str, Any], Marks]:
    """The YAML document and the place of every key path.

    Raises:
        SpecError: if it is not YAML or not a mapping.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise SpecError((Problem(file, line, column, "", f"not YAML: {error.problem}"),)) from error
    if not isinstance(document, dict) or node is None:
        raise SpecError((Problem(file, 1, 1, "", "not a migration", "start with `migration: NAME`"),))
    marks: dict[str, tuple[int, int]] = {}
    _mark(node, "", marks)
    return document, marks


def _mark(node: yaml.Node, path: str, marks: dict[str, tuple[int, int]]) -> None:
    marks.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = f"{path}.{key.value}" if path else str(key.value)
            marks[inner] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _mark(value, inner, marks)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _mark(value, f"{path}[{index}]", marks)


def load_spec(text: str, file: str) -> MigrationSpec:
    """Read and check a migration file.

    Raises:
        SpecError: with every problem found.
    """
    document, marks = load_document(text, file)
    return parse_spec(document, marks, file)


def parse_spec(
    document: Mapping[str, Any], marks: Marks | None = None, file: str = "migration"
) -> MigrationSpec:
    """Check a document of the file's form.

    Raises:
        SpecError: with every problem found.
    """
    reader = Reader(file, marks or {})
    top = reader.section(document, "", ("migration", "features", "incumbent", "candidate", *SECTIONS))
    spec = MigrationSpec(
        name=reader.name(top, "migration"),
        features=reader.names(top, "features"),
        incumbent=reader.name(top, "incumbent"),
        candidate=reader.name(top, "candidate"),
        compliance=_compliance(reader, top.get("compliance", {})),
        capacity=_capacity(reader, top.get("capacity", {})),
        quality=_quality(reader, top.get("quality", {})),
        rollout=_rollout(reader, top.get("rollout", {})),
    )
    if not spec.features:
        reader.blame("features", "no feature to move", "features: [recap]")
    if spec.incumbent and spec.incumbent == spec.candidate:
        reader.blame("candidate", "is the incumbent", "name the pool to move to")
    if reader.problems:
        raise SpecError(tuple(reader.problems))
    return spec


SECTIONS = ("compliance", "capacity", "quality", "rollout")


class Reader:
    """Reads typed values by key path and gathers problems."""

    def __init__(self, file: str, marks: Marks) -> None:
        self.file = file
        self.marks = marks
        self.problems: list[Problem] = []

    def blame(self, path: str, what: str, hint: str = "") -> None:
        """Note a problem at the nearest known place of `path`."""
        place = path
        while place and place not in self.marks:
            place = place.rpartition(".")[0]
        line, column = self.marks.get(place, (0, 0))
        self.problems.append(Problem(self.file, line, column, path, what, hint))

    def section(self, value: Any, path: str, known: tuple[str, ...]) -> Mapping[str, Any]:
        """A mapping without unknown keys."""
        if not isinstance(value, Mapping):
            self.blame(path, f"must be a mapping, is {type(value).__name__}")
            return {}
        for key in value:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
                self.blame(_join(path, str(key)), "unknown key", hint)
        return value

    def name(self, section: Mapping[str, Any], key: str) -> str:
        """A required name."""
        value = section.get(key)
        if isinstance(value, str) and value and all(c.isalnum() or c in "-_." for c in value):
            return value
        self.blame(key, "must be a name", "letters, digits, dash, dot, underscore")
        return ""

    def names(
        self, section: Mapping[str, Any], key: str, default: tuple[str, ...] = (), path: str = ""
    ) -> tuple[str, ...]:
        """A list of texts."""
        value = section.get(key, list(default))
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(dict.fromkeys(value))
        self.blame(_join(path, key), "must be a list of names", f"{key}: [a, b]")
        return ()

    def quantity(
        self, section: Mapping[str, Any], path: str, default: Any, parse: Callable[[Any], float]
    ) -> float:
        """A number with its unit."""
        value = section.get(path.rpartition(".")[2], default)
        try:
            return parse(value)
        except ValueError as error:
            self.blame(path, str(error))
            return 0.0

    def quantities(
        self, section: Mapping[str, Any], path: str, default: Mapping[str, Any], parse: Callable[[Any], float]
    ) -> dict[str, float]:
        """A mapping of names to numbers with units."""
        value = section.get(path.rpartition(".")[2], default)
        if not isinstance(value, Mapping):
            self.blame(path, "must be a mapping of names to numbers with units")
            return {}
        return {str(key): self.quantity(value, f"{path}.{key}", None, parse) for key in value}

    def count(self, section: Mapping[str, Any], path: str, default: int) -> int:
        """A whole number above zero."""
        value = section.get(path.rpartition(".")[2], default)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.blame(path, f"must be a whole number above 0, is {value!r}")
        return 1


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _compliance(reader: Reader, value: Any) -> ComplianceSpec:
    section = reader.section(value, "compliance", ("signoffs", "expires"))
    return ComplianceSpec(
        signoffs=reader.names(section, "signoffs", (), "compliance"),
        expires_s=reader.quantity(section, "compliance.expires", "90d", parse_duration_s),
    )


def _capacity(reader: Reader, value: Any) -> CapacitySpec:
    known = ("profiles", "slo", "overflow_at_most", "headroom", "lever", "warmup", "probe")
    section = reader.section(value, "capacity", known)
    slo = dict(section.get("slo", {"ttft_p95": "2s"})) if isinstance(section.get("slo", {}), Mapping) else {}
    attainment = reader.quantity(
        {"attainment": slo.pop("attainment", "95%")}, "capacity.slo.attainment", None, parse_share
    )
    limits = reader.quantities({"slo": slo}, "capacity.slo", {}, lambda v: 1000.0 * parse_duration_s(v))
    for name in limits:
        if name not in KNOWN_SLO:
            reader.blame(f"capacity.slo.{name}", "unknown metric", f"known: {', '.join(sorted(KNOWN_SLO))}")
    lever = section.get("lever")
    if lever is not None and not (isinstance(lever, str) and lever.startswith(("http://", "https://"))):
        reader.blame("capacity.lever", "must be an http(s) URL", 'it takes PUT {"units": n}')
        lever = None
    profiles = reader.names(section, "profiles", ("recorded",), "capacity")
    for name in profiles:
        reader.quantity({"profiles": name}, "capacity.profiles", None, parse_profile)
    return CapacitySpec(
        profiles=profiles,
        slo_ms=limits,
        attainment=attainment,
        overflow_at_most=reader.quantity(section, "capacity.overflow_at_most", "1%", parse_share),
        headroom=reader.quantity(section, "capacity.headroom", "15%", parse_share),
        lever=lever,
        warmup_s=reader.quantity(section, "capacity.warmup", "60s", parse_duration_s),
        probe_s=reader.quantity(section, "capacity.probe", "120s", parse_duration_s),
    )


def _quality(reader: Reader, value: Any) -> QualitySpec:
    section = reader.section(value, "quality", ("margins", "latency", "judges", "labels", "shadow"))
    labels = reader.section(section.get("labels", {}), "quality.labels", ("rate", "at_most"))
    return QualitySpec(
        margins=reader.quantities(section, "quality.margins", DEFAULT_MARGINS, parse_margin),
        latency=reader.quantities(section, "quality.latency", DEFAULT_LATENCY, parse_share),
        judges=reader.names(section, "judges", (), "quality"),
        label_rate=reader.quantity(labels, "quality.labels.rate", "10%", parse_share),
        labels_at_most=reader.count(labels, "quality.labels.at_most", 800),
        shadow_share=reader.quantity(section, "quality.shadow", "100%", parse_share),
    )


def _rollout(reader: Reader, value: Any) -> RolloutSpec:
    known = (
        "stages",
        "bake",
        "guards",
        "soak",
        "at_least",
        "weak_up_to",
        "requests_per_unit",
        "keep_incumbent",
        "alpha",
        "peak",
        "freeze",
        "zone",
        "errors_at_most",
        "calm",
    )
    section = reader.section(value, "rollout", known)
    guards = reader.names(section, "guards", DEFAULT_GUARDS, "rollout")
    for guard in guards:
        if guard not in KNOWN:
            reader.blame("rollout.guards", f"unknown guard `{guard}`", f"known: {', '.join(KNOWN)}")
        elif guard not in AVAILABLE_GUARDS:
            available = f"available: {', '.join(sorted(AVAILABLE_GUARDS))}"
            reader.blame("rollout.guards", f"not available yet: `{guard}`", available)
    if "errors" not in guards:
        reader.blame("rollout.guards", "must contain `errors`", "guards: [errors]")
    return RolloutSpec(
        stages=_stages(reader, section),
        bake_s=reader.quantity(section, "rollout.bake", "10m", parse_duration_s),
        guards=guards,
        soak_s=reader.quantity(section, "rollout.soak", "60m", parse_duration_s),
        at_least=reader.count(section, "rollout.at_least", 50),
        weak_up_to=reader.quantity(section, "rollout.weak_up_to", "25%", parse_share),
        requests_per_unit=float(reader.count(section, "rollout.requests_per_unit", 1)),
        keep_incumbent_s=reader.quantity(section, "rollout.keep_incumbent", "7d", parse_duration_s),
        alpha=_alpha(reader, section),
        needs_peak=_peak(reader, section),
        freeze=_freeze(reader, section),
        errors_at_most=reader.quantity(section, "rollout.errors_at_most", "2%", parse_share),
        calm_s=reader.quantity(section, "rollout.calm", "60m", parse_duration_s),
    )


def _alpha(reader: Reader, section: Mapping[str, Any]) -> float:
    alpha = reader.quantity(section, "rollout.alpha", "1%", parse_share)
    if not 0.0 < alpha <= MOST_ALPHA:
        reader.blame(
            "rollout.alpha", f"must be above 0 and at most {MOST_ALPHA:.0%}, is {alpha:.2%}", "alpha: 1%"
        )
    return alpha


def _peak(reader: Reader, section: Mapping[str, Any]) -> bool:
    value = section.get("peak", "required")
    if value not in {"required", "not required"}:
        reader.blame("rollout.peak", "must be `required` or `not required`")
    return bool(value == "required")


def _freeze(reader: Reader, section: Mapping[str, Any]) -> tuple[FreezeWindow, ...]:
    zone = section.get("zone", "UTC")
    try:
        ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError):
        reader.blame("rollout.zone", f"unknown time zone {zone!r}", "zone: Europe/Berlin")
        zone = "UTC"
    windows = []
    for text in reader.names(section, "freeze", (), "rollout"):
        found = _WINDOW.fullmatch(text)
        if found is None:
            reader.blame("rollout.freeze", f"{text!r} is no window", 'freeze: ["Fri 15:00 - Mon 08:00"]')
            continue
        day_a, hour_a, minute_a, day_b, hour_b, minute_b = found.groups()
        begin = (_DAYS.index(day_a) * 24 + int(hour_a)) * 60 + int(minute_a)
        end = (_DAYS.index(day_b) * 24 + int(hour_b)) * 60 + int(minute_b)
        windows.append(FreezeWindow(begin, end, str(zone), text))
    return tuple(windows)


def _stages(reader: Reader, section: Mapping[str, Any]) -> tuple[float, ...]:
    value = section.get("stages", ["1%", "5%", "25%", "50%", "100%"])
    if not isinstance(value, list) or not value:
        reader.blame("rollout.stages", "must be a list of shares", "stages: [1%, 5%, 25%, 50%, 100%]")
        return (1.0,)
    stages = tuple(
        reader.quantity({str(i): item}, f"rollout.stages.{i}", None, parse_share)
        for i, item in enumerate(value)
    )
    is_rising = all(low < high for low, high in zip((0.0, *stages), stages, strict=False))
    if not is_rising or stages[-1] != 1.0:
        reader.blame("rollout.stages", "must rise and end at 100%", "stages: [1%, 5%, 25%, 50%, 100%]")
    return stages


def parse_margin(value: Any) -> float:
    """The fraction of `5pt`, points of a rate in per cent, or of `5%`. ValueError without a unit."""
    if isinstance(value, str) and value.endswith("pt"):
        return parse_share(value.removesuffix("pt").strip() + "%")
    return parse_share(value)
