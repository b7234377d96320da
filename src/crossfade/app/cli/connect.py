"""How commands reach a running control and gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossfade.app.cli.fail import fail

if TYPE_CHECKING:
    from crossfade.client import Client


def client_of(config: Path, state: Path) -> Client:
    """A client of the control this config describes; exits with 2 when the config does not check."""
    from crossfade.app.cli.started import load_or_exit  # noqa: PLC0415 - heavy
    from crossfade.client import Client  # noqa: PLC0415
    from crossfade.control.store.state_dir import StateDir  # noqa: PLC0415

    listen = load_or_exit(config).config.control.listen
    return Client(f"http://{listen}", StateDir(state).api_token())


def ask_or_exit(question: Any, *arguments: Any) -> Any:
    """Call it; an ApiError is printed and exits with 1."""
    from crossfade.client import ApiError  # noqa: PLC0415

    try:
        return question(*arguments)
    except ApiError as error:
        fail(str(error), 1)
