"""Simulated clouds: `async with start(config) as clouds` serves every service on loopback.

One process, five listeners: OpenAI-compatible, Bedrock runtime, SageMaker runtime, the token service and
the admin API. The composition root of the simulation: every object is built here.
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
from crossfade.sim.services.bedrock import BedrockService
from crossfade.sim.services.openai import OpenaiService
from crossfade.sim.services.sagemaker import SagemakerService
from crossfade.sim.services.sts import StsService
from crossfade.sim.wire.http import Handler, Listener

__all__ = ("Clouds", "CloudsConfig", "CloudsConfigError", "load_clouds", "start")

OFFSETS = {"openai": 0, "bedrock": 1, "sagemaker": 2, "sts": 3, "admin": 9}


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
    handlers: dict[str, Handler] = {
        "openai": OpenaiService(endpoints["openai"], faults, identities).answer,
        "bedrock": BedrockService(endpoints["bedrock"], faults, identities).answer,
        "sagemaker": SagemakerService(endpoints["sagemaker"], faults, identities).answer,
        "sts": StsService(identities).answer,
        "admin": AdminService(endpoints, faults, config.time_scale).answer,
    }
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        for name, handler in handlers.items():
            listener = Listener(name, handler)
            stack.push_async_callback(listener.close)
            port = await listener.open(config.host, config.port + OFFSETS[name] if config.port else 0)
            urls[name] = f"http://{config.host}:{port}" + ("/v1" if name == "openai" else "")
        yield Clouds(config, urls, endpoints, faults)
