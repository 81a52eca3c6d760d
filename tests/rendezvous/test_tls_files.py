from __future__ import annotations

import os
import ssl
from pathlib import Path

import anyio
import pytest

from simopen import UsageError
from simopen.rendezvous import _tls_files
from simopen.rendezvous._tls_files import CertificateFiles
from tests.rendezvous.certificates import write_certificate
from tests.rendezvous.clients import until


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    """A certificate that has been loaded."""
    loaded = CertificateFiles(*write_certificate(tmp_path))
    loaded.load()
    return loaded


def test_a_bare_context(files: CertificateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS 1.3 alone, no tickets, and no key log whatever the environment says."""
    monkeypatch.setenv("SSLKEYLOGFILE", "/tmp/keys")  # noqa: S108 - must not be opened
    files.load()
    assert files.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert files.context.num_tickets == 0
    assert files.context.keylog_filename is None


def test_one_file_for_both(tmp_path: Path) -> None:
    """Certificate and key may be in the same file."""
    certificate, key = write_certificate(tmp_path)
    certificate.write_bytes(certificate.read_bytes() + key.read_bytes())
    both = CertificateFiles(certificate)
    both.load()
    assert isinstance(both.context, ssl.SSLContext)


def test_an_encrypted_key(tmp_path: Path) -> None:
    """Nobody is asked for a passphrase; the error says that the key has one."""
    encrypted = CertificateFiles(*write_certificate(tmp_path, passphrase=b"secret"))
    with pytest.raises(UsageError, match="passphrase"):
        encrypted.load()


def test_missing_files(tmp_path: Path) -> None:
    """The error names the files and says what is wrong."""
    with pytest.raises(UsageError, match=r"none\.pem.*No such file"):
        CertificateFiles(tmp_path / "none.pem").load()


@pytest.mark.anyio
async def test_files_that_do_not_fit(files: CertificateFiles, tmp_path: Path) -> None:
    """Between the renewal of one file and of the other, the old certificate stays in use."""
    context = files.context
    old_key = (tmp_path / "key.pem").read_bytes()
    _, key = write_certificate(tmp_path)
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    assert not await files.reload()
    assert files.context is context
    key.write_bytes(new_key)
    assert await files.reload()
    assert files.context is not context


@pytest.mark.anyio
async def test_changes_are_noticed(
    files: CertificateFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed file is read again within moments; files that stay are not."""
    monkeypatch.setattr(_tls_files, "LOOK_INTERVAL", 0.02)
    async with anyio.create_task_group() as group:
        group.start_soon(files.watch)
        context = files.context
        await anyio.sleep(0.1)
        assert files.context is context
        certificate, _ = write_certificate(tmp_path)
        await until(lambda: files.context is not context)
        context = files.context
        certificate.unlink()  # as between removing and renaming
        await anyio.sleep(0.1)
        assert files.context is context
        os.utime(write_certificate(tmp_path)[0])
        await until(lambda: files.context is not context)
        group.cancel_scope.cancel()
