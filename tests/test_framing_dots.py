"""Dot lines and line ends of messages, by whichever way they are looked for; and how much of a read is looked at."""

import pytest
from _dialogue import in_data
from hypothesis import given, strategies as st
from slow_body import END

from smtpcore import BodyChunk, BodyEnd, EarlyInput
from smtpcore._framing import BodyDecoder, Stray, _canonical, _with_dots

DOT_LINES = [b"..\r\n", b".\r\n", b"..x\r\n", b".x\r\n", b"...\r\n", b".\0\r\n", b"." + b"x" * 72 + b"\r\n"]
OTHER_LINES = [b"\r\n", b"x\r\n", b"x.\r\n", b"\0\r\n", b"x" * 30 + b"\r\n", b"x" * 74 + b"\r\n", b"y" * 3000 + b"\r\n"]


def undotted(octets: bytes) -> bytes:
    """Line by line."""
    first, *others = octets.split(b"\r\n")
    return b"\r\n".join([first, *(line.removeprefix(b".") for line in others)])


@given(st.lists(st.sampled_from(DOT_LINES + OTHER_LINES)).map(b"".join), st.integers(1, 200))
def test_dots_are_dropped_and_doubled(octets: bytes, times: int) -> None:
    assert _with_dots(octets * times, b"\r\n..") == (octets * times).replace(b"\r\n.", b"\r\n..")
    assert _with_dots(octets, b"\r\n") == undotted(octets)
    assert _with_dots(octets * times, b"\r\n") == undotted(octets * times)


@pytest.mark.parametrize("line", DOT_LINES)
@pytest.mark.parametrize("count", [1, 2, 100, 1000, 10_000])
@pytest.mark.parametrize("before", [b"", b"\0", b"z" * 5000, b"\r\n" * 3000])
def test_dot_lines_of_all_lengths(line: bytes, count: int, before: bytes) -> None:
    octets = before + b"\r\n" + line * count
    assert _with_dots(octets, b"\r\n") == undotted(octets)


def content(octets: bytes, at: int) -> bytes:
    """What is before the end that was found at *at*, where the line end before the message counts."""
    return undotted(b"\r\n" + octets[:at])[2:]


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"x", b"\x85", b"\xff", b"\x0b\x0c\x1c"])).map(b"".join))
def test_canonical(octets: bytes) -> None:
    rest = octets.replace(b"\r\n", b"")
    assert _canonical(octets) is not any(stray in rest for stray in (b"\r", b"\n", b"\0"))


@pytest.mark.parametrize("stray", [b"\r", b"\n", b"\0"])
def test_one_stray_octet_anywhere(stray: bytes) -> None:
    line = b"x" * 18 + b"\r\n"
    for at in (*range(41), 4000, 4019, 4020, 8000):
        octets = (line * 401)[:8000]
        strayed = octets[:at] + stray + octets[at:]
        assert _canonical(octets)
        assert not _canonical(strayed), at


@pytest.mark.parametrize("before", [b"", b".x\r\n", b"x.y\r\n", b"." * 5000 + b"\r\n"])
@pytest.mark.parametrize("between", [b"", b".", b"..", b"x." * 3000, b"\r\n..", b"\r\n."])
@pytest.mark.parametrize("behind", [b"", b".", b"NOOP\r\n", b".\r\n", END, END + END, b"x" + END + b"."])
def test_the_first_end_counts(before: bytes, between: bytes, behind: bytes) -> None:
    octets = before + between + END + behind
    at = (b"\r\n" + octets).index(END)
    decoder = BodyDecoder(Stray.REJECT, dots=True)
    assert decoder.feed(octets) == (content(octets, at), len(octets) - at - 3)
    assert not decoder.stray_found


@pytest.mark.parametrize("octets", [b".", b"..", b"x.", b"x..", b".x" * 50, b"xx."])
def test_a_piece_that_begins_with_a_dot_within_a_line(octets: bytes) -> None:
    for rest in (b"", b"y" * 100 + b".", b"\r\n..z"):
        decoder = BodyDecoder(Stray.REJECT, dots=True)
        assert decoder.feed(b"w") == (b"w", -1)
        assert decoder.feed(octets + rest + END + b"NOOP\r\n") == (undotted(octets + rest) + b"\r\n", 6)


def test_the_first_message_of_a_read_is_looked_at_as_one() -> None:
    driver = in_data()
    line = b"x" * 74 + b"\r\n"
    driver.feed(line * 800)
    driver.feed(line * 800 + END[2:])
    assert [len(each.data) for each in driver.seen(BodyChunk)] == [800 * 76 - 2, 800 * 76 + 2]
    assert len(driver.seen(BodyEnd)) == 1


AGAIN = b"MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nDATA\r\n"


def test_messages_behind_it_are_looked_at_in_growing_parts() -> None:
    driver = in_data(early_input=EarlyInput.REPORT)
    second = b"x" * 20_000 + END
    driver.feed(b"first" + END + AGAIN + second + b"NOOP\r\n")
    assert [len(each.data) for each in driver.seen(BodyChunk)] == [7, 4096, 4096, 8192, 3618]
    assert driver.out.endswith(b"250 2.0.0 Ok\r\n")
