"""What the Google services share: the face of generate-content and the form of errors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from crossfade.sim.config import QuotaConfig
from crossfade.sim.dialects.call import Encoder
from crossfade.sim.dialects.generate_content import GenerateEncoder, encode_generated
from crossfade.sim.endpoints.generation import Endpoint, Generation
from crossfade.sim.services.face import Refusal, Trouble, TroubleKind
from crossfade.sim.services.openai import HTML

RPC = "type.googleapis.com/google.rpc."
FULL_POOL = "Resource exhausted, please try again later."


@dataclass(frozen=True, slots=True)
class GenerateFace:
    """How generate-content is said; `traffic` is the served tier, `sse` false the form as one JSON array."""

    response_id: str
    served: str
    traffic: str | None
    shared: bool
    sse: bool = True

    @property
    def stream_type(self) -> str:
        """Events, or one array."""
        return "text/event-stream" if self.sse else "application/json"

    def document(self, generation: Generation) -> Any:
        """The whole answer."""
        return encode_generated(generation, self.response_id, self.served, self.traffic)

    def encoder(self, generation: Generation) -> Encoder:
        """Events, or the items of an array."""
        encoder = GenerateEncoder(generation, self.response_id, self.served, self.traffic)
        return encoder if self.sse else ArrayEncoder(encoder)

    def refuse(self, trouble: Trouble) -> Refusal:
        """Google's error document; in an array where the answer would have been one."""
        refusal = refuse_google(trouble, shared=self.shared)
        return refusal if self.sse else Refusal(refusal.status, refusal.code, [refusal.document])

    def stream_error(self, trouble: Trouble) -> bytes:
        """Pretty-printed JSON without any framing, as the real service does after content."""
        return json.dumps(refuse_google(trouble, shared=self.shared).document, indent=2).encode()

    def headers(self, endpoint: Endpoint, generation: Generation | None) -> dict[str, str]:  # noqa: ARG002
        """Google tells no limits."""
        return {}

    def junk(self, *, stream: bool) -> bytes:  # noqa: ARG002 - a proxy does not know
        """A proxy's page."""
        return HTML

    def empty(self, *, stream: bool) -> bytes:  # noqa: ARG002 - there is no end marker
        """Nothing."""
        return b""


class ArrayEncoder:
    """The stream without `alt=sse`: one JSON array, item by item."""

    def __init__(self, events: GenerateEncoder) -> None:
        self._events = events
        self._begun = False

    def begin(self) -> bytes:
        """Nothing comes before the first content."""
        return b""

    def piece(self, piece: Any) -> bytes:
        """An item."""
        return self._item(self._events.piece(piece))

    def end(self, generation: Generation) -> bytes:
        """The last item and the closing bracket."""
        return self._item(self._events.end(generation)) + b"]"

    def _item(self, event: bytes) -> bytes:
        if not event:
            return b""
        opened, self._begun = (b",\r\n" if self._begun else b"["), True
        return opened + event.removeprefix(b"data: ").strip()


def is_shared(endpoint: Endpoint) -> bool:
    """Whether the endpoint draws on a pool of all customers."""
    capacity = endpoint.model.capacity
    return isinstance(capacity, QuotaConfig) and capacity.shared


def refuse_google(trouble: Trouble, *, shared: bool = False) -> Refusal:
    """Google's error documents."""
    match trouble.kind:
        case TroubleKind.KEY if trouble.param == "key":
            reason: dict[str, Any] = {
                "@type": RPC + "ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
            message = "API key not valid. Please pass a valid API key."
            return _refusal(400, "INVALID_ARGUMENT", message, reason)
        case TroubleKind.KEY | TroubleKind.EXPIRED:
            message = (
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
                "or other valid authentication credential."
            )
            reason = {
                "@type": RPC + "ErrorInfo",
                "reason": "ACCESS_TOKEN_EXPIRED",
                "domain": "googleapis.com",
            }
            expired = trouble.kind is TroubleKind.EXPIRED
            return _refusal(401, "UNAUTHENTICATED", message, *([reason] if expired else []))
        case TroubleKind.FORBIDDEN:
            message = f"Permission 'aiplatform.endpoints.predict' denied on resource '{trouble.detail}'."
            return _refusal(403, "PERMISSION_DENIED", message)
        case TroubleKind.BODY:
            return _refusal(400, "INVALID_ARGUMENT", trouble.detail)
        case TroubleKind.UNSUPPORTED:
            return _refusal(400, "INVALID_ARGUMENT", f"{trouble.detail} is not supported by this model.")
        case TroubleKind.MODEL | TroubleKind.ROUTE:
            message = f"{trouble.detail} was not found or your project does not have access to it."
            return _refusal(404, "NOT_FOUND", message)
        case TroubleKind.LONG:
            message = "The input token count exceeds the maximum number of tokens allowed."
            return _refusal(400, "INVALID_ARGUMENT", message)
        case TroubleKind.FULL:
            return _full(trouble, shared=shared)
        case TroubleKind.BROKEN:
            named = {503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 429: "RESOURCE_EXHAUSTED"}
            status = trouble.status or 500
            message = (
                "The model is overloaded. Please try again later." if status == 503 else "Internal error."
            )
            return _refusal(status, named.get(status, "INTERNAL"), message)


def _full(trouble: Trouble, *, shared: bool) -> Refusal:
    if trouble.detail == "provisioned":
        return _refusal(429, "RESOURCE_EXHAUSTED", "Exceeded the Provisioned Throughput.")
    if shared:
        return _refusal(429, "RESOURCE_EXHAUSTED", FULL_POOL)
    metric = f"generate_content_{trouble.detail}"
    quota = {"quotaMetric": metric, "quotaId": f"{metric}_per_minute_per_project_per_base_model"}
    details: list[dict[str, Any]] = [
        {"@type": RPC + "QuotaFailure", "violations": [quota]},
        {"@type": RPC + "RetryInfo", "retryDelay": f"{trouble.retry_after_s:.3f}s"},
    ]
    message = f"Quota exceeded for {metric}_per_minute_per_base_model."
    return _refusal(429, "RESOURCE_EXHAUSTED", message, *details)


def _refusal(status: int, name: str, message: str, *details: dict[str, Any]) -> Refusal:
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if details:
        error["details"] = list(details)
    return Refusal(status, name, {"error": error})
