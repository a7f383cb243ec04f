"""The header of the PROXY protocol, versions 1 and 2."""

import ipaddress
import itertools
import struct
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import assume, given, strategies as st

from smtpcore._errors import LocalProtocolError, RemoteProtocolError
from smtpcore._events import Peer, TlsInfo
from smtpcore.proxy import (
    BLOCK_OCTETS,
    SIGNATURE,
    V1_OCTETS,
    Family,
    ProxyError,
    ProxyHeader,
    ProxyParser,
    ProxyTls,
    TlvType,
    Transport,
    crc32c,
)

PROXY, LOCAL = 0x21, 0x20
TCP4, UDP4, TCP6, UDP6, UNIX_STREAM, UNIX_DGRAM = 0x11, 0x12, 0x21, 0x22, 0x31, 0x32
ADDRESSES4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + struct.pack("!HH", 56324, 25)
HERE = Peer("10.0.0.1", 40000)
CLIENT, SERVER = Peer("192.0.2.1", 56324), Peer("198.51.100.2", 25)

FULL6 = b":".join([b"ffff"] * 8)
LINE4 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 25\r\n"
LINE6 = b"PROXY TCP6 2001:db8::1 2001:DB8:0:0::2 56324 25\r\n"


def v2(block: bytes = ADDRESSES4, code: int = TCP4, command: int = PROXY) -> bytes:
    return SIGNATURE + bytes([command, code]) + struct.pack("!H", len(block)) + block


def tlv(kind: int, value: bytes = b"") -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def ssl(client: int, verify: int, *inside: bytes) -> bytes:
    return tlv(TlvType.SSL, struct.pack("!BI", client, verify) + b"".join(inside))


def checked(block: bytes) -> bytes:
    """A header with *block* and the right checksum at its end."""
    header = v2(ADDRESSES4 + block + tlv(TlvType.CRC32C, bytes(4)))
    return header[:-4] + crc32c(header).to_bytes(4)


def pieces(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in itertools.pairwise(borders):
        yield data[start:end]


def read(data: bytes, cuts: Iterable[int] = ()) -> tuple[ProxyHeader | None, bytes]:
    """The header of *data*, None if it is not complete, and the octets after it."""
    parser = ProxyParser()
    header = None
    rest = b""
    for piece in pieces(data, cuts):
        if header is None:
            header = parser.receive(piece)
            rest = parser.rest
        else:
            rest += piece
    return header, rest


def header_of(data: bytes) -> ProxyHeader:
    header, rest = read(data)
    assert header is not None
    assert rest == b""
    return header


def refused_at(data: bytes) -> int | None:
    """The index of the octet at which *data* is refused, octet by octet."""
    parser = ProxyParser()
    for n in range(len(data)):
        try:
            if parser.receive(data[n : n + 1]) is not None:
                return None
        except ProxyError:
            return n
    return None


# --- version 1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "family", "source", "destination"),
    [
        # The example of section 2.1, and its longest lines.
        (
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            Family.INET,
            Peer("192.168.0.1", 56324),
            Peer("192.168.0.11", 443),
        ),
        (
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            Family.INET,
            Peer("255.255.255.255", 65535),
            Peer("255.255.255.255", 65535),
        ),
        (
            b"PROXY TCP6 %b %b 65535 65535\r\n" % (FULL6, FULL6.upper()),
            Family.INET6,
            Peer(FULL6.decode(), 65535),
            Peer(FULL6.decode(), 65535),
        ),
        (LINE4, Family.INET, CLIENT, SERVER),
        (LINE6, Family.INET6, Peer("2001:db8::1", 56324), Peer("2001:db8::2", 25)),
        (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Family.INET, Peer("0.0.0.0", 0), Peer("0.0.0.0", 0)),
        (b"PROXY TCP6 :: ::1 0 1\r\n", Family.INET6, Peer("::", 0), Peer("::1", 1)),
        # An IPv4 client of a dual-stack socket.
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:c633:6402 56324 25\r\n", Family.INET6, CLIENT, SERVER),
    ],
)
def test_v1(line: bytes, family: Family, source: Peer, destination: Peer) -> None:
    header = header_of(line)
    assert header == ProxyHeader(1, False, family, Transport.STREAM, source, destination)
    assert header.peer(HERE) == source
    assert not header.secure
    assert header.tls_info() is None


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN what\x00ever\xff  \r\n",
        b"PROXY UNKNOWN 192.0.2.1 198.51.100.2 56324 25\r\n",
        # The worst case of section 2.1.
        b"PROXY UNKNOWN %b %b 65535 65535\r\n" % (FULL6, FULL6),
    ],
)
def test_v1_unknown(line: bytes) -> None:
    header = header_of(line)
    assert header == ProxyHeader(1)
    assert header.peer(HERE) == HERE


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"", b"EHLO client.example\r\n"),
        (b"", b" PROXY UNKNOWN\r\n"),
        (b"", b"proxy UNKNOWN\r\n"),
        (b"", b"\x16\x03\x01"),
        (b"P", b"OST / HTTP/1.1\r\n"),
        (b"PROXY", b"\r\n"),
        (b"PROXY", b"\tTCP4"),
        (b"PROXY ", b" TCP4"),
        (b"PROXY ", b"tcp4"),
        (b"PROXY ", b"UDP4"[1:]),
        (b"PROXY TCP", b"5"),
        (b"PROXY UNKNOWN", b"4"),
        (b"PROXY UNKNOWN", b"\n"),
        (b"PROXY UNKNOWN x", b"\n"),
        (b"PROXY UNKNOWN x\r", b"y"),
        (b"PROXY UNKNOWN x\r", b"\r"),
        (b"PROXY TCP4", b"\r\n"),
        (b"PROXY TCP4 ", b" 192.0.2.1"),
        (b"PROXY TCP4 ", b"::1"),
        (b"PROXY TCP4 ", b"-1"),
        (b"PROXY TCP4 ", "\u0661".encode()),
        (b"PROXY TCP4 192.0.2.", b".1"),
        (b"PROXY TCP4 192.0.2", b" "),
        (b"PROXY TCP4 192.0.2.1", b"."),
        (b"PROXY TCP4 192.0.2.1", b"/24"),
        (b"PROXY TCP4 25", b"6.0.2.1"),
        (b"PROXY TCP4 192.0", b"0.2.1"),
        (b"PROXY TCP4 192.0.2.1 ", b" 198.51.100.2"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2", b"\t25"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2", b"\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 ", b" 1"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 ", b"+1"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 0", b"1 25\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 6553", b"6 25\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 6", b"_5 25\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 65535", b"0 25\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1", b"\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 ", b"\r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 25", b"\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 25", b" \r\n"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 25\r", b"\r\n"),
        (b"PROXY TCP6 ", b"%eth0"),
        (b"PROXY TCP6 ", b" ::1"),
        (b"PROXY TCP6 fe80::1", b"%eth0 ::1 1 25\r\n"),
        (b"PROXY TCP6 192.0.2.1", b" ::1 1 25\r\n"),
        (b"PROXY TCP6 1::2::3", b" ::1 1 25\r\n"),
        (b"PROXY TCP6 12345::", b" ::1 1 25\r\n"),
        (b"PROXY TCP6 ::1 1:2:3", b" 1 25\r\n"),
        (b"PROXY TCP6 ::1 ::1 1", b"\r\n"),
        (b"PROXY TCP6 " + b"0" * 39, b"0"),
    ],
)
def test_v1_refused(good: bytes, bad: bytes) -> None:
    assert refused_at(good + bad) == len(good)


def test_v1_bound() -> None:
    longest = b"PROXY UNKNOWN ".ljust(V1_OCTETS - 2, b"x")
    assert header_of(longest + b"\r\n") == ProxyHeader(1)
    assert refused_at(longest + b"x\r\n") == V1_OCTETS - 2


DECIMAL = st.sampled_from(
    ["0", "1", "9", "00", "01", "10", "99", "199", "255", "256", "260", "300", "1000", "", "a", "-1"]
)


@given(st.lists(DECIMAL, min_size=3, max_size=5).map(".".join))
def test_v1_ipv4_is_that_of_ipaddress(address: str) -> None:
    line = b"PROXY TCP4 %b 192.0.2.1 1 2\r\n" % address.encode()
    try:
        expected = str(ipaddress.IPv4Address(address))
    except ValueError:
        assert refused_at(line) is not None
    else:
        assert header_of(line).source == Peer(expected, 1)


@given(st.integers(0, 0xFFFF))
def test_v1_port(port: int) -> None:
    assert header_of(b"PROXY TCP4 192.0.2.1 192.0.2.2 %d %d\r\n" % (port, port)).source == Peer("192.0.2.1", port)
    assert refused_at(b"PROXY TCP4 192.0.2.1 192.0.2.2 %d 1\r\n" % (port + 0x10000)) is not None
    assert refused_at(b"PROXY TCP4 192.0.2.1 192.0.2.2 0%d 1\r\n" % port) is not None


@given(st.ip_addresses(v=6), st.ip_addresses(v=6))
def test_v1_ipv6(source: ipaddress.IPv6Address, destination: ipaddress.IPv6Address) -> None:
    header = header_of(f"PROXY TCP6 {source.exploded} {destination.compressed} 1 2\r\n".encode())
    assert header.source == Peer(str(source.ipv4_mapped or source), 1)
    assert header.destination == Peer(str(destination.ipv4_mapped or destination), 2)


@given(st.data())
def test_v1_what_is_not_refused_can_be_completed(data: st.DataObject) -> None:
    line = bytearray(data.draw(st.sampled_from([LINE4, b"PROXY UNKNOWN 192.0.2.1\r\n"])))
    for _ in range(data.draw(st.integers(0, 2))):
        line[data.draw(st.integers(1, len(line) - 1))] = data.draw(st.sampled_from(b" .0125689\rTU"))
    good = bytes(line[: refused_at(bytes(line))])
    assume(not good.startswith(b"PROXY TCP6"))
    while read(good)[0] is None:
        good += next(octet for octet in map(b"%c".__mod__, b"\n\r .0PROXYTC4UNKW") if refused_at(good + octet) is None)


# --- version 2 -----------------------------------------------------------------------------------


def test_v2_signature() -> None:
    # Section 2.2: "hex 0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A"
    assert bytes.fromhex("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A") == SIGNATURE


@pytest.mark.parametrize(
    ("code", "transport"),
    [(TCP4, Transport.STREAM), (UDP4, Transport.DGRAM)],
)
def test_v2_ipv4(code: int, transport: Transport) -> None:
    assert header_of(v2(code=code)) == ProxyHeader(2, False, Family.INET, transport, CLIENT, SERVER)


@pytest.mark.parametrize(
    ("code", "transport"),
    [(TCP6, Transport.STREAM), (UDP6, Transport.DGRAM)],
)
def test_v2_ipv6(code: int, transport: Transport) -> None:
    source = ipaddress.IPv6Address("2001:db8::1")
    mapped = ipaddress.IPv6Address("::ffff:198.51.100.2")
    header = header_of(v2(source.packed + mapped.packed + struct.pack("!HH", 56324, 25), code))
    assert header == ProxyHeader(2, False, Family.INET6, transport, Peer("2001:db8::1", 56324), SERVER)


@pytest.mark.parametrize(
    ("code", "transport"),
    [(UNIX_STREAM, Transport.STREAM), (UNIX_DGRAM, Transport.DGRAM)],
)
def test_v2_unix(code: int, transport: Transport) -> None:
    header = header_of(v2(struct.pack("108s108s", b"/run/a", b"\x00abstract"), code))
    assert header == ProxyHeader(2, False, Family.UNIX, transport, Peer(None), Peer(None), (b"/run/a", b"\x00abstract"))
    assert header.peer(HERE) == Peer(None)


@pytest.mark.parametrize("block", [b"", ADDRESSES4, bytes(BLOCK_OCTETS), ADDRESSES4 + b"\x04\x00"])
@pytest.mark.parametrize("code", [0x00, TCP4, 0x33, 0xFF])
def test_v2_local(code: int, block: bytes) -> None:
    header = header_of(v2(block, code, LOCAL))
    assert header == ProxyHeader(2, local=True)
    assert header.peer(HERE) == HERE


@pytest.mark.parametrize("block", [b"", b"whatever it is", bytes(BLOCK_OCTETS)])
@pytest.mark.parametrize(
    ("code", "family", "transport"),
    [
        (0x00, Family.UNSPEC, Transport.UNSPEC),
        (0x01, Family.UNSPEC, Transport.STREAM),
        (0x02, Family.UNSPEC, Transport.DGRAM),
        (0x10, Family.INET, Transport.UNSPEC),
        (0x20, Family.INET6, Transport.UNSPEC),
        (0x30, Family.UNIX, Transport.UNSPEC),
    ],
)
def test_v2_unspec(code: int, family: Family, transport: Transport, block: bytes) -> None:
    header = header_of(v2(block, code))
    assert header == ProxyHeader(2, False, family, transport)
    assert header.peer(HERE) == HERE


def test_v2_tlvs() -> None:
    tlvs = [
        (TlvType.ALPN, b"smtp"),
        (TlvType.AUTHORITY, "m\u00fcnchen.example".encode()),
        (TlvType.UNIQUE_ID, b"\x00" * 128),
        (TlvType.NETNS, b"blue"),
        (0xE0, b"first"),
        (0xE0, b"second"),
        (0xFF, b""),
    ]
    block = b"".join(tlv(*given) for given in tlvs) + tlv(TlvType.NOOP, b"\x00\x00") + tlv(TlvType.NOOP)
    header = header_of(v2(ADDRESSES4 + block))
    assert header.tlvs == tuple(tlvs)
    assert header.authority == "m\u00fcnchen.example"
    assert header.find(0xE0) == b"first"
    assert header.find(0xE1) is None
    assert header.tls is None
    assert header.tls_info() is None
    assert not header.secure


def test_v2_tls() -> None:
    inside = (
        tlv(TlvType.SSL_VERSION, b"TLSv1.3"),
        tlv(TlvType.SSL_CIPHER, b"TLS_AES_128_GCM_SHA256"),
        tlv(TlvType.SSL_CN, "zo\u00eb".encode()),
        tlv(TlvType.SSL_KEY_ALG, b"RSA2048"),
        tlv(TlvType.SSL_KEY_ALG, b"again"),
    )
    header = header_of(v2(ADDRESSES4 + tlv(TlvType.AUTHORITY, b"mx.example") + ssl(0x07, 0, *inside)))
    assert header.tls == ProxyTls(
        True,
        True,
        "TLSv1.3",
        "TLS_AES_128_GCM_SHA256",
        "zo\u00eb",
        (
            (TlvType.SSL_VERSION, b"TLSv1.3"),
            (TlvType.SSL_CIPHER, b"TLS_AES_128_GCM_SHA256"),
            (TlvType.SSL_CN, "zo\u00eb".encode()),
            (TlvType.SSL_KEY_ALG, b"RSA2048"),
            (TlvType.SSL_KEY_ALG, b"again"),
        ),
    )
    assert header.secure
    info = header.tls_info()
    assert info == TlsInfo("TLSv1.3", "TLS_AES_128_GCM_SHA256", "mx.example", "zo\u00eb")
    assert info is not None
    assert info.channel_bindings == {}


def test_v2_texts_may_be_empty() -> None:
    inside = [tlv(kind) for kind in (TlvType.SSL_VERSION, TlvType.SSL_CIPHER, TlvType.SSL_CN)]
    header = header_of(v2(ADDRESSES4 + tlv(TlvType.AUTHORITY) + ssl(0x03, 0, *inside)))
    assert header.tls_info() == TlsInfo("", "", None, None)  # an empty name names nobody


@pytest.mark.parametrize(
    ("client", "verify", "used", "verified"),
    [
        (0x00, 0, False, False),
        (0x00, 1, False, False),
        (0x06, 0, False, False),  # a certificate without TLS
        (0x01, 0, True, False),  # TLS without a certificate
        (0x03, 0, True, True),
        (0x05, 0, True, True),
        (0x03, 1, True, False),
        (0x07, 1 << 31, True, False),
        (0xF9, 0, True, False),
    ],
)
def test_v2_tls_flags(client: int, verify: int, used: bool, verified: bool) -> None:
    header = header_of(v2(ADDRESSES4 + ssl(client, verify, tlv(TlvType.SSL_CN, b"bob"))))
    assert header.tls is not None
    assert (header.tls.used, header.tls.verified, header.secure) == (used, verified, used)
    info = header.tls_info()
    assert (info is not None) == used
    if info is not None:
        assert info.client_subject == ("bob" if verified else None)


def test_crc32c() -> None:
    # The check value of CRC-32C, and the first of RFC 3720 appendix B.4.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_v2_checksum() -> None:
    header = checked(tlv(0xE0, b"x"))
    assert header_of(header).find(TlvType.CRC32C) == header[-4:]
    # Wherever the TLV is.
    early = v2(ADDRESSES4 + tlv(TlvType.CRC32C, bytes(4)) + tlv(0xE0, b"x"))
    at = early.index(tlv(TlvType.CRC32C, bytes(4))) + 3
    assert header_of(early[:at] + crc32c(early).to_bytes(4) + early[at + 4 :]).find(0xE0) == b"x"


@given(st.data())
def test_v2_checksum_catches(data: st.DataObject) -> None:
    header = bytearray(checked(tlv(0xE0, b"x")))
    at = data.draw(st.integers(16, 27) | st.integers(len(header) - 4, len(header) - 1))
    header[at] ^= data.draw(st.integers(1, 255))
    assert refused_at(bytes(header)) == len(header) - 1


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        *[(SIGNATURE[:n], b"x") for n in range(1, 12)],
        (SIGNATURE, b"\x11"),
        (SIGNATURE, b"\x31"),
        (SIGNATURE, b"\x22"),
        (SIGNATURE, b"\x2f"),
        (SIGNATURE + b"\x21", b"\x41"),
        (SIGNATURE + b"\x21", b"\x13"),
        (SIGNATURE + b"\x21", b"\xff"),
        # Too short for the addresses, too long for the bound; from the first octet of the length where it tells.
        (SIGNATURE + b"\x21\x11\x00", b"\x0b"),
        (SIGNATURE + b"\x21\x21\x00", b"\x23"),
        (SIGNATURE + b"\x21\x31\x00", b"\xd7"),
        (SIGNATURE + b"\x21\x11\x02", b"\x09"),
        (SIGNATURE + b"\x21\x11", b"\x03"),
        (SIGNATURE + b"\x20\x00\x02", b"\x09"),
        (SIGNATURE + b"\x20\x00", b"\xff"),
        (SIGNATURE + b"\x21\x00", b"\x03"),
        # No room for type and length of a TLV.
        (SIGNATURE + b"\x21\x11\x00", b"\x0d"),
        (SIGNATURE + b"\x21\x11\x00", b"\x0e"),
        (v2(ADDRESSES4 + b"\xe0\x00\x01xyz")[:-4], b"\x01xyz"),
        (v2(ADDRESSES4 + b"\xe0\x00\x02xyz")[:-4], b"\x02xyz"),
        (v2(ADDRESSES4 + b"\xe0\x00\x04xyz")[:-4], b"\x04xyz"),
        (v2(ADDRESSES4 + b"\xe0\x01\x00xyz")[:-5], b"\x01\x00xyz"),
        # Values that are too short or too long.
        (v2(ADDRESSES4 + b"\x03\x00\x03xyz")[:-6], b"\x03\x00\x03xyz"),
        (v2(ADDRESSES4 + b"\x03\x00\x03vwxyz")[:-6], b"\x03vwxyz"),
        (v2(ADDRESSES4 + b"\x03\x00\x05vwxyz")[:-6], b"\x05vwxyz"),
        (v2(ADDRESSES4 + b"\x20\x00\x04wxyz")[:-7], b"\x20\x00\x04wxyz"),
        (v2(ADDRESSES4 + b"\x20\x00\x04" + bytes(8))[:-9], b"\x04" + bytes(8)),
        (v2(ADDRESSES4 + tlv(0x05, bytes(129)))[:-130], b"\x81"),
        (v2(ADDRESSES4 + tlv(0x20, bytes(6)))[:-7], b"\x06"),
        (v2(ADDRESSES4 + tlv(0x20, bytes(7)))[:-8], b"\x07"),
        (v2(ADDRESSES4 + tlv(0x20, bytes(5) + b"\x21\x00\x01"))[:-1], b"\x01"),
        # Twice what may come once.
        (v2(ADDRESSES4 + tlv(0x02) + tlv(0x02))[:-3], b"\x02"),
        (v2(ADDRESSES4 + tlv(0x03, bytes(4)) * 2)[:-7], b"\x03"),
        (v2(ADDRESSES4 + tlv(0x05) + tlv(0xE0) + tlv(0x05))[:-3], b"\x05"),
        (v2(ADDRESSES4 + tlv(0x20, bytes(5)) * 2)[:-8], b"\x20"),
        (v2(ADDRESSES4 + ssl(1, 0, tlv(0x22), tlv(0x22)))[:-3], b"\x22"),
        # Texts, at the end of the header.
        (v2(ADDRESSES4 + tlv(0x02, b"\xff"))[:-1], b"\xff"),
        (v2(ADDRESSES4 + tlv(0x02, b"a\x00"))[:-1], b"\x00"),
        (v2(ADDRESSES4 + tlv(0x02, "a\u202e".encode()))[:-1], b"\xae"),
        (v2(ADDRESSES4 + ssl(1, 0, tlv(0x22, b"a\n")))[:-1], b"\n"),
        (v2(ADDRESSES4 + ssl(1, 0, tlv(0x22, b"\xc3")))[:-1], b"\xc3"),
        (v2(ADDRESSES4 + ssl(1, 0, tlv(0x21, b"\xc3\xa9")))[:-1], b"\xa9"),
        (v2(ADDRESSES4 + ssl(1, 0, tlv(0x23, b"\xc3\xa9")))[:-1], b"\xa9"),
    ],
)
def test_v2_refused(good: bytes, bad: bytes) -> None:
    assert refused_at(good + bad) == len(good)


def test_v2_bound() -> None:
    pad = BLOCK_OCTETS - len(ADDRESSES4) - 3
    longest = v2(ADDRESSES4 + tlv(TlvType.NOOP, bytes(pad)))
    assert len(longest) == 536
    assert header_of(longest).tlvs == ()
    assert refused_at(v2(ADDRESSES4 + tlv(TlvType.NOOP, bytes(pad + 1)))) == 15


@pytest.mark.parametrize("most", [216, 0xFFFF])
def test_v2_other_bound(most: int) -> None:
    block = bytes(216) + (tlv(TlvType.NOOP, bytes(most - 219)) if most > 216 else b"")
    parser = ProxyParser(block_octets=most)
    header = parser.receive(v2(block, UNIX_STREAM))
    assert header is not None
    assert header.paths == (b"", b"")
    parser = ProxyParser(block_octets=most)
    if most < 0xFFFF:
        with pytest.raises(ProxyError):
            parser.receive(v2(block + tlv(TlvType.NOOP), UNIX_STREAM)[:16])


@pytest.mark.parametrize("most", [-1, 0, 215, 0x10000])
def test_v2_impossible_bound(most: int) -> None:
    with pytest.raises(LocalProtocolError, match="block_octets"):
        ProxyParser(block_octets=most)


# --- both ----------------------------------------------------------------------------------------

HEADERS = st.sampled_from(
    [
        LINE4,
        LINE6,
        b"PROXY UNKNOWN x\r\n",
        v2(),
        v2(b"", 0, LOCAL),
        v2(bytes(216) + tlv(0xE0, b"x"), UNIX_STREAM),
        checked(tlv(0xE0, bytes(40)) + ssl(1, 0, tlv(0x21, b"TLSv1.3"), tlv(0x22, b"bob"))),
    ]
)
OFTEN_SPOILT = st.tuples(HEADERS, st.integers(0, 300), st.binary(max_size=2), st.binary(max_size=8)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + len(drawn[2]) :] + drawn[3]
)
CUTS = st.lists(st.integers(0, 320), max_size=10)


@given(OFTEN_SPOILT.filter(bool) | st.binary(min_size=1, max_size=40), CUTS)
def test_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    spoilt = refused_at(data)
    if spoilt is None:
        assert read(data, cuts) == read(data) == read(data, range(len(data)))
        return
    parser = ProxyParser()
    at = 0
    for piece in pieces(data, cuts):
        at += len(piece)
        if at > spoilt:
            with pytest.raises(ProxyError):
                parser.receive(piece)
            break
        assert parser.receive(piece) is None


@given(HEADERS, st.binary(min_size=1, max_size=20), CUTS)
def test_rest(header: bytes, after: bytes, cuts: list[int]) -> None:
    assert read(header + after, cuts) == (header_of(header), after)


@given(HEADERS, st.data())
def test_a_part_of_a_header_is_none(header: bytes, data: st.DataObject) -> None:
    part = header[: data.draw(st.integers(1, len(header) - 1))]
    parser = ProxyParser()
    assert parser.receive(part) is None
    assert parser.rest == b""
    with pytest.raises(ProxyError, match="ended"):
        parser.receive(b"")


@given(OFTEN_SPOILT | st.binary(max_size=40))
def test_no_more_is_held_than_the_bound(data: bytes) -> None:
    parser = ProxyParser()
    try:
        for n in range(len(data)):
            header = parser.receive(data[n : n + 1])
            assert len(parser._buffer) <= (536 if data[:1] == b"\r" else V1_OCTETS)
            if header is not None:
                break
    except ProxyError:
        pass


def test_a_flood_is_not_held() -> None:
    parser = ProxyParser()
    header = parser.receive(LINE4 + bytes(1_000_000))
    assert header is not None
    assert len(parser.rest) == 1_000_000
    assert len(parser._buffer) == 0


def test_after_the_end() -> None:
    parser = ProxyParser()
    assert parser.receive(LINE4 + b"EHLO x\r\n") is not None
    with pytest.raises(LocalProtocolError, match="complete"):
        parser.receive(b"EHLO x\r\n")
    assert parser.rest == b"EHLO x\r\n"


@pytest.mark.catalogue("F15")
def test_a_stranger_is_refused_for_good() -> None:
    """What is not a header from its first octet on never becomes one, and its QUIT is no command."""
    for data in (b"EHLO x\r\n", b"\r\n", SIGNATURE[1:], b"QUIT\n", b"XPROXY TCP4"):
        parser = ProxyParser()
        with pytest.raises(RemoteProtocolError) as first:
            parser.receive(data + LINE4)
        with pytest.raises(ProxyError) as second:
            parser.receive(LINE4)
        assert str(first.value) == str(second.value)
        assert parser.rest == b""
        assert len(parser._buffer) == 0


@pytest.mark.catalogue("F15")
def test_only_one_header_is_read() -> None:
    """A second header, which a client behind the proxy may send, is left to SMTP, which knows no PROXY."""
    assert read(LINE4 + LINE6) == (header_of(LINE4), LINE6)
    assert read(v2() + v2(b"", 0, LOCAL)) == (header_of(v2()), v2(b"", 0, LOCAL))
