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
            received.feed(octets[cut:])
            assert received.line(20) == (octets[:-2] if length <= 20 else Line.TOO_LONG)


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
