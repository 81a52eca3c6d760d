"""What this room raises, besides the errors that all rooms share."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from anyio import ConnectionFailed

from simopen._endpoints import Endpoint
from simopen._errors import SimopenError


class RawUnavailableError(SimopenError, OSError):
    """This process or this machine cannot do a handshake of its own; the text says what lacks."""


def lacking(capability: str) -> RawUnavailableError:
    """The error of a process without a privilege.

    Args:
        capability: The one it lacks.
    """
    return RawUnavailableError(
        errno.EPERM,
        "handshakes of our own need CAP_NET_RAW (to read and send segments) and CAP_NET_ADMIN (for "
        f"the firewall and TCP_REPAIR); this process lacks {capability}: run it as root",
    )


@contextmanager
def refusals_told() -> Iterator[None]:
    """Tell what the system refuses meanwhile, a descriptor for example, as what is lacking.

    Raises:
        RawUnavailableError: In place of an ``OSError`` that is none of ours.
    """
    try:
        yield
    except SimopenError:
        raise
    except OSError as error:
        limit = " (see ulimit -n)" if error.errno == errno.EMFILE else ""
        raise RawUnavailableError(
            error.errno,
            "handshakes of our own need a few sockets and nft, and the system refuses: "
            f"{error.strerror}{limit}",
        ) from None


class RawConnectError(SimopenError, ConnectionFailed):
    """The handshake came to nothing.

    Attributes:
        local: Our end.
        remote: The other one.
    """

    def __init__(self, message: str, *, local: Endpoint, remote: Endpoint) -> None:
        super().__init__(message)
        self.local = local
        self.remote = remote

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.local, self.remote)


class RawTimeoutError(RawConnectError, TimeoutError):
    """Nobody answered in time."""


def _rebuild(
    kind: type[RawConnectError], message: str, local: Endpoint, remote: Endpoint
) -> RawConnectError:
    return kind(message, local=local, remote=remote)
