"""Short-lived credentials for the gateways, fetched by the clouds' own SDKs, refreshed early.

Nothing here is written to disk or printed. A source that fails keeps its last credential until
that really expires; the others are not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from crossfade.config.compile import CredentialNeed
from crossfade.control.credentials.aws import fetch_aws
from crossfade.domain.credential import AwsCredential, BearerCredential, Credentials
from crossfade.domain.snapshot import AuthScheme

REFRESH_BEFORE_S = 900.0  # SDKs call 15 minutes "advisory": late enough to be rare, early enough to retry
RETRY_S = 10.0
LONGEST_WAIT_S = 300.0

log = logging.getLogger(__name__)

Fetched = AwsCredential | BearerCredential


class CredentialBroker:
    """Holds the current document and keeps it fresh."""

    def __init__(self, needs: tuple[CredentialNeed, ...], clock: Callable[[], float] = time.time) -> None:
        self._needs = needs
        self._clock = clock
        self._held: dict[str, Fetched] = {}
        self._revision = 0
        self._news = asyncio.Event()
        self.failures: dict[str, str] = {}

    def expect(self, needs: tuple[CredentialNeed, ...]) -> None:
        """Another config serves: fetch what it needs at the next turn."""
        self._needs = needs

    def close(self) -> None:
        """Control stops: end the polls that wait."""
        self._news.set()

    def document(self) -> Credentials:
        """Everything held now."""
        aws = {name: held for name, held in self._held.items() if isinstance(held, AwsCredential)}
        bearer = {name: held for name, held in self._held.items() if isinstance(held, BearerCredential)}
        return Credentials(self._revision, aws, bearer)

    async def next_document(self, after: int, timeout_s: float) -> Credentials | None:
        """The document once its revision differs from `after`; None after the timeout."""
        if self._revision == after:
            news = self._news
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), timeout_s)
        return self.document() if self._revision != after else None

    async def refresh(self) -> float:
        """Fetch what is missing or due; returns seconds until the next is due."""
        waits = [LONGEST_WAIT_S]
        fetched: dict[str, Fetched] = {}
        for need in self._needs:
            wait = self._due_in(need.name)
            if wait <= 0:
                try:
                    fetched[need.name] = await asyncio.to_thread(fetch, need)
                    self.failures.pop(need.name, None)
                    wait = LONGEST_WAIT_S
                except Exception as error:  # noqa: BLE001 - an SDK may raise anything; it is one source's failure
                    self.failures[need.name] = f"{type(error).__name__}: {error}"
                    log.warning("credential %s could not be fetched: %s", need.name, type(error).__name__)
                    wait = RETRY_S
            waits.append(wait)
        wanted = {need.name for need in self._needs}
        merged = {name: held for name, held in {**self._held, **fetched}.items() if name in wanted}
        if merged != self._held:
            self._held = merged
            self._revision += 1
            self._news.set()
            self._news = asyncio.Event()
        return max(1.0, min(waits))

    async def run(self) -> None:
        """Refresh for ever, with jitter so that a fleet does not ask at once."""
        while True:
            wait = await self.refresh()
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))

    def _due_in(self, name: str) -> float:
        held = self._held.get(name)
        if held is None:
            return 0.0
        if held.expires_unix_s is None:
            return LONGEST_WAIT_S
        left = held.expires_unix_s - self._clock()
        return left - min(REFRESH_BEFORE_S, max(left / 3, 30.0))


def fetch(need: CredentialNeed) -> Fetched:
    """Fetch one credential now. Raises what the source raises."""
    auth = need.auth
    if need.scheme is AuthScheme.BEARER:
        text = os.environ.get(auth.env or "") if auth.env else Path(auth.file or "").read_text().strip()
        if not text:
            raise LookupError(f"the variable {auth.env} is empty")
        return BearerCredential(token=text, expires_unix_s=None)
    return fetch_aws(auth)
