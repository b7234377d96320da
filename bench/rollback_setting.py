"""What `rollback.py` measures in: its config, its migrations, and the processes of a run."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

from rollback_load import FEATURES


def config_of(upstream: int, control: int) -> str:
    """Twenty features from an old pool to a new one."""
    lines = [
        "providers:",
        *(
            f"  {side}: {{kind: openai-compatible, base_url: 'http://127.0.0.1:{upstream}/{side}/v1', auth: {{method: none}}}}"
            for side in ("old", "new")
        ),
        "endpoints: {old-1: {provider: old, model: m}, new-1: {provider: new, model: m}}",
        "pools: {old: {endpoints: [old-1]}, new: {endpoints: [new-1]}}",
        f"control: {{listen: '127.0.0.1:{control}'}}",
        "features:",
        *(f"  f{number}: {{hierarchy: [old]}}" for number in range(FEATURES)),
    ]
    return "\n".join(lines)


def document_of(number: int) -> dict[str, Any]:
    """A migration that stays at 50 %."""
    return {
        "migration": f"move-{number}", "features": [f"f{number}"], "incumbent": "old", "candidate": "new",
        "rollout": {"stages": ["50%", "100%"], "bake": "10h", "guards": ["errors", "failovers", "rejected"],
                    "calm": "1s", "errors_at_most": "50%"},
    }  # fmt: skip


async def give_evidence(parts: Any, folder: Any, number: int) -> None:
    """What a week of measuring would have left: this bench measures the way back."""
    from assumed import assume_evidence  # noqa: PLC0415

    await assume_evidence(parts.log, folder, parts.publisher.config, f"move-{number}", f"f{number}")


@contextlib.contextmanager
def started(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A process of this run."""
    process = subprocess.Popen(command, text=True, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(15)


@contextlib.asynccontextmanager
async def serving(parts: Any, port: int) -> AsyncIterator[None]:
    """Control's API over loopback."""
    import uvicorn  # noqa: PLC0415

    from crossfade.control.api.app import create_api  # noqa: PLC0415

    settings = uvicorn.Config(
        create_api(parts), port=port, log_level="error", lifespan="off", access_log=False
    )
    server = uvicorn.Server(settings)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield
    finally:
        parts.publisher.close()
        parts.broker.close()
        server.should_exit = True
        await task
