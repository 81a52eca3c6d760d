"""One call's identity: a fresh key and its certificate, and TLS that trusts one certificate only.

Theory of operation
===================

Each call makes an Ed25519 key and signs itself a certificate. The certificate travels in the
sealed offer; TLS then has exactly that one as its trust store, on both sides, and
:mod:`simopen.security._tls` compares what was presented with it once more, byte for byte. Names,
authorities and dates mean nothing here: the subject is constant and the validity is all time that
X.509 can write, because the clock of a host that has just started may be wrong.

The context is a bare ``SSLContext``. ``ssl.create_default_context`` would honour SSLKEYLOGFILE,
and a variable in somebody's environment must not write our session keys to a file.

Invariants
==========

- The private key leaves the process in no form. ``load_cert_chain`` takes only paths: it gets an
  anonymous file in memory, and where there is none a temporary one that only we can read and that
  is gone when the call returns.
- No name is sent or checked (no SNI), no session can be resumed (no tickets), and there is no
  version to fall back to.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ._errors import ProofError

ALPN: Final = "simopen/1"
OUR_FILES = Path("/proc/self/fd")  # Linux: what this process has open, by number

_NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def peer_id(certificate: bytes) -> bytes:
    """The name of whoever holds the certificate's key.

    Args:
        certificate: DER.

    Returns:
        Its SHA-256. The smaller of two is the TLS client.
    """
    return hashlib.sha256(certificate).digest()


class Identity:
    """A key pair for one call. Prints nothing of its key.

    Attributes:
        certificate: The self-signed certificate, DER.
        peer_id: Its SHA-256.
    """

    __slots__ = ("_key", "certificate", "peer_id")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Certify a key.

        Args:
            key: Used for nothing else.
        """
        self._key = key
        self.certificate: bytes = _self_signed(key)
        self.peer_id: bytes = peer_id(self.certificate)

    @classmethod
    def generate(cls) -> Identity:
        """Make a fresh one."""
        return cls(Ed25519PrivateKey.generate())

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let ``context`` present the certificate and sign with the key.

        The PEM text never has a name here: a traceback that prints local variables has none
        to print.
        """
        with _private_file() as path:
            path.write_bytes(self._key_pem() + self._certificate_pem())
            context.load_cert_chain(path)

    def _key_pem(self) -> bytes:
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _certificate_pem(self) -> bytes:
        return ssl.DER_cert_to_PEM_cert(self.certificate).encode()

    def __repr__(self) -> str:
        return f"<Identity {self.peer_id.hex()[:16]}>"


def tls_context(
    identity: Identity, peer_certificate: bytes, *, server_side: bool
) -> ssl.SSLContext:
    """TLS 1.3 between the holders of two certificates, and nobody else.

    Args:
        identity: Ours.
        peer_certificate: The only one to trust, DER, from the peer's offer.
        server_side: Our part in TLS.

    Raises:
        ProofError: ``peer_certificate`` does not begin with a certificate in DER, or there are
            several. (Bytes after it are found when TLS compares.)
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # there are no names; before verify_mode, which it holds up
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols([ALPN])
    if server_side:
        context.num_tickets = 0
    _trust_only(context, peer_certificate)
    identity.load_into(context)
    return context


def _trust_only(context: ssl.SSLContext, certificate: bytes) -> None:
    try:
        context.load_verify_locations(cadata=certificate)
    except (ValueError, ssl.SSLError):
        raise ProofError("the peer's offer holds no certificate") from None
    if context.cert_store_stats()["x509"] != 1:  # a second one is loaded as well
        raise ProofError("the peer's offer holds more than one certificate")


def _self_signed(key: Ed25519PrivateKey) -> bytes:
    from cryptography import x509  # noqa: PLC0415 - would make importing simopen a fifth slower

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simopen")])
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=_NOT_BEFORE,
        not_valid_after=_NOT_AFTER,
    )
    return builder.sign(key, algorithm=None).public_bytes(Encoding.DER)


@contextlib.contextmanager
def _private_file() -> Iterator[Path]:
    """An empty file that nobody else can open and that is gone afterwards."""
    if hasattr(os, "memfd_create") and OUR_FILES.is_dir():
        number = os.memfd_create("simopen")
        try:
            yield OUR_FILES / str(number)
        finally:
            os.close(number)
    else:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600
            yield Path(file.name)
