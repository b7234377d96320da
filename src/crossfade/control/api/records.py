"""Records, explanations, cost and the audit of the log."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
from fastapi import APIRouter, Depends, HTTPException
from pydantic import BaseModel

from crossfade.control.api.access import require_role
from crossfade.control.api.parts import ControlParts
from crossfade.control.ledger.prices import PriceBook
from crossfade.control.ledger.report import cost_lines
from crossfade.domain.people import Role

TAIL_LIMIT = 1000


class Query(BaseModel):
    """SQL over the view `attempts`."""

    sql: str


def create_records_router(parts: ControlParts) -> APIRouter:
    """Routes that read what was recorded."""
    router = APIRouter()
    guard = Depends(require_role(parts.person_of, Role.ADMIN))

    @router.get("/requests/{request_id}")
    async def request(request_id: str) -> list[dict[str, Any]]:
        """A request's attempts in order."""
        attempts = await asyncio.to_thread(parts.records.attempts_of, request_id)
        if not attempts:
            hint = "records arrive about a second after the answer"
            raise HTTPException(404, {"message": f"no record of request {request_id}", "hint": hint})
        return [asdict(attempt) for attempt in attempts]

    @router.get("/records")
    async def tail(after_unix_ms: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """The newest attempts, oldest first."""
        sql = (
            "SELECT * EXCLUDE (content) FROM (SELECT * FROM attempts WHERE started_unix_ms > ? "
            "ORDER BY started_unix_ms DESC LIMIT ?) ORDER BY started_unix_ms"
        )
        return await asyncio.to_thread(parts.records.query, sql, [after_unix_ms, min(limit, TAIL_LIMIT)])

    @router.post("/records/query", dependencies=[guard])
    async def query(body: Query) -> list[dict[str, Any]]:
        """Rows of a query over the records. For administrators: captured text is in them."""
        try:
            return await asyncio.to_thread(parts.records.query, body.sql)
        except duckdb.Error as error:
            raise HTTPException(422, {"message": str(error), "hint": "the view is `attempts`"}) from error

    @router.get("/cost")
    async def cost() -> list[dict[str, Any]]:
        """Cost lines by feature, endpoint and purpose."""
        config = parts.publisher.config
        book = PriceBook(Path(config.prices.contract) if config.prices.contract else None)
        hours = await parts.units.hours(time.time())
        lines = await asyncio.to_thread(cost_lines, parts.records, config, book, hours)
        return [asdict(line) for line in lines]

    @router.get("/audit")
    async def audit() -> dict[str, Any]:
        """Whether the event log holds against its chain and its signed checkpoints; the first bad row."""
        return (await parts.checkpoints.audit()).document()

    return router
