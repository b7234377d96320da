"""Judge failures as a live guard: captured answers of both arms, graded while the rollout goes on.

The engine captures by request id, so equally in both arms; what the judge has no time for is dropped by
its turn, which knows no arm either. A judge is asked through the gateway, as always, and never while
anybody waits for an answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from crossfade.control.evidence import judge, pairs
from crossfade.control.evidence.gateway_client import GatewayClient
from crossfade.control.migration.guard.samples import Sample, SampleBoard
from crossfade.domain.attempt import ArmKind, AttemptRecord, OutcomeClass
from crossfade.domain.migration_spec import MigrationSpec

JUDGE = "judge"  # the guard
WAITING_AT_MOST = 200  # answers; more come than a judge can grade
AT_ONCE = 8
LOOK_S = 0.5
ARMS = frozenset({ArmKind.CANDIDATE, ArmKind.BASELINE})

Grade = Callable[[str, list[tuple[str, str]]], Awaitable[list[float]]]  # (judge, [(source, answer)])

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """One captured answer, and whose it is."""

    sample: Sample
    source: str
    text: str


@dataclass(slots=True)
class LiveJudge:
    """Grades what records bring. `observe` is called on other threads; a deque's append is atomic."""

    board: SampleBoard
    grade: Grade
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    wanted: dict[str, MigrationSpec] = field(default_factory=dict)
    waiting: deque[Answer] = field(default_factory=lambda: deque(maxlen=WAITING_AT_MOST))
    problem: str | None = None
    graded: int = 0

    def want(self, spec: MigrationSpec) -> str | None:
        """From now on the migration's answers are graded, if it has the guard; why they cannot be."""
        if JUDGE not in spec.rollout.guards:
            return None
        self.wanted[spec.name] = spec
        return self.problem

    def observe(self, record: AttemptRecord) -> None:
        """Take an answer in, if it is an arm's own and was captured."""
        spec = self.wanted.get(record.arm_name or "")
        is_ours = spec is not None and record.arm in ARMS and record.feature in spec.features
        if not is_ours or record.index or record.outcome is not OutcomeClass.OK or record.content is None:
            return
        sample = Sample(
            record.feature,
            record.arm,
            record.arm_name,
            record.share,
            record.unit,
            record.started_unix_ms / 1000,
            {},
        )
        self.waiting.append(Answer(sample, record.content.request, record.content.response))

    async def run(self) -> None:
        """Grade what waits, for ever."""
        while True:
            await self.look()
            await self.pause(LOOK_S)

    async def look(self) -> None:
        """Grade some of what waits, each answer by one judge, chosen by its count."""
        taken = [self.waiting.popleft() for _ in range(min(AT_ONCE, len(self.waiting)))]
        for answer in taken:
            spec = self.wanted[str(answer.sample.arm_name)]
            name = spec.quality.judges[self.graded % len(spec.quality.judges)]
            self.graded += 1
            try:
                (score,) = await self.grade(name, [(pairs.source_of(answer.source), answer.text)])
            except (judge.JudgeError, ValueError) as error:
                if self.problem != str(error):
                    log.warning("live judge: %s", error)
                self.problem = str(error)
                continue
            self.problem = None
            self.board.add(answer.sample._replace(values={JUDGE: 1.0 - score}))


def grader(client: GatewayClient) -> Grade:
    """The judge of the quality gate, asked through the gateway.

    Errors of the client's own are told as the judge's: a gateway that cannot be reached grades nothing.
    """

    async def grade(name: str, items: list[tuple[str, str]]) -> list[float]:
        try:
            return await judge.grade(client, name, items)
        except ExceptionGroup as group:
            found = group.exceptions[0]
            raise judge.JudgeError(str(found) or type(found).__name__) from group

    return grade
