"""Where a coordinator is, and how it is spoken to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import anyio.to_thread

from simopen._endpoints import Endpoint, literal_address, parse_endpoints
from simopen._errors import UsageError

DEFAULT_PORT = 7337  # where a URL has none
_SCHEMES = ("tcp", "tls")


@dataclass(frozen=True, slots=True)
class Rendezvous:
    """A coordinator.

    Attributes:
        url: ``"tcp://host:port"``, or ``"tls://host:port"`` for a connection that hides the
            room's tag from whoever watches. Without a port it is 7337. Neither is trusted with
            more than introducing two hosts.
        ssl_context: How ``tls://`` is verified; None for the system's certificate authorities.
    """

    url: str
    ssl_context: ssl.SSLContext | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse what is no coordinator's address.

        Raises:
            UsageError: It is not one of the forms above, or there is a context for ``tcp://``.
        """
        self.endpoint  # noqa: B018 - parses
        if self.ssl_context is not None and not self.encrypted:
            raise UsageError(f"an ssl_context is for tls://, not for {self.url}")

    @property
    def encrypted(self) -> bool:
        """Whether the connection to it is encrypted."""
        return urlsplit(self.url).scheme == "tls"

    @property
    def endpoint(self) -> Endpoint:
        """Its host, a name or an address, and its port."""
        try:
            parts = urlsplit(self.url)
            rest = (parts.path.strip("/"), parts.query, parts.fragment, "@" in parts.netloc)
            usable = parts.scheme in _SCHEMES and parts.hostname and not any(rest)
        except ValueError:  # its brackets hold no address
            usable = False
        if not usable:
            raise UsageError(
                f'rendezvous {self.url!r} is not a coordinator: write "tcp://host:port" or '
                '"tls://host:port"'
            )
        host = parts.netloc
        text = host if host.rpartition(":")[2].isdigit() else f"{host}:{DEFAULT_PORT}"
        ((endpoint,),) = parse_endpoints(text, role="rendezvous")
        return endpoint

    def context(self) -> ssl.SSLContext | None:
        """What encrypts a connection to it; None for ``tcp://``.

        Not :func:`ssl.create_default_context`, which writes the session's keys to the file that
        ``SSLKEYLOGFILE`` names.
        """
        if not self.encrypted or self.ssl_context is not None:
            return self.ssl_context
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_default_certs()
        return context

    async def loaded(self) -> Rendezvous:
        """The same with its context; the system's authorities take tens of milliseconds to read."""
        if not self.encrypted or self.ssl_context is not None:
            return self
        return replace(self, ssl_context=await anyio.to_thread.run_sync(self.context))

    @property
    def server_name(self) -> str | None:
        """The name its certificate is for, or None for ``tcp://``."""
        return self.endpoint.host if self.encrypted else None

    @property
    def is_literal(self) -> bool:
        """Whether it is given by address."""
        return literal_address(self.endpoint.host) is not None
