"""What applications tell: what users say about answers, and events of business metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from crossfade.control.api.parts import ControlParts
from crossfade.control.migration.metrics.pushed import Event


class FeedbackBody(BaseModel):
    """About one request: a score, an event (`copied`, `regenerated`), or both."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=200)
    score: float | None = Field(None, ge=-1, le=1)
    event: str | None = Field(None, min_length=1, max_length=100)
    comment: str | None = Field(None, max_length=20_000)


class EventBody(BaseModel):
    """One event of a metric: about a request, or about a feature's unit (the user or session)."""

    model_config = ConfigDict(extra="forbid")

    metric: str = Field(min_length=1, max_length=100)
    request_id: str | None = Field(None, min_length=1, max_length=200)
    feature: str | None = Field(None, min_length=1, max_length=200)
    unit: str | None = Field(None, min_length=1, max_length=500)
    id: str | None = Field(None, min_length=1, max_length=200, description="The same id counts once.")


def _refuse_nobodys(body: EventBody, parts: ControlParts) -> None:
    if body.request_id is not None:
        return
    if body.feature is None or body.unit is None:
        hint = "give request_id, or feature and unit"
        raise HTTPException(422, {"message": "whose event it is was not said", "hint": hint})
    if body.feature not in parts.publisher.snapshot.features:
        raise HTTPException(404, {"message": f"there is no feature {body.feature!r}"})


def create_feedback_router(parts: ControlParts) -> APIRouter:
    """Routes that are open to the gateways' own callers."""

    def require_caller(request: Request) -> None:
        if not parts.is_caller(request.headers.get("authorization", "").removeprefix("Bearer ")):
            hint = "send the virtual key that the request was made with"
            raise HTTPException(401, {"message": "the key is missing or wrong", "hint": hint})

    router = APIRouter(dependencies=[Depends(require_caller)])

    @router.post("/v1/events", status_code=202)
    async def event(body: EventBody) -> dict[str, str]:
        """Counted for the arm of the request, or of the unit as the engine splits it now."""
        _refuse_nobodys(body, parts)
        about = Event(body.metric, body.request_id, body.feature or "", body.unit or "", body.id)
        try:
            return {"status": parts.pushed.take(about)}
        except LookupError as error:
            raise HTTPException(404, {"message": str(error.args[0])}) from error

    @router.post("/v1/feedback", status_code=202)
    async def feedback(body: FeedbackBody) -> dict[str, str]:
        """Kept, tied to the request's arm, told to the guards."""
        if body.score is None and body.event is None:
            raise HTTPException(422, {"message": "nothing is said", "hint": "give a score or an event"})
        try:
            said = await asyncio.to_thread(
                parts.feedback.take, body.request_id, body.score, body.event, body.comment
            )
        except LookupError as error:
            raise HTTPException(404, {"message": str(error.args[0])}) from error
        except OSError as error:
            raise HTTPException(
                507, {"message": str(error), "hint": "make room on control's disk"}
            ) from error
        return {"status": said}

    return router
