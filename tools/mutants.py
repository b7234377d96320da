"""Breaks the decide core on purpose, one way at a time, and asks whether its tests notice.

Each mutant replaces one piece of the source in a copy, compiles it, and runs the core's tests: it
must compile and they must fail. `make mutants [ARGS="NAME ..."]`; a mutant whose text is no longer in
the source is an error, so that the list cannot rot in silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / ".cache/mutants/source"
TARGET = ROOT / ".cache/mutants/target"
CORE = Path("engine/core/src")
# Unoptimised: compiling is most of the time.
TEST = ["cargo", "test", "--quiet", "-p", "crossfade-core"]

# name: (file below the core, what is there, what the mutant has instead)
MUTANTS = {
    "attempts-without-limit": (
        "decide/next.rs",
        "if situation.tried.len() >= limit {",
        "if situation.tried.len() >= limit + 100 {",
    ),
    "retries-without-budget": (
        "decide/budget.rs",
        "let granted = f64::from(thirds + cost as u32) <= 3.0 * allowed;",
        "let granted = f64::from(thirds + cost as u32) <= 3.0 * allowed + 1e9;",
    ),
    "retry-of-the-callers-mistake": (
        "decide/next.rs",
        "OutcomeClass::Caller => after_callers_mistake(situation, last),",
        "OutcomeClass::Caller => failover(situation, last),",
    ),
    "breaker-never-opens": (
        "decide/health/breaker/evidence.rs",
        "if self.run >= self.policy.consecutive_hard && distinct",
        "if self.run > 1_000_000 && distinct",
    ),
    "breaker-never-closes": (
        "decide/health/breaker/moves.rs",
        'self.become_state(State::Closed, format!("closed: {evidence}"), now);',
        'self.become_state(State::Open { until: now + 5.0 }, format!("closed: {evidence}"), now);',
    ),
    "ramp-without-steps": (
        "decide/health/breaker/moves.rs",
        "if index >= self.policy.ramp_shares.len() {",
        "if index < usize::MAX {",
    ),
    "compliance-filter-off": (
        "decide/rank.rs",
        "if !self.ways.able.contains(name) {",
        "if self.ways.able.len() > usize::MAX - 1 {",
    ),
    "full-endpoints-are-asked": (
        "decide/rank.rs",
        "if ready_at > self.now {",
        "if ready_at > self.now + 1e9 {",
    ),
    "kill-switch-ignored": (
        "decide/engine/arms.rs",
        "&& !self.killed.contains(name)",
        "&& (!self.killed.contains(name) || self.killed.len() < usize::MAX)",
    ),
    "dead-candidate-keeps-its-share": (
        "decide/latch.rs",
        "if failed && self.hard >= rollout.dead_hard {",
        "if failed && self.hard >= rollout.dead_hard + 1_000_000 {",
    ),
    "split-from-the-other-end": (
        "decide/engine/arms.rs",
        "if point < share {",
        "if 1.0 - point <= share && share > 0.0 {",
    ),
    "shadows-count-for-health": (
        "decide/health/book.rs",
        "let measured = matches!(seen.arm.kind, ArmKind::Shadow | ArmKind::Pin) && !seen.probe;",
        "let measured = matches!(seen.arm.kind, ArmKind::Pin) && !seen.probe;",
    ),
    "a-cut-stream-ends-well": (
        "wire/closing.rs",
        "        let (kind, detail) = if self.said || self.stop.is_some() {\n",
        (
            "        if self.said {\n            return self.terminal(out);\n        }\n"
            "        let (kind, detail) = if self.said || self.stop.is_some() {\n"
        ),
    ),
    "the-slowest-is-the-fastest": (
        "decide/pick/pace.rs",
        "Some(first.max(0.0) + self.penalty_ms / self.asked)",
        "Some(1e6 - first.max(0.0) - self.penalty_ms / self.asked)",
    ),
    "failures-cost-no-time": (
        "decide/pick/pace.rs",
        "self.penalty_ms += penalty_ms;",
        "self.penalty_ms += 0.0 * penalty_ms;",
    ),
    "affinity-without-bound": (
        "decide/pick/mod.rs",
        "f64::from(own + 1) <= bound && self.rooms",
        "f64::from(own + 1) <= bound || self.rooms",
    ),
    "rules-join-the-rollout": (
        "decide/engine/arms.rs",
        "return (AssignedArm { name: rule, ..main }, own);",
        "return (AssignedArm { name: None, kind: ArmKind::Baseline, ..main }, own);",
    ),
    "money-without-limit": (
        "decide/keys.rs",
        "(self.spent.usd >= limit).then(",
        "(self.spent.usd >= limit * 1e9).then(",
    ),
    "any-answer-joins": (
        "wire/rescue/joint.rs",
        "if left[..both] != text.as_bytes()[..both] {",
        "if left[..both] != text.as_bytes()[..both] && both > 1_000_000 {",
    ),
    "a-burst-drives-others-out": (
        "decide/capacity/fair.rs",
        "if part >= all || mine.tokens <= part {",
        "if part >= all || mine.tokens <= part * 1e9 {",
    ),
    "long-answers-are-not-booked": (
        "decide/capacity/meter.rs",
        "if count(written) <= output {",
        "if count(written) <= output + 1e9 {",
    ),
    "alike-whatever-follows": (
        "wire/framing/alike.rs",
        "word.filter(|word| rest.is_empty() && !word.is_empty())",
        "word.filter(|word| rest.len() < usize::MAX && !word.is_empty())",
    ),
    "usage-counted-twice": (
        "domain/request.rs",
        "input_uncached: input - cache_read - cache_write,",
        "input_uncached: input,",
    ),
}


def cargo(*more: str) -> subprocess.CompletedProcess[str]:
    """Run the core's tests."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(TARGET)}
    command = [*TEST, *more]
    return subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True, check=False)


def verdict(name: str) -> str:
    """`caught`, or what is wrong with the mutant or with the tests."""
    place, old, new = MUTANTS[name]
    path = COPY / CORE / place
    source = path.read_text()
    if source.count(old) != 1:
        return f"stale: {old!r} is {source.count(old)} times in {place}"
    path.write_text(source.replace(old, new))
    try:
        built = cargo("--no-run")
        if built.returncode:
            return f"does not compile: {built.stderr.strip().splitlines()[0]}"
        return "caught" if cargo().returncode else "SURVIVED: no test noticed"
    finally:
        path.write_text(source)


def main(asked: list[str]) -> int:
    """Break it each way, or in the ways asked for; 1 if a way was not noticed."""
    if unknown := [name for name in asked if name not in MUTANTS]:
        print(f"no such mutant: {', '.join(unknown)} (there are: {', '.join(MUTANTS)})", file=sys.stderr)
        return 2
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in ("Cargo.toml", "Cargo.lock", "clippy.toml"):
        shutil.copy2(ROOT / name, COPY / name)
    for folder in ("engine", "spec"):
        # With times of now: cargo would take what the last mutant was compiled to for newer.
        shutil.copytree(ROOT / folder, COPY / folder, copy_function=shutil.copy)
    whole = cargo()
    if whole.returncode:
        print(f"the tests fail without any mutant:\n{whole.stdout[-2000:]}", file=sys.stderr)
        return 1
    missed = 0
    for number, name in enumerate(asked or MUTANTS, 1):
        began = time.monotonic()
        found = verdict(name)
        missed += found != "caught"
        took = time.monotonic() - began
        print(f"{number:3} of {len(asked or MUTANTS)}  {name:32} {found}  ({took:.0f} s)", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
