"""Certificates for a coordinator on loopback."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "coordinator")])


def write_certificate(
    folder: Path, *, passphrase: bytes | None = None, days: tuple[int, int] = (-1, 1)
) -> tuple[Path, Path]:
    """Write a fresh self-signed certificate and its key, over those of before.

    Args:
        folder: Where to.
        passphrase: The key's; None for none.
        days: From when until when it is valid, from now on.
    """
    key = Ed25519PrivateKey.generate()
    now = dt.datetime.now(dt.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .sign(key, None)
    )
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return paths


def client_context(files: tuple[Path, Path]) -> ssl.SSLContext:
    """A client that trusts this certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(files[0])
    return context
