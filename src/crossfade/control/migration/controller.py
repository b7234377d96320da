"""The only part of the playbook that acts: read, decide, log, act, verify.

An action is logged before it is acted on, its effect after it was verified on every gateway.
Acting is making the overlays equal to what the folded state wants, so acting twice does nothing
twice, and a restart at any line goes on from there. The stream's sequence number guards each
append: if a person or another process was faster, this turn is dropped and the next one decides
on the new facts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from crossfade.control.migration import history, playbook
from crossfade.control.migration.effects import (
    LOGGED_WITHIN_S,
    Look,
    Progress,
    RollBackResult,
    Running,
    Wanted,
    counted,
    not_at_zero,
    outcome_of,
    shows_all,
    task_of,
)
from crossfade.control.migration.guard.incident import BLOCK_S, Beside, Trouble, look_for_trouble
from crossfade.control.migration.guard.tally import News, Tally
from crossfade.control.migration.guard.watch import Watch
from crossfade.control.migration.history import Kind
from crossfade.control.migration.ports import Candidate, LoggedLine, Ports, Published
from crossfade.domain.evidence import SignedEvidence
from crossfade.domain.migration import (
    Action,
    Advance,
    Close,
    Collect,
    Hold,
    MigrationState,
    Observations,
    Promote,
    RollBack,
)
from crossfade.domain.overlay import FeatureOverlay
from crossfade.version import __version__

ACTOR = "controller"
LOGGED_COUNTS = 20  # lines of counts per bake: enough for a plot, few enough for weeks
VOID = "unknown"  # fingerprint of a candidate that is not in the config: matches no record


class UnloggedError(Exception):
    """A rollback that the log did not take, or could not be read after; the message says why."""


@dataclass(slots=True)
class Controller:
    """Drives one migration. One turn at a time; `roll_back` may interrupt a turn."""

    name: str
    ports: Ports
    write_bundle: Callable[[str], Awaitable[dict[str, str]]]
    tally: Tally = field(default_factory=Tally)
    running: Running | None = None
    look: Look | None = None
    lines: list[LoggedLine] = field(default_factory=list)
    folded: MigrationState | None = None
    decided: playbook.Decided | None = None
    counted_unix_s: float = 0.0
    beside: tuple[int, Beside] = field(default_factory=lambda: (0, Beside()))  # epoch, attempts compared
    compared_unix_s: float = 0.0
    wanted: Wanted = field(default_factory=Wanted)
    watch: Watch = field(default_factory=Watch)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)
    publishing: set[asyncio.Task[Published]] = field(default_factory=set)

    async def turn(self) -> Look:
        """One look, one decision, and what follows from it."""
        async with self.lock:
            return await self._turn()

    async def _turn(self) -> Look:
        state = await self.read()
        if state.closed_unix_s is not None:
            return await self._closed(state)
        state = await self._finish_collection(state)
        state = await self._note_skip(state)
        now = self.now()
        state = await self._freeze(state)
        trouble = self.trouble_of(state)
        state = await self._note_trouble(state, trouble)
        self.count(state, now, is_paused=trouble is not None and trouble.is_shielded)
        facts = await self._facts(state)
        if state.counts is not self.tally.counts:
            state = state.with_counts(self.tally.counts)
        evidence = await self.ports.evidence.of(self.name)
        seen = self._observe(state, facts, now)
        self.decided = decided = playbook.decide(state, evidence, seen, now, self.decided)
        action = decided.action
        is_news = history.is_news(state, action)
        is_turning = is_news and isinstance(action, RollBack | Advance | Promote)
        state = await self._log_counts(state, now, is_due=is_turning)
        if is_news:
            state = await self._log_action(state, action, seen, evidence, now)
        await self._act(state, facts, action.reason)
        standing = playbook.decide_standing(state, decided.given) if is_news else decided.standing
        progress = self.running.progress.text if self.running is not None else None
        self.look = Look(state, action, standing.verdicts, standing.step.value, decided.given, progress)
        return self.look

    async def stop(self) -> None:
        """Cancel the collection under way, if any; the next controller starts it again."""
        if self.running is None:
            return
        running, self.running = self.running, None
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)

    async def roll_back(self, *, actor: str, reason: str) -> RollBackResult:
        """Set the share to 0 now, on the caller's own time, whatever step is under way.

        The action is logged without an expected sequence: nothing may win against a rollback.

        Raises:
            UnloggedError: the log cannot be written, or not be read afterwards; see `Alone.roll_back`.
        """
        began = self.ports.clock()
        action = RollBack(f"asked by {actor}: {reason}" if reason else f"asked by {actor}")
        payload, stream = history.encode_action(action), history.stream_of(self.name)
        writing = asyncio.ensure_future(
            self.ports.log.append(stream, Kind.ACTION, payload, actor=actor, reason=reason)
        )
        await asyncio.wait({writing}, timeout=LOGGED_WITHIN_S)  # not cancelled: it may still get there
        if not writing.done() or writing.exception() is not None:
            why = repr(writing.exception()) if writing.done() else f"not within {LOGGED_WITHIN_S:.0f} s"
            raise UnloggedError(why)
        self.interrupt.set()
        async with self.lock:
            self.interrupt.clear()
            try:
                return await self._publish_zero(writing.result().stream_seq, action, actor, began)
            except Exception as error:  # whatever it is, the way back is another one
                raise UnloggedError(repr(error)) from error

    async def _publish_zero(self, seq: int, action: RollBack, actor: str, began: float) -> RollBackResult:
        await self.stop()
        state = await self.read()
        published = await self.ports.publisher.publish(
            self._change(state, (await self._facts(state)).endpoints, is_forced=True),
            actor=actor,
            reason=action.reason,
        )
        seconds = self.ports.clock() - began
        views = self.ports.counters.views(state.spec.features)
        missing = tuple(dict.fromkeys((*published.missing, *not_at_zero(state, views))))
        if published.verified and not missing:
            await self._log_effect(seq, {"seconds": seconds, "version": published.version})
        gateways = tuple(view.name for view in views)
        return RollBackResult(not missing, seconds, gateways, missing, published.version)

    async def read(self) -> MigrationState:
        """Take in what the stream has grown by, and say where the migration stands.

        Raises:
            LookupError: if there is no such migration.
        """
        after = self.lines[-1].seq if self.lines else 0
        for line in await self.ports.log.read(history.stream_of(self.name), after):
            if self.lines and line.seq <= self.lines[-1].seq:
                continue  # another reader was faster
            self.folded = history.apply_line(self.folded, line)
            self.lines.append(line)
            self.watch.latest_unix_s = max(self.watch.latest_unix_s, line.unix_s)
        if self.folded is None:
            raise LookupError(f"no migration {self.name!r}")
        return self.folded

    async def _closed(self, state: MigrationState) -> Look:
        await self.stop()
        now = state.closed_unix_s or self.now()
        facts = await self._facts(state)
        evidence = await self.ports.evidence.of(self.name)
        given = playbook.gate_input(state, evidence, self._observe(state, facts, now), now)
        standing = playbook.decide_standing(state, given)
        self.look = Look(state, Hold("closed"), standing.verdicts, standing.step.value, given, None)
        return self.look

    def now(self) -> float:
        """Time as the migration sees it."""
        return self.watch.now(self.ports.clock)

    async def _note_skip(self, state: MigrationState) -> MigrationState:
        """Log that the clock was set forward: what waits for time to pass waits on."""
        ahead_s = self.watch.skipped_s(self.ports.clock, self.ports.steady)
        if not ahead_s:
            return state
        self.tally.skip(ahead_s)
        why = "the clock was set forward"
        line = await self._append(Kind.SKIPPED, {"ahead_s": ahead_s}, why, state.last_seq)
        return history.apply_line(state, line)

    async def _freeze(self, state: MigrationState) -> MigrationState:
        """Log what the incumbent does, once an epoch, when enough is known of it."""
        if state.frozen is not None or state.promoted_unix_s is not None or not state.share:
            return state
        frozen = await self.ports.counters.freeze(state.spec.features)
        if frozen is None:
            return state
        payload = {"epoch": state.epoch, "frozen": asdict(frozen)}
        line = await self._append(Kind.FROZEN, payload, "the incumbent as measured now", state.last_seq)
        return history.apply_line(state, line)

    def _observe(self, state: MigrationState, facts: Candidate, now: float) -> Observations:
        """The playbook's view of the world."""
        counters, features = self.ports.counters, state.spec.features
        return Observations(
            fingerprint=facts.fingerprint,
            required_roles=facts.required_roles,
            attesting_roles=facts.attesting_roles,
            gateways=counters.views(features),
            purchased_units=facts.purchased_units,
            lull=self.tally.lull(now),
            incident=counters.incident(features, state.spec.rollout.errors_at_most),
            beside=self.beside[1].compared(),
            set_back_s=max(0.0, now - self.ports.clock()),
            flag=self.ports.flags.bound(self.name),
            unread=self.ports.metrics.unread(state.spec),
            watched_s=self.watch.watched_s(self.ports.steady),
            software=__version__,
        )

    def count(self, state: MigrationState, now: float, *, is_paused: bool) -> None:
        """Take the live counts in; while the guards pause, compare attempts instead."""
        if self.beside[0] != state.epoch:
            self.beside = (state.epoch, Beside())
        if not is_paused:
            self.compared_unix_s = now
        elif now - self.compared_unix_s >= BLOCK_S:
            block = self.ports.counters.health(state.spec.features, now - self.compared_unix_s)
            self.beside = (state.epoch, self.beside[1].observe(block.values()))
            self.compared_unix_s = now
        counted, counts = self.ports.counters.since(self.name, self.tally.counted)
        sampled, samples = self.ports.counters.samples(self.name, self.tally.sampled)
        self.tally.take(state, News(counted, counts, sampled, samples, is_paused), now)

    async def _facts(self, state: MigrationState) -> Candidate:
        """The candidate as configured now."""
        try:
            return await self.ports.candidate.look(state.spec)
        except LookupError:
            return Candidate((), VOID, (), None)

    def trouble_of(self, state: MigrationState) -> Trouble | None:
        """What ails the incumbent now."""
        counters, features = self.ports.counters, state.spec.features
        return look_for_trouble(
            state, partial(counters.is_well, features), partial(counters.health, features)
        )

    async def _note_trouble(self, state: MigrationState, trouble: Trouble | None) -> MigrationState:
        """Log the beginning and the end of an incident, so that a restart keeps the calm after it too."""
        known = state.incident
        is_on = known is not None and known.ended_unix_s is None
        if is_on == (trouble is not None) or not state.share:
            return state
        reason = trouble.reason if trouble is not None else "the incumbent is well again"
        said = {"trouble": trouble.reason if trouble is not None else None}
        return history.apply_line(state, await self._append(Kind.TROUBLED, said, reason, state.last_seq))

    async def _log_action(
        self,
        state: MigrationState,
        action: Action,
        seen: Observations,
        evidence: tuple[SignedEvidence, ...],
        now: float,
    ) -> MigrationState:
        payload = history.encode_action(action)
        payload["seen"] = {
            "now_unix_s": now,
            "observations": asdict(seen),
            "evidence": [signed.evidence.evidence_id for signed in evidence if signed.valid],
            "counts": [asdict(counts) for counts in state.counts],
        }
        line = await self._append(Kind.ACTION, payload, action.reason, state.last_seq)
        return history.apply_line(state, line).with_counts(state.counts)

    async def _log_counts(self, state: MigrationState, now: float, *, is_due: bool) -> MigrationState:
        """Counts into the log where the share turns, and twenty times a bake for a restart to go on from."""
        every_s = max(1.0, state.spec.rollout.bake_s / LOGGED_COUNTS)
        if not self.tally.is_moved or not (is_due or now - self.counted_unix_s >= every_s):
            return state
        payload = counted(state, self.tally.counts)
        line = await self._append(Kind.COUNTED, payload, "live counts", state.last_seq)
        self.counted_unix_s = now
        self.tally.is_moved = False
        return history.apply_line(state, line)

    async def _finish_collection(self, state: MigrationState) -> MigrationState:
        """Log the end of a collection; drop one whose action was overtaken."""
        if self.running is None:
            return state
        if self.running.seq != state.pending_seq:
            await self.stop()
            return state
        if not self.running.task.done():
            return state
        running = self.running
        payload = outcome_of(running.task)
        line = await self._append(
            Kind.EFFECT, {"action_seq": running.seq, **payload}, "collected", state.last_seq
        )
        self.running = None
        return history.apply_line(state, line)

    async def _act(self, state: MigrationState, facts: Candidate, reason: str) -> None:
        """Make the world be as the state wants it, then log that it is."""
        is_collecting = self.running is not None  # a drill moves the overlays itself
        change = {} if is_collecting else self._change(state, facts.endpoints)
        if not change and state.pending is None:
            return
        if change:
            is_settled = await self._publish(change, reason)
        else:
            is_settled = shows_all(state, self.ports.counters.views(state.spec.features))
        if not is_settled:
            return  # looked at again next turn, nothing is published twice
        if isinstance(state.pending, Collect):
            self._start_collection(state, state.pending, facts)
        elif isinstance(state.pending, Close):
            written = await self.write_bundle(self.name)
            await self._settle(state, {"bundle": written})
        elif state.pending is not None:
            await self._settle(state, {})

    async def _publish(self, change: dict[str, FeatureOverlay | None], reason: str) -> bool:
        """Whether it took effect everywhere. A rollback ends the waiting, not the publication.

        Nothing here is cancelled: half a publication, or half a database transaction, is no state to be in.
        """
        work = asyncio.create_task(self.ports.publisher.publish(change, actor=ACTOR, reason=reason))
        self.publishing.add(work)
        work.add_done_callback(self.publishing.discard)
        interrupted = asyncio.create_task(self.interrupt.wait())
        try:
            await asyncio.wait({work, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interrupted.cancel()
        return work.done() and work.result().verified

    async def _settle(self, state: MigrationState, measured: Mapping[str, Any]) -> None:
        """The pending action took effect everywhere."""
        if state.pending is None:
            return
        seconds = self.ports.clock() - state.action_unix_s
        await self._log_effect(state.pending_seq, {"seconds": seconds, **measured}, state.last_seq)

    def _change(
        self, state: MigrationState, endpoints: tuple[str, ...], *, is_forced: bool = False
    ) -> dict[str, FeatureOverlay | None]:
        """Overlays that are not yet as wanted; all of them if forced."""
        present = self.ports.publisher.overlays()
        wanted = self.wanted.overlay(state, endpoints)
        return {
            feature: wanted
            for feature in state.spec.features
            if is_forced or (present.get(feature) is not wanted and present.get(feature) != wanted)
        }

    def _start_collection(self, state: MigrationState, action: Collect, facts: Candidate) -> None:
        if self.running is not None:
            return
        progress = Progress()
        collecting = self.ports.collectors.collect(task_of(state, action, facts, progress))
        work = asyncio.create_task(collecting, name=f"{self.name}:{action.kind.value}")
        self.running = Running(state.pending_seq, work, progress)

    async def _log_effect(
        self, action_seq: int, measured: Mapping[str, Any], expected_seq: int | None = None
    ) -> None:
        await self._append(Kind.EFFECT, {"action_seq": action_seq, **measured}, "took effect", expected_seq)

    async def _append(
        self, kind: Kind, payload: dict[str, Any], reason: str, expected_seq: int | None
    ) -> history.Line:
        return await self.ports.log.append(
            history.stream_of(self.name), kind, payload, actor=ACTOR, reason=reason, expected_seq=expected_seq
        )
