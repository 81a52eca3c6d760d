"""Identities and contexts: what a certificate says, and that only the one in the offer will do."""

from __future__ import annotations

import io
import os
import ssl
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.pretty import pprint

from simopen.security import _certificate
from simopen.security._certificate import ALPN, Identity, peer_id, tls_context
from simopen.security._errors import ProofError

OURS = Identity.generate()
THEIRS = Identity.generate()
STRANGERS = Identity.generate()


def shake_hands(
    client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Run TLS between two contexts in memory until both sides have seen all there is."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(3):  # flights there and back
        for side in sides:
            try:
                side.do_handshake()
                side.read(1)  # a server's tickets or a client's refusal would come here
            except ssl.SSLWantReadError:
                pass
    return sides


def contexts(
    client: Identity, client_trusts: Identity, server: Identity, server_trusts: Identity
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The two sides' contexts."""
    return (
        tls_context(client, client_trusts.certificate, server_side=False),
        tls_context(server, server_trusts.certificate, server_side=True),
    )


def test_the_two_of_the_offers_meet() -> None:
    """TLS 1.3 with our protocol's name, and each sees the certificate of the other's offer."""
    client, server = shake_hands(*contexts(OURS, THEIRS, THEIRS, OURS))
    for side, peer in ((client, THEIRS), (server, OURS)):
        assert side.version() == "TLSv1.3"
        assert side.selected_alpn_protocol() == ALPN
        assert side.getpeercert(binary_form=True) == peer.certificate


def test_a_client_refuses_another_servers_certificate() -> None:
    """A server that holds another key than the one in the offer gets nowhere."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*contexts(OURS, THEIRS, STRANGERS, OURS))


def test_a_server_refuses_another_clients_certificate() -> None:
    """A client that holds another key than the one in the offer gets nowhere."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(*contexts(STRANGERS, THEIRS, THEIRS, OURS))


def test_a_server_refuses_a_client_without_a_certificate() -> None:
    """Both sides have to show one."""
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    bare.set_alpn_protocols([ALPN])
    server = tls_context(THEIRS, OURS.certificate, server_side=True)
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        shake_hands(bare, server)


def test_an_older_tls_is_refused() -> None:
    """There is no version to fall back to."""
    client, server = contexts(OURS, THEIRS, THEIRS, OURS)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        shake_hands(client, server)


def test_a_server_gives_no_tickets() -> None:
    """No session can be resumed: not a byte follows the handshake."""
    client, server = shake_hands(*contexts(OURS, THEIRS, THEIRS, OURS))
    assert server.context.num_tickets == 0
    assert client.session is None or not client.session.has_ticket


@pytest.mark.parametrize("server_side", [False, True])
def test_session_keys_are_written_nowhere(
    server_side: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """SSLKEYLOGFILE, which the default context honours, does nothing to ours."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl.create_default_context().keylog_filename is not None
    context = tls_context(OURS, THEIRS.certificate, server_side=server_side)
    assert context.keylog_filename is None


def test_a_certificate_is_valid_at_all_times() -> None:
    """From 1970 to 9999: a host whose clock is wrong is connected as well."""
    certificate = x509.load_der_x509_certificate(OURS.certificate)
    assert certificate.not_valid_before_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert certificate.not_valid_after_utc == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_certificate_of_the_future_would_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the validity starts in 1970: with a later start a slow clock ends every handshake."""
    monkeypatch.setattr(_certificate, "_NOT_BEFORE", datetime.now(UTC) + timedelta(days=1))
    early = Identity.generate()
    with pytest.raises(ssl.SSLCertVerificationError, match="not yet valid"):
        shake_hands(*contexts(OURS, early, early, OURS))


def test_a_certificate_tells_nothing_of_its_host() -> None:
    """A constant subject, a key of Ed25519, no extensions."""
    certificate = x509.load_der_x509_certificate(OURS.certificate)
    assert certificate.subject.rfc4514_string() == "CN=simopen"
    assert isinstance(certificate.public_key(), Ed25519PublicKey)
    assert list(certificate.extensions) == []


def test_each_identity_is_fresh() -> None:
    """No two calls share a key or an id."""
    assert len({OURS.certificate, THEIRS.certificate, STRANGERS.certificate}) == 3
    assert OURS.peer_id != THEIRS.peer_id


def test_a_peer_id_is_the_certificates_hash() -> None:
    """Each side computes the other's from the offer."""
    assert OURS.peer_id == peer_id(OURS.certificate)
    assert OURS.peer_id == x509.load_der_x509_certificate(OURS.certificate).fingerprint(SHA256())


@given(st.binary(max_size=300))
@settings(max_examples=30)  # each makes a context
def test_any_bytes_are_no_certificate(data: bytes) -> None:
    """What the peer put into its offer raises ProofError and nothing else."""
    with pytest.raises(ProofError):
        tls_context(OURS, data, server_side=False)


def test_two_certificates_are_not_one() -> None:
    """An offer cannot make us trust a second key."""
    with pytest.raises(ProofError, match="more than one"):
        tls_context(OURS, THEIRS.certificate + STRANGERS.certificate, server_side=True)


def open_files() -> dict[str, str]:
    """What this process has open: numbers, and names as the kernel gives them."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            found[link.name] = str(link.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
    return found


class Spy(ssl.SSLContext):
    """A context that notes what file it was given, while it is there."""

    def load_cert_chain(self, certfile: Any, *args: Any, **options: Any) -> None:
        """Note the file's real name and mode, and load it."""
        self.seen = (os.path.realpath(certfile), stat.S_IMODE(Path(certfile).stat().st_mode))
        super().load_cert_chain(certfile, *args, **options)


def test_the_key_passes_through_memory_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """OpenSSL gets an anonymous file; none is made on disk and none stays open."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such directory"))
    spy = Spy(ssl.PROTOCOL_TLS_CLIENT)
    before = open_files()
    OURS.load_into(spy)
    assert "memfd:" in spy.seen[0]
    assert open_files() == before


def test_without_files_in_memory_the_key_is_on_disk_for_a_moment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Elsewhere OpenSSL gets a temporary file that only we can read; it is gone afterwards."""
    monkeypatch.setattr(_certificate, "OUR_FILES", tmp_path / "no proc here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spy = Spy(ssl.PROTOCOL_TLS_CLIENT)
    OURS.load_into(spy)
    name, mode = spy.seen
    assert Path(name).parent == tmp_path
    assert mode == 0o600
    assert list(tmp_path.iterdir()) == []


def test_an_identity_prints_nothing_of_its_key() -> None:
    """Not by repr, and not by rich, which looks into objects by itself."""
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    identity = Identity(key)
    screen = io.StringIO()
    pprint(identity, console=Console(file=screen, width=500))
    for printed in (repr(identity), str(identity), screen.getvalue()):
        assert printed.strip() == f"<Identity {identity.peer_id.hex()[:16]}>"
        assert raw.hex()[:8] not in printed
