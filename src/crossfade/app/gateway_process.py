"""The gateway's process: the program that lies beside this package's modules, which the launcher becomes.

Python reads the config and is gone: what answers requests is the engine alone. The options hold secrets,
so they go through standard input, never through arguments or the environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[1] / "crossfade-gateway"


def replace_with_gateway(options: Mapping[str, Any], *, json_ready: bool) -> None:
    """Become the gateway. Returns only where that cannot be: OSError says why."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        json.dump(options, pipe)  # a pipe holds 64 KiB, so nobody has to read meanwhile
    sys.stdout.flush()
    os.dup2(reader, 0)
    os.execv(PROGRAM, [str(PROGRAM), *(["--json"] if json_ready else [])])  # noqa: S606 - our own program
