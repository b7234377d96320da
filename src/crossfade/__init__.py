"""Crossfade: route an organisation's LLM features across clouds, and move them safely."""

__version__ = "0.1.0"
