"""Each way an answer can be spoilt has one outcome, the same in every dialect.

An answer that cannot be read is `malformed_output`, one that was cut `stream_interrupted`, one that
says nothing `empty_response`. What is harmless is passed over, and counted where it is not known.
"""

from __future__ import annotations

import copy
import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from answers import ARGUMENTS, FORMS, PLAIN, STREAMS, TEXT, Events, Form, frame, meaning, read

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"
UNREADABLE = b"data: {oops\n\n"
each_form = pytest.mark.parametrize("form", FORMS, ids=str)
each_stream = pytest.mark.parametrize("form", STREAMS, ids=str)
each_plain = pytest.mark.parametrize("form", PLAIN, ids=str)
each_sse = pytest.mark.parametrize("form", [form for form in STREAMS if form.framing == "sse"], ids=str)


def changed(form: Form, change: Callable[[Any], Any]) -> Form:
    """The form with `change` applied to every value of its documents."""

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            value = {name: walk(inner) for name, inner in value.items()}
        elif isinstance(value, list):
            value = [walk(inner) for inner in value]
        return change(value)

    return replace(form, events=[(name, walk(copy.deepcopy(document))) for name, document in form.events])


def kind(seen: dict[str, Any]) -> str | None:
    return seen["error"] and seen["error"]["kind"]


@each_form
def test_the_answer_is_read_in_every_dialect(form: Form):
    seen = meaning(read(form))

    assert seen["text"] == TEXT
    assert seen["calls"] == [("look", ARGUMENTS)]
    assert seen["stop"] == "ToolCalls"
    assert (seen["usage"]["input_uncached"], seen["usage"]["output"], seen["error"]) == (9, 5, None)


@each_form
@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (HTML, "malformed_output"),
        (gzip.compress(b"{}", mtime=0), "malformed_output"),
        (b"", "empty_response"),
        (b" \r\n\n", "empty_response"),
        (b"{}", None),
        (b"upstream connect error", None),
    ],
)
def test_what_is_no_answer_is_the_providers_failure(form: Form, body: bytes, wanted: str | None):
    seen = read(form, body)

    assert not seen["text"]
    assert kind(seen) in ({wanted} if wanted else {"malformed_output", "empty_response", "server_error"})


@each_plain
def test_a_document_cut_anywhere_is_malformed(form: Form):
    for end in range(1, len(form.bytes), 7):
        assert kind(read(form, form.bytes[:end])) == "malformed_output", end


@each_stream
def test_a_stream_cut_anywhere_never_ends_well(form: Form):
    whole = meaning(read(form))
    for end in range(len(form.bytes)):
        seen = read(form, form.bytes[:end])
        if kind(seen) is None:  # only the last event's own end may be missing, or what follows it
            assert meaning(seen) | {"usage": None} == whole | {"usage": None}, end
        else:
            assert kind(seen) in {"stream_interrupted", "empty_response", "malformed_output"}, end


@each_form
def test_the_content_type_does_not_decide(form: Form):
    """A plain answer to a stream's request, and a stream to a plain one."""
    asked = "whole"
    if form.framing == "whole":
        asked = {"bedrock_converse": "aws-events", "bedrock_invoke": "aws-chunks"}.get(form.dialect, "sse")

    assert meaning(read(form, framing=asked)) == meaning(read(form))


@each_form
@pytest.mark.parametrize("cut", [1, 2, 3, 5, 64])
def test_borders_inside_characters_do_not_matter(form: Form, cut: int):
    assert read(form, cut=cut) == read(form)


@each_form
def test_numbers_may_be_strings_or_fractions(form: Form):
    for number in (str, float):
        spoilt = changed(form, lambda v, n=number: n(v) if type(v) is int else v)
        if form.framing == "whole":  # arguments are the model's own
            seen = read(spoilt)
            assert seen["usage"] == read(form)["usage"]
        else:
            assert meaning(read(spoilt))["usage"] == meaning(read(form))["usage"]
            assert read(spoilt)["text"] == TEXT


@each_form
def test_missing_usage_leaves_the_answer_whole(form: Form):
    def without(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {n: v for n, v in value.items() if n not in {"usage", "usageMetadata"}}

    seen = meaning(read(changed(form, without)))

    assert seen == meaning(read(form)) | {"usage": None}


@each_form
def test_an_unknown_stop_reason_is_kept_and_counted(form: Form):
    words = {"tool_calls", "tool_use", "STOP", "TOOL_CALL"}
    seen = read(changed(form, lambda v: "brand_new" if isinstance(v, str) and v in words else v))

    if form.dialect != "openai_responses":  # it says `completed`, and its items what that means
        assert seen["stop"] == {"reason": "Unknown", "raw": "brand_new"}
        assert seen["unknown"] == 1
    assert (seen["text"], seen["error"]) == (TEXT, None)


def _news(form: Form) -> Events:
    if form.framing == "aws-events":
        return [("somethingNew", {"a": 1})]
    return [("something.new", {"type": "something.new", "a": 1})]


@pytest.mark.parametrize(  # Gemini's events have no type: a chunk without candidates is ordinary
    "form", [form for form in STREAMS if form.dialect != "gemini"], ids=str
)
def test_an_unknown_event_is_passed_over_and_counted(form: Form):
    first, rest = form.events[:1], form.events[1:]
    seen = read(replace(form, events=[*first, *_news(form), *rest]))

    assert meaning(seen) == meaning(read(form))
    assert (seen["skipped"], seen["unknown"]) == (0, 1)


@each_stream
def test_one_unreadable_event_is_skipped_and_two_in_a_row_break_the_stream(form: Form):
    bad = frame({":message-type": "event", ":event-type": "chunk"}, b"{oops")
    if form.framing == "aws-bytes":
        bad = frame({":message-type": "event", ":event-type": "PayloadPart"}, UNREADABLE)
    elif form.framing == "sse":
        bad = UNREADABLE
    head = form.write(form.events[:1]).removesuffix(b"data: [DONE]\n\n")
    if form.framing == "aws-bytes":
        head = b""
    rest = form.bytes[len(head) :]

    one, two = read(form, head + bad + rest), read(form, head + bad + bad + rest)

    assert meaning(one) == meaning(read(form))
    assert one["skipped"] == 1
    assert kind(two) == "malformed_output"


@pytest.mark.parametrize(  # elsewhere the bytes are inside another encoding
    "form", [form for form in FORMS if form.framing not in {"aws-chunks", "aws-bytes"}], ids=str
)
def test_bytes_that_are_no_text_are_replaced(form: Form):
    spoilt = changed(form, lambda v: v.replace("🙂", "@@") if isinstance(v, str) else v)
    body = spoilt.bytes
    if form.framing == "aws-events":
        name, document = spoilt.events[2]
        payload = json.dumps(document, ensure_ascii=False).encode()
        clean = frame({":message-type": "event", ":event-type": name}, payload)
        body = body.replace(
            clean, frame({":message-type": "event", ":event-type": name}, payload.replace(b"@@", b"\xf0\x9f"))
        )
    seen = read(form, body.replace(b"@@", b"\xf0\x9f"))

    assert seen["text"] == TEXT.replace("🙂", "\ufffd")
    assert (seen["error"], seen["skipped"]) == (None, 0)


@each_sse
def test_halves_of_a_surrogate_pair_do_not_lose_an_event(form: Form):
    body = form.bytes.replace("🙂".encode(), b"\\ud83d")
    seen = read(form, body)

    assert seen["text"].startswith(TEXT[:-1])
    assert (seen["error"], seen["skipped"]) == (None, 0)


@each_sse
@pytest.mark.parametrize(
    "noise",
    [b": keep-alive\n\n", b"data:\n\n", b"data: {}\n\n", b"data: null\n\n", b'data: "beat"\n\n', b"\n\n"],
)
def test_keep_alives_in_any_form_say_nothing(form: Form, noise: bytes):
    body = noise * 2 + form.bytes.replace(b"\n\n", b"\n\n" + noise * 3)

    assert meaning(read(form, body)) == meaning(read(form))
    assert read(form, body)["skipped"] == 0


@each_sse
def test_every_legal_way_to_write_an_event_is_the_same(form: Form):
    body = form.bytes
    pretty = b"".join(
        b"".join(b"data: " + line + b"\n" for line in json.dumps(document, indent=1).encode().split(b"\n"))
        + b"\n"
        for _, document in form.events
    )
    mark = b"data: [DONE]\n\n" if b"[DONE]" in body else b""
    for other in (
        body.replace(b"\n", b"\r\n"),
        body.replace(b": ", b":"),
        body.replace(b"data: ", b"data:   "),
        b"\xef\xbb\xbf" + body,
        b"id: 1\nretry: 3\n" + body,
        body.rstrip(),
        pretty + mark,
    ):
        assert meaning(read(form, other)) == meaning(read(form)), other[:80]


def test_frames_with_a_wrong_sum_or_length_break_the_stream():
    for form in STREAMS:
        if not form.framing.startswith("aws"):
            continue
        body = form.bytes
        for at in (9, 30, len(body) // 2, len(body) - 1):
            flipped = body[:at] + bytes([body[at] ^ 0x40]) + body[at + 1 :]
            assert kind(read(form, flipped)) in {"stream_interrupted", "empty_response"}, (str(form), at)


@pytest.mark.parametrize(
    "form", [form for form in STREAMS if form.framing in {"aws-events", "aws-chunks"}], ids=str
)
def test_frames_that_say_nothing_are_passed_over(form: Form):
    for noise in (
        frame({}, b""),
        frame({":message-type": "event", ":event-type": "initial-response"}, b"{}"),
        frame({":message-type": "event", ":event-type": "somethingNew"}, b""),
    ):
        assert meaning(read(form, noise + form.bytes)) == meaning(read(form))


def _call(index: int | None, name: str, arguments: str, identity: str | None) -> dict[str, Any]:
    call = {"index": index, "id": identity, "function": {"name": name, "arguments": arguments}}
    delta = {"tool_calls": [{n: v for n, v in call.items() if v is not None}]}
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


@pytest.mark.parametrize(
    ("index", "identity"),
    [((0, 1), "same"), ((0, 0), None), ((None, None), None), ((0, 7), None), ((5, 2), "x")],
)
def test_calls_with_the_same_or_no_id_stay_two(index: tuple[int | None, int | None], identity: str | None):
    sse = next(form for form in STREAMS if str(form) == "openai_chat/sse")
    calls = [("", _call(at, name, '{"a": 1}', identity)) for at, name in zip(index, "fg", strict=True)]
    seen = read(replace(sse, events=[*calls, *sse.events[3:]]))

    assert [(call["name"], call["arguments"]) for call in seen["tool_calls"]] == [
        ("f", '{"a": 1}'),
        ("g", '{"a": 1}'),
    ]
    assert all(call["id"] for call in seen["tool_calls"])
    if identity is None:
        assert len({call["id"] for call in seen["tool_calls"]}) == 2
