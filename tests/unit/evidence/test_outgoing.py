"""Control asks other systems every second: what each question costs beside the question."""

from __future__ import annotations

import httpx2
import pytest

from crossfade.control import outgoing


@pytest.fixture
def loaded(monkeypatch):
    """How often the trusted certificates were loaded, 25 ms in which nothing else runs."""
    seen = []
    real = httpx2.create_ssl_context
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda: seen.append(1) or real())
    outgoing._trusted.cache_clear()
    yield seen
    outgoing._trusted.cache_clear()


async def test_the_trusted_certificates_are_loaded_once_for_all_questions(loaded):
    for timeout_s in (1.0, 2.0, 3.0):
        async with outgoing.client(timeout_s) as client:
            assert client.timeout.read == timeout_s
    assert loaded == [1]
