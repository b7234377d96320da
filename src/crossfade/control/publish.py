"""Snapshots down to the gateways: written to the log first, then sent, acknowledged, verified.

"Acknowledged" is not enough: a gateway reads back from its engine what it does with each feature,
and that must be what was wanted.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from crossfade.config.compile import compile_snapshot, lay_signals
from crossfade.config.features import Config
from crossfade.config.snapshot_json import encode_snapshot
from crossfade.control.records.counters import CounterBoard, GatewayState
from crossfade.control.store.eventlog import EventLog
from crossfade.domain.overlay import FeatureOverlay
from crossfade.domain.route import Price, Signal
from crossfade.domain.snapshot import Key, Snapshot

Signals = Mapping[str, tuple[Signal, ...]]  # by feature

STREAM = "publish"
WAIT_FOR_ACKS_S = 5.0
_OVERLAY: TypeAdapter[FeatureOverlay | None] = TypeAdapter(FeatureOverlay | None)
_SIGNALS: TypeAdapter[Signals] = TypeAdapter(dict[str, tuple[Signal, ...]])


@dataclass(frozen=True, slots=True)
class PublishResult:
    """`missing`: live gateways that did not acknowledge in time."""

    version: int
    acknowledged: tuple[str, ...]
    missing: tuple[str, ...]
    verified: bool
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Signed:
    """A snapshot's bytes and their signature."""

    version: int
    body: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class Extra:
    """What control adds to a config: keys of its own, and what the endpoints' tokens cost."""

    keys: tuple[Key, ...]
    prices: Callable[[Config], Mapping[str, Price]]


class Publisher:
    """The one writer of snapshots."""

    def __init__(self, config: Config, extra: Extra, log: EventLog, board: CounterBoard, token: str) -> None:
        self._config = config
        self._extra = extra
        self._log = log
        self._board = board
        self._token = token
        self._overlays: dict[str, FeatureOverlay] = {}
        self._signals: Signals = {}
        self._snapshot: Snapshot | None = None
        self._signed: Signed | None = None
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False
        self._clock: Callable[[], float] = time.monotonic
        self._restored_s = self._clock()

    async def restore(self) -> None:
        """Read the overlays back from the log and publish if anything differs from the last run."""
        version = 0
        for event in await self._log.read(STREAM):
            version = event.payload["version"]
            self._overlay(event.payload["change"])
            if "signals" in event.payload:
                self._signals = _SIGNALS.validate_python(event.payload["signals"])
        self._compile(version)
        digest = _digest(self._need())
        events = await self._log.read(STREAM)
        if not events or events[-1].payload.get("digest") != digest:
            await self._append({}, actor="control", reason="started with another config")
        self._restored_s = self._clock()

    @property
    def config(self) -> Config:
        """The config that serves."""
        return self._config

    @property
    def snapshot(self) -> Snapshot:
        """The newest snapshot."""
        return self._need()

    def overlays(self) -> Mapping[str, FeatureOverlay]:
        """What is laid over each feature now. A publication makes others, it changes none of these."""
        return MappingProxyType(self._overlays)

    @property
    def signals(self) -> Signals:
        """What was measured of endpoints, by feature; what has ended may still be among it."""
        return self._signals

    async def signal(self, signals: Signals, *, actor: str, reason: str) -> PublishResult:
        """Tell the gateways these instead of the present ones."""
        async with self._turn:
            version = await self._append({}, actor=actor, reason=reason, signals=signals)
        return await self._settle(version)

    async def apply_config(self, config: Config, *, actor: str, reason: str) -> PublishResult:
        """Serve another config that checks."""
        async with self._turn:
            self._config = config
            version = await self._append({}, actor=actor, reason=reason)
        return await self._settle(version)

    async def publish(
        self, change: dict[str, FeatureOverlay | None], *, actor: str, reason: str
    ) -> PublishResult:
        """Lay these over the features (None takes away) and wait, bounded, for every live gateway."""
        async with self._turn:
            same = all(self._overlays.get(name) == overlay for name, overlay in change.items())
            version = self._need().version if same else await self._append(change, actor=actor, reason=reason)
        return await self._settle(version)

    async def _append(
        self,
        change: dict[str, FeatureOverlay | None],
        *,
        actor: str,
        reason: str,
        signals: Signals | None = None,
    ) -> int:
        """Log, then make it the newest."""
        version = (self._snapshot.version if self._snapshot else 0) + 1
        plain = {name: asdict(overlay) if overlay else None for name, overlay in change.items()}
        overlays = {**self._overlays, **{k: v for k, v in change.items() if v is not None}}
        overlays = {name: value for name, value in overlays.items() if change.get(name, value) is not None}
        told = self._signals if signals is None else signals
        digest = _digest(self._compiled(version, overlays, told))
        payload: dict[str, Any] = {"version": version, "change": plain, "digest": digest}
        if signals is not None:
            payload["signals"] = {name: [asdict(one) for one in each] for name, each in signals.items()}
        await self._log.append(STREAM, "snapshot", payload, actor=actor, reason=reason)
        self._overlays, self._signals = overlays, told
        self._compile(version)
        return version

    def _overlay(self, change: dict[str, Any]) -> None:
        for name, value in change.items():
            overlay = _OVERLAY.validate_python(value)
            if overlay is None:
                self._overlays.pop(name, None)
            else:
                self._overlays[name] = overlay

    def _compiled(self, version: int, overlays: Mapping[str, FeatureOverlay], signals: Signals) -> Snapshot:
        snapshot = compile_snapshot(
            self._config,
            version=version,
            issued_unix_s=int(time.time()),
            keys=self._extra.keys,
            overlays=overlays,
            prices=self._extra.prices(self._config),
        )
        return lay_signals(snapshot, signals)

    def _compile(self, version: int) -> None:
        self._snapshot = self._compiled(version, self._overlays, self._signals)
        body = encode_snapshot(self._snapshot)
        signature = hmac.new(self._token.encode(), body, hashlib.sha256).hexdigest()
        self._signed = Signed(version, body, signature)
        self._news.set()
        self._news = asyncio.Event()

    def _need(self) -> Snapshot:
        if self._snapshot is None:
            raise RuntimeError("the publisher was not restored")
        return self._snapshot

    def close(self) -> None:
        """Control stops: end the polls that wait."""
        self._closed = True
        self._news.set()

    async def next_signed(self, after: int, timeout_s: float) -> Signed | None:
        """The newest snapshot once it differs from version `after`; None after the timeout.

        A gateway that is ahead (control came back with an older database) is told the newest, too:
        control's log is the truth.
        """
        deadline = self._clock() + timeout_s
        while True:
            if self._signed is not None and self._signed.version != after:
                return self._signed
            news = self._news
            try:
                await asyncio.wait_for(news.wait(), max(0.0, deadline - self._clock()))
            except TimeoutError:
                return None
            if self._closed:
                return None

    async def _settle(self, version: int) -> PublishResult:
        """Wait until every live gateway shows this snapshot's effects."""
        began = self._clock()
        expected = {state.name for state in self._board.live()}
        while True:
            # One that falls silent meanwhile has not shown it: it stays missing.
            expected |= {state.name for state in self._board.live()}
            known = [state for state in self._board.gateways() if state.name in expected]
            done = [state.name for state in known if state.snapshot_version >= version and self._shows(state)]
            missing = tuple(state.name for state in known if state.name not in done)
            elapsed = self._clock() - began
            # Just started, it has heard of no gateway yet: that is no proof that there is none.
            unheard = not known and self._clock() - self._restored_s < WAIT_FOR_ACKS_S
            if (not missing and not unheard) or elapsed > WAIT_FOR_ACKS_S:
                return PublishResult(version, tuple(done), missing, not missing, elapsed)
            await self._board.wait(0.25)

    def _shows(self, state: GatewayState) -> bool:
        """Whether the engine's own shares are the wanted ones; less exposure is always allowed."""
        for name, feature in self._need().features.items():
            wanted = feature.rollout.share if feature.rollout else 0.0
            effect = state.effects.get(name)
            if effect is None or effect.candidate_share > wanted + 1e-12:
                return False
            reduced = effect.killed or effect.local_rollback is not None
            if effect.candidate_share < wanted - 1e-12 and not reduced:
                return False
        return True


def _digest(snapshot: Snapshot) -> str:
    """Of what it says, whatever its number and time."""
    return hashlib.sha256(encode_snapshot(replace(snapshot, version=0, issued_unix_s=0))).hexdigest()
