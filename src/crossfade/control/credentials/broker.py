"""Short-lived credentials for the gateways, fetched by the clouds' own SDKs, refreshed early.

Nothing here is written to disk or printed. A source that fails keeps its last credential until
that really expires; the others are not touched: each is fetched in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from crossfade.config.compile import CredentialNeed
from crossfade.control.credentials.sources import Fetched, fetch
from crossfade.control.credentials.timing import Life, is_alarming, refresh_at, retry_after_s
from crossfade.domain.credential import AwsCredential, BearerCredential, Credentials

FETCH_WITHIN_S = 30.0  # the SDKs' own deadlines are shorter; this one holds when they are not
LONGEST_WAIT_S = 300.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Source:
    """One credential's source: what it gave last, and how it fares."""

    need: CredentialNeed
    credential: Fetched | None = None
    life: Life | None = None
    due_unix_s: float = 0.0
    busy: bool = False
    failures: int = 0  # in a row
    failed: int = 0  # ever
    error: str | None = None


class CredentialBroker:
    """Holds the current document and keeps it fresh."""

    def __init__(
        self,
        needs: tuple[CredentialNeed, ...],
        clock: Callable[[], float] = time.time,
        fetcher: Callable[[CredentialNeed], Fetched] = fetch,
    ) -> None:
        self._sources = {need.name: Source(need) for need in needs}
        self._clock = clock
        self._fetch = fetcher
        self._revision = 0
        self._shown: dict[str, Fetched] = {}
        self._news = asyncio.Event()
        self._changed = asyncio.Event()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every source, by the order of the config."""
        return tuple(self._sources.values())

    @property
    def failures(self) -> dict[str, str]:
        """What is wrong with which credential, in words for people."""
        now = self._clock()
        return {
            source.need.name: _describe(source, now)
            for source in self.sources
            if source.error or (source.life is not None and is_alarming(source.life, now))
        }

    def expect(self, needs: tuple[CredentialNeed, ...]) -> None:
        """Another config serves: fetch what it needs at the next turn; what did not change stays.

        A source that did change keeps its old credential until the new one is there.
        """
        fresh: dict[str, Source] = {}
        for need in needs:
            source = self._sources.get(need.name) or Source(need)
            if source.need != need:
                source.need, source.due_unix_s, source.failures = need, 0.0, 0
            fresh[need.name] = source
        self._sources = fresh
        self._changed.set()

    def close(self) -> None:
        """Control stops: end the polls that wait."""
        self._news.set()

    def document(self) -> Credentials:
        """Everything held now that has not expired."""
        aws = {name: held for name, held in self._shown.items() if isinstance(held, AwsCredential)}
        bearer = {name: held for name, held in self._shown.items() if isinstance(held, BearerCredential)}
        return Credentials(self._revision, aws, bearer)

    async def next_document(self, after: int, timeout_s: float) -> Credentials | None:
        """The document once its revision differs from `after`; None after the timeout."""
        if self._revision == after:
            news = self._news
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), timeout_s)
        return self.document() if self._revision != after else None

    async def refresh(self) -> None:
        """Fetch what is due and wait for all of it: the first turn, before anything is served."""
        await asyncio.gather(*self._start_due())
        self._publish()

    async def run(self) -> None:
        """Refresh for ever, each source at its own pace: a slow one holds back nobody."""
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._changed.clear()
                for task in self._start_due():
                    running.add(task)
                    task.add_done_callback(running.discard)
                # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with news.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._wait_s()):
                        await self._changed.wait()
                self._publish()
        finally:
            for task in running:
                task.cancel()

    def _start_due(self) -> list[asyncio.Task[None]]:
        due = [source for source in self.sources if not source.busy and source.due_unix_s <= self._clock()]
        for source in due:
            source.busy = True
        return [asyncio.create_task(self._refresh_one(source)) for source in due]

    def _wait_s(self) -> float:
        """Seconds until a source is due or a credential ends."""
        now = self._clock()
        times = [source.due_unix_s for source in self.sources if not source.busy]
        ends = [source.life.until_unix_s for source in self.sources if source.life is not None]
        times += [end for end in ends if end is not None and end > now]
        return max(0.05, min([LONGEST_WAIT_S, *(at - now for at in times)]))

    async def _refresh_one(self, source: Source) -> None:
        try:
            await self._fetch_one(source)
        finally:
            source.busy = False
            self._publish()
            self._changed.set()

    async def _fetch_one(self, source: Source) -> None:
        need = source.need
        try:
            fetched = await asyncio.wait_for(asyncio.to_thread(self._fetch, need), FETCH_WITHIN_S)
        except Exception as error:  # noqa: BLE001 - an SDK may raise anything; it is one source's failure
            source.failures += 1
            source.failed += 1
            source.error = explain(error)
            source.due_unix_s = self._clock() + retry_after_s(source.failures, random.random())
            late = source.life is None or is_alarming(source.life, self._clock())
            level = logging.ERROR if late else logging.WARNING
            log.log(level, "credential %s could not be fetched: %s", need.name, type(error).__name__)
            return
        if source.need != need:
            return  # the config changed meanwhile: this one is for somebody else
        now = self._clock()
        source.credential = fetched
        until = fetched.expires_unix_s
        source.life = Life(now, None if until is None else float(until))
        source.due_unix_s = refresh_at(source.life, random.random())
        source.failures, source.error = 0, None

    def _publish(self) -> None:
        now = self._clock()
        shown = {
            source.need.name: source.credential
            for source in self.sources
            if source.credential is not None and source.life is not None and not source.life.is_over(now)
        }
        if shown != self._shown:
            self._shown = shown
            self._revision += 1
            self._news.set()
            self._news = asyncio.Event()


def explain(error: Exception) -> str:
    """An SDK's error in one line, without anything that looks like a token."""
    if isinstance(error, TimeoutError):
        return f"no answer within {FETCH_WITHIN_S:.0f} s"
    text = " ".join(str(error).split())
    words = ["…" if len(word) > 80 else word for word in text.split(" ")]  # tokens are long, words are not
    return f"{type(error).__name__}: {' '.join(words)[:300]}"


def _describe(source: Source, now: float) -> str:
    life, error = source.life, source.error or "the source has not answered yet"
    if life is None:
        return f"never fetched: {error}"
    if life.until_unix_s is None:
        return f"the last one is still used: {error}"
    end = datetime.fromtimestamp(life.until_unix_s, UTC).strftime("%H:%M:%S UTC")
    if life.is_over(now):
        return f"expired at {end}: {error}"
    urgency = "ALARM, expires" if is_alarming(life, now) else "expires"
    return f"{urgency} at {end} and cannot be renewed: {error}"
