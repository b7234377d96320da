"""`crossfade explain`: why a request went where it went, as a person would tell it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, DEFAULT_STATE, ConfigPath, Json, StatePath

app = typer.Typer(add_completion=False)


@app.command()
def explain(
    request_id: Annotated[str, typer.Argument(help="From the header x-crossfade-request-id.")],
    config: ConfigPath = DEFAULT_CONFIG,
    state: StatePath = DEFAULT_STATE,
    *,
    as_json: Json = False,
) -> None:
    """Each attempt, its outcome, and why the next was chosen."""
    from crossfade.app.cli.connect import ask_or_exit, client_of  # noqa: PLC0415

    attempts = ask_or_exit(client_of(config, state).attempts, request_id)
    if as_json:
        typer.echo(json.dumps(attempts))
        return
    for line in tell(attempts):
        typer.echo(line)


def tell(attempts: list[dict[str, Any]]) -> list[str]:
    """The story of one request, a line a fact."""
    own = [attempt for attempt in attempts if attempt["role"] != "shadow"]
    shadows = [attempt for attempt in attempts if attempt["role"] == "shadow"]
    if not own:
        return ["Only a shadow of this request was recorded."]
    first = own[0]
    last = next((attempt for attempt in own if attempt["final"]), None)
    arm = first["arm"] + (f" of {first['arm_name']}" if first["arm_name"] else "")
    who = f"unit {first['unit']}, arm {arm}, snapshot {first['snapshot_version']}"
    lines = [f"Request {first['request_id']} for {first['feature']} ({who})"]
    for number, attempt in enumerate(own, 1):
        lines.append(f"{number}. {attempt['endpoint']} [{attempt['role']}]: {attempt['reason']}")
        lines.append(f"   {_outcome(attempt)}")
        if attempt["next_reason"]:
            lines.append(f"   then: {attempt['next_reason']}")
    if last is None:
        lines.append(
            "How it ended is not recorded: the next attempt's record is still under way, "
            "or the caller left before it began (hint: records arrive within seconds: ask again)"
        )
    elif last["caller_error"]:
        lines.append(
            "The caller saw an error" + (" in the middle of the answer." if last["committed"] else ".")
        )
    elif last["outcome"] == "cancelled":
        lines.append("The caller left.")
    else:
        lines.append(f"The caller was served by {last['endpoint']} ({last['model']}).")
    lines += [f"Shadow on {attempt['endpoint']}: {_outcome(attempt)}" for attempt in shadows]
    return lines


def _outcome(attempt: dict[str, Any]) -> str:
    timings = attempt["timings"]
    took = f"after {timings['total_ms']:.0f} ms"
    if attempt["outcome"] == "ok":
        first = timings["first_content_ms"]
        content = f", first content at {first:.0f} ms" if first is not None else ""
        usage = attempt["usage"]
        tokens = f", {usage['output']} tokens out" if usage else ""
        return f"ok {took}{content}{tokens}"
    status = f" (status {attempt['http_status']})" if attempt["http_status"] else ""
    return f"{attempt['outcome']}: {attempt['error_kind']}{status} {took}: {attempt['error_detail']}"
