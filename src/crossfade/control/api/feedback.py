"""`POST /v1/feedback`: what users say about answers, from the applications that asked for them."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from crossfade.control.api.parts import ControlParts


class FeedbackBody(BaseModel):
    """About one request: a score, an event (`copied`, `regenerated`), or both."""

    model_config = ConfigDict(extra="forbid")

    request_id: str = Field(min_length=1, max_length=200)
    score: float | None = Field(None, ge=-1, le=1)
    event: str | None = Field(None, min_length=1, max_length=100)
    comment: str | None = Field(None, max_length=20_000)


def create_feedback_router(parts: ControlParts) -> APIRouter:
    """One route, open to the gateways' own callers."""
    router = APIRouter()

    @router.post("/v1/feedback", status_code=202)
    async def feedback(body: FeedbackBody, request: Request) -> dict[str, str]:
        """Kept, tied to the request's arm, told to the guards."""
        if not parts.is_caller(request.headers.get("authorization", "").removeprefix("Bearer ")):
            hint = "send the virtual key that the request was made with"
            raise HTTPException(401, {"message": "the key is missing or wrong", "hint": hint})
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
