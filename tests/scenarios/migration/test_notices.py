"""Receivers are told what happened, once, in the order of the log, over restarts and outages."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossfade.config.shape.control import NotifySection
from crossfade.control.migration.history import Verb
from crossfade.control.notify import TRIES, Notifier


@pytest.fixture
def receiver():
    """A webhook: `got` in order; answers 503 so many times first."""
    state = {"got": [], "down": 0}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            is_down, state["down"] = state["down"] > 0, max(0, state["down"] - 1)
            if not is_down:
                state["got"].append(body)
            self.send_response(503 if is_down else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state, f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    thread.join()
    server.server_close()


def notifier_of(world, tmp_path, *receivers):
    waited = []

    async def pause(seconds):
        waited.append(seconds)

    place = tmp_path / "notified.json"
    return Notifier(receivers, world.log, place, "holder", world.clouds.clock, pause), waited


async def test_people_are_told_what_is_asked_what_rolls_back_and_what_is_promoted(world, receiver, tmp_path):
    state, url = receiver
    notifier, _ = notifier_of(world, tmp_path, NotifySection(url=url))
    await notifier.look()
    await world.started()
    await world.turns(5)
    await notifier.look()
    assert [(got["what"], got["page"]) for got in state["got"]] == [("ask", "waiting-for-a-person")]
    assert state["got"][0]["text"].startswith("move waits for people: compliance needs the sign-off of")

    for role, person in (("legal", "Ann"), ("security", "Bo")):
        await world.service.sign("move", role=role, person=person, statement="approved")
    await world.until_share(0.25)
    await world.service.roll_back("move", actor="ann", reason="a customer called")
    await world.turns(5)
    await notifier.look()
    assert [got["what"] for got in state["got"]] == ["ask", "rollback"], (
        "a rollback is told once, not again as a hold"
    )
    assert state["got"][1]["reason"] == "asked by ann: a customer called"

    await world.service.command("move", Verb.RESUME, actor="ann", reason="mended")
    await world.until("promoted")
    again, _ = notifier_of(world, tmp_path, NotifySection(url=url))  # another process
    await again.look()
    await again.look()
    assert [got["what"] for got in state["got"]] == ["ask", "rollback", "promote"]


async def test_slack_gets_a_text_and_only_what_was_chosen(world, receiver, tmp_path, monkeypatch):
    state, url = receiver
    monkeypatch.setenv("HOOK", url)
    notifier, _ = notifier_of(world, tmp_path, NotifySection(env="HOOK", form="slack", on=("rollback",)))
    await notifier.look()
    await world.signed()
    await world.until_share(0.01)
    world.clouds.bad_share = 1.0
    await world.until("rolled_back")
    await notifier.look()
    assert len(state["got"]) == 1
    assert state["got"][0].keys() == {"text"}
    assert state["got"][0]["text"].startswith("move rolls back: errors guard at 1%")
    assert state["got"][0]["text"].endswith("(docs/on-call/rolled-back.md)")


async def test_a_receiver_that_is_down_is_tried_again_and_a_dead_one_is_given_up_without_its_address(
    world, receiver, tmp_path, caplog
):
    state, url = receiver
    state["down"] = 2
    notifier, waited = notifier_of(world, tmp_path, NotifySection(url=url))
    await notifier.look()
    await world.started()
    await world.turns(5)
    await notifier.look()
    assert [got["what"] for got in state["got"]] == ["ask"]
    assert waited == [1.0, 2.0]

    state["down"] = TRIES
    world.clouds.print = "0" * 64
    await world.service.command("move", Verb.HOLD, actor="ann", reason="wait")
    world.clouds.now += 1000.0
    await world.turns(1)
    await world.service.command("move", Verb.RESUME, actor="ann", reason="go")
    await world.turns(5)
    await notifier.look()
    assert len(state["got"]) == 1
    assert "not told to control.notify.url: move waits for people" in caplog.text
    assert "/hook" not in caplog.text


def test_one_address_is_named():
    for wrong in ({}, {"url": "http://a", "env": "B"}):
        with pytest.raises(ValueError, match="name one of url and env"):
            NotifySection(**wrong)
