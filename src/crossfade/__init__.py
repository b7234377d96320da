"""Crossfade: route an organisation's LLM features across clouds, and move them safely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossfade.version import __version__

if TYPE_CHECKING:
    from crossfade.client import Client

__all__ = ["Client", "__version__"]


def __getattr__(name: str) -> Any:
    """Load `Client` on first use: a gateway process must not pay for control's libraries."""
    if name == "Client":
        from crossfade.client import Client  # noqa: PLC0415 - lazy on purpose

        return Client
    raise AttributeError(f"module 'crossfade' has no attribute {name!r}")
