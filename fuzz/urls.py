"""A coordinator's URL is a host, a port and whether it is encrypted, or a UsageError.

What is taken has neither path nor query nor user (an empty one is none), and its endpoint names the
same coordinator. Control characters do not count where a URL's syntax has them not count.
"""

from __future__ import annotations

from simopen._errors import UsageError
from simopen.rendezvous._url import DEFAULT_PORT, Rendezvous

LONGEST = 64

_NOTHING = dict.fromkeys(map(ord, "\t\r\n"))  # anywhere in a URL
_AROUND = "".join(map(chr, range(0x21)))  # in front of it

SEEDS = (
    b"tcp://192.0.2.1",
    b"tls://example.net:443",
    b"tcp://[2001:db8::1]:7337/",
    b"TLS://[fe80::1%25eth0]",
    b"tcp://user@example.net",
    b"tcp://example.net:1-3?x#y",
    b"tcp://[::1",
)


def check(data: bytes) -> None:
    """Try some bytes."""
    text = data.decode(errors="surrogateescape")
    try:
        rendezvous = Rendezvous(text)
    except UsageError:
        return
    host, port = rendezvous.endpoint
    scheme, _, rest = text.translate(_NOTHING).lstrip(_AROUND).partition("://")
    assert rendezvous.encrypted == (scheme.lower() == "tls")
    assert rendezvous.server_name == (host if rendezvous.encrypted else None)
    assert not set(rest.rstrip("/?#")) & set("/?#@")
    assert 1 <= port <= 65535
    assert port == DEFAULT_PORT or str(port) in rest
    again = Rendezvous(f"tcp://{rendezvous.endpoint}")
    assert again.endpoint == rendezvous.endpoint
    assert again.is_literal == rendezvous.is_literal
