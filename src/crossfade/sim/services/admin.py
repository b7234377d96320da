"""The admin API of the simulation: bills, units, truth, faults. Loopback only; it has no keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from crossfade.sim.config import (
    CLOUDS,
    InstancesConfig,
    ModelUnitsConfig,
    ThroughputConfig,
)
from crossfade.sim.endpoints.faults import Fault, Faults, is_cloud, names
from crossfade.sim.endpoints.generation import Endpoint, UnitlessError
from crossfade.sim.endpoints.identities import Identities
from crossfade.sim.wire.http import Reply, Request

ROUTES = "bills, units, truth, faults, sessions, ca.pem, health"


class AdminError(Exception):
    """A request that cannot be done; the message says how to mend it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class AdminService:
    """Reads and changes every endpoint of every cloud."""

    def __init__(
        self,
        clouds: Mapping[str, Mapping[str, Endpoint]],
        faults: Faults,
        time_scale: float,
        identities: Identities,
        ca_pem: bytes,
    ) -> None:
        self._clouds = clouds
        self._faults = faults
        self._time_scale = time_scale
        self._identities = identities
        self._ca_pem = ca_pem

    async def answer(self, request: Request, reply: Reply) -> None:
        """Route one HTTP request."""
        first, _, rest = request.path.removeprefix("/").partition("/")
        try:
            match request.method, first:
                case "GET", "bills":
                    await reply.send_json(200, self._bills(unquote(rest)))
                case "GET", "truth":
                    endpoint = self._find(unquote(rest))
                    await reply.send_json(200, true_facts(endpoint, self._time_scale))
                case "PUT", "units":
                    endpoint = self._find(unquote(rest))
                    _resize(endpoint, request.body)
                    await reply.send_json(200, true_facts(endpoint, self._time_scale))
                case "GET", "faults":
                    await reply.send_json(200, {"faults": self._faults.listed()})
                case "PUT" | "DELETE", "faults":
                    await reply.send_json(200, self._change_faults(request, rest))
                case "GET", "sessions":
                    await reply.send_json(200, {"sessions": _sessions(self._identities)})
                case "GET", "ca.pem":
                    await reply.send(200, {"content-type": "application/x-pem-file"}, self._ca_pem)
                case "GET", "health":
                    await reply.send_json(200, {"status": "ok"})
                case _:
                    message = f"no {request.method} /{first} (hint: one of {ROUTES})"
                    await reply.send_json(404, {"error": {"message": message}})
        except AdminError as error:
            await reply.send_json(error.status, {"error": {"message": error.message}})

    def _bills(self, name: str) -> dict[str, Any]:
        now = asyncio.get_running_loop().time()
        if name:
            endpoint = self._find(name)
            return {**endpoint.bill.report(now), "lines": endpoint.bill.listed()}
        clouds = {
            cloud: {model: endpoint.bill.report(now) for model, endpoint in endpoints.items()}
            for cloud, endpoints in self._clouds.items()
        }
        total = sum(bill["usd"] for bills in clouds.values() for bill in bills.values())
        return {"clouds": clouds, "total_usd": total}

    def _find(self, name: str) -> Endpoint:
        cloud, _, rest = name.partition("/")
        clouds = {cloud: self._clouds[cloud]} if cloud in self._clouds else self._clouds
        name = rest if cloud in self._clouds else name
        every = [endpoint for endpoints in clouds.values() for endpoint in endpoints.values()]
        found = [endpoint for endpoint in every if endpoint.model.id == name]
        found = found or [endpoint for endpoint in every if names(endpoint.model.id, name)]
        if len(found) != 1:
            known = ", ".join(endpoint.model.id for endpoint in every)
            raise AdminError(404, f"{name!r} names {len(found)} models (hint: one of {known})")
        return found[0]

    def _change_faults(self, request: Request, rest: str) -> dict[str, Any]:
        cloud, _, model = rest.partition("/")
        cloud, model = unquote(cloud) or "*", unquote(model) or "*"
        if not is_cloud(cloud):
            raise AdminError(404, f"no cloud named {cloud!r} (hint: one of {', '.join(CLOUDS)} or *)")
        if request.method == "DELETE":
            return {"cleared": self._faults.clear(cloud, model)}
        if model != "*":
            model = self._find(model if cloud in {"*", "tokens"} else f"{cloud}/{model}").model.id
        try:
            self._faults.put(cloud, model, Fault.model_validate_json(request.body))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in problem["loc"]) or "body"
            raise AdminError(400, f"{place}: {problem['msg']}") from None
        return {"faults": self._faults.listed()}


def _sessions(identities: Identities) -> list[dict[str, Any]]:
    """Sessions of roles, oldest first, without their secrets."""
    return [
        {"role": s.role, "name": s.name, "tags": dict(s.tags), "expires_unix_s": s.expires_unix_s}
        for s in identities.sessions()
    ]


def true_facts(endpoint: Endpoint, time_scale: float) -> dict[str, Any]:
    """What is true of an endpoint, which a measurement should find."""
    model, capacity, fit = endpoint.model, endpoint.model.capacity, endpoint.model.fit
    facts: dict[str, Any] = {
        "cloud": model.cloud,
        "model": model.id,
        "capacity": capacity.model_dump(mode="json"),
        "units": endpoint.bill.units if model.is_provisioned else None,
        "latency": {
            "first_ms": fit.first_ms * time_scale,
            "per_token_ms": fit.per_token_ms * time_scale,
            "sigma": fit.sigma,
            "n": fit.n,
        },
        "quality": model.quality.model_dump(mode="json"),
        "output": model.output.model_dump(mode="json"),
        "judge": None if model.judge is None else model.judge.model_dump(mode="json"),
        "token_rule": "ceil(utf-8 bytes / 4); input adds 3 a message",
    }
    if isinstance(capacity, ModelUnitsConfig):
        facts["per_unit"] = {"input_tpm": capacity.input_tpm, "output_tpm": capacity.output_tpm}
        facts["total"] = {key: value * endpoint.bill.units for key, value in facts["per_unit"].items()}
    elif isinstance(capacity, ThroughputConfig):
        facts["per_unit"] = {"tpm": capacity.tpm}
        facts["total"] = {"tpm": capacity.tpm * endpoint.bill.units}
    elif isinstance(capacity, InstancesConfig):
        facts["per_unit"] = {"slots": capacity.slots}
        facts["total"] = {"slots": capacity.slots * endpoint.bill.units}
    return facts


def _resize(endpoint: Endpoint, body: bytes) -> None:
    try:
        endpoint.resize(_read_units(body))
    except UnitlessError as error:
        raise AdminError(
            409, f"{error} is on-demand and has no units (hint: name a provisioned one)"
        ) from None


def _read_units(body: bytes) -> int:
    try:
        units = json.loads(body)["units"]
    except (ValueError, KeyError, TypeError):
        units = None
    if not isinstance(units, int) or isinstance(units, bool) or units < 0:
        raise AdminError(400, 'units: a whole number, 0 or more (hint: {"units": 3})')
    return units
