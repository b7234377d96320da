"""The migrations of this control process: what the API calls, and the loop that drives them.

Only the holder of the lease takes turns; commands and rollbacks work on any replica, because they
are lines in the log and a publication.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from crossfade.control.migration import history
from crossfade.control.migration.alone import Alone
from crossfade.control.migration.controller import Controller, UnloggedError
from crossfade.control.migration.effects import LOGGED_WITHIN_S, RollBackResult, cut_calls
from crossfade.control.migration.history import Kind, Verb
from crossfade.control.migration.playbook import refuse_command
from crossfade.control.migration.ports import CollectError, Pause, Ports, SignRequest
from crossfade.control.migration.report.attention import page_of
from crossfade.control.migration.report.document import report_of
from crossfade.control.migration.report.html import render_report
from crossfade.control.migration.report.status import status_of
from crossfade.control.migration.spec.parse import parse_spec
from crossfade.control.migration.unread import Asked, Unread
from crossfade.domain.evidence import SignedEvidence
from crossfade.domain.migration import MigrationState

LEASE, LEASE_S = "migrations", 5.0  # ten turns: a dead holder is replaced before anyone notices
TURN_S, CALM_TURN_S = 0.5, 0.95  # seconds; counters come every second
HUNG_S = 8.0  # a publication waits for five: a turn that takes longer waits for the log

log = logging.getLogger(__name__)


class RefusedError(Exception):
    """What was asked for is not possible in this state; the message says why and what to do."""


class Migrations:
    """All migrations, by name. Build it with `app.migrations.build_migrations`."""

    def __init__(self, ports: Ports, unread: Unread, holder: str, pause: Pause = asyncio.sleep) -> None:
        self._ports = ports
        self._holder = holder
        self._pause = pause
        self._controllers: dict[str, Controller] = {}
        self._seq = 0
        self._leased_until_s = 0.0
        self._logged: dict[str, int] = {}  # the newest line about each migration, evidence and labels too
        self._turned: dict[str, tuple[tuple[int, int] | None, float]] = {}
        self._alone = Alone(ports)
        self._unread = unread
        self._lost: set[str] = set()  # migrations whose latest turn failed
        self._ended: dict[str, float] = {}  # when the latest turn that did not fail ended
        self._is_standby = False

    async def run(self) -> None:
        """Look twice a second, for ever, while the lease is held, and take the turns that are due."""
        try:
            while True:
                if await self._drives():
                    await self.turn_all(only_due=True)
                else:
                    await self._stop_collections()
                    if self._ports.aside.unsettled():
                        await self._all_told()
                await self._pause(TURN_S)
        finally:
            await self._stop_collections()

    async def _drives(self) -> bool:
        """Whether this process takes the turns. Where that cannot be found out, it looks after its own."""
        try:
            self._is_standby = not await self._is_driver()
        except Exception:
            self._lost.update(self._controllers)
            raise
        return not self._is_standby

    async def keep_watch(self) -> None:
        """Twice a second, for ever: where turns fail or do not end, the guards decide by memory alone."""
        while True:
            await self.look_after()
            await self._pause(TURN_S)

    async def look_after(self) -> None:
        """See `alone`. A standby looks after nothing: another process may be driving."""
        now = self._ports.steady()
        for controller in () if self._is_standby else tuple(self._controllers.values()):
            ended_s = self._ended.get(controller.name, now)
            if controller.name in self._lost or now > ended_s + HUNG_S:
                await self._alone.protect(controller)

    async def _is_driver(self) -> bool:
        """Whether this process holds the lease, which is renewed when half of it is over."""
        now = self._ports.steady()
        if now < self._leased_until_s - LEASE_S / 2:
            return True
        is_held = await self._ports.log.acquire_lease(LEASE, self._holder, LEASE_S)
        self._leased_until_s = now + LEASE_S if is_held else 0.0
        return is_held

    async def turn_all(self, *, only_due: bool = False) -> None:
        """One turn of every open migration; one that fails does not stop the others."""
        try:
            found = await self._all_told()
        except Exception:
            self._lost.update(self._controllers)
            raise
        controllers = [c for c in found if c.folded is None or c.folded.closed_unix_s is None]
        if only_due:
            controllers = [controller for controller in controllers if self._is_due(controller)]
        turns = (controller.turn() for controller in controllers)
        results = await asyncio.gather(*turns, return_exceptions=True)
        for controller, result in zip(controllers, results, strict=True):
            is_lost = isinstance(result, Exception) and not isinstance(result, self._ports.conflict)
            (self._lost.add if is_lost else self._lost.discard)(controller.name)
            if not is_lost:
                self._ended[controller.name] = self._ports.steady()
            if isinstance(result, self._ports.conflict):
                log.debug("migration %s: someone was faster, deciding again", controller.name)
            elif isinstance(result, Exception):
                log.error("migration %s: turn failed, deciding again", controller.name, exc_info=result)
            elif isinstance(result, BaseException):
                raise result

    def _is_due(self, controller: Controller) -> bool:
        """At once where something moved: the log, a bad event, a step under way. Else every second."""
        state, now = controller.folded, self._ports.steady()
        if state is None:
            return True
        moved = (self._logged.get(controller.name, 0), self._ports.counters.failures(state.spec.features))
        before, turned_s = self._turned.get(controller.name, (None, 0.0))
        is_under_way = state.pending is not None or controller.running is not None
        if moved == before and not is_under_way and now < turned_s + CALM_TURN_S:
            return False
        self._turned[controller.name] = (moved, now)
        return True

    async def start(self, document: Mapping[str, Any], *, actor: str) -> dict[str, Any]:
        """Check a migration's document against the running config and start it.

        Raises:
            SpecError: if the document does not check.
            RefusedError: if the name is taken, or pools, features or another migration forbid it.
        """
        spec = parse_spec(document)
        for controller in await self._all():
            other = await controller.read()
            if controller.name == spec.name:
                raise RefusedError(f"migration {spec.name!r} exists (hint: choose another name)")
            shared = set(other.spec.features) & set(spec.features)
            if other.closed_unix_s is None and shared:
                names = ", ".join(sorted(shared))
                raise RefusedError(f"{names} is in migration {controller.name!r} (hint: close it first)")
        try:
            found = await self._ports.candidate.look(spec)
        except LookupError as error:
            raise RefusedError(str(error.args[0])) from error
        if found.serves_already:
            names = ", ".join(found.serves_already)
            hint = "name another pool, or change a parameter under candidate.set"
            raise RefusedError(f"{names} is served by these endpoints so already (hint: {hint})")
        if found.lacks:
            raise RefusedError("; ".join(found.lacks))
        payload = {"spec": asdict(spec), "salt": f"{spec.name}-{secrets.token_hex(8)}"}
        await self._append(spec.name, Kind.STARTED, payload, actor, "started", expected_seq=0)
        return await self.status(spec.name)

    async def statuses(self) -> list[dict[str, Any]]:
        """The status of every migration, oldest first."""
        return [await self.status(controller.name) for controller in await self._all()]

    def attention(self) -> dict[str, str | None]:
        """By open migration, the on-call page of what it waits for, as of its last turn; null = nobody."""
        looks = {name: controller.look for name, controller in self._controllers.items()}
        return {
            name: "rolled-back" if (name, look.state.epoch) in self._alone.decided else page_of(look.action)
            for name, look in looks.items()
            if look is not None and look.state.closed_unix_s is None
        }

    async def status(self, name: str) -> dict[str, Any]:
        """See `report.status`. Raises LookupError for an unknown name."""
        controller, state = await self._one(name)
        return status_of(state, controller.lines, controller.look)

    async def sign(self, name: str, *, role: str, person: str, statement: str) -> SignedEvidence:
        """Sign the candidate as it is now.

        Raises:
            LookupError: unknown migration, or its candidate is not in the config.
            CollectError: the statement may not be signed, or nobody asks for one of this role.
            RefusedError: the migration is closed.
        """
        state = await self._open(name)
        candidate = await self._ports.candidate.look(state.spec)
        wanted = tuple(dict.fromkeys((*candidate.required_roles, *state.spec.compliance.signoffs)))
        if role not in wanted:
            roles = ", ".join(wanted) or "nobody"
            raise CollectError(f"{role} signs nothing here (hint: compliance needs {roles})")
        return await self._ports.people.sign(
            SignRequest(state.spec, role, person, statement, candidate.fingerprint)
        )

    async def waive(self, name: str, *, gate: str, person: str, reason: str) -> SignedEvidence:
        """One of the two signatures that let a migration go on without a gate.

        Raises:
            LookupError: unknown migration, or its candidate is not in the config.
            CollectError: the gate may not be waived, or not by this person.
            RefusedError: the migration is closed.
        """
        state = await self._open(name)
        candidate = await self._ports.candidate.look(state.spec)
        return await self._ports.people.waive(
            SignRequest(state.spec, gate, person, reason, candidate.fingerprint)
        )

    async def attest(
        self, name: str, *, role: str, person: str, facts: tuple[str, ...], statement: str
    ) -> tuple[SignedEvidence, ...]:
        """Sign facts of the candidate's posture that no API shows; without `facts`, all that are open.

        Raises:
            LookupError: unknown migration, or its candidate is not in the config.
            CollectError: a fact needs no attestation, or not of this role.
            RefusedError: the migration is closed.
        """
        state = await self._open(name)
        candidate = await self._ports.candidate.look(state.spec)
        if role not in candidate.attesting_roles:
            roles = ", ".join(candidate.attesting_roles) or "nobody"
            raise CollectError(
                f"{role} attests nothing here (hint: the features' policy.attest names {roles})"
            )
        request = SignRequest(state.spec, role, person, statement, candidate.fingerprint)
        return await self._ports.people.attest(request, facts)

    async def command(self, name: str, verb: Verb, *, actor: str, reason: str) -> dict[str, Any]:
        """Note what an operator wants; the next turn acts on it.

        Raises:
            LookupError: unknown migration.
            RefusedError: if it makes no sense now.
        """
        _, state = await self._one(name)
        refusal = refuse_command(state, verb)
        if refusal:
            raise RefusedError(refusal)
        await self._append(name, Kind.COMMAND, {"verb": verb.value}, actor, reason or verb.value)
        return await self.status(name)

    async def roll_back(self, name: str, *, actor: str, reason: str, hard: bool = False) -> RollBackResult:
        """Share 0 on every gateway, now; `hard`: and the calls under way at the candidate are cut.

        Raises:
            LookupError: unknown migration.
            RefusedError: if it is closed.
        """
        asked, began_s = Asked(name, actor, reason, hard), self._ports.steady()
        try:
            controller, state = await self._one_as_known(name)
        except LookupError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the gateways know what they carry
            late = f"the log was not read within {LOGGED_WITHIN_S:.0f} s"
            why = late if isinstance(error, TimeoutError) else repr(error)
            return await self._unread.roll_back(asked, why=why)
        if state.closed_unix_s is not None:
            raise RefusedError(f"migration {name!r} is closed (hint: change the feature's hierarchy)")
        try:
            result = await controller.roll_back(actor=actor, reason=reason)
        except UnloggedError as error:
            result = await self._alone.roll_back(controller, state, asked, why=str(error))
            return replace(result, seconds=self._ports.steady() - began_s)
        if hard:
            wanted = dict.fromkeys(self._ports.admin.names(), state.spec.features)
            cut, uncut = await cut_calls(self._ports.admin, wanted, result.gateways)
            result = replace(result, cut=cut, uncut=uncut)
            said_cut = {"cut": cut, "uncut": list(uncut)}
            await self._append(name, Kind.CUT, said_cut, actor, reason or "hard rollback")
        return result

    async def label_queue(self, name: str) -> list[dict[str, Any]]:
        """Blind pairs waiting for a label."""
        _, state = await self._one(name)
        return await self._ports.people.label_queue(state.spec)

    async def label(self, name: str, labels: list[dict[str, Any]], *, rater: str) -> int:
        """Take labels in. Raises RefusedError where the migration is closed."""
        state = await self._open(name)
        return await self._ports.people.label(state.spec, labels, rater)

    async def proofs(self, name: str) -> dict[str, Any]:
        """What verifies the evidence without control. Raises LookupError for an unknown name."""
        controller, _ = await self._one(name)
        return await self._ports.evidence.proofs(controller.name)

    async def report(self, name: str) -> dict[str, Any]:
        """The report as it stands. Raises LookupError for an unknown name."""
        controller, state = await self._one(name)
        evidence = await self._ports.evidence.of(name)
        return report_of(await self.status(name), state, controller.lines, evidence)

    async def report_html(self, name: str) -> str:
        """The report as a page."""
        return render_report(await self.report(name))

    async def evidence(self, name: str | None = None) -> tuple[SignedEvidence, ...]:
        """Records of one migration, or of all, verified now.

        Raises:
            LookupError: there is no such migration; no records would look as if all of them held.
        """
        names = [(await self._one(name))[0].name] if name is not None else [c.name for c in await self._all()]
        return tuple([record for each in names for record in await self._ports.evidence.of(each, anew=True)])

    async def _all(self) -> list[Controller]:
        prefix = history.stream_of("")
        for line in await self._ports.log.read(None, self._seq):
            self._seq = max(self._seq, line.seq)
            if line.stream.startswith(prefix):
                name = line.stream.removeprefix(prefix)
                self._controllers.setdefault(name, Controller(name, self._ports, self._write_bundle))
            about = line.stream.partition("/")[2]
            self._logged[about] = line.seq
        return list(self._controllers.values())

    async def _all_told(self) -> list[Controller]:
        """Once the log has what was set aside here, whoever drives."""
        found = await self._all()
        await self._alone.settle(self._controllers)
        return found

    async def _one(self, name: str) -> tuple[Controller, MigrationState]:
        await self._all()
        controller = self._controllers.get(name)
        if controller is None:
            known = ", ".join(self._controllers) or "none yet"
            raise LookupError(f"no migration {name!r} (hint: there is {known})")
        return controller, await controller.read()

    async def _open(self, name: str) -> MigrationState:
        """A migration that people may still say something about. Raises RefusedError if it is closed."""
        _, state = await self._one(name)
        if state.closed_unix_s is not None:
            raise RefusedError(f"migration {name!r} is closed (hint: start another)")
        return state

    async def _one_as_known(self, name: str) -> tuple[Controller, MigrationState]:
        """Also where the log cannot be read: then as it was last known."""
        try:
            return await asyncio.wait_for(self._one(name), LOGGED_WITHIN_S)
        except LookupError:
            raise
        except Exception:
            controller = self._controllers.get(name)
            if controller is None or controller.folded is None:
                raise
            log.exception("migration %s: the log cannot be read, rolling back as last known", name)
            return controller, controller.folded

    async def _append(
        self,
        name: str,
        kind: Kind,
        payload: dict[str, Any],
        actor: str,
        reason: str,
        expected_seq: int | None = None,
    ) -> None:
        await self._ports.log.append(
            history.stream_of(name), kind, payload, actor=actor, reason=reason, expected_seq=expected_seq
        )

    async def _write_bundle(self, name: str) -> dict[str, str]:
        report = await self.report(name)
        files = {"report.json": json.dumps(report, indent=1), "report.html": render_report(report)}
        return await self._ports.bundles.write(name, files)

    async def _stop_collections(self) -> None:
        for controller in self._controllers.values():
            await controller.stop()
