"""OFREP: applications read the decision that the engine takes, with any OpenFeature SDK.

A feature `recap` is two flags: `recap`, the arm's name as a string (`main`, `baseline`, `candidate`,
or an experiment's `name/arm`), and `recap.candidate`, a boolean. The targeting key is the sticky unit.
Reference: OpenFeature Remote Evaluation Protocol 0.2, https://github.com/open-feature/protocol.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from crossfade.control.api.parts import ControlParts
from crossfade.domain.attempt import ArmKind

CANDIDATE = ".candidate"


class Evaluation(BaseModel):
    """`context.targetingKey`: the user or session that sticks to an arm."""

    context: dict[str, Any] = Field(default_factory=dict)


def create_flags_router(parts: ControlParts) -> APIRouter:
    """Both routes of the protocol."""

    async def require_caller(request: Request) -> None:  # async: a thread for it would cost more than it does
        """Applications have a key of the gateways; people may look, too."""
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not parts.is_caller(bearer) and parts.person_of(bearer) is None:
            hint = "send the virtual key that the application calls the gateway with"
            raise HTTPException(401, {"message": "the key is missing or wrong", "hint": hint})

    router = APIRouter(prefix="/ofrep/v1", dependencies=[Depends(require_caller)])

    @router.post("/evaluate/flags/{key}")
    async def evaluate(key: str, body: Evaluation) -> JSONResponse:
        """One flag."""
        feature = key.removesuffix(CANDIDATE)
        if feature not in parts.publisher.snapshot.features:
            return _problem(404, key, "FLAG_NOT_FOUND", f"there is no feature {feature!r}")
        unit = body.context.get("targetingKey")
        if not isinstance(unit, str) or not unit:
            return _problem(400, key, "TARGETING_KEY_MISSING", "targetingKey is the user or session")
        return JSONResponse(_flag(parts, key, unit))

    @router.post("/evaluate/flags")
    async def evaluate_all(body: Evaluation, request: Request) -> Response:
        """Every flag of a unit; 304 while nothing changed."""
        unit = body.context.get("targetingKey")
        if not isinstance(unit, str) or not unit:
            return _problem(400, None, "TARGETING_KEY_MISSING", "targetingKey is the user or session")
        features = parts.publisher.snapshot.features
        flags = [_flag(parts, key, unit) for name in features for key in (name, name + CANDIDATE)]
        tag = '"' + hashlib.sha256(json.dumps(flags, sort_keys=True).encode()).hexdigest()[:32] + '"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        return JSONResponse({"flags": flags}, headers={"etag": tag})

    return router


def _flag(parts: ControlParts, key: str, unit: str) -> dict[str, Any]:
    feature = key.removesuffix(CANDIDATE)
    arm = parts.arm_of(feature, unit)
    is_candidate = arm["kind"] == ArmKind.CANDIDATE.value
    name = arm["name"] if arm["kind"] == ArmKind.EXPERIMENT.value else arm["kind"]
    metadata = {"snapshot_version": parts.publisher.snapshot.version}
    if arm["share"] is not None:
        metadata["share"] = arm["share"]
    return {
        "key": key,
        "value": is_candidate if key.endswith(CANDIDATE) else name,
        "variant": name,
        "reason": "STATIC" if arm["kind"] == ArmKind.MAIN.value else "SPLIT",
        "metadata": metadata,
    }


def _problem(status: int, key: str | None, code: str, details: str) -> JSONResponse:
    body = {"errorCode": code, "errorDetails": details} | ({"key": key} if key is not None else {})
    return JSONResponse(body, status_code=status)
