"""The playbook: one pure function from everything known to the one thing to do next.

Order is the argument: first what protects callers (a rollback under way, a gateway that rolled
back by itself, a guard, voided evidence, missing telemetry), then what people asked for, then the
gates in their order, and only when all of them pass the ladder of shares. There is no path from a
gate that does not pass to `Advance`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from crossfade.control.migration import gates, rollout
from crossfade.control.migration.gates import GateInput
from crossfade.control.migration.guard.incident import decide_beside, decide_calm
from crossfade.control.migration.guard.verdict import decide_guards
from crossfade.domain.evidence import EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration import (
    Action,
    Advance,
    Ask,
    Close,
    Collect,
    Exposure,
    Failure,
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
RENEW_S, RENEW_LATE_S = 86400.0, 60 * 3600.0  # machine checks expire after 72 hours
BACKOFF_S = 2.0  # after the first failed collection, doubled each time
BACKOFF_CAP_S = 300.0
STEPS = (Step.COMPLIANCE, Step.CAPACITY, Step.CAPACITY, Step.QUALITY, Step.QUALITY, Step.DRILL)


@dataclass(frozen=True, slots=True)
class Standing:
    """The gates' verdicts in order, and the step of the first that does not pass."""

    verdicts: tuple[GateVerdict, ...]
    step: Step


def next_action(
    state: MigrationState, evidence: tuple[SignedEvidence, ...], seen: Observations, now_unix_s: float
) -> Action:
    """What to do now, with a reason a person understands."""
    if state.closed_unix_s is not None:
        return Hold("closed")
    given = gate_input(state, evidence, seen, now_unix_s)
    protection = _protect(state, given, seen, now_unix_s)
    if protection is not None:
        return protection
    renewal = _renew(state, given)
    if renewal is not None:
        return renewal
    if state.held is not None:
        return Hold(f"held by an operator: {state.held}")
    if state.promoted_unix_s is not None:
        return _after_promotion(state, state.promoted_unix_s, now_unix_s)
    standing = decide_standing(state, given)
    blocked = next((verdict for verdict in standing.verdicts if verdict.verdict is not Verdict.PASS), None)
    if blocked is not None:
        return _open_gate(state, given, blocked)
    return _climb(state, given, seen, now_unix_s)


def gate_input(
    state: MigrationState, evidence: tuple[SignedEvidence, ...], seen: Observations, now_unix_s: float
) -> GateInput:
    """The gates' view of the present moment."""
    return GateInput(
        spec=state.spec,
        evidence=evidence,
        fingerprint=seen.fingerprint,
        required_roles=seen.required_roles,
        purchased_units=seen.purchased_units,
        resumed_unix_s=state.resumed_unix_s,
        now_unix_s=now_unix_s,
    )


def decide_standing(state: MigrationState, given: GateInput) -> Standing:
    """Every gate's verdict now, and where that puts the migration."""
    began = state.rollout_began_unix_s if state.stage else None
    verdicts = tuple(gate(given) for gate in gates.ladder(began))
    if state.closed_unix_s is not None:
        return Standing(verdicts, Step.CLOSED)
    if state.promoted_unix_s is not None:
        return Standing(verdicts, Step.PROMOTED)
    for step, verdict in zip(STEPS, verdicts, strict=True):
        if verdict.verdict is not Verdict.PASS:
            return Standing(verdicts, Step.ROLLOUT if state.stage else step)
    return Standing(verdicts, Step.ROLLOUT)


def _protect(state: MigrationState, given: GateInput, seen: Observations, now_unix_s: float) -> Action | None:
    """What must happen whatever else is wanted; null if callers are safe."""
    going_back = state.pending if isinstance(state.pending, RollBack) else None
    if going_back is not None and going_back.withdraw:
        return going_back
    compliance = gates.decide_compliance(given)
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
    lowered = _harmed(state, seen) or rollout.decide_flag(state, seen)
    if lowered is not None:
        return lowered
    if going_back is not None:
        return going_back
    return None if state.promoted_unix_s is not None else _blind(state, seen, now_unix_s)


def _unread(state: MigrationState, seen: Observations) -> Hold | None:
    """A metric that guards and cannot be read says nothing of harm: no share is raised on its silence."""
    if seen.unread is None or not state.stage:
        return None
    return Hold("a business metric cannot be read", seen.unread)


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


def _harmed(state: MigrationState, seen: Observations) -> RollBack | None:
    """By what a guard says of the candidate; while the incumbent fails, by what the attempts say."""
    crossed = decide_guards(state).crossed
    harm = decide_beside(seen.beside, state.share) if crossed is None else _said(crossed, state.share)
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
    return Hold("promoted, the incumbent stays as backup", f"until {until:.0f} or `close`")


def _open_gate(state: MigrationState, given: GateInput, blocked: GateVerdict) -> Action:
    """What would make the first closed gate pass."""
    if blocked.verdict is Verdict.FAIL:
        return Hold(f"{blocked.gate} fails: {blocked.reason}", "`resume` after the mend measures again")
    if blocked.needs == gates.TWO_WAIVERS:
        return Hold(blocked.reason, "two people must answer for it")
    if blocked.gate == "compliance":
        return _ask_or_check(state, given)
    kind = EvidenceKind(blocked.gate)
    if kind is EvidenceKind.CAPACITY_MAPPING:
        subject, exposure = state.spec.candidate, Exposure.ELIGIBLE
        if gates.find(given, kind, subject).record is not None and blocked.has == "unknown":
            return Hold(blocked.reason, blocked.needs)
    elif kind is EvidenceKind.DRILL:
        if state.stage:
            return Hold(blocked.reason, "a drill needs share 0: `rollback`, then `resume`")
        subject, exposure = state.spec.name, Exposure.ELIGIBLE
    else:
        subject, exposure = _first_open(given, kind), Exposure.SHADOW
    return _collect(state, given, Collect(kind, subject, exposure, blocked.reason))


def _ask_or_check(state: MigrationState, given: GateInput) -> Action:
    missing = gates.missing_roles(given)
    posture = gates.find(given, EvidenceKind.POSTURE, None)
    if posture.record is None or posture.record.verdict is Verdict.INCONCLUSIVE:
        action = _collect(state, given, _machine_checks(state, "machine checks of the candidate"))
        if isinstance(action, Collect) or not missing:
            return action
    roles = tuple(role for role, _ in missing)
    return Ask(roles, EvidenceKind.SIGNOFF, f"compliance needs the sign-off of {', '.join(roles)}")


def _machine_checks(state: MigrationState, reason: str) -> Collect:
    """Asked of config and clouds; what reaches the candidate meanwhile does not change."""
    return Collect(EvidenceKind.POSTURE, state.spec.candidate, state.exposure, reason)


def _renew(state: MigrationState, given: GateInput) -> Collect | None:
    """The machine checks are made anew every day: they hold for three, and a rollout may last for weeks.

    One that cannot be made holds nothing up while the last one is valid. Another collection is not broken
    off for it before it is late.
    """
    found = gates.find(given, EvidenceKind.POSTURE, None).record
    running = state.pending
    is_free = running is None or (isinstance(running, Collect) and running.kind is EvidenceKind.POSTURE)
    if found is None or found.verdict is not Verdict.PASS or not (is_free or isinstance(running, Collect)):
        return None
    if given.now_unix_s < found.collected_unix_s + (RENEW_S if is_free else RENEW_LATE_S):
        return None
    action = _collect(state, given, _machine_checks(state, "machine checks are made daily"))
    return action if isinstance(action, Collect) else None


def _first_open(given: GateInput, kind: EvidenceKind) -> str:
    """The first feature without a passing record of `kind`."""
    for feature in given.spec.features:
        record = gates.find(given, kind, feature).record
        if record is None or record.verdict is not Verdict.PASS:
            return feature
    return given.spec.features[0]


def _collect(state: MigrationState, given: GateInput, collect: Collect) -> Action:
    """`collect`, unless it was just tried.

    After a failure the pause doubles, so that a broken part is not hammered. After an inconclusive
    record it is a tenth of the time already spent: waiting weeks for labels must not fill the log.
    """
    now_unix_s, subject = given.now_unix_s, collect.subject
    running = state.pending
    if isinstance(running, Collect) and (running.kind, running.subject) == (collect.kind, subject):
        return collect
    failure = failure_of(state, collect.kind, subject)
    if failure is not None:
        pause_s = min(BACKOFF_CAP_S, BACKOFF_S * 2.0 ** (failure.count - 1))
        if now_unix_s < failure.unix_s + pause_s:
            reason = f"{collect.kind.value} of {subject} could not be collected: {failure.error}"
            return Hold(reason, "tried again soon")
    latest = gates.find(given, collect.kind, subject).record
    if latest is not None and latest.verdict is Verdict.INCONCLUSIVE:
        first_unix_s = min(
            signed.evidence.collected_unix_s
            for signed in given.evidence
            if signed.evidence.kind is collect.kind and signed.evidence.subject == subject
        )
        pause_s = min(BACKOFF_CAP_S, max(BACKOFF_S, 0.1 * (now_unix_s - first_unix_s)))
        if now_unix_s < latest.collected_unix_s + pause_s:
            return Hold(f"{collect.kind.value} of {subject} is inconclusive", collect.reason)
    return collect


def failure_of(state: MigrationState, kind: EvidenceKind, subject: str) -> Failure | None:
    """The standing failure to collect `kind` about `subject`, if the last try failed."""
    return next((f for f in state.failures if f.kind is kind and f.subject == subject), None)


def _climb(state: MigrationState, given: GateInput, seen: Observations, now_unix_s: float) -> Action:
    """All gates pass: the next stage, or why not yet."""
    if isinstance(state.pending, Advance | Promote):
        return state.pending
    waits = _astray(state, seen) or rollout.kept_by_flag(state, seen) or _unread(state, seen)
    if waits is not None:
        return waits
    drilled = gates.find(given, EvidenceKind.DRILL, state.spec.name).record
    wanted = state.approvals.drill_unix_s
    if not state.stage and wanted is not None and drilled is not None and drilled.collected_unix_s < wanted:
        collect = Collect(EvidenceKind.DRILL, state.spec.name, Exposure.ELIGIBLE, "asked for by an operator")
        return _collect(state, given, collect)
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
    if not verdict.is_done:
        return Hold(f"stage {state.stage} at {state.share:.0%}: {verdict.reason}", verdict.detail)
    if frozen:
        return Hold(frozen, f"stage {state.stage} is done; shares are not raised meanwhile")
    share = rollout.share_of(state.spec, state.stage + 1)
    strength = "weak evidence" if verdict.is_weak else "evidence"
    return Advance(
        share, state.stage + 1, verdict.is_weak, f"{strength} at {state.share:.0%}: {verdict.reason}"
    )
