"""Signing keys by name: of people, of collectors, of control itself.

Each name has an Ed25519 key of its own, a file of mode 0600 made on first use.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._crypto_signer import CryptoSigner

CONTROL = "crossfade-control"  # signs what is measured and the log's checkpoints


class SigningKeys:
    """Keys by signer's name, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def signer(self, name: str) -> CryptoSigner:
        """The signer's key, made on first use."""
        path = self._folder / f"{_file_name(name)}.pem"
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = CryptoSigner.generate_ed25519()
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return self.signer(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh.private_bytes)
            return fresh
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} is not an Ed25519 key (hint: move it away, a new one is made)")
        return CryptoSigner(key)

    def is_signed_by(self, name: str, envelope: Envelope) -> bool:
        """Whether the envelope carries a valid signature of this signer, who signed here before."""
        if not (self._folder / f"{_file_name(name)}.pem").exists():
            return False
        try:
            envelope.verify([self.signer(name).public_key], 1)
        except VerificationError:
            return False
        return True


def _file_name(name: str) -> str:
    """Readable and unambiguous: two names never share a file."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
