"""The playbook: one pure function from everything known to the one thing to do next.

Order is the argument: first what protects callers (a rollback under way, a gateway that rolled
back by itself, a guard, voided evidence, missing telemetry), then what people asked for, then the
gates in their order, and only when all of them pass the ladder of shares. There is no path from a
gate that does not pass to `Advance`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from crossfade.control.migration import gates, rollout
from crossfade.control.migration.asking import collect_unless_tried, open_gate, renew
from crossfade.control.migration.gates import GateInput
from crossfade.control.migration.guard.incident import decide_beside, decide_calm
from crossfade.control.migration.guard.verdict import decide_guards
from crossfade.control.migration.history import Verb
from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration import (
    Action,
    Advance,
    Close,
    Collect,
    Compared,
    Exposure,
    GateVerdict,
    Hold,
    Lull,
    MigrationState,
    Observations,
    Promote,
    RollBack,
    Step,
)
from crossfade.stats.canary import GuardVerdict

SILENT_S = 5.0  # reports come every second: five missing are not jitter
BLIND_S = 60.0  # as long as one may not see what one does to callers
SURELY = 20.0  # expected requests: none by chance once in e^20
SKEW_S = 60.0  # clocks of one house differ by less, and a bake is longer
STEPS = (Step.COMPLIANCE, Step.CAPACITY, Step.CAPACITY, Step.QUALITY, Step.QUALITY, Step.DRILL)


@dataclass(frozen=True, slots=True)
class Standing:
    """The gates' verdicts in order, and the step of the first that does not pass.

    `checked`: the machine checks that count now; null if none do.
    """

    verdicts: tuple[GateVerdict, ...]
    step: Step
    checked: Evidence | None


@dataclass(frozen=True, slots=True)
class Decided:
    """An action, with what the gates were given and said. Time alone changes none before `until_unix_s`."""

    action: Action
    given: GateInput
    standing: Standing
    until_unix_s: float


def next_action(
    state: MigrationState, evidence: tuple[SignedEvidence, ...], seen: Observations, now_unix_s: float
) -> Action:
    """What to do now, with a reason a person understands."""
    return decide(state, evidence, seen, now_unix_s).action


def decide(
    state: MigrationState,
    evidence: tuple[SignedEvidence, ...],
    seen: Observations,
    now_unix_s: float,
    before: Decided | None = None,
) -> Decided:
    """What to do now, and how the gates stand: as they stood before, where nothing they look at changed."""
    given = gate_input(state, evidence, seen, now_unix_s)
    if before is not None and _holds(before, state, given):
        standing, until_unix_s = before.standing, before.until_unix_s
    else:
        standing, until_unix_s = decide_standing(state, given), gates.next_change(given)
    if state.closed_unix_s is not None:
        return Decided(Hold("closed"), given, standing, until_unix_s)
    return Decided(_next(state, given, standing, seen), given, standing, until_unix_s)


def _holds(before: Decided, state: MigrationState, given: GateInput) -> bool:
    """Whether nothing the gates look at has changed. Only a rollout under way stands still for long."""
    is_rollout = state.stage > 0 and before.standing.step is Step.ROLLOUT and state.promoted_unix_s is None
    if not is_rollout or state.closed_unix_s is not None:
        return False
    if not before.given.now_unix_s <= given.now_unix_s < before.until_unix_s:
        return False
    return gates.is_same_but_time(before.given, given)


def _next(state: MigrationState, given: GateInput, standing: Standing, seen: Observations) -> Action:
    protection = _protect(state, given, standing, seen)
    if protection is not None:
        return protection
    renewal = renew(state, given, standing.checked)
    if renewal is not None:
        return renewal
    if state.held is not None:
        return Hold(f"held by an operator: {state.held}")
    if state.promoted_unix_s is not None:
        return _after_promotion(state, state.promoted_unix_s, given.now_unix_s)
    blocked = next((verdict for verdict in standing.verdicts if verdict.verdict is not Verdict.PASS), None)
    if blocked is not None:
        return open_gate(state, given, blocked)
    return _climb(state, given, seen, given.now_unix_s)


def gate_input(
    state: MigrationState, evidence: tuple[SignedEvidence, ...], seen: Observations, now_unix_s: float
) -> GateInput:
    """The gates' view of the present moment."""
    return GateInput(
        spec=state.spec,
        evidence=evidence,
        fingerprint=seen.fingerprint,
        required_roles=seen.required_roles,
        attesting_roles=seen.attesting_roles,
        purchased_units=seen.purchased_units,
        resumed_unix_s=state.resumed_unix_s,
        now_unix_s=now_unix_s,
        software=seen.software,
    )


def decide_standing(state: MigrationState, given: GateInput) -> Standing:
    """Every gate's verdict now, and where that puts the migration."""
    began = state.rollout_began_unix_s if state.stage else None
    verdicts = tuple(gate(given) for gate in gates.ladder(began))
    return Standing(verdicts, _step(state, verdicts), gates.find(given, EvidenceKind.POSTURE, None).record)


def _step(state: MigrationState, verdicts: tuple[GateVerdict, ...]) -> Step:
    if state.closed_unix_s is not None:
        return Step.CLOSED
    if state.promoted_unix_s is not None:
        return Step.PROMOTED
    if state.stage:
        return Step.ROLLOUT
    closed = (step for step, one in zip(STEPS, verdicts, strict=True) if one.verdict is not Verdict.PASS)
    return next(closed, Step.ROLLOUT)


def _protect(
    state: MigrationState, given: GateInput, standing: Standing, seen: Observations
) -> Action | None:
    """What must happen whatever else is wanted; null if callers are safe."""
    going_back = state.pending if isinstance(state.pending, RollBack) else None
    if going_back is not None and going_back.withdraw:
        return going_back
    compliance = standing.verdicts[0]
    is_exposed = state.exposure is not Exposure.NONE or _is_live(state)
    is_void = compliance.verdict is not Verdict.PASS and not _is_by_clock(state, given)
    if is_exposed and is_void:
        return RollBack(f"evidence is void: {compliance.reason}", withdraw=True)
    if going_back is not None and not going_back.share:
        return going_back
    if state.rolled_back is not None:
        if state.approvals.close_unix_s is not None:
            return Close("closed by an operator after a rollback")
        return Hold(f"rolled back: {state.rolled_back}", "`resume` starts again from the first stage")
    if not _is_live(state):
        return None
    local = _local_rollback(state, seen)
    if local is not None:
        return RollBack(local)
    lowered = decide_harm(state, seen.beside) or rollout.decide_flag(state, seen)
    if lowered is not None:
        return lowered
    if going_back is not None:
        return going_back
    return None if state.promoted_unix_s is not None else _blind(state, seen, given.now_unix_s)


def _unread(state: MigrationState, seen: Observations) -> Hold | None:
    """A metric that guards and cannot be read says nothing of harm: no share is raised on its silence."""
    if seen.unread is None or not state.stage:
        return None
    return Hold("a metric or judge cannot be asked", seen.unread)


def _is_by_clock(state: MigrationState, given: GateInput) -> bool:
    """Whether compliance only lacks what expired because the clock was set forward."""
    if not state.ahead_s:
        return False
    before = replace(given, now_unix_s=given.now_unix_s - state.ahead_s)
    return gates.decide_compliance(before).verdict is Verdict.PASS


def _is_live(state: MigrationState) -> bool:
    """Whether real requests may be reaching the candidate."""
    return state.share > 0.0 or isinstance(state.pending, Advance)


def _local_rollback(state: MigrationState, seen: Observations) -> str | None:
    for gateway in seen.gateways:
        for effect in gateway.effects:
            is_ours = effect.feature in state.spec.features and effect.rollout_epoch == state.epoch
            if is_ours and effect.local_rollback is not None:
                return f"gateway {gateway.name} set {effect.feature} to 0 itself: {effect.local_rollback}"
    return None


def decide_harm(state: MigrationState, beside: Compared | None) -> RollBack | None:
    """By what a guard says of the candidate; while the incumbent fails, by what the attempts say."""
    crossed = decide_guards(state).crossed
    harm = decide_beside(beside, state.share) if crossed is None else _said(crossed, state.share)
    return None if harm is None else RollBack(harm)


def _said(verdict: GuardVerdict, share: float) -> str:
    rate = verdict.candidate_rate or 0.0
    return (
        f"{verdict.plan.name} guard at {share:.0%}: e-value {verdict.e_value:.3g} >= "
        f"{1 / verdict.plan.alpha:.4g}, candidate {rate:.1%} bad, control {verdict.control_rate:.1%}"
    )


def _blind(state: MigrationState, seen: Observations, now_unix_s: float) -> Action | None:
    """Telemetry missing of one gateway: hold. Of all, for a minute: one stage back."""
    if seen.gateways and all(gateway.silent_s <= SILENT_S for gateway in seen.gateways):
        return _one_sided(state, seen.lull)
    began = state.action_unix_s if state.stage_began_unix_s is None else state.stage_began_unix_s
    since = min([now_unix_s - began, *(gateway.silent_s for gateway in seen.gateways)])
    if seen.watched_s is not None:  # a control that has just started has heard nobody yet
        since = min(since, seen.watched_s)
    if since >= BLIND_S and state.share:
        stage = max(0, state.stage - 1)
        reason = f"no telemetry for {BLIND_S:.0f} s, back to the stage before"
        return RollBack(reason, share=rollout.share_of(state.spec, stage), stage=stage)
    return _unseen(seen)


def _one_sided(state: MigrationState, lull: Lull | None) -> Action | None:
    """One arm is served and nothing is heard of the other: hold; for a minute: one stage back."""
    if lull is None or lull.expected < SURELY or not state.share:
        return None
    if lull.silent_s >= BLIND_S:
        stage = max(0, state.stage - 1)
        reason = f"no {lull.arm} data for {BLIND_S:.0f} s, back to the stage before"
        return RollBack(reason, share=rollout.share_of(state.spec, stage), stage=stage)
    detail = f"{lull.expected:.0f} requests expected in {lull.silent_s:.0f} s, none reported"
    return Hold(f"no {lull.arm} data", detail)


def _astray(state: MigrationState, seen: Observations) -> Hold | None:
    """Why nothing may be concluded from what is seen now; null if gateways and clock are as they should."""
    if not seen.gateways or any(gateway.silent_s > SILENT_S for gateway in seen.gateways):
        return _unseen(seen)
    if seen.set_back_s > SKEW_S:
        return Hold("the clock was set back", f"by {seen.set_back_s / 60.0:.0f} min; shares wait for it")
    for gateway in seen.gateways:
        for effect in gateway.effects:
            if effect.killed and state.share:
                said = f"{effect.feature} on {gateway.name}; release it, or `rollback`"
                return Hold("a kill switch is pulled", said)
            is_lowered = effect.local_rollback is not None or effect.killed
            if effect.candidate_share != state.share and not is_lowered:
                shows = f"{effect.candidate_share:.0%} of {effect.feature} instead of {state.share:.0%}"
                return Hold("a gateway does not do what was published", f"{gateway.name} shows {shows}")
    return None


def _unseen(seen: Observations) -> Hold:
    silent = [gateway for gateway in seen.gateways if gateway.silent_s > SILENT_S]
    names = ", ".join(f"{gateway.name} ({gateway.silent_s:.0f} s)" for gateway in silent)
    return Hold("telemetry is missing", f"no report from {names or 'any gateway'}")


def _after_promotion(state: MigrationState, promoted_unix_s: float, now_unix_s: float) -> Action:
    if state.approvals.close_unix_s is not None:
        return Close("closed by an operator")
    until = promoted_unix_s + state.spec.rollout.keep_incumbent_s
    if now_unix_s >= until:
        return Close("the incumbent was kept warm long enough")
    ends = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
    return Hold("promoted, the incumbent stays as backup", f"until {ends} or `close`")


def _climb(state: MigrationState, given: GateInput, seen: Observations, now_unix_s: float) -> Action:
    """All gates pass: the next stage, or why not yet."""
    if isinstance(state.pending, Advance | Promote):
        return state.pending
    waits = _astray(state, seen) or rollout.kept_by_flag(state, seen) or _unread(state, seen)
    if waits is not None:
        return waits
    wanted = state.approvals.drill_unix_s
    if not state.stage and wanted is not None and _drilled_before(given, wanted):
        collect = Collect(EvidenceKind.DRILL, state.spec.name, Exposure.ELIGIBLE, "asked for by an operator")
        return collect_unless_tried(state, given, collect)
    frozen = rollout.decide_freeze(state.spec, now_unix_s) or seen.incident or decide_calm(state, now_unix_s)
    if not state.stage:
        if frozen:
            return Hold(frozen, "shares are not raised meanwhile")
        return Advance(rollout.share_of(state.spec, 1), 1, False, "every gate passes")
    verdict = rollout.decide_stage(state, now_unix_s)
    if rollout.is_last(state):
        is_asked = state.approvals.promote_unix_s is not None
        counts = rollout.current_counts(state)
        is_early = (
            is_asked
            and counts.candidate_requests >= state.spec.rollout.at_least
            and not decide_guards(state).doubtful
        )
        if verdict.is_done or is_early:
            return Promote(verdict.reason if verdict.is_done else "promoted early by an operator")
        return Hold(f"soaking at {state.share:.0%}: {verdict.reason}", verdict.detail)
    return _leave(state, verdict, frozen)


def _drilled_before(given: GateInput, unix_s: float) -> bool:
    drilled = gates.find(given, EvidenceKind.DRILL, given.spec.name).record
    return drilled is not None and drilled.collected_unix_s < unix_s


def _leave(state: MigrationState, verdict: rollout.StageVerdict, frozen: str | None) -> Action:
    """The stage after this one, or why not yet."""
    if frozen and verdict.reason == rollout.NEEDS_A_PERSON:
        # Nobody is asked while the answer would have to be no.
        return Hold(frozen, f"stage {state.stage} needs a person's word after that")
    if not verdict.is_done:
        return Hold(f"stage {state.stage} at {state.share:.0%}: {verdict.reason}", verdict.detail)
    if frozen:
        return Hold(frozen, f"stage {state.stage} is done; shares are not raised meanwhile")
    share = rollout.share_of(state.spec, state.stage + 1)
    strength = "weak evidence" if verdict.is_weak else "evidence"
    return Advance(
        share, state.stage + 1, verdict.is_weak, f"{strength} at {state.share:.0%}: {verdict.reason}"
    )


def refuse_command(state: MigrationState, verb: Verb) -> str:
    """Why a command makes no sense in this state; empty if it does."""
    name = state.spec.name
    if state.closed_unix_s is not None:
        return f"migration {name!r} is closed"
    is_last = state.stage == len(state.spec.rollout.stages)
    match verb:
        case Verb.RESUME if isinstance(state.pending, RollBack):
            return "the rollback has not taken effect on every gateway yet (hint: see `status`)"
        case Verb.ADVANCE if not state.stage:
            return "there is no stage to advance from (hint: `status` says which gate is open)"
        case Verb.PROMOTE if not is_last:
            return f"the candidate is at {state.share:.0%}, not at 100% (hint: `advance` approves a stage)"
        case Verb.CLOSE if state.promoted_unix_s is None and state.rolled_back is None:
            return "neither promoted nor rolled back (hint: `rollback` first, or wait for `promote`)"
        case Verb.DRILL if state.stage:
            return "a drill needs share 0 (hint: `rollback`, then `resume`)"
        case _:
            return ""
