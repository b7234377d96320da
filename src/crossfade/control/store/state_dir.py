"""The state folder (`.crossfade`): where the embedded deployment keeps what it must not lose.

Secrets are files of mode 0600, made once, read by both processes; an environment variable of the
same purpose wins, so that a fleet can take them from its secret manager.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths and secrets under one folder. Creating the value touches nothing."""

    root: Path

    @property
    def database(self) -> Path:
        """SQLite file of the event log."""
        return self.root / "control.db"

    @property
    def records(self) -> Path:
        """Parquet folder of attempt records."""
        return self.root / "records"

    @property
    def artefacts(self) -> Path:
        """Raw material of evidence, one file per SHA-256."""
        return self.root / "artefacts"

    @property
    def signing(self) -> Path:
        """Signing keys of people and collectors."""
        return self.root / "signing"

    def checkpoints(self) -> Path:
        """The second place of the log's checkpoints; set the variable to a mount the database is not on."""
        return Path(os.environ.get("CROSSFADE_CHECKPOINTS") or self.root / "checkpoints")

    def gateway(self, name: str) -> Path:
        """A gateway's own folder: last snapshot, record spool."""
        return self.root / f"gateway-{name}"

    def prepare(self) -> None:
        """Make the folders (0700)."""
        for path in (self.root, self.records, self.artefacts, self.signing):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def gateway_token(self) -> str:
        """Shared secret of control and gateways: authenticates both, signs snapshots."""
        return self._secret("gateway-token", "CROSSFADE_GATEWAY_TOKEN")

    def pepper(self) -> str:
        """Key of the HMAC over virtual keys."""
        return self._secret("pepper", "CROSSFADE_PEPPER")

    def api_token(self) -> str:
        """What the CLI shows to the control API for anything that changes state."""
        return self._secret("api-token", "CROSSFADE_API_TOKEN")

    def session_key(self) -> str:
        """Signs the console's sessions."""
        return self._secret("session-key", "CROSSFADE_SESSION_KEY")

    def measure_key(self) -> str:
        """The virtual key `cf-measure_<secret>` with which control measures through the gateway."""
        return "cf-measure_" + self._secret("measure-key", "CROSSFADE_MEASURE_KEY")

    def _secret(self, name: str, variable: str) -> str:
        if value := os.environ.get(variable):
            return value
        path = self.root / name
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(descriptor, "w") as file:
            value = secrets.token_hex(32)
            file.write(value)
        return value
