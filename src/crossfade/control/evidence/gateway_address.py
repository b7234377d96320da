"""Where the gateway's data port is, and whose certificate it must show."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from crossfade.config.features import Config


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """`cert`: PEM of the certificate that the gateway shows; null without TLS."""

    url: str
    cert: str | None = None

    def verify(self) -> ssl.SSLContext | bool:
        """For an HTTP client. Exactly that certificate is believed, whatever name it is for.

        Raises:
            OSError: if the certificate cannot be read.
        """
        if self.cert is None:
            return True
        context = ssl.create_default_context(cafile=self.cert)
        context.check_hostname = False  # we call an address, not a name
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def gateway_address(config: Config) -> GatewayAddress:
    """The configured one, as our own tools call it."""
    tls, listen = config.gateway.tls, config.gateway.listen
    return (
        GatewayAddress(f"http://{listen}") if tls is None else GatewayAddress(f"https://{listen}", tls.cert)
    )
