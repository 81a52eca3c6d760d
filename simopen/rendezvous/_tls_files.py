"""The listener's certificate, read from files and read again when they change.

Theory of operation. Each reading makes a whole new :class:`ssl.SSLContext`; connections that are
open keep theirs, and the next one gets the new one. A certificate and its key are two files and
change one after the other: where they do not fit together the old context stays, the log says so,
and the next change of either is another try.

Invariant: once :meth:`CertificateFiles.load` has succeeded there is always a usable context.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NoReturn, TypeAlias

import anyio
import anyio.to_thread

from simopen._errors import UsageError

from ._log import log

LOOK_INTERVAL = 5.0  # seconds between two looks at the files

_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class CertificateFiles:
    """A certificate chain and its key in PEM files.

    Attributes:
        context: For the next connection.
    """

    context: ssl.SSLContext

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        """Name the files.

        Args:
            certificate: The certificate with its chain.
            key: Its private key; None where the key is in the same file.
        """
        self._certificate = certificate
        self._key = key
        self._seen: _Signature = ()

    def load(self) -> None:
        """Read the files.

        Raises:
            UsageError: They cannot be read or do not fit together; the context stays as it was.
        """
        self._seen = self._signature()
        try:
            self.context = server_context(self._certificate, self._key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise UsageError(self._complaint(error)) from None

    async def reload(self) -> bool:
        """Read the files again; where that fails, say so and go on as before.

        Returns:
            Whether there is a new context.
        """
        try:
            await anyio.to_thread.run_sync(self.load)
        except UsageError as error:
            log.error("certificate.kept", reason=str(error))
            return False
        log.info("certificate.reloaded")
        return True

    async def watch(self) -> None:
        """Reload whenever a file changes, for ever."""
        while True:
            await anyio.sleep(LOOK_INTERVAL)
            if await anyio.to_thread.run_sync(self._signature) != self._seen:
                await self.reload()

    def _signature(self) -> _Signature:
        paths = (self._certificate, self._key or self._certificate)
        return tuple(_file_signature(path) for path in paths)

    def _complaint(self, error: OSError | ValueError) -> str:
        names = " and ".join(str(path) for path in (self._certificate, self._key) if path)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return f"the TLS certificate in {names} cannot be used: {reason or error}"


def server_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """A bare context: :func:`ssl.create_default_context` would honour ``SSLKEYLOGFILE``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # our clients are the only ones
    context.num_tickets = 0  # nobody resumes; two messages less for each connection
    context.load_cert_chain(certificate, key, password=_no_password)
    return context


def _no_password() -> NoReturn:
    # Without this OpenSSL would ask the terminal, and wait.
    raise ValueError("the key is encrypted, and there is nobody to ask for its passphrase")


def _file_signature(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
