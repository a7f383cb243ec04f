"""The certificate of the first start."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from cryptography import x509

from smtpcore_trio import TlsContext
from smtpcore_trio._transport import SocketTransport
from smtpcore_trio.certificate import ensure, is_valid, self_signed, write_private

NAMES = ["mx.example.org", "localhost", "127.0.0.1", "::1"]


@pytest.mark.parametrize("name", NAMES)
async def test_trusted_by_who_trusts_it(name: str, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    assert ensure(certificate, key, NAMES)
    ours, theirs = socket.socketpair()
    transport = SocketTransport(ours)
    context = ssl.create_default_context(cafile=certificate)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    async with stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(TlsContext.load(certificate, key).shake_hands, transport)
            await trio.SSLStream(stream, context, server_hostname=name).do_handshake()
        transport.close()


def test_made_once(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    assert ensure(certificate, key, NAMES)
    made = certificate.read_bytes(), key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert not ensure(certificate, key, NAMES)
    assert (certificate.read_bytes(), key.read_bytes()) == made
    key.unlink()
    assert ensure(certificate, key, NAMES)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["certificate.pem", "key.pem"]


def test_made_again_when_it_expires(tmp_path: Path) -> None:
    path = tmp_path / "certificate.pem"
    now = datetime.now(UTC)
    assert not is_valid(path, now)
    path.write_bytes(b"not a certificate")
    assert not is_valid(path, now)
    path.write_bytes(self_signed(NAMES, now)[0])
    assert is_valid(path, now)
    assert is_valid(path, now + timedelta(days=822))
    assert not is_valid(path, now + timedelta(days=823, hours=1))
    assert not is_valid(path, now - timedelta(days=2))


def test_long_name() -> None:
    """A common name has at most 64 characters; the name is an alternative one, too."""
    name = ".".join(["a" * 60] * 3)
    certificate = x509.load_pem_x509_certificate(self_signed([name], datetime.now(UTC))[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_write_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_private(path, b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError("no")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
