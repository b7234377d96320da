"""Asks the user's own systems how many events an arm has had: Prometheus, or a database."""

from __future__ import annotations

import asyncio
import math
import os
import string
from typing import Any

import httpx2
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from crossfade.config.shape.control import MetricSection
from crossfade.control import outgoing
from crossfade.control.store.eventlog import async_url

ANSWERS_WITHIN_S = 5.0


class MetricError(Exception):
    """A metric that cannot be read; the message says why and how to mend it."""


async def read_total(metric: MetricSection, arm: str, migration: str) -> float:
    """The number its query gives for an arm: how many events it has had so far.

    Raises:
        MetricError: the source does not answer in time, or not with one number of at least 0.
    """
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            ask = _ask_prometheus if metric.prometheus is not None else _ask_sql
            found = await ask(metric, arm, migration)
    except TimeoutError as error:
        raise MetricError(
            f"no answer within {ANSWERS_WITHIN_S:.0f} s (hint: make the query cheaper)"
        ) from error
    try:
        total = float(found)
    except (TypeError, ValueError):
        total = math.nan
    if not total >= 0.0 or math.isinf(total):
        raise MetricError(f"the query gave {found!r} (hint: one number that grows, such as a count)")
    return total


async def _ask_prometheus(metric: MetricSection, arm: str, migration: str) -> Any:
    """An instant query. No series yet means no event yet."""
    query = string.Template(metric.query or "").safe_substitute(arm=arm, migration=migration)
    url = f"{str(metric.prometheus).rstrip('/')}/api/v1/query"
    try:
        async with outgoing.client(ANSWERS_WITHIN_S) as client:
            answer = await client.get(url, params={"query": query})
            said = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise MetricError(f"{url}: {type(error).__name__} (hint: control.metrics)") from error
    if not isinstance(said, dict) or said.get("status") != "success":
        problem = said.get("error", "") if isinstance(said, dict) else ""
        raise MetricError(f"{url} answered {answer.status_code} {problem} (hint: try the query there)")
    result = said["data"]["result"]
    if said["data"]["resultType"] == "scalar":
        return result[1]
    if len(result) > 1:
        raise MetricError(f"the query gave {len(result)} series (hint: sum(...) makes one of them)")
    return result[0]["value"][1] if result else 0.0


async def _ask_sql(metric: MetricSection, arm: str, migration: str) -> Any:
    """The first column of the only row. What the query might change is never committed."""
    url = os.environ.get(str(metric.sql), "")
    if not url:
        raise MetricError(f"the variable {metric.sql} is empty (hint: postgresql://... or sqlite:///...)")
    statement = sa.text(metric.query or "")
    given = {"arm": arm, "migration": migration}
    asked = {name: given[name] for name in statement.compile().params if name in given}
    try:
        engine = create_async_engine(async_url(url), poolclass=sa.NullPool)
        async with engine.connect() as connection:
            rows = (await connection.execute(statement, asked)).all()
    except (SQLAlchemyError, OSError, ValueError) as error:
        # The address may hold a password, so the message names only where it comes from.
        said = f"the database in {metric.sql}: {type(error).__name__}"
        raise MetricError(f"{said} (hint: try the query there)") from None
    if len(rows) != 1:
        raise MetricError(f"the query gave {len(rows)} rows (hint: SELECT count(*) gives one)")
    return rows[0][0]
