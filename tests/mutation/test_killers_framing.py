"""What mutants of the framing showed that no other test looks at."""

import pytest
from slow_body import END, SlowDecoder

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
        spoilt = octets.replace(b"X", letter)
        decoder = BodyDecoder(Stray.REJECT, dots=True)
        assert decoder.feed(spoilt + END)[1] == 0
        assert decoder.stray_found
        decoder = BodyDecoder(Stray.REJECT, dots=False)
        decoder.feed(spoilt)
        decoder.finish()
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


# Between long lines, where the decoder takes its fast way.
MIDDLES = [
    b"", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"\0", b"\r\r", b"\n\n", b"\n\r", b"\r\r\n", b"\r\n\n", b"\r\n\r", b"\0\0",
    b"\r\n.", b"\r\n..", b"\r\n.\r", b"\r\n.\n", b"\r\n.\r\n", b"\r\n..\r\n", b"\r\n..\r\n.\r\n", b"\r\n.\r\n.\r\n",
    b"\n.\n", b"\r\n.x\r\n.y", b"\r\n.x\r\n.y\0", b"\r\n.x\n", b"\r\n.x\r", b"\0\r\n.x", b"\r\n.x\r\n\r\n.",
    b"\rX\r\n.", b"x\r\n.\r\r\n",
]  # fmt: skip


@pytest.mark.parametrize("policy", Stray)
@pytest.mark.parametrize("head", [b"", b"h" * 60, b"." + b"h" * 60, b"\0" + b"h" * 60, b"\n" + b"h" * 60])
def test_long_lines(policy: Stray, head: bytes) -> None:
    for middle in MIDDLES:
        for tail in (b"", b"t" * 60, b"t" * 60 + b"\r\n"):
            octets = head + middle + tail + END + b"NOOP"
            at = len(head) + len(middle)
            for border in (len(octets), at, at - 1, at + 1, len(octets) - 6):
                fast, slow = BodyDecoder(policy, dots=True), SlowDecoder(policy, dots=True)
                content = b""
                for part in (octets[:border], octets[border:]):
                    if part and slow.left is None:
                        slow.feed(part)
                        out, rest = fast.feed(part)
                        content += out
                        assert (content, fast.stray_found) == (bytes(slow.content), slow.stray_found)
                        assert rest == (-1 if slow.left is None else len(slow.left))


@pytest.mark.parametrize("middle", [b"", b"\r", b"\n", b"\r\n.x", b"\r\nx"])
def test_a_dot_line_at_the_start_of_a_long_piece(middle: bytes) -> None:
    line = b"h" * 5000 + middle
    decoder = BodyDecoder(Stray.REJECT, dots=True)
    content, rest = decoder.feed(b".." + line + END + b"NOOP")
    stray = middle in (b"\r", b"\n")
    wanted = b"." + (line[:5000] if stray else line.replace(b"\r\n.", b"\r\n") + b"\r\n")
    assert (content, rest, decoder.stray_found) == (wanted, 4, stray)


def test_an_end_before_a_long_rest() -> None:
    """Where the pieces are long enough that the fast way does not give them up."""
    assert BodyDecoder(Stray.REJECT, dots=True).feed(b".\r\n" + b"j" * 100) == (b"", 100)
    long = b"h" * 5000
    assert BodyDecoder(Stray.REJECT, dots=True).feed(long + END + b"j" * 100 + END) == (long + b"\r\n", 105)
    decoder = BodyDecoder(Stray.REJECT, dots=True)
    assert decoder.feed(long + b"\r\n.") == (long, -1)
    assert decoder.feed(b"\r\n") == (b"\r\n", 0)


def test_a_stray_lf_among_short_lines() -> None:
    decoder = BodyDecoder(Stray.REJECT, dots=False)
    assert decoder.feed(b"X\r\n\n") == (b"X\r\n", -1)
    assert decoder.stray_found
