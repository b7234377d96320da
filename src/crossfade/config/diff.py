"""What changed between two configs, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossfade.config.features import Config


@dataclass(frozen=True, slots=True)
class Change:
    """`before` or `after` is null where the key did not stand."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """`+ path: value`, `- path: value` or `~ path: old -> new`."""
        if self.before is None:
            return f"+ {self.path}: {self.after}"
        if self.after is None:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} -> {self.after}"


def diff(old: Config, new: Config) -> list[Change]:
    """Changes of the expanded forms, sorted by path."""
    before, after = (_flat(config.model_dump(mode="json", by_alias=True), "") for config in (old, new))
    return [
        Change(path, before.get(path), after.get(path))
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def _flat(value: Any, path: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return {
            k: v for key, item in value.items() for k, v in _flat(item, f"{path}.{key}".lstrip(".")).items()
        }
    return {path: value}
