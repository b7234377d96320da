"""Running clouds in a thread of their own, so that the blocking SDKs meet them as they would a real one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import anthropic
import boto3
import google.oauth2.credentials
import httpx2
import openai
import pytest
from botocore.config import Config
from google import genai
from google.genai import types

from crossfade.sim.clouds import Clouds, start
from crossfade.sim.config import CloudsConfig

T = TypeVar("T", bound="Closable")


class Closable(Protocol):
    def close(self) -> None: ...


@dataclass
class Running:
    clouds: Clouds
    shift_s: list[float]
    opened: list[Closable] = field(default_factory=list)

    def admin(self, method: str, path: str, body: object = None) -> dict:
        answer = httpx2.request(method, self.clouds.admin_url + path, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def bill(self, model: str) -> dict:
        return self.admin("GET", f"/bills/{model}")

    def await_bill(self, model: str) -> None:
        deadline = time.monotonic() + 10
        while not self.bill(model)["requests"]:
            assert time.monotonic() < deadline, f"{model} never billed"

    def fault(self, target: str, **fault: object) -> None:
        self.admin("PUT", f"/faults/{target}", fault)

    def openai(self, key: str = "sk-sim") -> openai.OpenAI:
        client = openai.OpenAI(base_url=self.clouds.urls["openai"], api_key=key, max_retries=0, timeout=10)
        self.opened.append(client)
        return client

    def token(self, audience: str, lifetime_s: float = 600, sub: str = "system:serviceaccount:llm:gw") -> str:
        """A workload's own token."""
        wanted = {"aud": audience, "lifetime_s": lifetime_s, "sub": sub}
        answer = httpx2.post(self.clouds.urls["tokens"] + "/issue", json=wanted, timeout=10)
        return answer.json()["token"]

    def google_token(self) -> str:
        """A federated access token, straight from the token endpoint."""
        pool = self.clouds.config.identity.pool_audience
        answer = httpx2.post(self.clouds.urls["tokens"] + "/v1/token", timeout=10, data={
            "audience": pool,
            "subject_token": self.token(pool),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        })  # fmt: skip
        return answer.json()["access_token"]

    def anthropic(self, **given: object) -> anthropic.Anthropic:
        settings = {"api_key": "sk-sim", "max_retries": 0, "timeout": 10, **given}
        return self._keep(anthropic.Anthropic(base_url=self.clouds.urls["anthropic"], **settings))

    def azure(self, **given: object) -> openai.AzureOpenAI:
        settings = {
            "api_key": "sk-sim",
            "api_version": "2024-10-21",
            "max_retries": 0,
            "timeout": 10,
            **given,
        }
        if "azure_ad_token" in given:
            del settings["api_key"]
        return self._keep(openai.AzureOpenAI(azure_endpoint=self.clouds.urls["azure"], **settings))

    def gemini(self, key: str = "sk-sim") -> genai.Client:
        options = types.HttpOptions(base_url=self.clouds.urls["gemini"])
        return self._keep(genai.Client(api_key=key, http_options=options))

    def vertex(self, token: str | None = None, **headers: str) -> genai.Client:
        credentials = google.oauth2.credentials.Credentials(token or self.google_token())
        options = types.HttpOptions(base_url=self.clouds.urls["vertex"], headers=headers)
        where = {"project": "acme-llm", "location": "us-central1"}
        return self._keep(genai.Client(vertexai=True, credentials=credentials, http_options=options, **where))

    def _keep(self, client: T) -> T:
        self.opened.append(client)
        return client

    def aws(self, service: str, **credentials: str):
        given = {
            "aws_access_key_id": "AKIDEXAMPLE",
            "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "region_name": "us-east-1",
            **credentials,
        }
        name = {
            "bedrock-runtime": "bedrock",
            "bedrock": "bedrock",
            "sagemaker-runtime": "sagemaker",
            "sts": "sts",
        }[service]
        settings = Config(retries={"total_max_attempts": 1}, read_timeout=10, connect_timeout=5)
        client = boto3.client(service, endpoint_url=self.clouds.urls[name], config=settings, **given)
        self.opened.append(client)
        return client


Starter = Callable[..., Running]


@pytest.fixture
def run_clouds() -> Iterator[Starter]:
    stops: list[Callable[[], None]] = []

    def run(config: CloudsConfig | None = None) -> Running:
        loop = asyncio.new_event_loop()
        shift = [0.0]
        ready: list[Running] = []
        is_ready, stop = threading.Event(), asyncio.Event()

        async def serve() -> None:
            chosen = config or CloudsConfig(time_scale=0, seed=7)
            async with start(chosen, wall=lambda: time.time() + shift[0]) as clouds:
                ready.append(Running(clouds, shift))
                is_ready.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
        thread.start()
        assert is_ready.wait(10)

        def finish() -> None:
            for client in ready[0].opened:
                client.close()
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()

        stops.append(finish)
        return ready[0]

    yield run
    for stop in stops:
        stop()


@pytest.fixture
def running(run_clouds: Starter) -> Running:
    return run_clouds()
