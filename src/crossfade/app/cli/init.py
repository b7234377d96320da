"""`crossfade init`: a first config for the keys found in the environment."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from crossfade.app.cli.options import DEFAULT_CONFIG, ConfigPath

app = typer.Typer(add_completion=False)

_TEMPLATE = """\
# What may be served, and from where. `crossfade config check` tells what is wrong with it.
{providers}endpoints:                                # one addressable, health-checked place serving one model
{endpoints}
features:                                 # callers name these as their `model`
  summary: [{names}]           # primary, then backups
"""


@app.command()
def init(config: ConfigPath = DEFAULT_CONFIG) -> None:
    """Write a commented config. Never overwrites one."""
    if config.exists():
        typer.echo(f"{config} exists (hint: remove it, or choose another with --config)", err=True)
        raise typer.Exit(1)
    if os.environ.get("OPENAI_API_KEY"):
        text = _TEMPLATE.format(
            providers="",
            endpoints="  gpt: openai/gpt-5-mini            # kind / model; the key from OPENAI_API_KEY\n"
            "  mini: openai/gpt-5-nano",
            names="gpt, mini",
        )
    else:
        text = _TEMPLATE.format(
            providers="providers:\n  local:                                  # any OpenAI-compatible server\n"
            "    kind: openai-compatible\n    base_url: http://127.0.0.1:8000/v1\n    auth: {method: none}\n",
            endpoints="  local: {provider: local, model: default}",
            names="local",
        )
    Path(config).write_text(text)
    typer.echo(f"wrote {config} (next: crossfade config check, crossfade up)")
