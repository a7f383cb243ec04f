"""A message on its way out: what is let through, when, and gathered to what."""

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from smtpcore import LocalProtocolError
from smtpcore._framing import Stray, StrayOctets
from smtpcore._outgoing import OutgoingBody
from smtpcore.testing import pieces
from smtpcore.testing.strategies import messages


def body(
    stray: Stray = Stray.REJECT,
    *,
    chunking: bool = False,
    binary: bool = False,
    eight_bit: bool = False,
    chunk_octets: int = 8,
) -> OutgoingBody:
    return OutgoingBody(stray, chunking=chunking, binary=binary, eight_bit=eight_bit, chunk_octets=chunk_octets)


def test_data_lets_out_at_once() -> None:
    outgoing = body()
    assert outgoing.give(b".a\r\n") == b"..a\r\n"
    assert not outgoing.full
    assert outgoing.give(b"b\r") == b"b"
    assert outgoing.give(b"\n.") == b"\r\n.."
    assert outgoing.finish() == b"\r\n.\r\n"
    assert outgoing.held_octets == 0


def test_data_is_never_full() -> None:
    outgoing = body(chunk_octets=1)
    outgoing.give(b"x" * 100)
    assert not outgoing.full


def test_bdat_gathers() -> None:
    outgoing = body(chunking=True)
    assert outgoing.give(b".a\r\n") == b""
    assert outgoing.give(b"") == b""
    assert outgoing.give(b"b\r") == b""
    assert (outgoing.held_octets, outgoing.full) == (5, False)
    assert outgoing.give(b"\n.") == b""
    assert (outgoing.held_octets, outgoing.full) == (8, True)
    argument, held = outgoing.chunk(last=False)
    assert (argument, b"".join(held)) == ("8", b".a\r\nb\r\n.")
    assert (outgoing.held_octets, outgoing.full) == (0, False)
    outgoing.give(b"c")
    assert outgoing.finish() == b""
    argument, held = outgoing.chunk(last=True)
    assert (argument, b"".join(held)) == ("1 LAST", b"c")


def test_a_last_cr_that_is_normalised_is_held_too() -> None:
    outgoing = body(Stray.NORMALISE, chunking=True)
    outgoing.give(b"a\r")
    outgoing.finish()
    assert outgoing.held_octets == 3
    assert outgoing.chunk(last=True) == ("3 LAST", [b"a", b"\r\n"])


def test_nothing_at_all() -> None:
    outgoing = body()
    assert outgoing.finish() == b".\r\n"
    outgoing = body(chunking=True)
    outgoing.finish()
    assert outgoing.chunk(last=True) == ("0 LAST", [])


@pytest.mark.catalogue("B1", "B2")
@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("octets", [b"a\nb", b"a\rb", b"\0", b"\r\r\n"])
def test_stray_octets(octets: bytes, chunking: bool) -> None:
    outgoing = body(chunking=chunking)
    with pytest.raises(StrayOctets):
        outgoing.give(octets)
    assert outgoing.held_octets == 0
    outgoing.give(b"\r")
    with pytest.raises(StrayOctets):
        outgoing.finish()
    outgoing.give(b"\n")
    outgoing.finish()


@pytest.mark.catalogue("B11")
@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize("octet", [b"\x80", b"\xff", "ä".encode()])
def test_octets_beyond_ascii(octet: bytes, chunking: bool) -> None:
    outgoing = body(chunking=chunking)
    with pytest.raises(LocalProtocolError, match="8BITMIME"):
        outgoing.give(b"a" + octet)
    assert outgoing.held_octets == 0
    outgoing = body(chunking=chunking, eight_bit=True)
    assert outgoing.give(octet) + b"".join(outgoing.chunk(last=False)[1]) == octet


@given(st.binary(max_size=60), st.data())
def test_binary_is_let_alone(octets: bytes, data: st.DataObject) -> None:
    outgoing = body(chunking=True, binary=True, chunk_octets=1)
    held: list[bytes] = []
    for piece in pieces(octets, data.draw(st.lists(st.integers(1, 60)))) if octets else ():
        outgoing.give(piece)
        assert outgoing.full
        held += outgoing.chunk(last=False)[1]
    outgoing.finish()
    assert b"".join(held + outgoing.chunk(last=True)[1]) == octets


@given(messages(eight_bit=True), st.booleans(), st.data())
def test_any_cut_gives_the_same(octets: bytes, chunking: bool, data: st.DataObject) -> None:
    outgoing = body(eight_bit=True, chunking=chunking)
    out = b""
    for piece in pieces(octets, data.draw(st.lists(st.integers(1, 60)))) if octets else ():
        out += outgoing.give(piece)
    out += outgoing.finish()
    if chunking:
        assert b"".join(outgoing.chunk(last=True)[1]) == octets
        assert out == b""
    else:
        assert (
            out
            == re.sub(rb"(\A|(?<=\r\n))\.", b"..", octets)
            + b"\r\n" * (octets != b"" and not octets.endswith(b"\r\n"))
            + b".\r\n"
        )


@pytest.mark.parametrize("chunking", [False, True])
@pytest.mark.parametrize(
    "octets",
    ["abc", bytearray(b"abc"), memoryview(b"abc"), None, 3, [b"abc"]],
    ids=lambda octets: type(octets).__name__,
)
def test_what_is_not_bytes(octets: Any, chunking: bool) -> None:
    """A buffer may be used again before its octets have left."""
    outgoing = body(chunking=chunking, binary=chunking)
    with pytest.raises(LocalProtocolError, match="as bytes"):
        outgoing.give(octets)
    assert outgoing.held_octets == 0
    assert outgoing.finish() in (b".\r\n", b"")
