"""The broker holds what is good, lets go of what has ended, and keeps sources apart."""

from __future__ import annotations

import asyncio
import threading

from crossfade.config.compile import CredentialNeed
from crossfade.config.schema import AuthSection
from crossfade.control.credentials.broker import CredentialBroker, explain
from crossfade.domain.credential import BearerCredential
from crossfade.domain.snapshot import AuthScheme


class World:
    """A clock, and sources that answer or fail as told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.broken: set[str] = set()
        self.fetched: list[str] = []

    def fetch(self, need: CredentialNeed) -> BearerCredential:
        self.fetched.append(need.name)
        if need.name in self.broken:
            raise LookupError("the issuer says no")
        return BearerCredential(f"{need.name}-{len(self.fetched)}", int(self.now + 900))

    def broker(self, *names: str) -> CredentialBroker:
        return CredentialBroker(tuple(map(need, names)), clock=lambda: self.now, fetcher=self.fetch)


def need(name: str, env: str = "KEY") -> CredentialNeed:
    return CredentialNeed(name, AuthScheme.BEARER, AuthSection(method="api-key", env=env))


async def test_a_source_that_fails_keeps_its_last_credential_until_it_really_ends():
    world = World()
    broker = world.broker("good", "bad")
    await broker.refresh()
    world.broken.add("bad")

    world.now += 620
    await broker.refresh()
    assert set(broker.document().bearer) == {"good", "bad"}
    assert broker.failures["bad"].startswith("expires at")
    world.now += 140
    await broker.refresh()
    assert broker.failures["bad"].startswith("ALARM, expires at")
    world.now += 141
    await broker.refresh()

    assert set(broker.document().bearer) == {"good"}
    assert broker.failures["bad"].startswith("expired at")
    assert "the issuer says no" in broker.failures["bad"]
    world.broken.clear()
    world.now += 31
    await broker.refresh()
    assert set(broker.document().bearer) == {"good", "bad"}
    assert broker.failures == {}


async def test_nothing_is_fetched_before_it_is_due_and_nobody_is_told_news_that_is_none():
    world = World()
    broker = world.broker("a")
    await broker.refresh()
    first = broker.document()

    world.now += 500
    await broker.refresh()

    assert world.fetched == ["a"]
    assert broker.document() == first
    assert await broker.next_document(first.revision, timeout_s=0) is None


async def test_a_slow_source_does_not_hold_back_a_quick_one():
    world, release = World(), threading.Event()

    def fetch(wanted: CredentialNeed) -> BearerCredential:
        if wanted.name == "slow":
            release.wait(10)
        return world.fetch(wanted)

    broker = CredentialBroker((need("slow"), need("quick")), clock=lambda: world.now, fetcher=fetch)
    loop = asyncio.create_task(broker.run())

    first = await broker.next_document(0, timeout_s=5)
    release.set()
    second = await broker.next_document(first.revision, timeout_s=5)
    loop.cancel()

    assert set(first.bearer) == {"quick"}
    assert set(second.bearer) == {"quick", "slow"}


async def test_a_changed_source_serves_its_old_credential_until_the_new_one_is_there():
    world = World()
    broker = world.broker("a", "b")
    await broker.refresh()
    before = broker.document().bearer

    world.broken.add("a")
    broker.expect((need("a", env="OTHER"),))
    await broker.refresh()
    assert broker.document().bearer == {"a": before["a"]}
    world.broken.clear()
    world.now += 31
    await broker.refresh()

    assert broker.document().bearer["a"] != before["a"]


async def test_it_ends_when_told_to_also_when_another_config_comes_in_the_same_moment():
    broker = World().broker("good")
    running = asyncio.create_task(broker.run())
    while not broker.document().bearer:  # noqa: ASYNC110 - until its first fetch, in a thread, is in
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    broker.expect((need("good"),))
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=5.0)
    assert done, "the cancellation was lost"


def test_an_error_is_shown_without_anything_as_long_as_a_token():
    shown = explain(ValueError("refused " + "x" * 500 + " for\nthis subject"))

    assert shown == "ValueError: refused … for this subject"
