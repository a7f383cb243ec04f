"""TLS, the server's side: contexts, what a handshake told, and channel bindings."""

import hashlib
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smtpcore import TlsInfo

# The names that the client of the handshake that runs in this task has asked for.
_asked_for: ContextVar[list[str]] = ContextVar("_asked_for")

SniCallback = Callable[[ssl.SSLObject, str, ssl.SSLContext], int | None]


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
            OSError: a file cannot be read.
            ValueError: there is no certificate in it, or no key that goes with it (`ssl.SSLError`).
        """
        # RFC 8996: no TLS before 1.2.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client that renegotiates makes us work for nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(certificate, key)
        return cls(context, x509.load_pem_x509_certificate(certificate.read_bytes()))

    async def handshake(self, transport: trio.abc.Stream) -> tuple["trio.SSLStream[trio.abc.Stream]", TlsInfo]:
        """Shake hands with the client behind *transport*.

        Raises:
            trio.BrokenResourceError: it failed.
        """
        # https_compatible: many clients hang up without a close_notify. The end of the stream completes
        # nothing in SMTP, so a truncation gains nobody anything.
        stream = trio.SSLStream(transport, self.context, server_side=True, https_compatible=True)
        names: list[str] = []
        token = _asked_for.set(names)
        try:
            await stream.do_handshake()
        finally:
            _asked_for.reset(token)
        cipher = stream.cipher()
        return stream, TlsInfo(
            version=stream.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=names[0] if names else None,
            channel_bindings=self.bindings,
        )


def _noting(previous: SniCallback | None) -> SniCallback:
    """An SNI callback that takes note of the name for `TlsContext.handshake`, then calls *previous*."""

    def note(socket: ssl.SSLObject, name: str, context: ssl.SSLContext) -> int | None:
        if name:  # None, whatever the types say, where the client asked for none
            _asked_for.get([]).append(name)
        return None if previous is None else previous(socket, name, context)

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
