"""Hostile requests, as bytes: what a stranger or a broken client can put on the wire."""

from __future__ import annotations

import json
from typing import Any

PATH = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "f", "messages": [{"role": "user", "content": "Hi"}]}
GOOD_BYTES = json.dumps(GOOD).encode()


def post(body: bytes = GOOD_BYTES, *headers: str, length: str | None = None, path: str = PATH) -> bytes:
    """A POST with one Content-Length, unless `length` is empty."""
    sized = [f"content-length: {len(body) if length is None else length}"] if length != "" else []
    lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", *sized, *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def head(*lines: str, body: bytes = b"") -> bytes:
    """Exactly these lines."""
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*parts: bytes) -> bytes:
    return post(b"".join(parts), "transfer-encoding: chunked", length="")


def piece(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


LINE = f"POST {PATH} HTTP/1.1"
N = len(GOOD_BYTES)

FRAMING: dict[str, bytes] = {
    "two different lengths": post(GOOD_BYTES, f"content-length: {N + 1}"),
    "a list of lengths": post(length=f"{N}, {N + 1}"),
    "a negative length": post(length="-1"),
    "a signed length": post(length=f"+{N}"),
    "a length with a space inside": post(length="1 1"),
    "a hex length": post(length="0x10"),
    "a float length": post(length="10.0"),
    "an empty length": head(LINE, "host: x", "content-length:", body=GOOD_BYTES),
    "a huge length": post(length="9" * 30),
    "length and chunked": post(GOOD_BYTES, "transfer-encoding: chunked"),
    "chunked and length": head(
        LINE,
        "host: x",
        "transfer-encoding: chunked",
        f"content-length: {N}",
        body=piece(GOOD_BYTES) + b"0\r\n\r\n",
    ),
    "an unknown transfer coding": post(GOOD_BYTES, "transfer-encoding: xchunked", length=""),
    "gzip then chunked": post(
        piece(GOOD_BYTES) + b"0\r\n\r\n", "transfer-encoding: gzip, chunked", length=""
    ),
    "chunked twice": post(piece(GOOD_BYTES) + b"0\r\n\r\n", "transfer-encoding: chunked, chunked", length=""),
    "chunked then identity": post(
        piece(GOOD_BYTES) + b"0\r\n\r\n", "transfer-encoding: chunked, identity", length=""
    ),
    "two transfer-encoding lines": post(
        piece(GOOD_BYTES) + b"0\r\n\r\n", "transfer-encoding: gzip", "transfer-encoding: chunked", length=""
    ),
    "chunked in HTTP/1.0": head(
        f"POST {PATH} HTTP/1.0",
        "host: x",
        "transfer-encoding: chunked",
        body=piece(GOOD_BYTES) + b"0\r\n\r\n",
    ),
    "a space before the colon": head(LINE, "host: x", f"content-length : {N}", body=GOOD_BYTES),
    "a folded header": head(LINE, "host: x", "x-a: b", "  c", f"content-length: {N}", body=GOOD_BYTES),
    "a header without a name": head(LINE, "host: x", ": b", f"content-length: {N}", body=GOOD_BYTES),
    "a header without a colon": head(LINE, "host: x", "nonsense", f"content-length: {N}", body=GOOD_BYTES),
    "a NUL in a header": head(LINE, "host: x", "x-a: b\0c", f"content-length: {N}", body=GOOD_BYTES),
    "a bare CR in a header": head(LINE, "host: x", "x-a: b\rx-c: d", f"content-length: {N}", body=GOOD_BYTES),
    "no host": head(LINE, f"content-length: {N}", body=GOOD_BYTES),
    "two hosts": post(GOOD_BYTES, "host: evil"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": head(f"POST {PATH} HTTP/9.9", "host: x", f"content-length: {N}", body=GOOD_BYTES),
    "no version": head(f"POST {PATH}", "host: x", f"content-length: {N}", body=GOOD_BYTES),
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a method with a space": head(
        f"PO ST {PATH} HTTP/1.1", "host: x", f"content-length: {N}", body=GOOD_BYTES
    ),
    "a URI with a NUL": head("POST /v1/\0chat HTTP/1.1", "host: x", "content-length: 0"),
    "a long URI": head("POST /" + "a" * 100_000 + " HTTP/1.1", "host: x", "content-length: 0"),
    "thousands of headers": head(
        LINE, "host: x", *(f"x-{i}: y" for i in range(5000)), f"content-length: {N}", body=GOOD_BYTES
    ),
    "a giant header": head(
        LINE, "host: x", "x-big: " + "a" * 200_000, f"content-length: {N}", body=GOOD_BYTES
    ),
    "a bad chunk size": chunked(b"zz\r\n", GOOD_BYTES, b"\r\n0\r\n\r\n"),
    "a negative chunk size": chunked(b"-5\r\n", GOOD_BYTES, b"\r\n0\r\n\r\n"),
    "a giant chunk size": chunked(b"f" * 17 + b"\r\n", GOOD_BYTES, b"\r\n0\r\n\r\n"),
    "a chunk without its end": chunked(f"{N:x}\r\n".encode(), GOOD_BYTES, b"XX0\r\n\r\n"),
    "endless chunk extensions": chunked(b"5;" + b"a" * 100_000 + b"\r\n", b"hello\r\n0\r\n\r\n"),
    "endless trailers": chunked(piece(GOOD_BYTES), b"0\r\n", b"x-t: y\r\n" * 20_000, b"\r\n"),
    "a gzip body": post(GOOD_BYTES, "content-encoding: gzip"),
    "a br body": post(GOOD_BYTES, "content-encoding: br"),
    "a declared giant body": post(b"{", length=str(10 << 30)),
    "CONNECT": head("CONNECT evil:443 HTTP/1.1", "host: evil"),
    "OPTIONS *": head("OPTIONS * HTTP/1.1", "host: x"),
    "an absolute address of another host": head(
        "POST http://169.254.169.254/latest HTTP/1.1", "host: x", "content-length: 0"
    ),
    "a path upwards": post(path="/v1/../admin/state"),
    "an encoded path upwards": post(path="/v1/%2e%2e/admin/state"),
    "an admin route on the data port": head("GET /admin/state HTTP/1.1", "host: x"),
    "the kill switch on the data port": head("PUT /admin/kill/f HTTP/1.1", "host: x", "content-length: 0"),
    "metrics on the data port": head("GET /metrics HTTP/1.1", "host: x"),
    "a wrong content type": head(
        LINE, "host: x", "content-type: text/xml", f"content-length: {N}", body=GOOD_BYTES
    ),
    "a multipart body": head(
        LINE,
        "host: x",
        "content-type: multipart/form-data; boundary=x",
        f"content-length: {N}",
        body=GOOD_BYTES,
    ),
    "an unknown expectation": post(GOOD_BYTES, "expect: the-moon"),
}

JSON: dict[str, bytes] = {
    "an empty body": b"",
    "white space": b"   ",
    "an array": b"[]",
    "an array of requests": b"[" + GOOD_BYTES + b"]",
    "a string": b'"hello"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "cut short": GOOD_BYTES[:-5],
    "trailing bytes": GOOD_BYTES + b"x",
    "two documents": GOOD_BYTES + GOOD_BYTES,
    "single quotes": b"{'model':'f'}",
    "a trailing comma": GOOD_BYTES[:-1] + b",}",
    "a comment": b"/* hi */" + GOOD_BYTES,
    "a byte order mark": b"\xef\xbb\xbf" + GOOD_BYTES,
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "invalid UTF-8": GOOD_BYTES.replace(b"Hi", b"\xff\xfe"),
    "a lone surrogate": GOOD_BYTES.replace(b"Hi", b"\\ud800"),
    "an overlong encoding": GOOD_BYTES.replace(b"Hi", b"\xc0\xaf"),
    "a control character": GOOD_BYTES.replace(b"Hi", b"a\x01b"),
    "NaN": GOOD_BYTES[:-1] + b',"temperature":NaN}',
    "Infinity": GOOD_BYTES[:-1] + b',"temperature":Infinity}',
    "minus infinity": GOOD_BYTES[:-1] + b',"temperature":-Infinity}',
    "a number out of range": GOOD_BYTES[:-1] + b',"temperature":1e999}',
    "deep arrays": GOOD_BYTES[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep objects": GOOD_BYTES[:-1] + b',"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "deep and never closed": b"[" * 1_000_000,
    "a million messages": b'{"model":"f","messages":[' + b",".join([b'{"role":"user"}'] * 1_000_000) + b"]}",
    "a million elements": GOOD_BYTES[:-1] + b',"stop":[' + b",".join([b"1"] * 1_000_000) + b"]}",
    "a million keys": b"{" + b",".join(b'"k%d":1' % i for i in range(1_000_000)) + b"}",
    "the same key twice": b'{"model":"f","model":"g","messages":[{"role":"user","content":"Hi"}]}',
    "a NUL byte": GOOD_BYTES + b"\0",
}

MISSING = object()
WRONG: list[tuple[str, Any]] = [
    *(
        ("model", value)
        for value in (MISSING, None, 1, "", [], {}, True, "x" * 100_000, "no-such-feature", "f\nx")
    ),
    *(("messages", value) for value in (MISSING, None, 1, "Hi", {}, [], [1], [None], ["Hi"], [[]], [{}])),
    *(("messages", [{"role": role, "content": "Hi"}]) for role in (None, 1, "", [], "hacker")),
    *(
        ("messages", [{"role": "user", "content": content}])
        for content in (1, True, {"a": 1}, [1], ["Hi"], [{}], [{"type": 1}])
    ),
    ("messages", [{"role": "user"}]),
    ("messages", [{"role": "tool", "content": "x"}]),
    ("messages", [{"role": "assistant", "tool_calls": "x"}]),
    ("messages", [{"role": "assistant", "tool_calls": [1]}]),
    ("messages", [{"role": "user", "content": "x", "name": 5}]),
    *(("stream", value) for value in ("true", 1, [], {})),
    *(("stream_options", value) for value in (1, "x", [], {"include_usage": "yes"})),
    *(("temperature", value) for value in ("hot", -1, 3, [], {}, True)),
    *(("top_p", value) for value in ("x", -0.1, 1.1, [], True)),
    *(("max_tokens", value) for value in ("x", -1, 0, 1.5, [], True, 10**30)),
    *(("max_completion_tokens", value) for value in ("x", -1, 0, 1.5, [])),
    *(("n", value) for value in ("x", -1, 0, 1.5, 1000, [])),
    *(("presence_penalty", value) for value in ("x", 3, [])),
    *(("frequency_penalty", value) for value in ("x", -3, [])),
    *(("stop", value) for value in (1, {}, [1], ["a"] * 1000)),
    *(("seed", value) for value in ("x", 1.5, [])),
    *(("user", value) for value in (1, [], {})),
    *(("logprobs", value) for value in ("x", 1)),
    *(("top_logprobs", value) for value in ("x", -1, 21)),
    *(("logit_bias", value) for value in ("x", 1, [], {"1": "x"}, {"1": 101})),
    *(
        ("tools", value)
        for value in (
            "x",
            1,
            {},
            [1],
            [{}],
            [{"type": 1}],
            [{"type": "function"}],
            [{"type": "function", "function": {}}],
            [{"type": "function", "function": {"name": 1}}],
        )
    ),
    *(("tool_choice", value) for value in (1, [], "sometimes", {})),
    *(("parallel_tool_calls", value) for value in ("x", 1)),
    *(("response_format", value) for value in ("json", 1, [], {}, {"type": 1}, {"type": "yaml"})),
    *(("response_format", {"type": "json_schema", "json_schema": value}) for value in ("x", 1, [])),
    *(("reasoning_effort", value) for value in (1, [])),
    *(("metadata", value) for value in ("x", 1, [])),
    *(("modalities", value) for value in ("text", 1, {}, [1])),
    *(("prediction", value) for value in ("x", 1, [])),
    *(("verbosity", value) for value in (1, [], {})),
    *(("functions", value) for value in ("x", 1, {}, ["x"])),
    *(("function_call", value) for value in (1, True, [], {})),
    *(("prompt_cache_key", value) for value in (1, [], {})),
    *(("safety_identifier", value) for value in (1, [], {})),
    *(("audio", value) for value in ("x", 1, [])),
    *(("web_search_options", value) for value in ("x", 1, [])),
    ("messages", [{"role": "user", "content": [{"type": "text", "text": 1}]}]),
    ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 1}}]}]),
    ("messages", [{"role": "assistant", "tool_calls": [{"type": "function"}]}]),
    (
        "messages",
        [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}],
    ),
    ("tools", [{"type": "function", "function": {"name": "f", "parameters": "x"}}]),
    ("tools", [{"type": "function", "function": {"name": "f", "description": 1}}]),
    ("tools", [{"type": "function", "function": {"name": "f", "strict": "x"}}]),
    *(("tool_choice", {"type": "function", **more}) for more in ({}, {"function": 1}, {"function": {}})),
    ("response_format", {"type": "json_schema"}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": 1}}),
    ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": 1}}),
    *(
        ("messages", [{"role": "user", "content": [{"type": kind, kind: value}]}])
        for kind, value in (
            ("input_audio", 1),
            ("input_audio", {"data": 1}),
            ("file", 1),
            ("file", {"file_data": 1}),
        )
    ),
    ("messages", [{"role": "assistant", "content": "x", "refusal": 1}]),
    ("messages", [{"role": "assistant", "tool_calls": [{"id": 1, "function": {"name": "f"}}]}]),
]
NOT_TEXT: tuple[Any, ...] = (1, True, [], {})
NOT_FLAG: tuple[Any, ...] = ("yes", 1, [], {})
NOT_NUMBER: tuple[Any, ...] = ("x", True, [], {}, -1)
NOT_FIELDS: tuple[Any, ...] = ("x", 1, True, [1])
NOT_LIST: tuple[Any, ...] = ("x", 1, True, {}, [1])


def said(content: Any, role: Any = "user") -> list[Any]:
    return [{"role": role, "content": content}]


# Wrong types in the other dialects: values of each field.
WRONG_ELSEWHERE: dict[str, dict[str, tuple[Any, ...]]] = {
    "/v1/messages": {
        "max_tokens": (MISSING, None, *NOT_NUMBER, 0, 1.5, 10**30),
        "temperature": (*NOT_NUMBER, 3),
        "top_p": (*NOT_NUMBER, 1.1),
        "top_k": (*NOT_NUMBER, 1.5),
        "stream": NOT_FLAG,
        "system": (1, True, {}, [1], ["x"], [{"text": "x"}], [{"type": "text", "text": 1}]),
        "stop_sequences": NOT_LIST,
        "tools": (
            *NOT_LIST,
            *([tool] for tool in ({}, {"name": 1}, {"name": "f", "input_schema": "x"})),
            *([{"name": "f", "input_schema": {}, **more}] for more in ({"type": 1}, {"description": 1})),
        ),
        "tool_choice": (
            *NOT_FIELDS,
            {},
            {"type": "sometimes"},
            {"type": "tool"},
            {"type": "auto", "disable_parallel_tool_use": "x"},
        ),
        "thinking": (*NOT_FIELDS, {}, {"type": "enabled"}, {"type": "enabled", "budget_tokens": "x"}),
        "metadata": (*NOT_FIELDS, {"user_id": 1}),
        "service_tier": NOT_TEXT,
        "container": (1, True, []),
        "mcp_servers": NOT_LIST,
        "output_config": NOT_FIELDS,
        "messages": (
            *NOT_LIST,
            [],
            [None],
            *(said("x", role) for role in (None, 1, "", "emperor")),
            *(said(content) for content in (None, 1, {}, ["x"], [{"text": "x"}])),
            said([{"type": "text", "text": 1}]),
            *(
                said([{"type": "image", "source": source}])
                for source in (
                    "x",
                    {},
                    {"type": "base64", "data": 1},
                    {"type": "base64", "data": "x", "media_type": 1},
                    {"type": "url"},
                )
            ),
            said([{"type": "tool_result", "content": "x"}]),
            said([{"type": "tool_result", "tool_use_id": "t", "is_error": "x"}]),
            said([{"type": "thinking", "thinking": 1}], "assistant"),
            said([{"type": "redacted_thinking"}], "assistant"),
            said([{"type": "tool_result", "tool_use_id": "t", "content": 1}]),
            said([{"type": "tool_use", "id": "t", "name": "f", "input": "x"}], "assistant"),
        ),
    },
    "/v1/responses": {
        "max_output_tokens": (*NOT_NUMBER, 0, 1.5, 10**30),
        "temperature": (*NOT_NUMBER, 3),
        "top_p": (*NOT_NUMBER, 1.1),
        "top_logprobs": (*NOT_NUMBER, 21),
        "max_tool_calls": NOT_NUMBER,
        "stream": NOT_FLAG,
        "store": NOT_FLAG,
        "background": NOT_FLAG,
        "parallel_tool_calls": NOT_FLAG,
        "instructions": NOT_TEXT,
        "previous_response_id": NOT_TEXT,
        "truncation": NOT_TEXT,
        "user": NOT_TEXT,
        "service_tier": NOT_TEXT,
        "prompt_cache_key": NOT_TEXT,
        "safety_identifier": NOT_TEXT,
        "include": NOT_LIST,
        "metadata": NOT_FIELDS,
        "prompt": (*NOT_FIELDS, {"id": 1}),
        "reasoning": (*NOT_FIELDS, {"effort": 1}, {"summary": 1}),
        "text": (
            *NOT_FIELDS,
            {"format": "x"},
            {"format": {"type": "json_schema", "schema": 1}},
            {"verbosity": 1},
        ),
        "tools": (
            *NOT_LIST,
            [{}],
            *([{"type": "function", **more}] for more in ({}, {"name": ""}, {"name": "f", "description": 1})),
        ),
        "tool_choice": (1, True, [], {}),
        "conversation": (1, True, [], {}),
        "input": (
            1,
            True,
            {},
            [],
            *([one] for one in (None, 1, "x", {}, {"role": 1, "content": "x"}, {"role": "user"})),
            *(
                said(content)
                for content in (
                    1,
                    {},
                    ["x"],
                    [{"text": "x"}],
                    [{"type": "input_text", "text": 1}],
                    [{"type": "text", "text": 1}],
                )
            ),
            [{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}],
            [{"type": "function_call_output", "output": "x"}],
            [{"type": "reasoning", "summary": 1}],
            said("x", "emperor"),
            said([{"type": "input_image", "image_url": {"url": "x"}}]),
            said([{"type": "input_file", "file_data": 1}]),
        ),
    },
    "/v1/embeddings": {
        "input": (1, True, {}, [], [{}], [None], ["x", 1]),
        "dimensions": (*NOT_NUMBER, 0),
        "encoding_format": (*NOT_TEXT, "morse"),
        "user": NOT_TEXT,
    },
}
STEERING: dict[str, Any] = {
    "api_key": "sk-evil",
    "api_base": "http://169.254.169.254/",
    "base_url": "http://evil/",
    "api_version": "x",
    "extra_headers": {"authorization": "Bearer evil"},
    "headers": {"x": "y"},
    "extra_body": {"a": 1},
    "extra_query": {"a": "1"},
    "custom_llm_provider": "evil",
    "organization": "evil",
    "proxy": "http://evil",
    "aws_access_key_id": "AKIA",
    "aws_region_name": "evil",
    "vertex_project": "evil",
    "deployment_id": "evil",
    "fallbacks": ["g"],
    "callbacks": ["http://evil"],
    "mock_response": "x",
    "timeout": 99999,
    "num_retries": 100,
    "provider": {"order": ["evil"]},
    "models": ["evil/model"],
    "data_sources": [{"type": "search", "parameters": {"endpoint": "http://evil"}}],
    "inference_geo": "elsewhere",
    "vertex_location": "evil",
    "azure_ad_token": "evil",
    "API_KEY": "sk-evil",
}
# Every dialect of callers, with a good body.
INGRESS: dict[str, dict[str, Any]] = {
    PATH: GOOD,
    "/v1/responses": {"model": "f", "input": "Hi"},
    "/v1/messages": {**GOOD, "max_tokens": 9},
    "/v1/messages/count_tokens": GOOD,
    "/v1/embeddings": {"model": "f", "input": "Hi"},
}


def with_field(good: dict[str, Any], name: str, value: Any) -> bytes:
    """A good body but for one field."""
    body = {**good, name: value}
    if value is MISSING:
        del body[name]
    return json.dumps(body).encode()


def shown(value: Any) -> str:
    return "missing" if value is MISSING else json.dumps(value)[:60]


def corpus() -> dict[str, bytes]:
    """Every case that must get a 4xx."""
    cases = {f"framing: {name}": raw for name, raw in FRAMING.items()}
    cases |= {f"json: {name}": post(body) for name, body in JSON.items()}
    for number, (name, value) in enumerate(WRONG):
        cases[f"type {number}: {name} = {shown(value)[:30]}"] = post(with_field(GOOD, name, value))
    for path, fields in WRONG_ELSEWHERE.items():
        for name, values in fields.items():
            for value in values:
                body = with_field(INGRESS[path], name, value)
                cases[f"type: {name} = {shown(value)} to {path}"] = post(body, path=path)
    for path, good in INGRESS.items():
        for name, value in STEERING.items():
            body = json.dumps({**good, name: value}).encode()
            cases[f"steering: {name} to {path}"] = post(body, path=path)
    return cases
