"""`crossfade ask`: one request through the gateway, with the decision printed."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from crossfade.app.cli.fail import fail
from crossfade.app.cli.options import DEFAULT_CONFIG, ConfigPath, Json

app = typer.Typer(add_completion=False)


@app.command()
def ask(
    feature: Annotated[str, typer.Argument(help="Which feature.")],
    text: Annotated[str, typer.Argument(help="What to ask.")],
    config: ConfigPath = DEFAULT_CONFIG,
    *,
    stream: Annotated[bool, typer.Option(help="Print the answer as it comes.")] = False,
    as_json: Json = False,
) -> None:
    """Send one request; the key, if one is needed, comes from CROSSFADE_KEY."""
    import httpx2  # noqa: PLC0415

    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415
    from crossfade.control.evidence.gateway_address import gateway_address  # noqa: PLC0415

    gateway = gateway_address(load_or_exit(config).config)
    url = f"{gateway.url}/v1/chat/completions"
    body = {"model": feature, "messages": [{"role": "user", "content": text}], "stream": stream}
    key = os.environ.get("CROSSFADE_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx2.stream(
            "POST", url, json=body, headers=headers, timeout=120, verify=gateway.verify()
        ) as answer:
            said, wrong = _read(answer, stream=stream, quiet=as_json)
    except (httpx2.HTTPError, OSError) as error:
        fail(f"the gateway does not answer: {error} (hint: is `crossfade up` running?)", 1)
    decision = {
        k.removeprefix("x-crossfade-"): v for k, v in answer.headers.items() if k.startswith("x-crossfade-")
    }
    if as_json:
        document = {"status": answer.status_code, "text": said, "complete": not wrong, "decision": decision}
        typer.echo(json.dumps({**document, "error": {"message": wrong} if wrong else None}))
    else:
        if said:
            typer.echo("" if stream else said)
        for name, value in decision.items():
            typer.echo(f"  {name}: {value}", err=True)
    if wrong:
        typer.echo(wrong, err=True)
    raise typer.Exit(1 if wrong else 0)


def _read(answer: Any, *, stream: bool, quiet: bool) -> tuple[str, str]:
    """The text, and what went wrong: empty if it is complete."""
    if answer.status_code != 200 or not stream:
        answer.read()
        document = answer.json()
        if answer.status_code != 200:
            return "", _message(document["error"])
        return document["choices"][0]["message"]["content"] or "", ""
    said, wrong = (
        "",
        "the stream ended before its end (hint: `crossfade explain` with the request id tells why)",
    )
    for line in answer.iter_lines():
        if line == "data: [DONE]":
            wrong = ""
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            if "error" in event:
                return said, _message(event["error"])
            piece = "".join(choice["delta"].get("content") or "" for choice in event["choices"])
            said += piece
            if not quiet:
                typer.echo(piece, nl=False)
    return said, wrong


def _message(error: dict[str, Any]) -> str:
    hint = error.get("hint")
    return f"{error['message']} (hint: {hint})" if hint else str(error["message"])
