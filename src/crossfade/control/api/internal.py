"""Between the planes: snapshots and credentials down, acknowledgements, counters and records up."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response

from crossfade.control.api.access import require_token
from crossfade.control.api.parts import ControlParts
from crossfade.control.credentials.broker import CredentialBroker
from crossfade.domain.attempt import Ack, Counters

HOLD_S = 20.0
CUT_OFF_LOOK_S = 0.1


def gateways_only(gateway_token: str) -> Any:
    """A dependency that lets only gateways in."""
    return Depends(require_token(gateway_token, "the gateway and control must share one state folder"))


def _router(gateway_token: str) -> APIRouter:
    return APIRouter(dependencies=[gateways_only(gateway_token)], include_in_schema=False)


def create_credentials_router(broker: CredentialBroker, gateway_token: str) -> APIRouter:
    """The one route under `/internal/v1` that does not need the log."""
    router = _router(gateway_token)

    @router.get("/credentials", response_model=None)
    async def credentials(after: int, gateway: str) -> Response | dict[str, Any]:  # noqa: ARG001 - who asks is for the access log
        document = await broker.next_document(after, HOLD_S)
        return Response(status_code=204) if document is None else asdict(document)

    return router


def create_internal_router(parts: ControlParts) -> APIRouter:
    """The other routes under `/internal/v1`."""
    router = _router(parts.gateway_token)

    @router.get("/snapshot")
    async def snapshot(request: Request, after: int, gateway: str, admin: str | None = None) -> Response:
        parts.admin.ports.tell(gateway, admin, request.client.host if request.client else None)
        waited_s = 0.0
        while parts.board.is_cut_off(gateway) and waited_s < HOLD_S:  # a drill plays a broken network
            await asyncio.sleep(CUT_OFF_LOOK_S)
            waited_s += CUT_OFF_LOOK_S
        signed = await parts.publisher.next_signed(after, HOLD_S)
        if signed is None or parts.board.is_cut_off(gateway):
            return Response(status_code=204)
        headers = {"x-crossfade-signature": signed.signature, "x-crossfade-version": str(signed.version)}
        return Response(signed.body, media_type="application/json", headers=headers)

    @router.post("/acks", status_code=204)
    async def acks(ack: Ack) -> None:
        parts.board.acknowledge(ack)

    @router.post("/counters", status_code=204)
    async def counters(report: Counters) -> None:
        parts.board.observe(report)

    @router.post("/records")
    async def records(request: Request) -> dict[str, int]:
        lines = [line for line in (await request.body()).decode(errors="replace").splitlines() if line]
        try:
            intake = await asyncio.to_thread(parts.records.ingest, lines)
        except OSError as error:
            raise HTTPException(
                507, {"message": str(error), "hint": "make room on control's disk"}
            ) from error
        return asdict(intake)

    return router
