from __future__ import annotations

import ssl

import pytest

from simopen import Rendezvous, UsageError

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("tcp://example.com", "example.com", 7337),
        ("tcp://example.com:80", "example.com", 80),
        ("tls://example.com", "example.com", 7337),
        ("tls://example.com:443/", "example.com", 443),
        ("tcp://192.0.2.1", "192.0.2.1", 7337),
        ("tcp://[2001:db8::1]", "2001:db8::1", 7337),
        ("tcp://[2001:db8::1]:5000", "2001:db8::1", 5000),
        ("tls://[::1]:5000", "::1", 5000),
    ],
)
def test_a_coordinators_url(url: str, host: str, port: int) -> None:
    """Scheme, host and port; the port may be left out."""
    rendezvous = Rendezvous(url)
    assert rendezvous.endpoint == (host, port)
    assert rendezvous.encrypted is url.startswith("tls")
    assert rendezvous.server_name == (host if rendezvous.encrypted else None)
    assert rendezvous.is_literal is (host != "example.com")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "example.com:7337",
        "http://example.com",
        "TCP//example.com",
        "tcp://",
        "tcp://:7337",
        "tcp://example.com:0",
        "tcp://example.com:65536",
        "tcp://example.com:port",
        "tcp://example.com:1-2",
        "tcp://example.com/room",
        "tcp://example.com?room=x",
        "tcp://example.com#x",
        "tcp://user@example.com",
        "tcp://user:password@example.com:7337",
        "tcp://:password@example.com:7337",
        "tcp://2001:db8::1",
        "tcp://[2001:db8::1",
        "tcp://[nonsense]:5000",
        "tcp://exa mple.com",
    ],
)
def test_what_is_none_is_told_at_once(url: str) -> None:
    """A UsageError, before anything is sent."""
    with pytest.raises(UsageError):
        Rendezvous(url)


@pytest.mark.parametrize(
    "url",
    ["TLS://example.com", "Tls://example.com:5000", " tls://example.com", "tl\ns://example.com"],
)
def test_a_scheme_that_is_taken_for_tls(url: str) -> None:
    """It is encrypted all the same: a slip must not cost the encryption."""
    rendezvous = Rendezvous(url)
    assert rendezvous.encrypted
    assert rendezvous.context() is not None


def test_plain_tcp_has_no_context() -> None:
    """Neither its own nor the caller's."""
    assert Rendezvous("tcp://example.com").context() is None
    with pytest.raises(UsageError, match="tls://"):
        Rendezvous("tcp://example.com", ssl_context=CONTEXT)


def test_the_callers_context_is_used_as_it_is() -> None:
    """A test's or a company's own authority."""
    assert Rendezvous("tls://example.com", ssl_context=CONTEXT).context() is CONTEXT


def test_the_usual_context_verifies_and_logs_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    monkeypatch.setenv("SSLKEYLOGFILE", "/dev/null")
    context = Rendezvous("tls://example.com").context()
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.keylog_filename is None
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_two_are_equal_if_they_are_one_place() -> None:
    """A context is how, not where."""
    assert Rendezvous("tls://example.com", ssl_context=CONTEXT) == Rendezvous("tls://example.com")
