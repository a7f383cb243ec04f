r"""The header of the PROXY protocol, versions 1 and 2, by which a proxy says whom it speaks for.

The section numbers below are those of HAProxy's *The PROXY protocol, versions 1 & 2*.

Whether a connection begins with a header is for the configuration to say and never to be guessed
(section 2: "the receiver MUST be configured to only receive the protocol described in this
specification and MUST not try to guess whether the protocol header is present or not"). So read one
from the proxies you have listed, from nobody else, and before a first octet goes to a
`ServerConnection`. "A few seconds" are enough to wait for it, "at least 3".

Theory of operation. The grammar is a generator that yields the number of octets it wants to have, each
time as many as it needs to judge the next one, and returns the header. So the cut of the input
cannot matter, what cannot become a header is refused at the octet that spoils it, no octet after the
header is looked at, and no more than one header is ever held. Judged a little later are the IPv6
addresses of version 1, at the space after each, and the texts and the checksum of version 2, at the end.
"""

import enum
import re
from collections.abc import Callable, Generator, Mapping
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, Literal, NamedTuple, TypeVar, final

from ._errors import LocalProtocolError, RemoteProtocolError
from ._events import Peer, TlsInfo
from ._value import value

V1_OCTETS: Final = 107
"""Section 2.1: the longest line of version 1, with CRLF."""
V2_FIXED_OCTETS: Final = 16
"""Section 2.2: what every header of version 2 begins with; the block follows."""
BLOCK_OCTETS: Final = 520
"""The longest block unless said otherwise: with the 16 octets before it, the 536 of section 2."""
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""Section 2.2: what version 2 begins with. An SMTP server would see QUIT in it."""


class ProxyError(RemoteProtocolError):
    """What the peer sent is not a PROXY header: abort the connection."""


class Family(enum.Enum):
    """The address family of the proxied connection, with its number in version 2."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class Transport(enum.Enum):
    """The transport protocol of the proxied connection, with its number in version 2."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


class TlvType(enum.IntEnum):
    """The registered types of TLVs (section 2.2); those named SSL_ are found inside that of SSL."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_SIG_ALG = 0x24
    SSL_KEY_ALG = 0x25
    NETNS = 0x30


Tlvs = tuple[tuple[int, bytes], ...]

# A rule of the grammar yields how many octets of the header it wants to have, and returns what it read.
_T = TypeVar("_T")
_Rule = Generator[int, None, _T]


@final
@value
class ProxyTls:
    """What the SSL TLV says of the client's connection to the proxy (section 2.2.6).

    Args:
        used: the client connected over TLS.
        verified: it has shown a certificate, and the proxy has verified it.
        version: such as ``TLSv1.3``; empty where the proxy does not say.
        cipher: the cipher suite's name; empty where the proxy does not say.
        common_name: that of the client's certificate.
        tlvs: type and value of each TLV inside, in their order.
    """

    used: bool
    verified: bool = False
    version: str = ""
    cipher: str = ""
    common_name: str | None = None
    tlvs: Tlvs = ()


@final
@value
class ProxyHeader:
    """Whom a proxy speaks for.

    Args:
        local: it speaks for itself, as in a health check (section 2.2, LOCAL).
        source: the client; None where the header does not say (LOCAL, UNKNOWN, UNSPEC). An IPv4
            address that was mapped into IPv6 is given as what it is.
        destination: what the client has connected to.
        paths: source and destination of a UNIX socket, without the NULs that pad them.
        authority: the host that the client asked for, such as in SNI.
        tls: what is said of TLS between client and proxy.
        tlvs: type and value of each TLV, in their order, those of unknown types too; not of NOOP.
    """

    version: Literal[1, 2]
    local: bool = False
    family: Family = Family.UNSPEC
    transport: Transport = Transport.UNSPEC
    source: Peer | None = None
    destination: Peer | None = None
    paths: tuple[bytes, bytes] | None = None
    authority: str | None = None
    tls: ProxyTls | None = None
    tlvs: Tlvs = ()

    def peer(self, transport: Peer) -> Peer:
        """Who is at the other end.

        Args:
            transport: who it is by the transport, the proxy that is; the answer where the header
                does not say ("use the real connection endpoints").
        """
        return transport if self.source is None else self.source

    @property
    def secure(self) -> bool:
        """Whether the client connected to the proxy over TLS."""
        return self.tls is not None and self.tls.used

    def tls_info(self) -> TlsInfo | None:
        """The client's TLS session as a `ServerConnection` wants it; None where there was none.

        It has no channel bindings: the client's channel ends at the proxy.
        """
        if self.tls is None or not self.tls.used:
            return None
        subject = self.tls.common_name if self.tls.verified else None
        return TlsInfo(self.tls.version, self.tls.cipher, self.authority or None, subject or None)

    def find(self, kind: int) -> bytes | None:
        """The value of the first TLV of a type, such as ``TlvType.UNIQUE_ID``; None where there is none."""
        return next((found for of, found in self.tlvs if of == kind), None)


@final
class ProxyParser:
    """Reads one header; use a new parser for each connection.

    Args:
        block_octets: the longest block of version 2 that is taken. The parser holds that many
            octets and 16 more, or 107 if that is more.

    Raises:
        LocalProtocolError: *block_octets* is too few for a pair of addresses or more than can be said.
    """

    __slots__ = ("_buffer", "_failed", "_grammar", "_wanted", "rest")

    rest: bytes
    """The octets that came with the last of the header and follow it: the first of SMTP, or of TLS."""

    def __init__(self, *, block_octets: int = BLOCK_OCTETS) -> None:
        if not _ADDRESSES[Family.UNIX].size <= block_octets <= 0xFFFF:
            raise LocalProtocolError("block_octets must be 216 to 65535")
        self.rest = b""
        self._buffer = bytearray()
        self._grammar: _Rule[ProxyHeader] | None = _header(self._buffer, block_octets)
        self._wanted = next(self._grammar)
        self._failed = ""

    def receive(self, data: bytes) -> ProxyHeader | None:
        """Take what was received; ``b""`` says that the peer sends no more.

        Returns:
            The header once its last octet is there; what came after it is in `rest`. None before.

        Raises:
            ProxyError: this cannot become a header any more, now and in each further call.
            LocalProtocolError: the header was returned before.
        """
        if self._failed:
            raise ProxyError(self._failed)
        if self._grammar is None:
            raise LocalProtocolError("the header is complete")
        at = 0
        try:
            if not data:
                raise ProxyError("the connection ended before its PROXY header")
            while True:
                missing = self._wanted - len(self._buffer)
                piece = data[at : at + missing]
                self._buffer += piece
                at += len(piece)
                if len(piece) < missing:
                    return None
                self._wanted = next(self._grammar)
        except StopIteration as done:
            header: ProxyHeader = done.value
            self.rest = data[at:]
            self._finish()
            return header
        except ProxyError as error:
            self._failed = str(error)
            self._finish()
            raise

    def _finish(self) -> None:
        self._grammar = None
        self._buffer = bytearray()


def _header(buffer: bytearray, block_octets: int) -> _Rule[ProxyHeader]:
    yield 1
    if buffer[0] == SIGNATURE[0]:
        return (yield from _version_2(buffer, block_octets))
    return (yield from _version_1(buffer))


# --- version 1, section 2.1 ----------------------------------------------------------------------


_Match = Callable[[bytearray], re.Match[bytes] | None]


def _beginnings(*tokens: str) -> _Match:
    """A pattern for a row of tokens, and for all that such a row may begin with.

    It needs tokens whose beginnings are tokens, too, and that cannot be prolonged by what may follow them.
    """
    pattern = ""
    for token in reversed(tokens):
        pattern = f"(?:{token}{pattern})?"
    return re.compile(pattern.encode()).fullmatch


# "Heading zeroes are not permitted in front of numbers"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PORT = "(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}|0)"
_IPV4 = (_OCTET, "[.]", _OCTET, "[.]", _OCTET, "[.]", _OCTET)
_IPV6 = "[0-9A-Fa-f:.]{1,39}+"  # and no "%": a zone means nothing on another host
_PORTS = (" ", _PORT, " ", _PORT, "\r", "\n")

_LINES: Final[Mapping[Family, _Match]] = {
    Family.INET: _beginnings(*"PROXY TCP4 ", *_IPV4, " ", *_IPV4, *_PORTS),
    Family.INET6: _beginnings(*"PROXY TCP6 ", _IPV6, " ", _IPV6, *_PORTS),
    # "the receiver must ignore anything presented before the CRLF is found"; these 92 octets and 15 make 107
    Family.UNSPEC: _beginnings(*"PROXY UNKNOWN", "(?: [^\r\n]{0,91}+)?+", "\r", "\n"),
}


def _version_1(buffer: bytearray) -> _Rule[ProxyHeader]:
    family = _begun(buffer)
    while not buffer.endswith(b"\n"):
        yield len(buffer) + 1
        family = _begun(buffer)
    if family is Family.UNSPEC:
        return ProxyHeader(1)
    fields = buffer[:-2].decode().split(" ")
    read = _ipv4 if family is Family.INET else _ipv6
    source, destination = (Peer(read(fields[n]), int(fields[n + 2])) for n in (2, 3))
    return ProxyHeader(1, False, family, Transport.STREAM, source, destination)


def _begun(buffer: bytearray) -> Family:
    """The family of the line that begins, or that may be it."""
    for family, match in _LINES.items():
        if match(buffer):
            if family is Family.INET6 and buffer.endswith(b" "):
                for address in buffer.split(b" ")[2:-1][:2]:
                    _ipv6(address.decode())
            return family
    raise ProxyError(f"octet {len(buffer)} is not one of a PROXY header")


def _ipv4(address: str | bytes) -> str:
    return str(IPv4Address(address))


def _ipv6(address: str | bytes) -> str:
    try:
        read = IPv6Address(address)
    except ValueError:
        raise ProxyError("not an IPv6 address") from None
    return str(read.ipv4_mapped or read)


# --- version 2, section 2.2 ----------------------------------------------------------------------


class _Tlv(NamedTuple):
    kind: int
    start: int  # of the value, in the header
    value: bytes
    inside: "list[_Tlv]"


_LOCAL, _PROXY = 0x20, 0x21
# Source and destination; but for UNIX, their ports.
_ADDRESSES: Final = {
    Family.INET: Struct("!4s4sHH"),
    Family.INET6: Struct("!16s16sHH"),
    Family.UNIX: Struct("!108s108s"),
}

# The TLVs that mean something here, with the least and the most octets of their values. None of them may
# come twice: which one counts would be anybody's guess.
_Known = Mapping[int, tuple[int, int]]
_KNOWN: Final[_Known] = {
    TlvType.AUTHORITY: (0, 0xFFFF),
    TlvType.CRC32C: (4, 4),
    TlvType.UNIQUE_ID: (0, 128),
    TlvType.SSL: (5, 0xFFFF),
}
_KNOWN_IN_SSL: Final[_Known] = {
    TlvType.SSL_VERSION: (0, 0xFFFF),
    TlvType.SSL_CN: (0, 0xFFFF),
    TlvType.SSL_CIPHER: (0, 0xFFFF),
}


def _version_2(buffer: bytearray, block_octets: int) -> _Rule[ProxyHeader]:
    for have, expected in enumerate(SIGNATURE, 1):
        yield have
        if buffer[-1] != expected:
            raise ProxyError(f"octet {have} is not one of a PROXY header")
    yield 13
    if buffer[12] not in (_LOCAL, _PROXY):
        raise ProxyError("neither LOCAL nor PROXY of version 2")
    yield 14
    local = buffer[12] == _LOCAL
    # LOCAL: "discard the protocol block including the family which is ignored"
    code = 0 if local else buffer[13]
    try:
        family, transport = Family(code >> 4), Transport(code & 15)
    except ValueError:
        raise ProxyError(f"{code:#04x} is not an address family and a protocol") from None
    if family is Family.UNSPEC or transport is Transport.UNSPEC:
        # How long the addresses are is not said, so neither is where TLVs begin: nothing in the block is read.
        length = yield from _length(buffer, 14, 0, block_octets)
        yield V2_FIXED_OCTETS + length
        return ProxyHeader(2, local, family, transport)
    addresses = _ADDRESSES[family].size
    length = yield from _length(buffer, 14, addresses, block_octets)
    start, end = V2_FIXED_OCTETS + addresses, V2_FIXED_OCTETS + length
    tlvs = yield from _tlvs(buffer, start, end, _KNOWN)
    yield end
    known = {tlv.kind: tlv for tlv in tlvs}
    _verify(buffer, known.get(TlvType.CRC32C))
    source, destination, paths = _endpoints(bytes(buffer[V2_FIXED_OCTETS:start]), family)
    return ProxyHeader(
        2, False, family, transport, source, destination, paths,
        _text(known.get(TlvType.AUTHORITY)),
        _tls(known.get(TlvType.SSL)),
        tuple((tlv.kind, tlv.value) for tlv in tlvs if tlv.kind != TlvType.NOOP),
    )  # fmt: skip


def _length(buffer: bytearray, at: int, least: int, most: int) -> _Rule[int]:
    """A length of two octets, in network order; refused at the first of them where that is enough to know."""
    length = 0
    for have, unknown in ((1, 0xFF), (2, 0)):
        yield at + have
        length += buffer[at + have - 1] * (unknown + 1)
        if length > most or length + unknown < least:
            raise ProxyError(f"a length is not {least} to {most}")
    return length


def _tlvs(buffer: bytearray, at: int, end: int, known: _Known) -> _Rule[list[_Tlv]]:
    tlvs: list[_Tlv] = []
    _enough(end - at)
    while at < end:
        yield at + 1
        kind = buffer[at]
        least, most = known.get(kind, (0, 0xFFFF))
        room = end - at - 3
        if least > room or (kind in known and any(tlv.kind == kind for tlv in tlvs)):
            raise ProxyError(f"TLV {kind:#04x} is cut off or comes twice")
        length = yield from _length(buffer, at + 1, least, min(most, room))
        start, at = at + 3, at + 3 + length
        _enough(end - at)
        inside: list[_Tlv] = []
        if known is _KNOWN and kind == TlvType.SSL:
            inside = yield from _tlvs(buffer, start + 5, at, _KNOWN_IN_SSL)
        yield at
        tlvs.append(_Tlv(kind, start, bytes(buffer[start:at]), inside))
    return tlvs


def _enough(left: int) -> None:
    """Type and length of a TLV have three octets."""
    if 0 < left < 3:
        raise ProxyError("a TLV is cut off")


def _endpoints(block: bytes, family: Family) -> tuple[Peer, Peer, tuple[bytes, bytes] | None]:
    fields = _ADDRESSES[family].unpack(block)
    if family is Family.UNIX:
        source, destination = (path.rstrip(b"\0") for path in fields)
        return Peer(None), Peer(None), (source, destination)
    read = _ipv4 if family is Family.INET else _ipv6
    return Peer(read(fields[0]), fields[2]), Peer(read(fields[1]), fields[3]), None


def _text(tlv: _Tlv | None, encoding: str = "utf-8") -> str | None:
    """A text that may go into a log or name somebody: no control or format character is in it."""
    if tlv is None:
        return None
    try:
        text = tlv.value.decode(encoding)
    except UnicodeDecodeError:
        raise ProxyError(f"TLV {tlv.kind:#04x} is not {encoding}") from None
    if not text.isprintable():
        raise ProxyError(f"TLV {tlv.kind:#04x} holds a character that is not printable")
    return text


def _tls(tlv: _Tlv | None) -> ProxyTls | None:
    if tlv is None:
        return None
    client, verify = tlv.value[0], tlv.value[1:5]
    known = {inside.kind: inside for inside in tlv.inside}
    used = bool(client & 0x01)  # PP2_CLIENT_SSL
    shown = bool(client & 0x06)  # PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS
    return ProxyTls(
        used,
        used and shown and verify == bytes(4),
        _text(known.get(TlvType.SSL_VERSION), "ascii") or "",
        _text(known.get(TlvType.SSL_CIPHER), "ascii") or "",
        _text(known.get(TlvType.SSL_CN)),
        tuple((inside.kind, inside.value) for inside in tlv.inside),
    )


def _verify(buffer: bytearray, tlv: _Tlv | None) -> None:
    """Section 2.2.3: the checksum is that of the whole header with zeros in its own place."""
    if tlv is None:
        return
    whole = buffer[: tlv.start] + bytes(4) + buffer[tlv.start + 4 :]
    if crc32c(whole) != int.from_bytes(tlv.value):
        raise ProxyError("the checksum of the header is wrong")


def _crc32c_of(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_CRC32C: Final = tuple(_crc32c_of(octet) for octet in range(256))


def crc32c(octets: bytes | bytearray) -> int:
    """The checksum CRC32c (RFC 4960 appendix B; section 2.2.3)."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc = crc >> 8 ^ _CRC32C[(crc ^ octet) & 0xFF]
    return crc ^ 0xFFFFFFFF
