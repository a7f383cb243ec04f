"""TLS, both sides: contexts, what a handshake told, and channel bindings."""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from smtpcore import TlsInfo

from ._transport import SocketTransport, TlsTransport

SniCallback = Callable[[ssl.SSLObject, str, ssl.SSLContext], int | None]

# The names that clients have asked for.
_asked_for: Final[WeakKeyDictionary[ssl.SSLObject, str]] = WeakKeyDictionary()


class TlsContext:
    """An `ssl.SSLContext` and the certificate that it shows.

    Args:
        context: for the server's side.
        certificate: needed for ``tls-server-end-point``, and by that for the -PLUS mechanisms: no
            context tells what it was loaded with.
    """

    def __init__(self, context: ssl.SSLContext, certificate: x509.Certificate | None = None) -> None:
        self.context = context
        self.bindings = {} if certificate is None else channel_bindings(certificate)
        context.sni_callback = _noting(context.sni_callback)

    @classmethod
    def load(cls, certificate: Path, key: Path | None = None) -> "TlsContext":
        """From PEM files: a certificate with its chain, and its key, which may be in the same file.

        Raises:
            OSError: a file cannot be read, or there is no key in it that goes with the certificate
                (`ssl.SSLError`).
            ValueError: there is no certificate in it.
        """
        # RFC 8996: no TLS before 1.2.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client that renegotiates makes us work for nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(certificate, key)
        return cls(context, x509.load_pem_x509_certificate(certificate.read_bytes()))

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """Shake hands with the client behind *transport*.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: *transport* was woken.
        """
        above = TlsTransport(transport, self.context)
        await above.shake_hands()
        cipher = above.tls.cipher()
        return above, TlsInfo(
            version=above.tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=_asked_for.get(above.tls),
            channel_bindings=self.bindings,
        )


class ClientTlsContext:
    """An `ssl.SSLContext` for the client's side, and the name of the server that it is to find there.

    Args:
        context: whether it verifies is told in `TlsInfo.verified`.
        name: a domain, or an IP address.
    """

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        self.context = context
        self.name = name

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """Shake hands with the server behind *transport*.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: *transport* was woken.
        """
        above = TlsTransport(transport, self.context, self.name)
        await above.shake_hands()
        cipher = above.tls.cipher()
        return above, TlsInfo(
            version=above.tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=self.name,
            verified=self.context.verify_mode is ssl.CERT_REQUIRED and self.context.check_hostname,
            channel_bindings=_shown(above.tls.getpeercert(binary_form=True)),
        )


def _shown(certificate: bytes | None) -> dict[str, bytes]:
    """What binds to the certificate that a server has shown, which may be any octets where nothing verifies it."""
    try:
        return {} if certificate is None else channel_bindings(x509.load_der_x509_certificate(certificate))
    except (ValueError, UnsupportedAlgorithm):
        return {}


def client_context(authority: Path | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """A context for `ClientTlsContext`.

    Args:
        authority: a PEM file with certificates to trust in place of the system's.
        verify: demand a certificate that is valid, and is for the server's name.

    Raises:
        OSError: *authority* cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _noting(previous: SniCallback | None) -> SniCallback:
    """An SNI callback that takes note of the name for `TlsContext.shake_hands`, then calls *previous*."""

    def note(tls: ssl.SSLObject, name: str, context: ssl.SSLContext) -> int | None:
        if name:  # None, whatever the types say, where the client asked for none
            _asked_for[tls] = name
        return None if previous is None else previous(tls, name, context)

    return note


def channel_bindings(certificate: x509.Certificate) -> dict[str, bytes]:
    """What binds to a server that shows *certificate*: ``tls-server-end-point`` (RFC 5929 section 4)."""
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        # RFC 5929 4.1: of a signature "that uses no hash functions or uses multiple hash functions" it is undefined.
        return {}
    # "if the certificate's signatureAlgorithm uses a single hash function, and that hash function is either
    # MD5 or SHA-1, then use SHA-256"
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return {"tls-server-end-point": hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()}
