"""The build backend: maturin's, after the gateway's program was compiled to where the wheel takes it from.

A wheel has one compiled module by maturin, and the program beside it as a file. Builds from source (pip,
from a checkout or the source archive) come through here; `make wheel` puts a trained program there itself.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import maturin
from maturin import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).parents[1]
NAME = "crossfade-gateway"


def build_wheel(folder: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """See PEP 517."""
    _compile_gateway()
    name: str = maturin.build_wheel(folder, settings, metadata)
    return name


def build_editable(folder: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """See PEP 660."""
    _compile_gateway()
    name: str = maturin.build_editable(folder, settings, metadata)
    return name


def _compile_gateway() -> None:
    target = ROOT / "target"
    command = [
        "cargo",
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        NAME,
        "--target-dir",
        target,
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    shutil.copy(target / "release" / NAME, ROOT / "src/crossfade" / NAME)
