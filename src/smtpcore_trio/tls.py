"""TLS, the server's side: contexts, what a handshake told, and channel bindings."""

import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from cryptography import x509
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
