"""Which arm a sticky unit falls on: asked of the engine itself, over the snapshot that serves."""

from __future__ import annotations

import json
import time
from typing import Any

from crossfade._engine import Decider
from crossfade.config.snapshot_json import encode_snapshot
from crossfade.control.publish import Publisher
from crossfade.control.records.counters import CounterBoard

NOBODY = {"kind": "main", "name": None, "share": None}


class EngineArms:
    """The gateways' split, without their traffic. What every gateway rolled back by itself is main."""

    def __init__(self, publisher: Publisher, board: CounterBoard) -> None:
        self._publisher = publisher
        self._board = board
        self._version = -1
        self._decider: Decider | None = None

    def arm_of(self, feature: str, unit: str) -> dict[str, Any]:
        """{kind, name, share}, as the engine's decision has it."""
        snapshot = self._publisher.snapshot
        if self._decider is None or self._version != snapshot.version:
            self._decider = Decider(encode_snapshot(snapshot))
            self._version = snapshot.version
        effects = [state.effects[feature] for state in self._board.live() if feature in state.effects]
        if effects and all(effect.killed or effect.local_rollback for effect in effects):
            return NOBODY
        facts = {
            "request_id": unit,
            "feature": feature,
            "unit": unit,
            "unix_s": int(time.time()),
            "stream": False,
            "input_tokens": 0,
            "max_output_tokens": None,
            "tools": False,
            "deadline_ms": None,
            "pin": None,
        }
        decided = json.loads(self._decider.choose(json.dumps(facts), 0.0, 0.5))
        arm: dict[str, Any] = decided["ok"]["arm"] if "ok" in decided else NOBODY
        return arm
