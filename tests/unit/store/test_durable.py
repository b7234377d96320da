"""Files are whole or not there, whatever ends the writing; lines survive a torn one before them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from crossfade.control.store import durable
from crossfade.control.store.durable import append_line, replace_file

# Writes half of the new content, says so, and waits to be killed.
WRITER = """
import sys, time
from pathlib import Path
from crossfade.control.store.durable import replacing
with replacing(Path(sys.argv[1])) as fresh:
    fresh.write_bytes(b"ne")
    print("half", flush=True)
    time.sleep(60)
"""


def test_a_file_has_the_old_content_or_the_new_one(tmp_path):
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError, match="bytes"):
        replace_file(path, "no bytes")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"half\n"
        writer.send_signal(signal.SIGKILL)
    assert path.read_bytes() == b"old"
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"


def test_threads_never_write_into_each_others_file(tmp_path):
    path = tmp_path / "state.json"
    contents = [bytes([number]) * 100_000 for number in range(32)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: replace_file(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_synced", [True, False])
def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch, is_synced):
    path, seen = tmp_path / "state.json", []
    replace_file(path, b"old")
    monkeypatch.setattr(durable.os, "fsync", lambda fd: seen.append((os.fstat(fd).st_ino, path.read_bytes())))
    replace_file(path, b"new", is_synced=is_synced)
    wanted = [(path.stat().st_ino, b"old"), (tmp_path.stat().st_ino, b"new")]
    assert seen == (wanted if is_synced else [])


def test_a_full_disk_is_told_and_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    replace_file(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_last_line_is_ended_before_the_next(tmp_path):
    path = tmp_path / "lines"
    append_line(path, "one")
    append_line(path, "two")
    path.write_bytes(path.read_bytes()[:-2])
    append_line(path, "three")
    assert path.read_text() == "one\ntw\nthree\n"
