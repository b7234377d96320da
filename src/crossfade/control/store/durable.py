"""How control writes small files: whole or not there, and on the disk before anybody counts on them.

A file is written beside its place and then put there, so that neither a reader nor a crash finds half of
it. Its bytes are synced before, or some file systems put an empty file there at a power cut; the folder
after, or the name may be the old one again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, is_synced: bool = True) -> Iterator[Path]:
    """A place beside `path` to write to; what is there at the block's end takes the place of `path`.

    If the block fails, `path` is as it was and nothing lies beside it. `is_synced` False: for what a crash
    of the process must not lose but a power cut may, where a caller cannot wait for a disk.

    Raises:
        OSError: it could not be written or put there.
    """
    # Two processes or threads that write the same file at the same time never write into each other's.
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        yield fresh
        if is_synced:
            _sync(fresh)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    if is_synced:
        _sync(path.parent)


def replace_file(path: Path, content: bytes, *, is_synced: bool = True) -> None:
    """Let the file have this content. See `replacing`."""
    with replacing(path, is_synced=is_synced) as fresh:
        fresh.write_bytes(content)


def append_line(path: Path, line: str) -> None:
    """Add a line, on the disk when this returns. A last line torn by a crash is ended first.

    Raises:
        OSError: it could not be kept.
    """
    is_new = not path.exists()
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(-1, os.SEEK_END)
        is_torn = size > 0 and file.read(1) != b"\n"
        file.write(b"\n" * is_torn + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
