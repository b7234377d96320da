"""Whether what control sends has the types that the page reads it as."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

CONSOLE = Path(__file__).parents[2] / "console"
OPTIONS = ("--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler")


def check_types(document: dict[str, Any], kind: str, folder: Path) -> None:
    """Fails unless the document is a `kind` of the page's own `api.ts`."""
    source = folder / "document.ts"
    source.write_text(
        f"import type {{ {kind} }} from {json.dumps(str(CONSOLE / 'src/state/api'))};\n"
        f"const sent = {json.dumps(document)} as const;\nexport const read: {kind} = sent;\n"
    )
    checked = subprocess.run(
        [str(CONSOLE / "node_modules/.bin/tsc"), *OPTIONS, str(source)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
