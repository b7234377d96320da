"""Simulated clouds: `async with start(config) as clouds` serves every service on loopback.

One process, one listener for each service: the model APIs, STS, the other token endpoints (plain, and as
`entra` over TLS, which Microsoft's SDK insists on) and the admin API. The composition root of the
simulation: every object is built here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from crossfade.sim.config import CLOUDS, CloudsConfig, CloudsConfigError, load_clouds
from crossfade.sim.endpoints.faults import Faults
from crossfade.sim.endpoints.generation import Endpoint
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.services.admin import AdminService
from crossfade.sim.services.amazon.bedrock import BedrockService
from crossfade.sim.services.amazon.sagemaker import SagemakerService
from crossfade.sim.services.anthropic import AnthropicService
from crossfade.sim.services.azure import AzureService
from crossfade.sim.services.cohere import CohereService
from crossfade.sim.services.gemini import GeminiService
from crossfade.sim.services.openai import OpenaiService
from crossfade.sim.services.vertex import VertexService
from crossfade.sim.tokens.service import TokenService
from crossfade.sim.tokens.sts import StsService
from crossfade.sim.wire.http import Handler, Listener
from crossfade.sim.wire.tls import create_tls

__all__ = ("Clouds", "CloudsConfig", "CloudsConfigError", "load_clouds", "start")

OFFSETS = {
    "openai": 0, "bedrock": 1, "sagemaker": 2, "sts": 3, "admin": 9,
    "anthropic": 10, "gemini": 11, "vertex": 12, "azure": 13, "tokens": 14, "entra": 15,
    "cohere": 16,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clouds:
    """Running clouds: `urls` by service, each what its SDK calls base_url or endpoint_url."""

    config: CloudsConfig
    urls: dict[str, str]
    endpoints: dict[str, dict[str, Endpoint]]
    faults: Faults

    @property
    def admin_url(self) -> str:
        """Where bills, units, truth and faults are."""
        return self.urls["admin"]


@asynccontextmanager
async def start(config: CloudsConfig, wall: Callable[[], float] = time.time) -> AsyncIterator[Clouds]:
    """Serve until the context ends; `wall` is the clock of signatures and sessions."""
    now = asyncio.get_running_loop().time()
    endpoints: dict[str, dict[str, Endpoint]] = {cloud: {} for cloud in CLOUDS}
    for model in config.models:
        endpoints[model.cloud][model.id] = Endpoint(model, config.seed, config.time_scale, now)
    faults = Faults(config.seed)
    identities = Identities(config.identity, wall)
    tokens, tls = TokenService(identities, faults), create_tls(config.host)
    handlers: dict[str, Handler] = {
        "openai": OpenaiService(endpoints["openai"], faults, identities).answer,
        "bedrock": BedrockService(endpoints["bedrock"], faults, identities).answer,
        "sagemaker": SagemakerService(endpoints["sagemaker"], faults, identities).answer,
        "anthropic": AnthropicService(endpoints["anthropic"], faults, identities).answer,
        "gemini": GeminiService(endpoints["gemini"], faults, identities).answer,
        "vertex": VertexService(endpoints["vertex"], faults, identities).answer,
        "azure": AzureService(endpoints["azure"], faults, identities).answer,
        "cohere": CohereService(endpoints["cohere"], faults, identities).answer,
        "sts": StsService(identities).answer,
        "tokens": tokens.answer,
        "entra": tokens.answer,
        "admin": AdminService(endpoints, faults, config.time_scale, identities, tls.ca_pem).answer,
    }
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        for name, handler in handlers.items():
            listener = Listener(name, handler)
            stack.push_async_callback(listener.close)
            wanted = config.port + OFFSETS[name] if config.port else 0
            secure = name == "entra"
            port = await listener.open(config.host, wanted, tls.context if secure else None)
            urls[name] = f"http{'s' * secure}://{config.host}:{port}" + ("/v1" if name == "openai" else "")
        yield Clouds(config, urls, endpoints, faults)
