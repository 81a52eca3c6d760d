"""The bytes of a peer's offer are the one certificate that TLS trusts, or make a ProofError.

The first byte tells whether a second certificate stands behind the bytes, which is refused however
good the first one is. Only a context that has taken a certificate is made anew: to make one takes a
hundred times as long as to refuse bytes, and refused bytes leave nothing in it.
"""

from __future__ import annotations

import ssl

from simopen.security._certificate import _trust_only
from simopen.security._errors import ProofError

LONGEST = 320

# Two self-signed Ed25519 certificates as simopen.security._certificate makes them.
_ONE = bytes.fromhex(
    "3081e5308198a00302010202146a96cad799aa6cd95f214efd1d12d608ff4ec139300506032b657030123110"
    "300e06035504030c0773696d6f70656e3020170d3730303130313030303030305a180f393939393132333132"
    "33353935395a30123110300e06035504030c0773696d6f70656e302a300506032b6570032100adbfcee2ac91"
    "6cced0662790c539fd5c5fb0d74eb50a98dc1536dda6719a0218300506032b6570034100cfb9cc6cda5d495c"
    "9b9841ef58fe70e647594a1ab11a89ef925ca7f9329d6878e20cda604bb02643f95004411aec735bb5b14346"
    "3128a32b69c6759909c5750e"
)
_OTHER = bytes.fromhex(
    "3081e5308198a0030201020214181380b3dcb81bcf3c1538e3caf167ae4f10fcca300506032b657030123110"
    "300e06035504030c0773696d6f70656e3020170d3730303130313030303030305a180f393939393132333132"
    "33353935395a30123110300e06035504030c0773696d6f70656e302a300506032b6570032100362a0e146170"
    "2dd34cb2ee0722c9e39c11eaa4f15b9de91e8d606a2b94b8f0d1300506032b6570034100f32cfc9a6cccd44c"
    "b90e764fee88128c58468171e58ae7ba31990360cfe33f110ac8b37f1d0bd344e6a4403b2a0250180270baa7"
    "99c28dcdf25b7299e784fc01"
)

SEEDS = (
    b"\0" + _ONE,
    b"\1" + _OTHER,
    b"\0" + _ONE + b"more",
    b"\0" + _ONE[:-1],
    b"\0",
    b"\0\x30\x80\0\0",
    b"\0-----BEGIN CERTIFICATE-----",
)


class Store:
    """A context that trusts nothing yet."""

    def __init__(self) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def trusts(self, data: bytes) -> bool:
        """Whether the bytes are taken, and then as one certificate."""
        stats = self._context.cert_store_stats()
        assert stats == {"x509": 0, "crl": 0, "x509_ca": 0}, stats
        context = self._context
        try:
            _trust_only(context, data)
        except ProofError as error:
            assert error.__context__ is None or error.__suppress_context__
            if context.cert_store_stats()["x509"]:
                self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return False
        stats = context.cert_store_stats()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        assert stats["x509"] == 1
        assert stats["crl"] == 0
        return True


_store = Store()


def check(data: bytes) -> None:
    """Try some bytes."""
    certificate = data[1:]
    if not _store.trusts(certificate):
        return
    end = _end(certificate)
    assert 0 < end <= len(certificate)
    if data[0] & 1 and certificate[:end] != _ONE:
        assert not _store.trusts(certificate[:end] + _ONE)


def _end(data: bytes) -> int:
    """Where the SEQUENCE ends that the bytes begin with (X.690 section 8.1.3); 0 for none."""
    if data[:1] != b"\x30" or len(data) < 2:
        return 0
    if data[1] < 0x80:
        return 2 + data[1]
    size = data[1] & 0x7F
    return 2 + size + int.from_bytes(data[2 : 2 + size], "big")
