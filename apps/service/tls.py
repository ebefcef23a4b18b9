"""The certificate of a service that speaks HTTPS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError


@dataclass(frozen=True)
class Tls:
    """Files in PEM.

    Attributes:
        certificate: The certificate, followed by those between it and its root.
        key: Its private key; None if it is in the certificate's file.
    """

    certificate: Path
    key: Path | None = None

    def check(self) -> None:
        """Read both.

        Raises:
            UserError: One cannot be read, or is no such file; the key has a password, or is of
                another certificate.
        """
        flags = {"--tls-cert": self.certificate}
        if self.key is not None:
            flags["--tls-key"] = self.key
        for flag, path in flags.items():
            try:
                path.read_bytes()
            except OSError as error:
                raise UserError(f"{flag} {path}: {error.strerror}") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        where = " ".join(f"{flag} {path}" for flag, path in flags.items())
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise UserError(f"{where}: the key is of another certificate") from error
            raise UserError(
                f"{where}: expected a certificate and its private key in PEM,"
                f" found {(error.reason or str(error)).lower().replace('_', ' ')}"
            ) from error


def _no_password() -> str:
    raise UserError("--tls-key: expected a private key without a password")
