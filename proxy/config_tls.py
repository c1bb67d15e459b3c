"""The section `tls`: the main listener speaks HTTPS with this certificate."""

from __future__ import annotations

import ssl
from typing import Self

from pydantic import Field, model_validator

from .config_values import ExistingFile
from .sections import Section


class TlsSection(Section):
    """A certificate with its chain, and its key without a passphrase, both as PEM."""

    certificate_file: ExistingFile = Field(description="The certificate, and those between it and the root")
    key_file: ExistingFile = Field(description="Its private key")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        try:
            self.context()
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "unreadable"
            raise ValueError(f"certificate and key cannot be used: {str(reason).lower().replace('_', ' ')}") from None
        return self

    def context(self) -> ssl.SSLContext:
        """For the listener. TLS 1.2 and later; raises SSLError or OSError where the files are no pair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self.certificate_file, self.key_file, password=_no_passphrase)
        return context


def _no_passphrase() -> str:
    """Instead of asking at the terminal."""
    return ""
