"""One document that answers: is anything wrong, who serves what, how do the migrations go."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from crossfade.control.api.access import bearer_of
from crossfade.control.api.parts import ControlParts
from crossfade.domain.attempt import ArmCount, EndpointHealth


async def overview_of(parts: ControlParts) -> dict[str, Any]:
    """The console's document; `console/src/state/api.ts` describes it."""
    now = time.time()
    snapshot = parts.publisher.snapshot
    migrations = await parts.migrations.statuses() if parts.migrations else []
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
        "credentials": parts.broker.failures,
        "feedback": parts.trends.rows(),
    }


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
        "reason": worst.reason if worst else "no gateway has reported yet",
    }


def _worst(rows: list[EndpointHealth]) -> EndpointHealth | None:
    return min(rows, key=lambda row: row.share, default=None)


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
        return StreamingResponse(
            _follow(parts, bearer_of(request)),
            media_type="text/event-stream",
            headers={"cache-control": "no-cache"},
        )

    return router


async def _follow(parts: ControlParts, bearer: str) -> AsyncIterator[str]:
    last = ""
    while parts.person_of(bearer) is not None:
        document = await overview_of(parts)
        text = json.dumps({**document, "unix_s": 0})
        if text != last:
            last = text
            yield f"event: overview\ndata: {json.dumps(document)}\n\n"
        else:
            yield "event: alive\ndata: {}\n\n"  # an event, not a comment: the page must notice silence
        await asyncio.sleep(1.0)
