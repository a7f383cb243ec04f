"""TLS, both sides: contexts, what a handshake told, and channel bindings."""

import contextlib
import functools
import hashlib
import os
import ssl
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import attrs
import trio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smtpcore import TlsInfo

from ._transport import SocketTransport, TlsTransport

SniCallback = Callable[[ssl.SSLObject, str, ssl.SSLContext], int | None]

# The names that clients have asked for.
_asked_for: Final[WeakKeyDictionary[ssl.SSLObject, str]] = WeakKeyDictionary()


AnyPath = str | os.PathLike[str]

Files = tuple[AnyPath, AnyPath | None]
"""A certificate with its chain, and its key, which may be in the same file; both in PEM."""

_Paths = tuple[Path, Path | None]


def _paths(certificate: AnyPath, key: AnyPath | None) -> _Paths:
    return Path(certificate), None if key is None else Path(key)


class TlsContext:
    """What a server shows in handshakes: an `ssl.SSLContext` and its certificate, perhaps with others by name.

    Each keeps the tickets that it gives to itself: no session goes on where another context is in use.

    Args:
        context: for the server's side.
        certificate: needed for ``tls-server-end-point``, and by that for the -PLUS mechanisms: no
            context tells what it was loaded with.
    """

    def __init__(self, context: ssl.SSLContext, certificate: x509.Certificate | None = None) -> None:
        self._shown = _Shown(context, {} if certificate is None else {context: channel_bindings(certificate)})
        self._files: tuple[_Paths, Mapping[str, _Paths]] | None = None
        context.sni_callback = _noting(context.sni_callback)

    @classmethod
    def load(
        cls, certificate: AnyPath, key: AnyPath | None = None, *, others: Mapping[str, Files] | None = None
    ) -> "TlsContext":
        """From PEM files: a certificate with its chain, and its key, which may be in the same file.

        Args:
            certificate, key: for clients that ask for no name, or for one that is not in *others*.
            others: the files for other names, such as ``mx.example.net`` or ``*.example.net``.

        Raises:
            OSError: a file cannot be read, or there is no key in it that goes with the certificate
                (`ssl.SSLError`). Its text names the file.
            ValueError: there is no certificate in it.
        """
        files = _paths(certificate, key)
        named = {name.lower(): _paths(*pair) for name, pair in (others or {}).items()}
        shown = _read(files, named)
        loaded = cls(shown.context)
        loaded._shown = shown
        loaded._files = files, named
        return loaded

    def __reduce__(self) -> tuple[object, ...]:
        # By name, so that no key goes anywhere; whoever is sent it reads them where it is.
        if self._files is None:
            raise TypeError("a TlsContext that was not loaded from files cannot be sent")
        (certificate, key), named = self._files
        others = {name: (each.absolute(), pair and pair.absolute()) for name, (each, pair) in named.items()}
        return functools.partial(TlsContext.load, others=others), (certificate.absolute(), key and key.absolute())

    @property
    def context(self) -> ssl.SSLContext:
        """What a handshake begins with."""
        return self._shown.context

    @property
    def bindings(self) -> Mapping[str, bytes]:
        """The channel bindings of a client that asks for no other name."""
        return self._shown.bindings.get(self._shown.context, {})

    def reload(self) -> None:
        """Read the files again; handshakes that begin from now on are with what is in them now.

        Raises:
            OSError, ValueError: as by `load`; nothing has changed then.
            ValueError: it was not loaded from files.
        """
        if self._files is None:
            raise ValueError("a context that was not loaded cannot be loaded again")
        shown = _read(*self._files)
        shown.context.sni_callback = _noting(shown.context.sni_callback)
        self._shown = shown

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """Shake hands with the client behind *transport*.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: *transport* was woken.
        """
        shown = self._shown  # another may have come when it is done
        above = TlsTransport(transport, shown.context)
        await above.shake_hands()
        cipher = above.tls.cipher()
        return above, TlsInfo(
            version=above.tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=_asked_for.get(above.tls),
            channel_bindings=shown.bindings.get(above.tls.context, {}),
        )


@attrs.frozen
class _Shown:
    """A context, and what binds to the certificate of each that it may change to."""

    context: ssl.SSLContext
    bindings: Mapping[ssl.SSLContext, dict[str, bytes]]


def _read(files: _Paths, named: Mapping[str, _Paths]) -> _Shown:
    bindings: dict[ssl.SSLContext, dict[str, bytes]] = {}

    def read(certificate: Path, key: Path | None) -> ssl.SSLContext:
        # RFC 8996: no TLS before 1.2.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A client that renegotiates makes us work for nothing.
        context.options |= ssl.OP_NO_RENEGOTIATION
        with _naming(certificate, key):
            context.load_cert_chain(certificate, key)
            bindings[context] = channel_bindings(x509.load_pem_x509_certificate(certificate.read_bytes()))
        return context

    context = read(*files)
    others = {name: read(*pair) for name, pair in named.items()}
    if others:
        context.sni_callback = _choosing(others)
    return _Shown(context, bindings)


@contextlib.contextmanager
def _naming(certificate: Path, key: Path | None) -> Iterator[None]:
    """Name the files in what `ssl` and the parser of certificates have to say against them."""
    both = str(certificate) if key is None else f"{certificate} and {key}"
    try:
        yield
    except ssl.SSLError as error:
        error.strerror = f"{both}: {error.strerror or error}"
        raise
    except OSError as error:
        if error.filename is None:
            missing = key if key is not None and certificate.exists() else certificate
            raise OSError(error.errno, error.strerror or str(error), str(missing)) from None
        raise
    except ValueError as error:
        raise ValueError(f"{certificate}: {error}") from error


def _choosing(others: Mapping[str, ssl.SSLContext]) -> SniCallback:
    """An SNI callback that shows another certificate to who asks for it."""

    def choose(tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        asked = (name or "").lower()
        # RFC 6125 6.4.3: "*" stands for one whole label. A name that nobody has gets what there is: RFC 6066 3 lets
        # us go on, and a client that verifies it will not.
        if other := others.get(asked) or others.get("*." + asked.partition(".")[2]):
            tls.context = other

    return choose


class NotPinned(Exception):
    """The certificate that the server has shown is none of those that it may show."""


class ClientTlsContext:
    """An `ssl.SSLContext` for the client's side, and the name of the server that it is to find there.

    Args:
        context: whether it verifies is told in `TlsInfo.verified`.
        name: a domain, or an IP address.
        pinned: SHA-256 digests, of certificates (DER) or of their public keys (SubjectPublicKeyInfo, as in
            RFC 7469): any other certificate ends the handshake, and one of these counts as verified.
    """

    def __init__(self, context: ssl.SSLContext, name: str, pinned: Collection[bytes] = ()) -> None:
        self.context = context
        self.name = name
        self.pinned = frozenset(pinned)

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """Shake hands with the server behind *transport*.

        Raises:
            trio.BrokenResourceError: it failed.
            trio.ClosedResourceError: *transport* was woken.
        """
        above = TlsTransport(transport, self.context, self.name)
        await above.shake_hands()
        certificate = above.tls.getpeercert(binary_form=True)
        if self.pinned and self.pinned.isdisjoint(_digests(certificate)):
            raise trio.BrokenResourceError from NotPinned("the certificate is none of those that are pinned")
        cipher = above.tls.cipher()
        return above, TlsInfo(
            version=above.tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=self.name,
            verified=bool(self.pinned)
            or (self.context.verify_mode is ssl.CERT_REQUIRED and self.context.check_hostname),
            channel_bindings=_shown(certificate),
        )


def _digests(certificate: bytes | None) -> list[bytes]:
    """What *certificate*, which may be any octets, may be pinned by."""
    if certificate is None:
        return []
    digests = [hashlib.sha256(certificate).digest()]
    with contextlib.suppress(ValueError, UnsupportedAlgorithm):
        key = x509.load_der_x509_certificate(certificate).public_key()
        digests.append(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest())
    return digests


def _shown(certificate: bytes | None) -> dict[str, bytes]:
    """What binds to the certificate that a server has shown, which may be any octets where nothing verifies it."""
    try:
        return {} if certificate is None else channel_bindings(x509.load_der_x509_certificate(certificate))
    except (ValueError, UnsupportedAlgorithm):
        return {}


def client_context(authority: AnyPath | None = None, *, verify: bool = True) -> ssl.SSLContext:
    """A context for `ClientTlsContext`.

    Args:
        authority: a PEM file with certificates to trust in place of the system's.
        verify: demand a certificate that is valid, and is for the server's name.

    Raises:
        OSError: *authority* cannot be read, or holds no certificate (`ssl.SSLError`).
    """
    if verify or authority is not None:
        context = ssl.create_default_context(cafile=authority)
    else:
        # The same, without the system's authorities: nobody asks them, and they take 37 ms.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if keys := _key_log():
            context.keylog_filename = keys
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _key_log() -> str | None:
    return None if sys.flags.ignore_environment else os.environ.get("SSLKEYLOGFILE")


def stock_context(*, verify: bool) -> ssl.SSLContext:
    """As `client_context`, the same for many connections: until the files of the system's authorities change."""
    files: list[tuple[str | None, int, int]] = []
    if verify:
        paths = ssl.get_default_verify_paths()
        for path in (paths.cafile, paths.capath):
            with contextlib.suppress(OSError):  # it has gone
                stat = os.stat(path or "")
                files.append((path, stat.st_mtime_ns, stat.st_ino))
    return _kept_context(verify, _key_log(), tuple(files))


@functools.lru_cache(maxsize=4)
def _kept_context(verify: bool, key_log: str | None, files: tuple[tuple[str | None, int, int], ...]) -> ssl.SSLContext:
    return client_context(verify=verify)


class StockTlsContext:
    """A `ClientTlsContext` that is made when it is wanted; without *context* with what is in stock."""

    def __init__(self, context: ssl.SSLContext | None, verify: bool, name: str, pinned: Collection[bytes]) -> None:
        self._context = context
        self._verify = verify
        self._name = name
        self._pinned = pinned

    async def shake_hands(self, transport: SocketTransport) -> tuple[TlsTransport, TlsInfo]:
        """See `ClientTlsContext`."""
        context = self._context or stock_context(verify=self._verify)
        return await ClientTlsContext(context, self._name, self._pinned).shake_hands(transport)


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
