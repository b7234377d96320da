"""One document that answers: is anything wrong, who serves what, how do the migrations go.

While the log cannot be read nothing is known of migrations but what the gateways say of themselves.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from crossfade.control.api.access import bearer_of
from crossfade.control.api.parts import ControlParts
from crossfade.control.evidence.gateway_admin import AdminError, GatewayState, HttpGatewayAdmin
from crossfade.control.store.eventlog import StoreError
from crossfade.domain.attempt import ArmCount, EndpointHealth

if TYPE_CHECKING:
    from crossfade.control.credentials.broker import CredentialBroker
    from crossfade.control.migration.unread import Unread

Event = tuple[str, dict[str, Any]]  # its kind, and its document
ALIVE_S = 1.0
Make = Callable[[], Awaitable[Event | None]]
_ALIVE = "event: alive\ndata: {}\n\n"  # an event, not a comment: the page must notice silence
_UNCALLABLE = (
    "its admin port cannot be called from here (hint: let gateway.admin listen where control can call it)"
)


async def overview_of(parts: ControlParts) -> dict[str, Any]:
    """The console's document; `console/src/state/api.ts` describes it."""
    now = time.time()
    snapshot = parts.publisher.snapshot
    migrations, unread = await _migrations(parts)
    return {
        "version": snapshot.version,
        "unix_s": now,
        "config_error": parts.config_error,
        "features": [_feature(parts, name) for name in snapshot.features],
        "pools": {name: list(pool.endpoints) for name, pool in snapshot.pools.items()},
        "endpoints": [_endpoint(parts, name) for name in snapshot.endpoints],
        "gateways": [
            {
                "name": state.name,
                "snapshot_version": state.snapshot_version,
                "age_s": round(parts.board.silent_s(state), 1),
                "records_dropped": state.records_dropped,
                "in_flight": state.in_flight,
            }
            for state in parts.board.gateways()
        ],
        "migrations": migrations,
        "unread": unread,
        "credentials": parts.broker.failures,
        "feedback": parts.trends.rows(),
    }


async def _migrations(parts: ControlParts) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """As the log has them, else none, and what the gateways say of them."""
    try:
        return (await parts.migrations.statuses() if parts.migrations else []), None
    except StoreError as error:
        return [], await unread_of(parts, str(error), None)


def _feature(parts: ControlParts, name: str) -> dict[str, Any]:
    feature = parts.publisher.snapshot.features[name]
    effects = [state.effects[name] for state in parts.board.live() if name in state.effects]
    requests, errors = parts.board.totals(name)
    return {
        "name": name,
        "request_class": feature.request_class.value,
        "hierarchy": [target.pool for target in feature.hierarchy],
        "candidate_share": max((effect.candidate_share for effect in effects), default=0.0),
        "candidate": feature.rollout.candidate.pool if feature.rollout else None,
        "migration": feature.rollout.migration if feature.rollout else None,
        "local_rollback": next((e.local_rollback for e in effects if e.local_rollback), None),
        "killed": any(effect.killed for effect in effects),
        "requests_per_s": round(parts.board.rate(name), 1),
        "requests": requests,
        "caller_errors": errors,
        "last_minute": _last_minute(parts.board.recent(name, 60.0)),
    }


def _last_minute(counts: list[ArmCount]) -> list[dict[str, Any]]:
    """What each arm served in the last minute. `first_hard`: failed on it first, saved by a backup or not."""
    arms: dict[str, dict[str, Any]] = {}
    for count in counts:
        row = arms.setdefault(
            count.arm.value, {"arm": count.arm.value, "requests": 0, "caller_errors": 0, "first_hard": 0}
        )
        row["requests"] += count.requests
        row["caller_errors"] += count.caller_errors
        row["first_hard"] += count.first_hard
    return [arms[arm] for arm in sorted(arms)]


def _endpoint(parts: ControlParts, name: str) -> dict[str, Any]:
    endpoint = parts.publisher.snapshot.endpoints[name]
    worst = _worst([row for state in parts.board.live() for row in state.health if row.endpoint == name])
    return {
        "name": name,
        "provider": endpoint.provider,
        "region": endpoint.region,
        "model": endpoint.model,
        "capacity_class": endpoint.capacity.capacity_class.value,
        "state": worst.state if worst else "unknown",
        "share": worst.share if worst else 0.0,
        "reason": worst.reason if worst else "no gateway reports",
    }


def _worst(rows: list[EndpointHealth]) -> EndpointHealth | None:
    return min(rows, key=lambda row: row.share, default=None)


class Unlogged(Protocol):
    """What control has without its log."""

    @property
    def admin(self) -> HttpGatewayAdmin:
        """The gateways' admin ports."""
        ...

    @property
    def unread(self) -> Unread:
        """The way back by them."""
        ...

    @property
    def broker(self) -> CredentialBroker:
        """Credentials."""
        ...


async def unread_of(parts: Unlogged, why: str, since_unix_s: float | None) -> dict[str, Any]:
    """What is known without the log; `console/src/state/api.ts` describes it.

    `since_unix_s`: when control was started without its log; null where it had read it before.
    """
    asked = await asyncio.gather(*(_gateway(parts.admin, name) for name in sorted(parts.admin.names())))
    unasked = [_said(name, error=_UNCALLABLE) for name in sorted(parts.admin.uncallable())]
    return {
        "why": why,
        "since_unix_s": since_unix_s,
        "unix_s": time.time(),
        "is_heard": parts.unread.is_heard(),
        "gateways": [*asked, *unasked],
        "set_aside": [_aside(line) for _, line in parts.unread.aside.unsettled()],
        "credentials": parts.broker.failures,
    }


async def _gateway(admin: HttpGatewayAdmin, name: str) -> dict[str, Any]:
    try:
        return {**_said(name, await admin.state(name)), "admin": admin.ports.urls.get(name)}
    except AdminError as error:
        return {**_said(name, error=str(error)), "admin": admin.ports.urls.get(name)}


def _said(name: str, state: GatewayState | None = None, *, error: str = "") -> dict[str, Any]:
    """One gateway; without `state` it is not known what it does, and `error` says why."""
    return {
        "name": name,
        "admin": None,
        "error": error,
        "snapshot_version": state.snapshot_version if state else None,
        "splits": _splits(state) if state else [],
        "endpoints": [asdict(row) for row in state.health] if state else [],
    }


def _splits(state: GatewayState) -> list[dict[str, Any]]:
    """Each split as it was published, and what the gateway does with it now."""
    return [
        {
            "feature": effect.feature,
            "migration": rollout.migration,
            "candidate": rollout.candidate.pool,
            "share": rollout.share,
            "share_now": effect.candidate_share,
            "killed": effect.killed,
            "local_rollback": effect.local_rollback,
        }
        for effect in state.effects
        if (rollout := state.rollouts.get(effect.feature)) is not None
    ]


def _aside(line: Mapping[str, Any]) -> dict[str, Any]:
    """A rollback that the log does not have yet. Somebody may have changed the file."""
    at = line.get("unix_s")
    return {
        "migration": str(line.get("migration")),
        "reason": str(line.get("reason")),
        "unix_s": at if isinstance(at, int | float) else None,
    }


def create_overview_router(parts: ControlParts) -> APIRouter:
    """`/overview` and `/events`."""
    router = APIRouter()

    @router.get("/overview")
    async def overview() -> dict[str, Any]:
        """Everything the console shows."""
        return await overview_of(parts)

    @router.get("/events")
    async def events(request: Request) -> StreamingResponse:
        """Server-sent events: `overview`, whenever it changed, at most once a second; ends with the login."""
        bearer = bearer_of(request)

        async def make() -> Event | None:
            return "overview", await overview_of(parts)

        return told(make, lambda: parts.person_of(bearer) is not None)

    return router


def told(make: Make, goes_on: Callable[[], bool]) -> StreamingResponse:
    """What `make` gives, whenever it changed, for as long as it `goes_on`; `over` once `make` gives null."""
    headers = {"cache-control": "no-cache"}
    return StreamingResponse(_follow(make, goes_on), media_type="text/event-stream", headers=headers)


async def _follow(make: Make, goes_on: Callable[[], bool]) -> AsyncIterator[str]:
    last = ""
    while goes_on():
        making = asyncio.ensure_future(make())
        try:
            while not (await asyncio.wait({making}, timeout=ALIVE_S))[0]:
                yield _ALIVE
            made = making.result()
        finally:
            making.cancel()
        if made is None:
            yield "event: over\ndata: {}\n\n"
            return
        kind, document = made
        text = json.dumps([kind, {**document, "unix_s": 0}])
        yield _ALIVE if text == last else f"event: {kind}\ndata: {json.dumps(document)}\n\n"
        last = text
        await asyncio.sleep(ALIVE_S)
