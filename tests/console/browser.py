"""A real Chromium, driven through playwright-core in a Node process."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WITHIN_S = 120  # a busy box is slow, not wrong


class Browser:
    """Sends one command at a time to `browser.mjs`."""

    def __init__(self, chromium: str) -> None:
        self.process = subprocess.Popen(
            ["node", str(Path(__file__).with_name("browser.mjs")), chromium],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.opened = 0

    def ask(self, command: str, **options: Any) -> Any:
        """The command's value; AssertionError with the page's own words when it fails."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"command": command, **options}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser ended"
        answer = json.loads(line)
        assert "error" not in answer, f"{command} {options}: {answer['error']}"
        return answer["value"]

    @contextlib.contextmanager
    def page(self, url: str, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
        """A page at `url`."""
        self.opened += 1
        self.ask("open", page=self.opened, url=url, width=width, height=900, scheme=scheme)
        try:
            yield Page(self, self.opened)
        finally:
            self.ask("close", page=self.opened)

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()


class Page:
    """One page."""

    def __init__(self, browser: Browser, number: int) -> None:
        self._browser = browser
        self._number = number

    def wait(self, expression: str, within_s: float = WITHIN_S) -> None:
        """Return once the JavaScript `expression` is true in the page."""
        try:
            self._browser.ask("wait", page=self._number, expression=expression, timeout_ms=within_s * 1000)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page shows: {self.text('body')}") from None

    def wait_for_text(self, selector: str, text: str, within_s: float = WITHIN_S) -> None:
        """Return once the element shows `text`."""
        shown = f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"
        self.wait(f"({shown}).includes({json.dumps(text)})", within_s)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        return self._browser.ask("evaluate", page=self._number, expression=expression)

    def text(self, selector: str) -> str:
        """What an element shows; empty if there is none."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def press(self, key: str) -> None:
        """Press a key."""
        self._browser.ask("press", page=self._number, key=key)

    def errors(self) -> list[str]:
        """Console errors and uncaught exceptions so far."""
        found: list[str] = self._browser.ask("seen", page=self._number)["errors"]
        return found

    def requests(self) -> list[str]:
        """Addresses the page has asked for."""
        found: list[str] = self._browser.ask("seen", page=self._number)["requests"]
        return found
