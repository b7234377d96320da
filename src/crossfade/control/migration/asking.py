"""What a closed gate still needs: a collection, people, or a mend. Pure; a part of the playbook."""

from __future__ import annotations

from crossfade.control.migration import gates
from crossfade.control.migration.gates import GateInput
from crossfade.domain.evidence import Evidence, EvidenceKind, Verdict
from crossfade.domain.migration import (
    Action,
    Ask,
    Collect,
    Exposure,
    Failure,
    GateVerdict,
    Hold,
    MigrationState,
)

RENEW_S, RENEW_LATE_S = 86400.0, 60 * 3600.0  # machine checks expire after 72 hours
BACKOFF_S = 2.0  # after the first failed collection, doubled each time
BACKOFF_CAP_S = 300.0


def open_gate(state: MigrationState, given: GateInput, blocked: GateVerdict) -> Action:
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
    return collect_unless_tried(state, given, Collect(kind, subject, exposure, blocked.reason))


def _ask_or_check(state: MigrationState, given: GateInput) -> Action:
    missing = gates.missing_roles(given)
    posture = gates.find(given, EvidenceKind.POSTURE, None)
    if posture.record is None or posture.record.verdict is Verdict.INCONCLUSIVE:
        action = collect_unless_tried(state, given, _machine_checks(state, "machine checks of the candidate"))
        if isinstance(action, Collect) or not missing:
            return action
    if posture.record is not None and not missing:
        unseen = gates.unattested(given, posture.record)
        facts = ", ".join(dict.fromkeys(fact for fact, _, _ in unseen))
        by = tuple(dict.fromkeys(role for _, role, _ in unseen))
        return Ask(by, EvidenceKind.ATTESTATION, f"compliance needs an attestation of {facts}")
    roles = tuple(role for role, _ in missing)
    return Ask(roles, EvidenceKind.SIGNOFF, f"compliance needs the sign-off of {', '.join(roles)}")


def _machine_checks(state: MigrationState, reason: str) -> Collect:
    """Asked of config and clouds; what reaches the candidate meanwhile does not change."""
    return Collect(EvidenceKind.POSTURE, state.spec.candidate, state.exposure, reason)


def renew(state: MigrationState, given: GateInput, checked: Evidence | None) -> Collect | None:
    """The machine checks are made anew every day: they hold for three, and a rollout may last for weeks.

    `checked`: those that count now. One that cannot be made holds nothing up while the last one is valid.
    Another collection is not broken off for it before it is late.
    """
    running = state.pending
    is_free = running is None or (isinstance(running, Collect) and running.kind is EvidenceKind.POSTURE)
    if (
        checked is None
        or checked.verdict is not Verdict.PASS
        or not (is_free or isinstance(running, Collect))
    ):
        return None
    if given.now_unix_s < checked.collected_unix_s + (RENEW_S if is_free else RENEW_LATE_S):
        return None
    action = collect_unless_tried(state, given, _machine_checks(state, "machine checks are made daily"))
    return action if isinstance(action, Collect) else None


def _first_open(given: GateInput, kind: EvidenceKind) -> str:
    """The first feature without a passing record of `kind`."""
    for feature in given.spec.features:
        record = gates.find(given, kind, feature).record
        if record is None or record.verdict is not Verdict.PASS:
            return feature
    return given.spec.features[0]


def collect_unless_tried(state: MigrationState, given: GateInput, collect: Collect) -> Action:
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
