"""A feature's traffic in virtual time: the production decisions through `crossfade._engine.Decider`,
upstreams by script. What a behaviour means is classified by the production code too."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from crossfade._engine import Decider, classify, split_point

CONTENT = ("text", "tool")


@dataclass
class Attempt:
    """How one attempt ended, in milliseconds from its start."""

    kind: str | None = None
    detail_class: str = "ok"
    took_ms: float = 300.0
    content_ms: float | None = None
    pushback_ms: int | None = None
    committed: bool = False
    text: str = ""


@dataclass
class Seen:
    """What the caller saw, and the attempts behind it."""

    status: int
    attempts: list[str] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    code: str | None = None
    ends: str = "whole"
    text: str = ""
    reason: str = ""
    skipped: dict[str, str] = field(default_factory=dict)


STATUS = {
    "rate_limited": 429,
    "provisioned_full": 429,
    "quota_exhausted": 429,
    "capacity": 503,
    "timeout": 504,
    "invalid_request": 400,
    "context_length": 400,
    "content_filtered": 400,
    "conflict": 409,
}


class World:
    """One gateway's decisions and its scripted upstreams."""

    def __init__(self, snapshot: bytes) -> None:
        self.decider = Decider(snapshot, 0.0)
        self.snapshot = json.loads(snapshot)
        self.scripts: dict[str, list[Any]] = {}
        self.now = 0.0
        self.sent = 0

    def script(self, endpoint: str, behaviours: list[Any]) -> None:
        self.scripts[endpoint] = list(behaviours)

    def pass_until(self, at: float) -> None:
        while self.now + 1.0 <= at:
            self.now += 1.0
            self.decider.tick(self.now)
        self.now = max(self.now, at)

    def health(self, endpoint: str) -> str:
        return self.row(endpoint)["state"]

    def row(self, endpoint: str) -> dict[str, Any]:
        return next(row for row in json.loads(self.decider.health()) if row["endpoint"] == endpoint)

    def ask(self, *, stream: bool, feature: str = "f", **facts: Any) -> Seen:
        self.sent += 1
        request = {
            "request_id": f"req-{self.sent}",
            "feature": feature,
            "unit": f"unit-{self.sent}",
            "unix_s": 1_800_000_000,
            "stream": stream,
            "input_tokens": 100,
            "max_output_tokens": None,
            "tools": False,
            "deadline_ms": None,
            "pin": None,
            **facts,
        }
        text = json.dumps(request)
        answer = json.loads(self.decider.choose(text, self.now, split_point("draw", request["request_id"])))
        if "refused" in answer:
            refusal = answer["refused"]["refusal"]
            return Seen({"all_open": 503, "no_eligible_endpoint": 503}.get(refusal, 404), code=refusal)
        return self._relay(request, answer["ok"])

    def _relay(self, request: dict[str, Any], decision: dict[str, Any]) -> Seen:
        seen = Seen(200, skipped={one["endpoint"]: one["reason"] for one in decision["skipped"]})
        tried: list[dict[str, Any]] = []
        began = self.now
        while True:
            elapsed = int((self.now - began) * 1000)
            step = json.loads(
                self.decider.next(
                    json.dumps(request), json.dumps(decision), json.dumps(tried), elapsed, self.now
                )
            )
            seen.reason = step["reason"]
            if step["next"] == "give_up":
                seen.code = tried[-1]["error"]["kind"] if tried else "timeout"
                seen.status = STATUS.get(seen.code, 502)
                return seen
            self.now += step["wait_ms"] / 1000
            candidate = decision["candidates"][step["candidate"]]
            seen.attempts.append(candidate["endpoint"])
            seen.roles.append(step["role"])
            done = self._attempt(candidate["endpoint"], request["stream"], decision, began)
            self.now += done.took_ms / 1000
            self._observe(request, decision, candidate, step["role"], len(tried), done)
            if done.kind is None or done.committed:
                seen.text = done.text
                seen.code = done.kind
                seen.ends = "error" if done.kind else "whole"
                return seen
            error = {"kind": done.kind, "detail": "", "http_status": None, "pushback_ms": done.pushback_ms}
            tried.append(
                {
                    "candidate": step["candidate"],
                    "role": step["role"],
                    "error": error,
                    "took_ms": done.took_ms,
                }
            )

    def _observe(
        self,
        request: dict[str, Any],
        decision: dict[str, Any],
        candidate: dict[str, Any],
        role: str,
        index: int,
        done: Attempt,
    ) -> None:
        seen = {
            "feature": request["feature"],
            "endpoint": candidate["endpoint"],
            "request_id": request["request_id"],
            "arm": decision["arm"],
            "role": role,
            "index": index,
            "level": candidate["level"],
            "probe": candidate["probe"],
            "class": done.detail_class,
            "first_content_ms": done.content_ms,
            "pushback_ms": done.pushback_ms,
            "input_tokens": request["input_tokens"],
            "output_tokens": 20,
            "stream": request["stream"],
            "slow_ms": candidate["slow_ms"],
        }
        self.decider.observe(json.dumps(seen), self.now)

    def _attempt(self, endpoint: str, stream: bool, decision: dict[str, Any], began: float) -> Attempt:
        script = self.scripts.get(endpoint, ["ok"])
        behaviour = script.pop(0) if len(script) > 1 else script[0]
        limits = decision["deadlines"]
        remaining = limits["total_ms"] - (self.now - began) * 1000
        held = not stream or decision["hold"] == "all"
        if behaviour == "ok":
            return Attempt(content_ms=200.0, committed=True, text="Hello world.")
        if behaviour == "reset":
            return failed("connection", 5.0)
        if behaviour == "silent":
            backups = len(decision["candidates"]) > 1
            share = remaining / 2 if backups else remaining
            return failed("timeout", min(share, limits["header_ms"]) if stream else share)
        if "latency_ms" in behaviour:
            return Attempt(
                content_ms=behaviour["latency_ms"], took_ms=behaviour["latency_ms"], text="Hello world."
            )
        if "status" in behaviour and behaviour["status"] != 200:
            body = behaviour.get("body", {"error": {"message": "scripted", "type": "scripted"}})
            return refused(behaviour["status"], behaviour.get("headers", {}), body, 5.0)
        if "status" in behaviour:
            return refused(200, {}, behaviour["body"], 5.0)
        return streamed(behaviour["stream"], limits, remaining, held)


def failed(kind: str, took_ms: float) -> Attempt:
    return Attempt(kind=kind, detail_class=class_of(kind), took_ms=took_ms)


def class_of(kind: str) -> str:
    if kind in {"rate_limited", "provisioned_full", "capacity", "capacity_warming", "quota_exhausted"}:
        return "overload"
    if kind in {"auth", "config", "not_found"}:
        return "config"
    if kind in {"invalid_request", "context_length", "content_filtered", "conflict"}:
        return "caller"
    return "hard"


def refused(status: int, headers: dict[str, str], body: Any, took_ms: float) -> Attempt:
    text = body if isinstance(body, str) else json.dumps(body)
    pairs = [(name.lower(), str(value)) for name, value in headers.items()]
    error = json.loads(classify("openai-compatible", "on-demand", status, json.dumps(pairs), text.encode()))
    done = failed(error["kind"], took_ms)
    done.pushback_ms = error["pushback_ms"]
    return done


def streamed(steps: list[Any], limits: dict[str, Any], remaining: float, held: bool) -> Attempt:
    """Walks a scripted stream under the deadlines, as the relay would."""
    walk = Walk(limits, remaining, held)
    for step in steps:
        ended = walk.step(step)
        if ended is not None:
            return ended
    return walk.fail("stream_interrupted", walk.done.took_ms)


class Walk:
    """One scripted stream on its way."""

    def __init__(self, limits: dict[str, Any], remaining: float, held: bool) -> None:
        self.limits, self.remaining, self.held = limits, remaining, held
        self.done = Attempt(took_ms=5.0)
        self.moved: float | None = None
        self.malformed, self.stopped = 0, False

    def fail(self, kind: str, at: float) -> Attempt:
        self.done.kind, self.done.detail_class, self.done.took_ms = kind, class_of(kind), at
        self.done.committed = self.done.content_ms is not None and not self.held
        return self.done

    def step(self, step: Any) -> Attempt | None:
        if isinstance(step, dict) and "wait" not in step:
            return self.say(*next(iter(step.items())))
        if step in ("cut", "reset", "end"):
            said = self.done.content_ms is not None or self.stopped
            return self.fail("stream_interrupted" if said else "empty_response", self.done.took_ms)
        if step == "hang" or isinstance(step, dict):
            return self.wait(1e9 if step == "hang" else step["wait"] * 1000)
        self.malformed = self.malformed + 1 if step == "malformed" else 0
        if self.malformed > 1:
            return self.fail("malformed_output", self.done.took_ms)
        if step != "done":
            return None
        if self.done.content_ms is None:
            return self.fail("empty_response", self.done.took_ms)
        self.done.committed = True
        return self.done

    def wait(self, wait_ms: float) -> Attempt | None:
        limits = self.limits
        moving = self.moved is not None
        until = self.moved + limits["progress_ms"] if moving else limits["first_content_ms"]
        until = min(until, self.done.took_ms + limits["liveness_ms"], self.remaining)
        if self.done.took_ms + wait_ms >= until:
            return self.fail("timeout", until)
        self.done.took_ms += wait_ms
        return None

    def say(self, kind: str, value: Any) -> Attempt | None:
        self.malformed = 0
        if kind == "error":
            error = refused(200, {}, {"error": value}, self.done.took_ms)
            return self.fail(str(error.kind), self.done.took_ms)
        if kind in CONTENT and self.done.content_ms is None:
            self.done.content_ms = self.done.took_ms
        if kind == "text":
            self.done.text += value
        self.moved = self.done.took_ms
        self.stopped |= kind == "finish"
        return None
