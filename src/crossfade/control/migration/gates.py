"""Gates: pure functions from evidence to a verdict.

Only the newest record of a kind and subject counts, and only while it is signed, unexpired and
bound to the candidate's present fingerprint. Anything else is inconclusive, and inconclusive
never advances. A record that fails closes its gate until a person resumes the migration; from then
on it is as if it had not been collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from operator import attrgetter

from crossfade.domain.evidence import Evidence, EvidenceKind, SignedEvidence, Verdict
from crossfade.domain.migration import GateVerdict
from crossfade.domain.migration_spec import MigrationSpec
from crossfade.domain.people import person_key

WIDE_MARGIN = 0.10  # a loss of more than ten points is no parity that one person may decide
WIDE_MARGINS = "wide_margins"
# What two people may answer for. Compliance and the drill have no waiver: nothing routes around them.
WAIVABLE = ("capacity_mapping", "shadow_confirmation", "quality_parity", "latency_parity", WIDE_MARGINS)
WAIVER_DAYS = 7
TWO_WAIVERS = "two waivers"
SKEW_S = 300.0  # of the clocks of those that collect
DRILL_FRESH_S = 7 * 86400.0  # a week: the longest a team goes without a change to its gateways


@dataclass(frozen=True, slots=True)
class GateInput:
    """Everything a gate may look at.

    `resumed_unix_s`: failures older than it are forgiven. `software`: the version that runs, empty if it
    does not matter.
    """

    spec: MigrationSpec
    evidence: tuple[SignedEvidence, ...]
    fingerprint: str
    required_roles: tuple[str, ...]
    attesting_roles: tuple[str, ...]
    purchased_units: float | None
    resumed_unix_s: float
    now_unix_s: float
    software: str = ""


_all_but_time = attrgetter(*(one.name for one in fields(GateInput) if one.name != "now_unix_s"))


def is_same_but_time(before: GateInput, after: GateInput) -> bool:
    """Whether a gate sees the same at both moments, what time alone changes apart."""
    return bool(_all_but_time(before) == _all_but_time(after))


@dataclass(frozen=True, slots=True)
class Found:
    """The newest record for a need, or why there is none that counts."""

    record: Evidence | None
    why_not: str


def find(seen: GateInput, kind: EvidenceKind, subject: str | None, role: str | None = None) -> Found:
    """The newest record of `kind` about `subject` (null: any) that counts for a gate."""
    matching = sorted(
        (
            signed
            for signed in seen.evidence
            if _is_about(signed.evidence, seen.spec.name, kind, subject, role)
        ),
        key=lambda signed: signed.evidence.collected_unix_s,
        reverse=True,
    )
    if not matching:
        return Found(None, "missing")
    newest = ""
    for signed in matching:
        refusal = why_not(signed, seen)
        if not refusal:
            return Found(signed.evidence, "")
        newest = newest or refusal
    return Found(None, newest)


def _is_about(
    record: Evidence, migration: str, kind: EvidenceKind, subject: str | None, role: str | None
) -> bool:
    if record.kind is not kind or record.migration != migration:
        return False
    if subject is not None and record.subject != subject:
        return False
    return role is None or record.observed.get("role") == role


def why_not(signed: SignedEvidence, seen: GateInput) -> str:
    """Why a record does not count for a gate; empty if it does."""
    record = signed.evidence
    if not signed.valid:
        return signed.problem or "its signature does not verify"
    if record.fingerprint != seen.fingerprint:
        return "it is bound to another fingerprint of the candidate"
    if record.expires_unix_s <= seen.now_unix_s:
        return "it has expired"
    if record.collected_unix_s > seen.now_unix_s + SKEW_S:
        return "it was collected in the future"
    if record.verdict is Verdict.FAIL and record.collected_unix_s <= seen.resumed_unix_s:
        return "it failed before the migration was resumed"
    return ""


def next_change(seen: GateInput) -> float:
    """When time alone may next change a verdict: a record expires, or one of the future begins to count."""
    moments = [
        moment
        for signed in seen.evidence
        for moment in (signed.evidence.expires_unix_s, signed.evidence.collected_unix_s - SKEW_S)
    ]
    return min((moment for moment in moments if moment > seen.now_unix_s), default=float("inf"))


def decide_compliance(seen: GateInput) -> GateVerdict:
    """Every required role has signed, the machine checks pass, and what no API shows is attested.

    The last where a feature's policy names roles that attest.
    """
    roles = required_roles(seen)
    unsigned = missing_roles(seen)
    posture = find(seen, EvidenceKind.POSTURE, None)
    if posture.record is not None and posture.record.verdict is Verdict.FAIL:
        broken = _failed_checks(posture.record)
        return GateVerdict("compliance", Verdict.FAIL, f"posture fails: {broken}", "every check", broken)
    has = f"{len(roles) - len(unsigned)} of {len(roles)} sign-offs"
    if unsigned:
        reason = f"not validly signed by {', '.join(f'{role} ({why})' for role, why in unsigned)}"
        return GateVerdict("compliance", Verdict.INCONCLUSIVE, reason, f"sign-offs: {', '.join(roles)}", has)
    if posture.record is None:
        return GateVerdict(
            "compliance", Verdict.INCONCLUSIVE, f"posture: {posture.why_not}", "machine checks", has
        )
    if posture.record.verdict is not Verdict.PASS:
        return GateVerdict(
            "compliance", Verdict.INCONCLUSIVE, "posture is inconclusive", "machine checks", has
        )
    held = [find(seen, EvidenceKind.SIGNOFF, None, role).record for role in roles]
    whole = next((record for record in _postures(seen) if not unattested(seen, record)), None)
    if whole is None:
        return _not_attested(seen, posture.record)
    attested = [_attested(seen, name, role).record for name, role in _to_attest(seen, whole)]
    until = _earliest([*held, *attested, whole])
    return GateVerdict("compliance", Verdict.PASS, "signed and in posture", "", has, until)


def unattested(seen: GateInput, posture: Evidence) -> list[tuple[str, str, str]]:
    """What no API shows and nobody attested validly: the fact, the role that must, and why not yet."""
    missing = []
    for name, role in _to_attest(seen, posture):
        found = _attested(seen, name, role)
        if found.record is None or found.record.verdict is not Verdict.PASS:
            missing.append((name, role, found.why_not or "refused"))
    return missing


def _to_attest(seen: GateInput, posture: Evidence) -> list[tuple[str, str]]:
    facts = [str(fact["name"]) for fact in posture.observed.get("attest", ())]
    return [(fact, role) for fact in facts for role in seen.attesting_roles]


def _attested(seen: GateInput, fact: str, role: str) -> Found:
    return find(seen, EvidenceKind.ATTESTATION, fact, role)


def _postures(seen: GateInput) -> list[Evidence]:
    """Passing machine checks that still hold, newest first.

    What an API showed yesterday holds for as long as its record does, also if it cannot be read today.
    """
    held = [
        signed.evidence
        for signed in seen.evidence
        if _is_about(signed.evidence, seen.spec.name, EvidenceKind.POSTURE, None, None)
        and signed.evidence.verdict is Verdict.PASS
        and not why_not(signed, seen)
    ]
    return sorted(held, key=lambda record: record.collected_unix_s, reverse=True)


def _not_attested(seen: GateInput, posture: Evidence) -> GateVerdict:
    missing = unattested(seen, posture)
    said = "; ".join(f"{fact} by {role} ({why})" for fact, role, why in missing)
    fact, role, _ = missing[0]
    hint = f"`crossfade migration attest {seen.spec.name} --fact '{fact}' --as {role}`"
    reason = f"no API shows, and nobody attested: {said} (hint: {hint})"
    facts = ", ".join(dict.fromkeys(fact for fact, _, _ in missing))
    wanted = len(_to_attest(seen, posture))
    has = f"{wanted - len(missing)} of {wanted} attestations"
    return GateVerdict("compliance", Verdict.INCONCLUSIVE, reason, f"attestations: {facts}", has)


def required_roles(seen: GateInput) -> tuple[str, ...]:
    """Roles of the features' policies and of the migration itself, each once, in order."""
    return tuple(dict.fromkeys((*seen.required_roles, *seen.spec.compliance.signoffs)))


def missing_roles(seen: GateInput) -> list[tuple[str, str]]:
    """Roles without a valid approving sign-off of a person of its own, each with why."""
    missing = []
    signed: set[str] = set()
    for role in required_roles(seen):
        found = find(seen, EvidenceKind.SIGNOFF, None, role)
        if found.record is None:
            missing.append((role, found.why_not))
        elif found.record.verdict is not Verdict.PASS:
            missing.append((role, "refused"))
        elif person_key(found.record.signer) in signed:
            missing.append((role, f"{found.record.signer} signed for another role, another person must"))
        else:
            signed.add(person_key(found.record.signer))
    return missing


def decide_mapping(seen: GateInput) -> GateVerdict:
    """Units bought >= upper bound of the units needed x (1 + headroom)."""
    simple = _decide_single(seen, EvidenceKind.CAPACITY_MAPPING, seen.spec.candidate)
    if simple.verdict is not Verdict.PASS:
        return simple
    record = find(seen, EvidenceKind.CAPACITY_MAPPING, seen.spec.candidate).record
    observed = record.observed if record is not None else {}
    if "interval" in observed and observed["interval"] is None:
        return simple  # on-demand: nothing is bought, the load test's own verdict counts
    upper = _upper_units(observed)
    if upper is None:
        return GateVerdict(simple.gate, Verdict.INCONCLUSIVE, "the mapping states no interval of units")
    bought = seen.purchased_units
    needed = upper * (1.0 + seen.spec.capacity.headroom)
    needs = f"{needed:g} units ({upper:g} + {seen.spec.capacity.headroom:.0%} headroom)"
    if bought is None:
        return GateVerdict(simple.gate, Verdict.INCONCLUSIVE, "units bought are unknown", needs, "unknown")
    if bought < needed:
        reason = f"{bought:g} units bought, {needs} needed (hint: buy more, then `resume`)"
        return GateVerdict(simple.gate, Verdict.FAIL, reason, needs, f"{bought:g} units")
    return GateVerdict(
        simple.gate, Verdict.PASS, "enough units", needs, f"{bought:g} units", simple.until_unix_s
    )


def _upper_units(observed: dict[str, object]) -> float | None:
    interval = observed.get("interval")
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        return None
    upper = interval[1]
    return float(upper) if isinstance(upper, int | float) and not isinstance(upper, bool) else None


def waived_by(seen: GateInput, gate: str) -> tuple[Evidence, Evidence] | None:
    """Two people's valid waivers of a gate; null if there are not two."""
    by_person: dict[str, Evidence] = {}
    for signed in seen.evidence:
        record = signed.evidence
        is_about = _is_about(record, seen.spec.name, EvidenceKind.WAIVER, gate, None)
        if is_about and record.verdict is Verdict.PASS and not why_not(signed, seen):
            by_person[person_key(record.signer)] = record
    both = sorted(by_person.values(), key=lambda record: -record.expires_unix_s)[:2]
    return (both[0], both[1]) if len(both) == 2 else None


def _or_waived(seen: GateInput, verdict: GateVerdict) -> GateVerdict:
    """The verdict, or a pass if two people answer for going on without it."""
    if verdict.verdict is Verdict.PASS:
        return verdict
    both = waived_by(seen, verdict.gate)
    if both is None:
        return verdict
    names = " and ".join(record.signer for record in both)
    until = min(record.expires_unix_s for record in both)
    return GateVerdict(
        verdict.gate, Verdict.PASS, f"waived by {names}: {verdict.reason}", "", TWO_WAIVERS, until
    )


def decide_shadow(seen: GateInput) -> GateVerdict:
    """Under shadow at full rate the bought units carry every feature."""
    return _decide_per_feature(seen, EvidenceKind.SHADOW_CONFIRMATION)


def decide_parity(seen: GateInput) -> GateVerdict:
    """All margins non-inferior, for every feature, by the human-corrected test."""
    wide = [name for name, margin in seen.spec.quality.margins.items() if margin > WIDE_MARGIN]
    if wide and waived_by(seen, WIDE_MARGINS) is None:
        named = ", ".join(f"{name} {seen.spec.quality.margins[name]:.0%}" for name in wide)
        reason = f"a margin above {WIDE_MARGIN:.0%} ({named}) needs two people (hint: waive {WIDE_MARGINS})"
        return GateVerdict(EvidenceKind.QUALITY_PARITY.value, Verdict.INCONCLUSIVE, reason, TWO_WAIVERS)
    return _decide_per_feature(seen, EvidenceKind.QUALITY_PARITY)


def decide_latency(seen: GateInput) -> GateVerdict:
    """Latency quantiles non-inferior, for every feature."""
    return _decide_per_feature(seen, EvidenceKind.LATENCY_PARITY)


def decide_drill(seen: GateInput, rollout_began_unix_s: float | None) -> GateVerdict:
    """The way back was walked within a week before the first request was moved, and by this version.

    A drill needs share 0, so while a rollout is under way its age counts at the rollout's start.
    """
    at = rollout_began_unix_s if rollout_began_unix_s is not None else seen.now_unix_s
    found = find(seen, EvidenceKind.DRILL, seen.spec.name)
    if found.record is None:
        return GateVerdict(
            "drill", Verdict.INCONCLUSIVE, f"drill: {found.why_not}", "a rollback drill", found.why_not
        )
    if at - found.record.collected_unix_s > DRILL_FRESH_S:
        return GateVerdict(
            "drill", Verdict.INCONCLUSIVE, "the drill is older than 7 days", "a fresh drill", "stale"
        )
    drilled = str(found.record.observed.get("software", ""))
    if rollout_began_unix_s is None and drilled != seen.software:
        reason = f"the drill was walked by version {drilled or 'unknown'}, this is {seen.software}"
        return GateVerdict("drill", Verdict.INCONCLUSIVE, reason, "a fresh drill", "stale")
    return _from_record("drill", found.record)


def _decide_per_feature(seen: GateInput, kind: EvidenceKind) -> GateVerdict:
    """The worst verdict over the migration's features; pass only if all pass."""
    verdicts = [_decide_single(seen, kind, feature) for feature in seen.spec.features]
    for wanted in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for verdict in verdicts:
            if verdict.verdict is wanted:
                return verdict
    until = min((v.until_unix_s for v in verdicts if v.until_unix_s is not None), default=None)
    has = "; ".join(verdict.has for verdict in verdicts if verdict.has)
    return GateVerdict(kind.value, Verdict.PASS, verdicts[0].reason, "", has, until)


def _decide_single(seen: GateInput, kind: EvidenceKind, subject: str) -> GateVerdict:
    found = find(seen, kind, subject)
    if found.record is None:
        reason = f"{kind.value} of {subject}: {found.why_not}"
        return GateVerdict(kind.value, Verdict.INCONCLUSIVE, reason, kind.value, found.why_not)
    return _from_record(kind.value, found.record)


def _from_record(gate: str, record: Evidence) -> GateVerdict:
    reason = str(record.observed.get("reason") or f"{record.method}: {record.verdict.value}")
    needs, has = str(record.observed.get("needs", "")), str(record.observed.get("has", ""))
    return GateVerdict(gate, record.verdict, f"{record.subject}: {reason}", needs, has, record.expires_unix_s)


def _failed_checks(record: Evidence) -> str:
    checks = record.observed.get("checks", ())
    return (
        ", ".join(f"{check['name']} ({check.get('detail', '')})" for check in checks if not check.get("ok"))
        or "?"
    )


def _earliest(records: Iterable[Evidence | None]) -> float | None:
    return min((record.expires_unix_s for record in records if record is not None), default=None)


def ladder(rollout_began_unix_s: float | None) -> tuple[Callable[[GateInput], GateVerdict], ...]:
    """The gates in the order in which they must pass before any request is moved."""
    return (
        decide_compliance,
        lambda seen: _or_waived(seen, decide_mapping(seen)),
        lambda seen: _or_waived(seen, decide_shadow(seen)),
        lambda seen: _or_waived(seen, decide_parity(seen)),
        lambda seen: _or_waived(seen, decide_latency(seen)),
        lambda seen: decide_drill(seen, rollout_began_unix_s),
    )
