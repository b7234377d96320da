"""Records that wait for a control that is away do not fill the machine's memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from process import ask, looks, running_gateway

CONFIG = """
providers:
  up: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{port}/a/v1', auth: {{method: none}}}}
endpoints: {{a: {{provider: up, model: m}}}}
features: {{f: [a]}}
"""


def on_disk(path: Path) -> bool:
    """Whether the file system keeps files elsewhere than in memory."""
    shown = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True)
    return shown.stdout.strip() not in {"tmpfs", "ramfs"}


def pages_in_memory(path: Path) -> int:
    command = ["fincore", "--noheadings", "--raw", "--output", "PAGES", str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def closed_segments(gateway, least: int) -> list[Path]:
    for _ in looks():
        found = sorted((gateway.folder / "spool").glob("*.ndjson"))
        if len(found) >= least:
            return found
    raise AssertionError(f"fewer than {least} segments were closed")


@pytest.mark.skipif(shutil.which("fincore") is None, reason="fincore (util-linux) is not installed")
def test_a_segment_that_waits_behind_others_is_let_go_of_once_it_is_on_disk(cloud):
    with running_gateway(CONFIG.format(port=cloud.port)) as gateway:
        if not on_disk(gateway.folder):
            pytest.skip("the folder for temporary files is in memory")
        for segments in (1, 2, 3):
            assert ask(gateway.port, stream=False).status == 200
            *soon, last = closed_segments(gateway, segments)

        assert all(pages_in_memory(path) > 0 for path in soon), "they are read again at once"
        assert pages_in_memory(last) == 0
