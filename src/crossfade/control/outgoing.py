"""What control asks other systems with: flag systems, metrics, gateways, hooks, login."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2


def client(timeout_s: float) -> httpx2.AsyncClient:
    """For one question. It shares the trusted certificates, which take 25 ms of everybody's time to load."""
    return httpx2.AsyncClient(timeout=timeout_s, verify=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
