"""The migration file (`migrations/NAME.yaml`): read with line numbers, checked whole, defaults filled in.

Every problem is reported, not the first one only. What the file may ask for but this version cannot
do is an error that says so: a guard that is silently not watched would be worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossfade.control.migration.spec.measured import read_capacity, read_compliance, read_quality
from crossfade.control.migration.spec.reader import Marks, Reader, SpecError, load_document
from crossfade.control.migration.spec.rollout import read_rollout
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.route import JsonScalar, refuse_parameter

SECTIONS = ("compliance", "capacity", "quality", "rollout")
# What a request is, not how it is answered; and what the gateway itself decides.
NO_PARAMETERS = frozenset({"model", "messages", "input", "stream", "stream_options", "user", "n"})


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
    candidate, parameters = _candidate(reader, top)
    spec = MigrationSpec(
        name=reader.migration(top),
        features=reader.names(top, "features"),
        incumbent=reader.name(top, "incumbent"),
        candidate=candidate,
        compliance=read_compliance(reader, top.get("compliance", {})),
        capacity=read_capacity(reader, top.get("capacity", {})),
        quality=read_quality(reader, top.get("quality", {})),
        rollout=read_rollout(reader, top.get("rollout", {})),
        parameters=parameters,
    )
    if not spec.features:
        reader.blame("features", "no feature to move", "features: [recap]")
    if spec.incumbent and spec.incumbent == spec.candidate and not parameters:
        reader.blame(
            "candidate",
            "is the incumbent",
            "name the pool to move to, or {pool: NAME, set: {temperature: 0.2}}",
        )
    if "judge" in spec.rollout.guards and not spec.quality.judges:
        reader.blame("rollout.guards", "`judge` needs a judge", "quality: {judges: [judge-a]}")
    if reader.problems:
        raise SpecError(tuple(reader.problems))
    return spec


def _candidate(reader: Reader, top: Mapping[str, Any]) -> tuple[str, dict[str, JsonScalar]]:
    """A pool's name, or a target: a pool and the request parameters it overrides."""
    value = top.get("candidate")
    if not isinstance(value, Mapping):
        return reader.name(top, "candidate"), {}
    section = reader.section(value, "candidate", ("pool", "set"))
    parameters = section.get("set", {})
    if not isinstance(parameters, Mapping):
        reader.blame("candidate.set", "must be a mapping of request parameters", "set: {temperature: 0.2}")
        parameters = {}
    for name, value in parameters.items():
        if name in NO_PARAMETERS:
            reader.blame(f"candidate.set.{name}", "is no parameter of the answer", "set: {temperature: 0.2}")
        elif name == "system" and not (isinstance(value, str) and value.strip()):
            reader.blame("candidate.set.system", "must be the prompt's text", 'set: {system: "Be brief."}')
        elif not isinstance(value, str | int | float | bool | None):
            reader.blame(f"candidate.set.{name}", f"must be one value, is {type(value).__name__}")
        elif why := refuse_parameter(name, value):
            reader.blame(f"candidate.set.{name}", why, "set: {temperature: 0.2}")
    pool = section.get("pool")
    if not isinstance(pool, str):
        reader.blame("candidate.pool", "must be a name", "candidate: {pool: NAME, set: {temperature: 0.2}}")
        return "", {}
    return reader.name({"candidate": pool}, "candidate"), dict(parameters)
