"""What mutants of the framing showed that no other test looks at."""

import pytest

from smtpcore._framing import BodyDecoder, Input, Line, Stray


def test_octets_that_were_taken_are_let_go() -> None:
    received = Input(40)
    received.feed(b"abcde")
    assert received.take(5) == b"abcde"
    assert received.data == b""


def test_a_grant_below_the_limit_takes_nothing_away() -> None:
    for length in range(15, 23):
        octets = (b"AUTH " + b"a" * 20)[: length - 2] + b"\r\n"
        for cut in range(1, length):
            received = Input(40, ((b"AUTH ", 15),))
            received.feed(octets[:cut])
            assert received.line(20) is Line.PARTIAL
            received.feed(octets[cut:] + octets)
            whole = octets[:-2] if length <= 20 else Line.TOO_LONG
            assert [received.line(20), received.line(20)] == [whole, whole]


def test_a_grant_is_for_the_beginning_of_a_line() -> None:
    received = Input(60, ((b"AUTH ", 30),))
    received.feed(b"x" * 12)
    assert received.line(10) is Line.PARTIAL
    received.feed(b"AUTH a\r\n")
    assert received.line(10) is Line.TOO_LONG


@pytest.mark.parametrize("octets", [b"\n", b"\n\r", b"\na\r", b"\n\n\r"])
def test_a_bare_lf_at_the_very_start(octets: bytes) -> None:
    received = Input(40)
    received.feed(octets)
    assert received.line(20, lenient=True) == b""
    assert received.bare_lf


@pytest.mark.parametrize("octets", [b"X\r\r\n", b"X\r\n\n", b"\rX\n", b"X\r\n\r", b"XX\r\n\r\n\r", b"\rX\n\rX\n"])
def test_stray_octets_beside_any_letter(octets: bytes) -> None:
    for letter in (b"X", b"a", b"n", b"r", b"\\", b"=", b"!"):
        decoder = BodyDecoder(Stray.REJECT, dots=True)
        assert decoder.feed(octets.replace(b"X", letter) + b"\r\n.\r\n")[1] == 0
        assert decoder.stray_found


def test_octets_behind_a_line() -> None:
    received = Input(40)
    received.feed(b"a\r\nbcdef")
    assert received.line(20) == b"a"
    assert received.take(2) == b"bc"
    assert received.take(1) == b"d"
    assert received.take() == b"ef"


def test_only_who_says_so_is_lenient() -> None:
    received = Input(40)
    received.feed(b"a\n")
    assert received.line(20) is Line.PARTIAL


LONG = b"0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("borders", [(0, 39), (0, 27, 39), (0, 25, 32, 39)])
def test_how_a_too_long_line_began(borders: tuple[int, ...]) -> None:
    received = Input(60)
    assert received.head == b""
    octets = b"a\r\n" + LONG + b"\r\n"
    found: list[bytes | Line] = []
    for start, end in zip(borders, (*borders[1:], len(octets)), strict=True):
        received.feed(octets[start:end])
        while (line := received.line(20)) is not Line.PARTIAL:
            found.append(line)
    assert found == [b"a", Line.TOO_LONG]
    assert received.head == LONG[:16]
    assert received.swallowed == 0
    received.feed(b"b\r\n" + LONG[::-1] + b"\r\n")
    assert [received.line(20), received.line(20), received.head] == [b"b", Line.TOO_LONG, LONG[:19:-1]]
