"""Signing keys by name: of people, of collectors, of control itself.

Each name has an Ed25519 key of its own, a file of mode 0600 made on first use; or, if the config says
so, a key in a key management service that never leaves it. What the service is asked for is only a
signature: its public key is kept here, so that verifying needs nobody.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._aws_signer import AWSSigner
from securesystemslib.signer._azure_signer import AzureSigner
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._gcp_signer import GCPSigner
from securesystemslib.signer._key import SSlibKey
from securesystemslib.signer._signature import Signature
from securesystemslib.signer._signer import Signer

from crossfade.control.store.durable import replace_file

log = logging.getLogger(__name__)

CONTROL = "crossfade-control"  # signs what is measured and the log's checkpoints
SERVICES = {signer.SCHEME: signer for signer in (AWSSigner, GCPSigner, AzureSigner)}
EXTRAS = {"awskms": "boto3", "gcpkms": "google-cloud-kms", "azurekms": "azure-keyvault-keys azure-identity"}


class SigningError(Exception):
    """A key management service did not sign; the message says which and why."""


class ServiceSigner(Signer):
    """A key of a service. Every library fails in its own way, so any failure becomes a `SigningError`."""

    def __init__(self, uri: str, public_key: SSlibKey) -> None:
        self._uri = uri
        self._public_key = public_key

    @property
    def public_key(self) -> SSlibKey:
        """As the service gave it when it was first asked."""
        return self._public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Any, secrets_handler: Any = None
    ) -> ServiceSigner:
        """See `Signer`; there are no secrets to ask for."""
        if secrets_handler is not None:
            raise ValueError("a key management service asks for no secrets")
        return cls(priv_key_uri, public_key)

    def sign(self, payload: bytes) -> Signature:
        """Ask the service. Raises SigningError."""
        try:
            return Signer.from_priv_key_uri(self._uri, self._public_key).sign(payload)
        except Exception as error:
            raise _failed(self._uri, error) from error


class SigningKeys:
    """Keys by signer's name, below one folder. `services`: by name, the URI of a key in a service."""

    def __init__(self, folder: Path, services: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._services = services or {}

    def signer(self, name: str) -> Signer:
        """The signer's key: in a service, or a file that is made on first use.

        Raises:
            SigningError: the service does not give its public key.
        """
        uri = self._services.get(name)
        if uri is None:
            return self._file_signer(name)
        key = self._known(name, uri)
        return ServiceSigner(uri, key if key is not None else self._learn(name, uri))

    def _learn(self, name: str, uri: str) -> SSlibKey:
        """Ask the service for its public key, once, and keep it."""
        scheme, _, key_id = uri.partition(":")
        try:
            _, key = SERVICES[scheme].import_(*_import_arguments(scheme, key_id))
        except Exception as error:
            raise _failed(uri, error) from error
        document = {"uri": uri, "keyid": key.keyid, **key.to_dict()}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._service_file(name, uri), json.dumps(document).encode())
        return key

    def _known(self, name: str, uri: str) -> SSlibKey | None:
        try:
            document = json.loads(self._service_file(name, uri).read_text())
        except (OSError, ValueError):
            return None
        del document["uri"]
        return SSlibKey.from_dict(document.pop("keyid"), document)

    def _service_file(self, name: str, uri: str) -> Path:
        return self._folder / f"{_file_name(name)}-{hashlib.sha256(uri.encode()).hexdigest()[:12]}.json"

    def _file_signer(self, name: str) -> CryptoSigner:
        path = self._file(name)
        if not path.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = CryptoSigner.generate_ed25519()
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return self._file_signer(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh.private_bytes)
            return fresh
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} is not an Ed25519 key (hint: move it away, a new one is made)")
        return CryptoSigner(key)

    def is_signed_by(self, name: str, envelope: Envelope) -> bool:
        """Whether the envelope carries a valid signature of this signer, who signed here before.

        With a key of the past, too: changing over to a service voids nothing that was signed before. A
        file that is taken away signs and verifies nothing any more.
        """
        return self.verifier(name)(envelope)

    def verifier(self, name: str) -> Callable[[Envelope], bool]:
        """`is_signed_by` for many envelopes: the keys are read once."""
        keys = self._public_keys(name)
        return lambda envelope: any(_is_signed_with(key, envelope) for key in keys)

    def published(self, name: str) -> list[dict[str, Any]]:
        """Every public key that this signer's signatures verify with now, in securesystemslib's form."""
        return [{"keyid": key.keyid, **key.to_dict()} for key in self._public_keys(name)]

    def key_ids(self, name: str) -> tuple[str, ...]:
        """Of every key that this signer's signatures verify with now."""
        return tuple(key.keyid for key in self._public_keys(name))

    def _public_keys(self, name: str) -> list[SSlibKey]:
        keys = self._file_keys(name)
        for path in sorted(self._folder.glob(f"{_file_name(name)}-*.json")):
            known = self._known(name, json.loads(path.read_text())["uri"])
            keys += [known] if known is not None else []
        return keys

    def _file_keys(self, name: str) -> list[SSlibKey]:
        """The key of the signer's file, if there is one. A file that is no key verifies nothing."""
        if not self._file(name).exists():
            return []
        try:
            return [self._file_signer(name).public_key]
        except (OSError, ValueError, TypeError) as error:
            log.error("%s is no key, so nothing it signed holds: %s", self._file(name), error)  # noqa: TRY400
            return []

    def _file(self, name: str) -> Path:
        return self._folder / f"{_file_name(name)}.pem"


def _file_name(name: str) -> str:
    """Readable and unambiguous: two names never share a file."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _is_signed_with(key: SSlibKey, envelope: Envelope) -> bool:
    try:
        envelope.verify([key], 1)
    except VerificationError:
        return False
    return True


def _import_arguments(scheme: str, key_id: str) -> tuple[str, ...]:
    """`azurekms:VAULT/KEY` names two things, the others one."""
    if scheme != AzureSigner.SCHEME:
        return (key_id,)
    vault, _, key = key_id.partition("/")
    return vault, key


def _failed(uri: str, error: Exception) -> SigningError:
    scheme = uri.partition(":")[0]
    hint = f"pip install {EXTRAS[scheme]}" if "library" in type(error).__name__.lower() else "control.signing"
    return SigningError(f"{uri} does not sign: {type(error).__name__}: {str(error)[:300]} (hint: {hint})")
