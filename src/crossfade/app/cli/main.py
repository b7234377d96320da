"""`crossfade`: composes the noun groups. Each group's module is imported only when it is used."""

from __future__ import annotations

import importlib
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

# noun -> (module, what it is for); a module exposes `app`, a group or a single command
NOUNS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a commented crossfade.yaml for the keys found in the environment."),
    "up": ("up", "Start the gateway and control in the foreground."),
    "demo": ("demo", "Watch a whole migration on simulated clouds."),
    "gateway": ("gateway", "Start one gateway."),
    "control": ("control", "Start one control process."),
    "doctor": ("doctor", "Check this machine and a running deployment."),
    "version": ("version", "Print the version."),
    "config": ("config", "Check, show and compare config files."),
    "ask": ("ask", "Send one request through the gateway and print the decision."),
    "explain": ("explain", "Why a request went where it went."),
    "feature": ("feature", "List and show features."),
    "endpoint": ("endpoint", "List and show endpoints and their health."),
    "key": ("key", "Create, list and revoke virtual keys."),
    "login": ("login", "Print a one-time link that logs a browser in to the console."),
    "person": ("person", "Who may change what control does, and their tokens."),
    "records": ("records", "Tail, query and export attempt records."),
    "migration": ("migration", "Move features through the playbook."),
    "evidence": ("evidence", "List, show, verify and export evidence."),
    "cost": ("cost", "What each feature costs."),
    "audit": ("audit", "Verify the event log."),
    "wire": ("wire", "Check, decode and encode provider wire formats."),
    "sim": ("sim", "Simulated clouds and faults."),
}


class LazyGroup(TyperGroup):
    """Lists every noun at once and imports only the one that was asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is the base's
        """All nouns, in the order people meet them."""
        return list(NOUNS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the signature is the base's
        """Import the noun's module and build its command."""
        if cmd_name not in NOUNS:
            return None
        module, summary = NOUNS[cmd_name]
        command = get_command(importlib.import_module(f"crossfade.app.cli.{module}").app)
        command.name = cmd_name
        command.short_help = summary
        return command


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def crossfade() -> None:
    """Route LLM features across clouds, and move them without a customer noticing."""


def main() -> None:
    """Entry point of the `crossfade` script."""
    app(prog_name="crossfade")
