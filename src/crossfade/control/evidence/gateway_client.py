"""The one way evidence calls a model: through the gateway, with control's measuring key."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

import httpx2

from crossfade.control.evidence.gateway_address import GatewayAddress


@dataclass(frozen=True, slots=True)
class Measured:
    """One call's end. Times in ms from the *intended* send time; `overload`: refused as too much."""

    ok: bool
    overload: bool
    ttft_ms: float | None
    total_ms: float
    lag_ms: float
    text: str
    error: str | None


class GatewayClient:
    """Calls features, or pins endpoints, at one gateway."""

    def __init__(self, address: GatewayAddress, key: str) -> None:
        self.address = address
        self.key = key
        limits = httpx2.Limits(max_connections=2000, max_keepalive_connections=200)
        self._http = httpx2.AsyncClient(
            base_url=address.url,
            headers={"authorization": f"Bearer {key}"},
            timeout=120,
            limits=limits,
            verify=address.verify(),
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def ask(self, feature: str, prompt: str, max_tokens: int) -> str:
        """The text of a plain answer. Raises LookupError with the gateway's own words."""
        body = {"model": feature, "max_tokens": max_tokens, "messages": [{"role": "user", "content": prompt}]}
        answer = await self._http.post("/v1/chat/completions", json=body)
        document = answer.json()
        if answer.status_code != 200:
            raise LookupError(document["error"]["message"])
        return str(document["choices"][0]["message"]["content"])

    async def measure(self, body: dict[str, Any], endpoint: str, due: float) -> Measured:
        """Stream `body` from the pinned endpoint at loop time `due`; never raises for a bad answer."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, due - loop.time()))
        lag_ms = (loop.time() - due) * 1000
        first: float | None = None
        text, error, overload, done = "", None, False, False
        headers = {"x-crossfade-pin": endpoint}
        try:
            async with self._http.stream(
                "POST", "/v1/chat/completions", json={**body, "stream": True}, headers=headers
            ) as answer:
                if answer.status_code != 200:
                    document = json.loads(await answer.aread())
                    error, overload = document["error"]["code"], answer.status_code in {429, 503}
                else:
                    async for line in answer.aiter_lines():
                        if line == "data: [DONE]":
                            done = True
                        elif line.startswith("data: "):
                            event = json.loads(line[6:])
                            if "error" in event:
                                error = event["error"]["code"]
                                break
                            piece = "".join(c["delta"].get("content") or "" for c in event["choices"])
                            if piece and first is None:
                                first = (loop.time() - due) * 1000
                            text += piece
        except httpx2.HTTPError as failure:
            error = type(failure).__name__
        ok = done and error is None
        return Measured(ok, overload, first, (loop.time() - due) * 1000, lag_ms, text, None if ok else error)


def now_unix_s() -> float:
    """Wall time, for the records' dates."""
    return time.time()
