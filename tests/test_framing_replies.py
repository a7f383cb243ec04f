"""Replies: the same reading of the same octets, however they are cut, and no more of them kept than may be one."""

from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings, strategies as st
from linearity import assert_linear
from slow_reply import SlowReader

from smtpcore._framing import Input, RawReply, ReplyFault, ReplyReader
from smtpcore.testing import pieces, steps

MALFORMED, MIXED_CODES, LINE_TOO_LONG, TOO_MANY_LINES, TOO_LONG = ReplyFault

LINE_OCTETS = 20
LINES = 4
OCTETS = 50

Found = list[RawReply | ReplyFault]


def reader(
    received: Input, line_octets: int = LINE_OCTETS, lines: int = LINES, octets: int = OCTETS, *, lenient: bool = False
) -> ReplyReader:
    return ReplyReader(received, line_octets=line_octets, lines=lines, octets=octets, lenient=lenient)


def read(parts: Iterable[bytes], ceiling: int = 30, *, lenient: bool = False) -> Found:
    """The replies in *parts*, up to the first fault."""
    received = Input(ceiling)
    replies = reader(received, lenient=lenient)
    found: Found = []
    for part in parts:
        received.feed(part)
        while (reply := replies.next()) is not None:
            found.append(reply)
            if isinstance(reply, ReplyFault):
                return found
            assert not replies._lines
        assert len(received) <= LINE_OCTETS
        assert len(replies._lines) <= LINES
        assert sum(map(len, replies._lines)) <= OCTETS
        assert replies.next() is None, "asking again changes nothing"
    return found


def slow_read(octets: bytes, *, lenient: bool = False) -> Found:
    slow = SlowReader(LINE_OCTETS, LINES, OCTETS, lenient=lenient)
    slow.feed(octets)
    return slow.found


octets_of_replies = st.lists(
    st.sampled_from(
        [b"250 ", b"250-", b"250", b"354 ", b"599", b"260 ", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b" ", b"-",
        b"a", b"\xff\x80", b"x" * 7, b"250-a\r\n", b"250 Ok\r\n", b"354-\r\n", b"334 " + b"y" * 14 + b"\r\n"]
    )
).map(b"".join)  # fmt: skip


@pytest.mark.catalogue("F12")
@given(octets_of_replies, st.lists(st.integers(1, 200)), st.booleans())
@example(b"250-a\r\n250-b\r\n250-c\r\n250-d\r\n250 e\r\n", [], False)
@example(b"250-" + b"a" * 12 + b"\r\n250-" + b"a" * 12 + b"\r\n250 " + b"a" * 13 + b"\r\n", [], False)
@settings(max_examples=500)
def test_cut_of_replies_does_not_matter(octets: bytes, cuts: list[int], lenient: bool) -> None:
    expected = slow_read(octets, lenient=lenient)
    for parts in (pieces(octets, cuts), pieces(octets, []), steps(octets, 1), steps(octets, 2)):
        assert read(parts, lenient=lenient) == expected


def assert_reads(octets: bytes, *found: RawReply | ReplyFault, lenient: bool = False) -> None:
    """*octets* are read as this, in two pieces cut anywhere, and with any step."""
    expected = list(found)
    for cut in range(len(octets)):
        assert read(pieces(octets, [cut]), lenient=lenient) == expected
    for step in (1, 2, 3):
        assert read(steps(octets, step), lenient=lenient) == expected


# --- good replies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "replies"),
    [
        (b"250 2.1.5 Ok\r\n", [RawReply(250, (b"2.1.5 Ok",))]),
        (b"250 \r\n", [RawReply(250, (b"",))]),
        (b"250  a \r\n", [RawReply(250, (b" a ",))]),
        (b"250 -\r\n", [RawReply(250, (b"-",))]),
        (b"250- \r\n250 \r\n", [RawReply(250, (b" ", b""))]),
        (b"250-\r\n250 a\r\n", [RawReply(250, (b"", b"a"))]),
        (b"250-a\r\n250-b\r\n250 c\r\n", [RawReply(250, (b"a", b"b", b"c"))]),
        (b"250-250 a\r\n250 250-b\r\n", [RawReply(250, (b"250 a", b"250-b"))]),
        (b"250 a\r\n354 b\r\n250-c\r\n250 d\r\n500 e\r\n",
            [RawReply(250, (b"a",)), RawReply(354, (b"b",)), RawReply(250, (b"c", b"d")), RawReply(500, (b"e",))]),
        (b"250 \xe9\x80\xff\x7f\x1b\t\r\n", [RawReply(250, (b"\xe9\x80\xff\x7f\x1b\t",))]),
        (b"250-\xe2\x80\xa8\r\n250 \x85\x0b\x0c\r\n", [RawReply(250, (b"\xe2\x80\xa8", b"\x85\x0b\x0c"))]),
    ],
)  # fmt: skip
def test_replies(octets: bytes, replies: list[RawReply]) -> None:
    assert_reads(octets, *replies)
    assert_reads(octets, *replies, lenient=True)
    assert_reads(octets.replace(b"\r\n", b"\n"), *replies, lenient=True)


def test_missing_text() -> None:
    """RFC 5321 section 4.2: a client is to take a reply line that ends behind its code."""
    assert_reads(b"250\r\n", RawReply(250, (b"",), bare=True))
    assert_reads(b"250-a\r\n250\r\n250 b\r\n", RawReply(250, (b"a", b""), bare=True), RawReply(250, (b"b",)))
    assert_reads(b"250\n", RawReply(250, (b"",), bare=True), lenient=True)
    assert_reads(b"250 \r\n", RawReply(250, (b"",), bare=False))


@pytest.mark.catalogue("F12")
def test_every_code() -> None:
    """Reply-code = %x32-35 %x30-35 %x30-39"""
    for number in range(1000):
        code = b"%03d" % number
        if b"200" <= code < b"600" and code[1:2] <= b"5":
            for line, reply in ((b" a", (b"a",)), (b"-a\r\n" + code + b" b", (b"a", b"b")), (b"", (b"",))):
                assert read([code + line + b"\r\n"]) == [RawReply(number, reply, not line)]
        else:
            for behind in (b" a", b"-a", b""):
                assert read([code + behind + b"\r\n"]) == [MALFORMED]


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize(
    "line",
    [
        b"", b" ", b"2", b"25", b"25 a", b"2500", b"2500 a", b"250a", b"250_a", b"250\ta", b"250\0", b" 250 a",
        b"\xb250 a", b"-50 a", b"2_0 a", b"250\xa0a", b"a", b"HTTP/1.1 400 Bad", b"SSH-2.0-x", b"\x15\x03\x01",
        b"250 a\0", b"250 \0a", b"250 a\rb", b"250 \r", b"250\r", b"\r", b"250-\r", b"250-a\0", b"-", b"25-0",
        b"+50 a", b"250\x85", b"250\\r",
    ],
)  # fmt: skip
@pytest.mark.parametrize("lenient", [False, True])
def test_malformed(line: bytes, lenient: bool) -> None:
    assert_reads(line + b"\r\n", MALFORMED, lenient=lenient)
    assert_reads(b"250 a\r\n" + line + b"\r\n250 b\r\n", RawReply(250, (b"a",)), MALFORMED, lenient=lenient)
    assert_reads(b"250-a\r\n" + line + b"\r\n250 b\r\n", MALFORMED, lenient=lenient)


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize("octets", [b"250 a\nb\r\n", b"250 a\n250 b\r\n", b"250\n\r\n", b"\n250 a\r\n", b"250 \n\r\n"])
def test_bare_lf_inside(octets: bytes) -> None:
    assert_reads(octets, MALFORMED)


def test_lenient_line_ends() -> None:
    assert_reads(b"250-a\n250 b\r\n354\n", RawReply(250, (b"a", b"b")), RawReply(354, (b"",), bare=True), lenient=True)
    assert_reads(b"250 a\n", lenient=False)
    assert_reads(b"250 a\r\r\n", MALFORMED, lenient=True)
    assert_reads(b"250 a\n\n", RawReply(250, (b"a",)), MALFORMED, lenient=True)


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize("line", [b"251 b", b"251-b", b"251", b"550 b", b"350-b"])
def test_mixed_codes(line: bytes) -> None:
    assert_reads(b"250-a\r\n" + line + b"\r\n", MIXED_CODES)
    assert_reads(b"250-a\r\n250-a\r\n" + line + b"\r\n", MIXED_CODES)
    assert_reads(line[:3] + b"\r\n250-a\r\n" + line + b"\r\n", RawReply(int(line[:3]), (b"",), bare=True), MIXED_CODES)


def test_what_is_wrong_first() -> None:
    """A line too long is not looked at; form before code, code before number, number before size."""
    long = b"b" * 13
    assert_reads(b"x" * 19 + b"\r\n", LINE_TOO_LONG)
    assert_reads(b"250-a\r\n" * 4 + b"x\r\n", MALFORMED)
    assert_reads(b"250-a\r\n" * 4 + b"251 a\r\n", MIXED_CODES)
    assert_reads(b"250-" + long + b"\r\n250-" + long + b"\r\n351 " + long + b"\r\n", MIXED_CODES)
    assert_reads((b"250-" + b"a" * 6 + b"\r\n") * 4 + b"250 a\r\n", TOO_MANY_LINES)
    assert_reads((b"250-" + long + b"\r\n") * 2 + b"25\0-" + long + b"\r\n", MALFORMED)


# --- limits, at n and n + 1 ----------------------------------------------------------------------


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("head", [b"250 ", b"250-", b"xxx "])
def test_line_octets(head: bytes, end: bytes) -> None:
    lenient = end == b"\n"
    fits = LINE_OCTETS - len(head) - len(end)
    text = b"a" * fits
    found: dict[bytes, Found] = {
        b"250 ": [RawReply(250, (text,)), RawReply(250, (b"b",))],
        b"250-": [RawReply(250, (text, b"b"))],
        b"xxx ": [MALFORMED],
    }
    assert_reads(head + text + end + b"250 b" + end, *found[head], lenient=lenient)
    assert_reads(head + text + b"a" + end + b"250 b" + end, LINE_TOO_LONG, lenient=lenient)
    endless = head + text + b"a" * len(end)
    assert_reads(endless, lenient=lenient)
    for octet in (b"a", b"\r", b"\0"):
        assert_reads(endless + octet, LINE_TOO_LONG, lenient=lenient)
    assert_reads(endless + b"a" * 100, LINE_TOO_LONG, lenient=lenient)


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("ceiling", [1, LINE_OCTETS, LINE_OCTETS + 1, 1000])
def test_ceiling_does_not_matter(ceiling: int) -> None:
    """What is too long for a line is given up at once, however much of it the input would swallow."""
    fits = b"250 " + b"a" * (LINE_OCTETS - 6) + b"\r\n"
    for octets, found in (
        (fits, [RawReply(250, (fits[4:-2],))]),
        (b"a" + fits, [LINE_TOO_LONG]),
        (b"a" * 21, [LINE_TOO_LONG]),
    ):
        for step in (1, 7, 100):
            assert read(steps(octets, step), ceiling) == found


@pytest.mark.catalogue("G4")
def test_number_of_lines() -> None:
    assert_reads(b"250-\r\n" * (LINES - 1) + b"250 \r\n", RawReply(250, (b"",) * LINES))
    assert_reads(b"250-\r\n" * (LINES - 1) + b"250\r\n", RawReply(250, (b"",) * LINES, bare=True))
    assert_reads(b"250-\r\n" * LINES)
    assert_reads(b"250-\r\n" * LINES + b"250 \r\n", TOO_MANY_LINES)
    assert_reads(b"250-\r\n" * (LINES + 1), TOO_MANY_LINES)
    assert_reads((b"250-\r\n" * (LINES - 1) + b"250 \r\n") * 3, *[RawReply(250, (b"",) * LINES)] * 3)


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_octets_of_a_reply(end: bytes) -> None:
    lenient = end == b"\n"
    line = b"250-" + b"a" * (16 - len(end)) + end
    left = OCTETS - 2 * len(line) - len(end)
    last = b"250 " + b"b" * (left - 4)
    reply = RawReply(250, (line[4 : -len(end)], line[4 : -len(end)], last[4:]))
    assert_reads((line * 2 + last + end) * 2, reply, reply, lenient=lenient)
    assert_reads(line * 2 + last + b"b" + end, TOO_LONG, lenient=lenient)
    assert_reads((line * 2 + last + end) + (line * 2 + last + b"b" + end), reply, TOO_LONG, lenient=lenient)
    assert_reads(line * 2 + last.replace(b" ", b"-") + b"b" + end, TOO_LONG, lenient=lenient)
    assert_reads(line * 2 + last.replace(b" ", b"-") + end + b"250" + end, TOO_LONG, lenient=lenient)


def test_octets_of_a_single_line() -> None:
    """The limit of a reply holds for one line as well."""
    for octets, found in ((10, RawReply(250, (b"abcd",))), (9, TOO_LONG)):
        received = Input(100)
        received.feed(b"250 abcd\r\n")
        assert reader(received, octets=octets).next() == found


def test_a_single_line_where_one_is_all() -> None:
    received = Input(100)
    received.feed(b"250 a\r\n250-b\r\n250 c\r\n")
    replies = reader(received, lines=1)
    assert replies.next() == RawReply(250, (b"a",))
    assert replies.next() is TOO_MANY_LINES


def test_what_the_input_grants() -> None:
    """A challenge of SASL may be longer than other replies."""
    for length, found in ((28, RawReply(334, (b"a" * 22,))), (29, LINE_TOO_LONG)):
        for step in (1, 5, 100):
            received = Input(20, ((b"334 ", 28),))
            replies = reader(received)
            octets = b"334 " + b"a" * (length - 6) + b"\r\n"
            reply = None
            for part in steps(octets, step):
                assert reply is None
                received.feed(part)
                reply = replies.next()
            assert reply == found


# --- what is kept --------------------------------------------------------------------------------


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize(
    ("pump", "fault"),
    [
        (b"a", LINE_TOO_LONG),
        (b"250 ", LINE_TOO_LONG),
        (b"\n", LINE_TOO_LONG),
        (b"\r", LINE_TOO_LONG),
        (b"250-\r\n", TOO_MANY_LINES),
        (b"250-" + b"a" * 2042 + b"\r\n", TOO_LONG),
        (b"250-" + b"a" * 2043 + b"\r\n", LINE_TOO_LONG),
        (b"\r\n", MALFORMED),
        (b"250-a\r\n251-b\r\n", MIXED_CODES),
    ],
)
@pytest.mark.parametrize("step", [1, 1000, 65536])
def test_endless_replies_end(pump: bytes, fault: ReplyFault, step: int) -> None:
    received = Input(2048)
    replies = ReplyReader(received, line_octets=2048, lines=128, octets=65536, lenient=False)
    fed = 0
    while (reply := replies.next()) is None:
        received.feed((pump * (step // len(pump) + 2))[fed % len(pump) :][:step])
        fed += step
        assert fed <= 65536 + 2048 + step
    assert reply is fault


def test_nothing_behind_a_reply_is_read() -> None:
    received = Input(100)
    replies = reader(received)
    received.feed(b"220-a\r\n220 go\r\n\x16\x03\x01\r\n")
    assert replies.next() == RawReply(220, (b"a", b"go"))
    assert len(received) == 5
    assert received.take() == b"\x16\x03\x01\r\n"
    assert not replies.partial


def test_partial() -> None:
    received = Input(100)
    replies = reader(received)
    assert not replies.partial
    assert replies.next() is None
    assert not replies.partial
    for octets, partial in (
        (b"2", True), (b"50-a\r", True), (b"\n", True), (b"250", True), (b" b\r\n", False), (b"250 c\r\n2", True),
        (b"50\r\n", False),
    ):  # fmt: skip
        received.feed(octets)
        assert replies.partial
        while replies.next() is not None:
            pass
        assert replies.partial is partial


# --- time ----------------------------------------------------------------------------------------

PUMPS = [b"250 2.1.5 Ok\r\n", b"250-a\r\n", b"250-" + b"a" * 500 + b"\r\n", b"250 \r\n", b"a", b"\r", b"\n"]


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("size", [1, 100, 1 << 30], ids=["octets", "small", "whole"])
@pytest.mark.parametrize("lenient", [False, True])
def test_reading_replies_is_linear(size: int, lenient: bool) -> None:
    def run(subjects: list[bytes]) -> None:
        for octets in subjects:
            received = Input(2048)
            replies = ReplyReader(received, line_octets=2048, lines=1 << 30, octets=1 << 40, lenient=lenient)
            for part in steps(octets, size):
                received.feed(part)
                while isinstance(reply := replies.next(), RawReply):
                    pass
                if reply is not None:
                    break

    assert_linear(run, lambda count: [(pump * (count // len(pump) + 1))[:count] for pump in PUMPS])
