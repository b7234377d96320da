"""Routes of migrations: thin, every decision is in `control.migration`."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crossfade.control.api.access import Known, Person, require_role
from crossfade.control.migration.history import Verb
from crossfade.control.migration.ports import CollectError
from crossfade.control.migration.report.document import evidence_row
from crossfade.control.migration.report.oscal import oscal_of
from crossfade.control.migration.service import Migrations, RefusedError
from crossfade.control.migration.spec.reader import SpecError
from crossfade.domain.people import Role

T = TypeVar("T")


def _named(text: str) -> str:
    """A name as it will be signed and logged: something to read, without spaces around it."""
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a name that can be read")
    return text.strip()


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_named)]


class Strict(BaseModel):
    """A body without unknown fields."""

    model_config = ConfigDict(extra="forbid")


class Command(Strict):
    """Who wants it and why."""

    actor: Name
    reason: str = Field(default="", max_length=2000)


class RollbackCommand(Command):
    """`hard`: cut streams that are under way."""

    hard: bool = False


class Start(Strict):
    """`spec`: the migration file's document."""

    actor: Name
    spec: dict[str, Any]


class SignOff(Strict):
    """A statement signed for a role."""

    role: str = Field(min_length=1, max_length=100)
    name: Name
    statement: str = Field(min_length=1, max_length=200_000)


class Attestation(SignOff):
    """A statement about facts of the posture that no API shows; none named: all that are open."""

    facts: list[str] = Field(default_factory=list, max_length=100)


class Waiver(Strict):
    """One person's answer for going on without a gate."""

    gate: str = Field(min_length=1, max_length=100)
    name: Name
    reason: str = Field(min_length=1, max_length=20_000)


class Labels(Strict):
    """Labels by one rater; each {id, score_x, score_y}."""

    rater: Name
    labels: list[dict[str, Any]] = Field(max_length=10_000)


ROLES = {
    Verb.HOLD: Role.OPERATOR,
    Verb.DRILL: Role.OPERATOR,
    Verb.RESUME: Role.RELEASER,
    Verb.ADVANCE: Role.RELEASER,
    Verb.PROMOTE: Role.RELEASER,
    Verb.CLOSE: Role.RELEASER,
}


def create_migrations_router(migrations: Migrations, known: Known) -> APIRouter:
    """All routes under `/migrations` and `/evidence`. `known`: whose token a bearer is."""
    router = APIRouter()
    _add_reads(router, migrations)
    _add_people(router, migrations, known)
    _add_commands(router, migrations, known)  # last: its path takes any verb
    return router


def _role_of_verb(request: Request) -> Role:
    """What the verb in the path needs; a verb that is none is refused by its own type."""
    verb = request.path_params["verb"]
    return ROLES[Verb(verb)] if verb in set(Verb) else Role.VIEWER


def _add_reads(router: APIRouter, migrations: Migrations) -> None:
    @router.get("/migrations")
    async def statuses() -> list[dict[str, Any]]:
        """Every migration's status."""
        return await migrations.statuses()

    @router.get("/migrations/{name}")
    async def status(name: str) -> dict[str, Any]:
        """Each step, each gate's verdict, what is missing, the next action and why."""
        return await found(migrations.status(name))

    @router.get("/migrations/{name}/report")
    async def report(name: str) -> dict[str, Any]:
        """What was decided, on which evidence."""
        return await found(migrations.report(name))

    @router.get("/migrations/{name}/report.html", response_class=HTMLResponse)
    async def report_html(name: str) -> str:
        """The report as one self-contained page."""
        return await found(migrations.report_html(name))

    @router.get("/migrations/{name}/oscal")
    async def oscal(name: str) -> dict[str, Any]:
        """The evidence as OSCAL assessment results."""
        return oscal_of(await found(migrations.report(name)))

    @router.get("/migrations/{name}/proofs")
    async def proofs(name: str) -> dict[str, Any]:
        """What verifies the evidence without control: signers' public keys, the raw material by its hash."""
        return await found(migrations.proofs(name))

    @router.get("/evidence")
    async def evidence(migration: str | None = None) -> list[dict[str, Any]]:
        """Records with whether their signature verifies, and their envelopes."""
        records = await found(migrations.evidence(migration))
        return [{**evidence_row(record), "envelope": record.envelope} for record in records]


def _add_commands(router: APIRouter, migrations: Migrations, known: Known) -> None:
    operator, releaser = (Depends(require_role(known, role)) for role in (Role.OPERATOR, Role.RELEASER))
    by_verb = Depends(require_role(known, _role_of_verb))

    @router.post("/migrations", status_code=201)
    async def start(body: Start, person: Person = releaser) -> dict[str, Any]:
        """Check a migration and start it."""
        return await found(migrations.start(body.spec, actor=person.acting(body.actor)))

    @router.post("/migrations/{name}/rollback")
    async def rollback(name: str, body: RollbackCommand, person: Person = operator) -> dict[str, Any]:
        """Share 0 everywhere; answers when every gateway showed it, or with those that did not.

        `hard` also cuts calls under way at the candidate: before their first content another target
        answers, after it the caller sees an honest error. The default lets them finish.
        """
        actor = person.acting(body.actor)
        result = await found(migrations.roll_back(name, actor=actor, reason=body.reason, hard=body.hard))
        return asdict(result)

    @router.post("/migrations/{name}/{verb}")
    async def command(name: str, verb: Verb, body: Command, person: Person = by_verb) -> dict[str, Any]:
        """Hold, resume, advance, promote, close or drill; the next turn acts on it."""
        actor = person.acting(body.actor)
        return await found(migrations.command(name, verb, actor=actor, reason=body.reason))


def _add_people(router: APIRouter, migrations: Migrations, known: Known) -> None:
    compliance, operator = (Depends(require_role(known, role)) for role in (Role.COMPLIANCE, Role.OPERATOR))

    @router.post("/migrations/{name}/sign", status_code=201)
    async def sign(name: str, body: SignOff, person: Person = compliance) -> dict[str, Any]:
        """Sign the candidate as it is now, with one's own name."""
        own = person.signing(body.name)
        signing = migrations.sign(name, role=body.role, person=own, statement=body.statement)
        return evidence_row(await found(signing))

    @router.post("/migrations/{name}/attest", status_code=201)
    async def attest(name: str, body: Attestation, person: Person = compliance) -> list[dict[str, Any]]:
        """Attest what no API shows of the candidate as it is now, with one's own name."""
        own, facts = person.signing(body.name), tuple(body.facts)
        attesting = migrations.attest(name, role=body.role, person=own, facts=facts, statement=body.statement)
        return [evidence_row(record) for record in await found(attesting)]

    @router.post("/migrations/{name}/waive", status_code=201)
    async def waive(name: str, body: Waiver, person: Person = compliance) -> dict[str, Any]:
        """Sign a waiver, with one's own name; a gate is waived while two people's hold."""
        own = person.signing(body.name)
        waiving = migrations.waive(name, gate=body.gate, person=own, reason=body.reason)
        return evidence_row(await found(waiving))

    @router.get("/migrations/{name}/labels", dependencies=[operator])
    async def label_queue(name: str) -> list[dict[str, Any]]:
        """Blind pairs waiting for a label."""
        return await found(migrations.label_queue(name))

    @router.post("/migrations/{name}/labels")
    async def label(name: str, body: Labels, person: Person = operator) -> dict[str, int]:
        """Take labels in; labels of the same pair and rater count once."""
        rater = person.signing(body.rater)
        return {"accepted": await found(migrations.label(name, body.labels, rater=rater))}


async def found(answer: Awaitable[T]) -> T:
    """Await it; what the caller got wrong becomes a 404, 409 or 422 with the message and its hint."""
    try:
        return await answer
    except SpecError as error:
        problems = [asdict(problem) for problem in error.problems]
        raise HTTPException(422, {"message": str(error), "problems": problems}) from error
    except LookupError as error:
        raise HTTPException(404, _error(str(error.args[0]))) from error
    except (RefusedError, CollectError) as error:
        raise HTTPException(409, _error(str(error))) from error


def _error(message: str, hint: str = "") -> dict[str, str]:
    return {"message": message, "hint": hint} if hint else {"message": message}
