"""The console against a real deployment, in a real browser."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from deployment import Clouds, Deployment, call
from page_types import check_types


def ask(deployment: Deployment) -> None:
    """One request; an error is the caller's to see, not this test's."""
    body = {"model": "summary", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 20}
    with contextlib.suppress(urllib.error.HTTPError):
        call(f"{deployment.url}/v1/chat/completions", "POST", body)


def test_a_real_document_fits_the_types_of_the_page(deployment: Deployment, migration, tmp_path: Path):
    document = deployment.read("/api/v1/overview")

    assert document["migrations"][0]["steps"]
    check_types(document, "Overview", tmp_path)


def test_features_and_endpoints_are_live(browser: Browser, deployment: Deployment):
    with browser.page(deployment.page()) as page:
        page.wait_for_text("#feature-summary", "100 % gpt")
        page.wait_for_text("#endpoint-gpt", "healthy")
        before = deployment.read("/api/v1/overview")["features"][0]["requests"]
        ask(deployment)
        page.wait_for_text("#feature-summary", str(before + 1))
        page.wait_for_text("header", "live")

        assert page.errors() == []
        assert {url.split("/")[2] for url in page.requests()} == {deployment.control.split("/")[2]}


def test_a_migrations_gates_open_before_the_readers_eyes(browser: Browser, deployment: Deployment, migration):
    with browser.page(deployment.page("#migration-summary-to-claude")) as page:
        page.wait_for_text(".gates", "1 of 2 sign-offs" if _is_signed(deployment) else "0 of 2 sign-offs")
        page.wait_for_text("#now", "waits for a person")
        page.wait_for_text(".gates", "sign-offs: legal, security")
        page.wait("document.title.startsWith('1 to look at')")
        page.wait("document.querySelector('#migration-summary-to-claude').getBoundingClientRect().top < 400")
        migration("legal")
        page.wait_for_text(".gates", "1 of 2 sign-offs")

        assert "crossfade migration sign summary-to-claude" in page.text("#migration-summary-to-claude")
        assert page.errors() == []


def _is_signed(deployment: Deployment) -> bool:
    [row] = deployment.read("/api/v1/overview")["migrations"]
    return "1 of 2" in row["steps"][0]["gates"][0]["has"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_scrolls_sideways(
    browser: Browser, deployment: Deployment, migration, width: int, scheme: str
):
    with browser.page(deployment.page(), width=width, scheme=scheme) as page:
        page.wait_for_text("#migrations", "summary-to-claude")
        wider = """[...document.querySelectorAll('main *, header *')]
            .filter(e => !e.closest('.visually-hidden, thead'))
            .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
            .map(e => e.outerHTML.slice(0, 120))"""

        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(wider) == []


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(browser: Browser, deployment: Deployment):
    with browser.page(deployment.page()) as page:
        page.wait_for_text("#features", "summary")
        reached = []
        for _ in range(5):
            page.press("Tab")
            reached.append(page.evaluate("document.activeElement.textContent.trim()"))
            outlined = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
            assert page.evaluate(outlined), reached

        assert reached == ["Skip to the state", "Features", "Migrations", "Endpoints", "Gateways"]


def test_a_fault_and_its_mending_show_without_a_reload(
    browser: Browser, deployment: Deployment, clouds: Clouds
):
    open_breaker = """document.querySelector('#now').innerText.includes('Endpoint gpt: breaker open')
        && document.querySelector('#feature-summary').innerText.includes('claude backup')
        && document.title.includes('wrong')"""
    with browser.page(deployment.page()) as page, traffic(deployment):
        page.wait_for_text("#endpoint-gpt", "healthy")
        clouds.put_fault("openai", "gpt-sim", kind="errors", rate=1.0)
        try:
            page.wait(open_breaker)
        finally:
            clouds.clear_fault("openai", "gpt-sim")
        page.wait("!document.querySelector('#endpoint-gpt').innerText.includes('breaker open')")

        assert page.errors() == []


@contextlib.contextmanager
def traffic(deployment: Deployment) -> Iterator[None]:
    """One caller after the other: a breaker opens and closes again only under traffic."""
    is_over = threading.Event()

    def call_on() -> None:
        while not is_over.is_set():
            ask(deployment)

    caller = threading.Thread(target=call_on)
    caller.start()
    try:
        yield
    finally:
        is_over.set()
        caller.join()


def test_a_stranger_sees_nothing_and_whose_login_ends_sees_no_more(browser: Browser, deployment: Deployment):
    with browser.page(deployment.control) as page:
        page.wait_for_text("#now", "Log in to see it.")
        page.wait("document.title.startsWith('Log in')")
        assert "summary" not in page.text("body")
    with browser.page(deployment.page()) as page:
        page.wait_for_text("#features", "summary")
        page.evaluate("fetch('./logout', {method: 'POST'}).then(() => location.reload())")
        page.wait_for_text("#now", "Log in to see it.")


def test_lost_control_is_said_and_its_return_is_seen(browser: Browser, deployment: Deployment):
    with browser.page(deployment.page()) as page:
        page.wait_for_text("header", "live")
        os.kill(deployment.control_pid, signal.SIGSTOP)  # silent, but its connections stay open
        try:
            page.wait_for_text("#now", "Control does not answer.")
            page.wait("document.title.startsWith('Control lost')")
            page.wait_for_text("#features", "summary")
        finally:
            os.kill(deployment.control_pid, signal.SIGCONT)
        page.wait_for_text("header", "live")
        page.wait("!document.querySelector('#now').innerText.includes('Control does not answer.')")


def test_a_rollback_from_the_page_says_what_every_gateway_showed(
    browser: Browser, deployment: Deployment, migration
):
    """Last: the migration is rolled back for good."""
    press = (
        "document.querySelector('.way-back').open = true; document.querySelector('.way-back button').click()"
    )
    with browser.page(deployment.page()) as page:
        page.wait_for_text("#migrations", "Roll back")
        page.evaluate(press)
        page.wait_for_text(".way-back", "Share 0 on 1 gateways after")
        page.wait_for_text("#now", "stands still")
