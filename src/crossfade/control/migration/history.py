"""From the event log to where a migration stands: a pure fold, so a restart resumes at any line.

One stream per migration, `migration/NAME`. An action is in the log before it is acted on and its
effect after it was verified; an action without an effect is `pending` and is acted on again,
idempotently. Payloads carry everything the fold needs; the log's own time is the only clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from pydantic import TypeAdapter

from crossfade.control.migration import rollout
from crossfade.domain.migration import (
    Action,
    Advance,
    Approvals,
    Ask,
    Close,
    Collect,
    Exposure,
    Failure,
    Frozen,
    Hold,
    Incident,
    MigrationState,
    Promote,
    RollBack,
    StageCounts,
)
from crossfade.domain.migration_spec import MigrationSpec


class Kind(StrEnum):
    """What a line of a migration's stream says."""

    STARTED = "migration.started"  # {spec, salt}
    ACTION = "migration.action"  # {action, ...fields, seen: what the playbook was given}
    EFFECT = "migration.effect"  # {action_seq, error?, ...measured}
    COUNTED = "migration.counted"  # {epoch, stages: [StageCounts], e_value}
    FROZEN = "migration.frozen"  # {epoch, frozen: Frozen}
    TROUBLED = "migration.troubled"  # {trouble: why the incumbent is in trouble, null = no more}
    SKIPPED = "migration.skipped"  # {ahead_s: by how much the clock was set forward}
    CUT = "migration.cut"  # {cut: calls by gateway, uncut: gateways not reached}
    COMMAND = "migration.command"  # {verb, ...}


class Verb(StrEnum):
    """What an operator may ask for; a rollback is an action at once and needs no asking."""

    HOLD = "hold"
    RESUME = "resume"
    ADVANCE = "advance"
    PROMOTE = "promote"
    CLOSE = "close"
    DRILL = "drill"


class Line(Protocol):
    """The parts of a logged event that the fold reads."""

    @property
    def stream_seq(self) -> int:
        """Its number within the stream."""
        ...

    @property
    def kind(self) -> str:
        """A `Kind`."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """Its fields."""
        ...

    @property
    def actor(self) -> str:
        """Who."""
        ...

    @property
    def reason(self) -> str:
        """Why."""
        ...

    @property
    def unix_s(self) -> float:
        """When."""
        ...


@dataclass(frozen=True, slots=True)
class Recorded:
    """A line outside any database, as in `spec/histories`."""

    stream_seq: int
    kind: str
    payload: dict[str, Any]
    actor: str
    reason: str
    unix_s: float


_ACTIONS: dict[str, type] = {
    "collect": Collect,
    "ask": Ask,
    "advance": Advance,
    "hold": Hold,
    "roll_back": RollBack,
    "promote": Promote,
    "close": Close,
}
_NAMES = {cls: name for name, cls in _ACTIONS.items()}
# Building an adapter costs a thousand times what using it does.
_ADAPTERS: dict[str, TypeAdapter[Action]] = {name: TypeAdapter(cls) for name, cls in _ACTIONS.items()}
_SPEC = TypeAdapter(MigrationSpec)
_STAGES = TypeAdapter(tuple[StageCounts, ...])
_FROZEN = TypeAdapter(Frozen)


class HistoryError(ValueError):
    """A stream that cannot be a migration's."""


def stream_of(name: str) -> str:
    """The event log's stream of a migration."""
    return f"migration/{name}"


def encode_action(action: Action) -> dict[str, Any]:
    """An action as a payload."""
    return {"action": _NAMES[type(action)], **asdict(action)}


def decode_action(payload: Mapping[str, Any]) -> Action:
    """The action of a payload.

    Raises:
        HistoryError: for an unknown action.
    """
    fields = dict(payload)
    fields.pop("seen", None)
    fields.pop("aside", None)
    adapter = _ADAPTERS.get(str(fields.pop("action", "")))
    if adapter is None:
        raise HistoryError(f"unknown action {payload.get('action')!r}")
    return adapter.validate_python(fields)


def identity(action: Action) -> tuple[object, ...]:
    """What makes an action the same as the one before: not its moving detail, nor a Collect's reason."""
    match action:
        case Hold(reason=reason):
            return ("hold", reason)
        case Collect(kind=kind, subject=subject, exposure=exposure):
            return ("collect", kind, subject, exposure)
        case Ask(roles=roles, kind=kind):
            return ("ask", roles, kind)
        case Advance(share=share, stage=stage):
            return ("advance", share, stage)
        case RollBack(share=share, stage=stage, withdraw=withdraw):
            return ("roll_back", share, stage, withdraw)
        case Promote():
            return ("promote",)
        case Close():
            return ("close",)


def is_news(state: MigrationState, action: Action) -> bool:
    """Whether the action must be logged: it differs, or its like has had its effect."""
    if state.action is None or identity(action) != identity(state.action):
        return True
    acts = isinstance(action, Collect | Advance | RollBack | Promote | Close)
    return acts and state.pending is None


def fold(lines: Iterable[Line]) -> MigrationState:
    """Where the migration stands after these lines, in order.

    Raises:
        HistoryError: if the first line does not start a migration, or a line cannot be read.
    """
    state: MigrationState | None = None
    for line in lines:
        state = apply_line(state, line)
    if state is None:
        raise HistoryError("the stream is empty")
    return state


def apply_line(state: MigrationState | None, line: Line) -> MigrationState:
    """The state after one more line.

    Raises:
        HistoryError: see `fold`.
    """
    try:
        return _applied(state, line)
    except LookupError as error:  # a changed payload without its key; not "there is no such migration"
        raise HistoryError(f"line {line.stream_seq}, {line.kind}, lacks {error}") from error


def _applied(state: MigrationState | None, line: Line) -> MigrationState:
    if state is None:
        if line.kind != Kind.STARTED:
            raise HistoryError(f"a migration's stream starts with {Kind.STARTED}, not {line.kind}")
        spec = _SPEC.validate_python(line.payload["spec"])
        return MigrationState(spec, str(line.payload["salt"]), line.unix_s, line.actor, line.stream_seq)
    line = _in_order(state, line)
    state = replace(state, last_seq=line.stream_seq, latest_unix_s=line.unix_s)
    after = _AFTER.get(line.kind)
    if after is not None:
        return after(state, line)
    match line.kind:
        case Kind.COUNTED:
            stages = _STAGES.validate_python(line.payload["stages"])
            return replace(state, counts=stages) if line.payload["epoch"] == state.epoch else state
        case Kind.FROZEN:
            frozen = _FROZEN.validate_python(line.payload["frozen"])
            return replace(state, frozen=frozen) if line.payload["epoch"] == state.epoch else state
        case Kind.CUT:
            return state
        case _:
            raise HistoryError(f"unknown event {line.kind!r} at line {line.stream_seq}")


def _in_order(state: MigrationState, line: Line) -> Line:
    """Time does not run backwards: a clock set back would make a stage an hour old when it begins."""
    if line.unix_s >= state.latest_unix_s:
        return line
    latest = state.latest_unix_s
    return Recorded(line.stream_seq, line.kind, dict(line.payload), line.actor, line.reason, latest)


def _after_trouble(state: MigrationState, line: Line) -> MigrationState:
    trouble = line.payload["trouble"]
    if trouble is not None:
        return replace(state, incident=Incident(str(trouble), line.unix_s))
    if state.incident is None:
        return state
    return replace(state, incident=replace(state.incident, ended_unix_s=line.unix_s))


def _after_skip(state: MigrationState, line: Line) -> MigrationState:
    """A clock set forward lets nothing have lasted longer: a bake, the calm, the incumbent's keep."""
    ahead_s = float(line.payload["ahead_s"])

    def later(unix_s: float | None) -> float | None:
        return None if unix_s is None else unix_s + ahead_s

    incident = state.incident
    if incident is not None:
        incident = replace(incident, ended_unix_s=later(incident.ended_unix_s))
    return replace(
        state,
        ahead_s=state.ahead_s + ahead_s,
        stage_began_unix_s=later(state.stage_began_unix_s),
        promoted_unix_s=later(state.promoted_unix_s),
        incident=incident,
    )


def _after_action(state: MigrationState, line: Line) -> MigrationState:
    action = decode_action(line.payload)
    waits = isinstance(action, Collect | Advance | RollBack | Promote | Close)
    after = replace(
        state,
        action=action,
        action_unix_s=line.unix_s,
        pending=action if waits else None,
        pending_seq=line.stream_seq if waits else 0,
    )
    match action:
        case Collect(exposure=exposure):
            return replace(after, exposure=exposure)
        case Advance():
            return replace(after, exposure=Exposure.ELIGIBLE)
        case RollBack():
            return _going_back(state, after, action)
        case _:
            return after


def _going_back(before: MigrationState, after: MigrationState, action: RollBack) -> MigrationState:
    """A rollback counts from the moment it is logged."""
    was_live = before.stage > 0 or isinstance(before.pending, Advance)
    is_end = action.share == 0.0 and (was_live or not action.withdraw)
    known = None if was_live else before.rolled_back  # back already: only the same with more of it is news
    is_again = known is not None and not action.reason.startswith(known)
    is_exposed = before.exposure is not Exposure.NONE and not action.withdraw
    return replace(
        after,
        share=action.share,
        stage=action.stage,
        stage_began_unix_s=after.action_unix_s if action.stage else None,
        rolled_back=action.reason if is_end and not is_again else before.rolled_back,
        promoted_unix_s=None,
        exposure=Exposure.ELIGIBLE if is_exposed else Exposure.NONE,
        approvals=Approvals(),
    )


def _after_effect(state: MigrationState, line: Line) -> MigrationState:
    if line.payload["action_seq"] != state.pending_seq or state.pending is None:
        return state  # of an action that was overtaken
    action = state.pending
    after = replace(state, pending=None, pending_seq=0)
    match action:
        case Collect():
            return _after_collection(after, action, line)
        case Advance(share=share, stage=stage):
            began = state.rollout_began_unix_s if state.stage else state.action_unix_s
            fresh = StageCounts(share, rollout.baseline_share(share))
            return replace(
                after,
                share=share,
                stage=stage,
                stage_began_unix_s=line.unix_s,
                rollout_began_unix_s=began,
                approvals=replace(state.approvals, advance_unix_s=None),
                counts=(*state.counts, fresh) if state.stage else (fresh,),
            )
        case Promote():
            return replace(after, promoted_unix_s=line.unix_s, approvals=Approvals())
        case Close():
            return replace(after, closed_unix_s=line.unix_s)
        case _:
            return after


def _after_collection(state: MigrationState, action: Collect, line: Line) -> MigrationState:
    others = tuple(f for f in state.failures if (f.kind, f.subject) != (action.kind, action.subject))
    error = line.payload.get("error")
    if error is None:
        return replace(state, failures=others)
    count = 1 + sum(f.count for f in state.failures if f.kind is action.kind and f.subject == action.subject)
    failure = Failure(action.kind, action.subject, str(error), count, line.unix_s)
    return replace(state, failures=(*others, failure))


def _after_command(state: MigrationState, line: Line) -> MigrationState:
    asked = state.approvals
    match Verb(line.payload["verb"]):
        case Verb.HOLD:
            return replace(state, held=line.reason)
        case Verb.RESUME:
            return _after_resume(state, line)
        case Verb.ADVANCE:
            return replace(state, approvals=replace(asked, advance_unix_s=line.unix_s))
        case Verb.PROMOTE:
            return replace(state, approvals=replace(asked, promote_unix_s=line.unix_s))
        case Verb.CLOSE:
            return replace(state, approvals=replace(asked, close_unix_s=line.unix_s))
        case Verb.DRILL:
            return replace(state, approvals=replace(asked, drill_unix_s=line.unix_s))


def _after_resume(state: MigrationState, line: Line) -> MigrationState:
    """The mend is done: failures are forgiven; after a rollback a new epoch begins at stage 0."""
    mended = replace(state, held=None, failures=(), resumed_unix_s=line.unix_s, ahead_s=0.0)
    if state.rolled_back is None:
        return mended
    return replace(
        mended,
        rolled_back=None,
        incident=None,
        epoch=state.epoch + 1,
        share=0.0,
        stage=0,
        stage_began_unix_s=None,
        rollout_began_unix_s=None,
        counts=(),
        frozen=None,
        approvals=Approvals(),
    )


_AFTER: dict[str, Callable[[MigrationState, Line], MigrationState]] = {
    Kind.ACTION: _after_action,
    Kind.EFFECT: _after_effect,
    Kind.TROUBLED: _after_trouble,
    Kind.SKIPPED: _after_skip,
    Kind.COMMAND: _after_command,
}
