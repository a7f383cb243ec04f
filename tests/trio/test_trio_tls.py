"""TLS contexts and channel bindings."""

import hashlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from smtpcore import TlsInfo
from smtpcore_trio import TlsContext
from smtpcore_trio._transport import SocketTransport
from smtpcore_trio.tls import _digests, _shown, channel_bindings, client_context

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


async def shaken(ours: TlsContext, theirs: ssl.SSLContext, name: str | None) -> TlsInfo:
    """What the server hears of a handshake."""
    told: list[TlsInfo] = []
    here, there = socket.socketpair()
    transport = SocketTransport(here)
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(there))
    client = trio.SSLStream(stream, theirs, server_hostname=name, https_compatible=True)

    async def server() -> None:
        _, info = await ours.shake_hands(transport)
        told.append(info)

    async with stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server)
            nursery.start_soon(client.do_handshake)
        transport.close()
    return told[0]


async def test_told(tls_context: TlsContext, client_tls: ssl.SSLContext, certificate: x509.Certificate) -> None:
    info = await shaken(tls_context, client_tls, "mx.example.org")
    assert (info.version, info.server_name, info.client_subject) == ("TLSv1.3", "mx.example.org", None)
    assert info.cipher.startswith("TLS_")
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    assert info.channel_bindings == {"tls-server-end-point": digest}


async def test_no_name(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    assert (await shaken(tls_context, client_tls, "127.0.0.1")).server_name is None  # RFC 6066 3: no addresses


async def test_each_handshake_hears_its_own_name(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    heard: dict[str, str | None] = {}

    async def one(name: str) -> None:
        heard[name] = (await shaken(tls_context, client_tls, name)).server_name

    names = ["localhost", "mx.example.org"]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(one, name)
    assert heard == {name: name for name in names}


async def test_callback_of_the_context_is_kept(
    certificate_files: tuple[Path, Path], client_tls: ssl.SSLContext
) -> None:
    heard: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate_files)
    context.sni_callback = lambda _socket, name, _context: heard.append(name)
    info = await shaken(TlsContext(context), client_tls, "localhost")
    assert heard == ["localhost"]
    assert info.server_name == "localhost"
    assert info.channel_bindings == {}


@pytest.mark.catalogue("C11")
async def test_no_old_version(tls_context: TlsContext) -> None:
    assert tls_context.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context.context.options & ssl.OP_NO_RENEGOTIATION


def test_load_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        TlsContext.load(tmp_path / "none.pem")


@pytest.mark.parametrize(
    ("key", "algorithm", "name"),
    [
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA256(), "sha256"),
        (ec.generate_private_key(ec.SECP256R1()), hashes.SHA384(), "sha384"),
        (rsa.generate_private_key(65537, 2048), hashes.SHA512(), "sha512"),
        (ed25519.Ed25519PrivateKey.generate(), None, None),
    ],
)
def test_channel_bindings(key: Key, algorithm: hashes.SHA256 | None, name: str | None) -> None:
    now = datetime.now(UTC)
    subject = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, algorithm)
    )
    octets = certificate.public_bytes(Encoding.DER)
    bindings = {} if name is None else {"tls-server-end-point": hashlib.new(name, octets).digest()}
    assert channel_bindings(certificate) == bindings


@pytest.mark.parametrize("old", [hashes.MD5(), hashes.SHA1()])
def test_channel_bindings_of_an_old_certificate(old: hashes.HashAlgorithm, certificate: x509.Certificate) -> None:
    """RFC 5929 section 4.1: SHA-256 takes the place of the hashes that are too weak."""

    class Old:
        signature_hash_algorithm = old

        def public_bytes(self, _: Encoding) -> bytes:
            return certificate.public_bytes(Encoding.DER)

    assert channel_bindings(cast(x509.Certificate, Old())) == channel_bindings(certificate)


def test_certificate_that_nobody_can_read(certificate: x509.Certificate) -> None:
    """A client that verifies nothing may be shown anything."""
    assert _shown(None) == _shown(b"junk") == {}
    assert _shown(certificate.public_bytes(Encoding.DER)) == channel_bindings(certificate)


def test_what_can_be_pinned(certificate: x509.Certificate) -> None:
    octets = certificate.public_bytes(Encoding.DER)
    assert _digests(None) == []
    assert _digests(b"junk") == [hashlib.sha256(b"junk").digest()]
    assert _digests(octets)[0] == certificate.fingerprint(hashes.SHA256())
    assert len(_digests(octets)) == 2


@pytest.mark.catalogue("C9", "C11")
def test_context_of_a_client(tmp_path: Path) -> None:
    strict, loose = client_context(), client_context(verify=False)
    assert strict.verify_mode is ssl.CERT_REQUIRED
    assert strict.check_hostname
    assert loose.verify_mode is ssl.CERT_NONE
    for context in (strict, loose):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError, match="No such file"):
        client_context(tmp_path / "none.pem")
