from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cloud import Cloud


@pytest.fixture
def cloud():
    """A scripted upstream of its own for each test."""
    running = Cloud()
    yield running
    running.close()
