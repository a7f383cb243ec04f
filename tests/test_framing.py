"""Lines and messages: the same reading of the same octets, however they are cut."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import pytest
from _dialogue import Driver, config
from hypothesis import given, settings, strategies as st
from linearity import assert_linear
from slow_body import END, SlowDecoder

from smtpcore import BodyAborted, BodyEnd, Cause, Closed, EarlyInput, Limits, MailFrom, Refused, Wait
from smtpcore._framing import BodyDecoder, Input, Line, Stray
from smtpcore.testing import pieces, steps

POLICIES = pytest.mark.parametrize("policy", Stray, ids=lambda policy: policy.name)
DOTS = pytest.mark.parametrize("dots", [True, False], ids=["data", "bdat"])

# --- lines ---------------------------------------------------------------------------------------

GRANTS = ((b"AUTH ", 30), (b"X", 15))
LIMIT = 10
CEILING = 40


def slow_lines(
    octets: bytes, limit: int = LIMIT, ceiling: int = CEILING, *, lenient: bool = False
) -> list[bytes | Line]:
    """The lines of *octets*, up to the first flood."""
    found: list[bytes | Line] = []
    line = b""
    for octet in octets:
        line += bytes([octet])
        most = next((granted for start, granted in GRANTS if line.upper().startswith(start)), limit)
        most = max(most, limit)
        ended = line.endswith(b"\n" if lenient else b"\r\n")
        if len(line) > max(most, ceiling):
            return [*found, Line.FLOOD]
        if ended:
            bare = line[:-1].removesuffix(b"\r") if lenient else line[:-2]
            found.append(Line.TOO_LONG if len(line) > most else bare)
            line = b""
    return found


def read_lines(
    parts: Iterable[bytes], limit: int = LIMIT, ceiling: int = CEILING, *, lenient: bool = False
) -> list[bytes | Line]:
    received = Input(ceiling, GRANTS)
    found: list[bytes | Line] = []
    for part in parts:
        received.feed(part)
        while (line := received.line(limit, lenient)) is not Line.PARTIAL:
            found.append(line)
            if line is Line.FLOOD:
                return found
        assert len(received) <= max(limit, *(granted for _, granted in GRANTS)), "no more is kept than may be a line"
        assert received.line(limit, lenient) is Line.PARTIAL, "asking again changes nothing"
    return found


lines = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"a", b"NOOP", b"AUTH ", b"auth x", b"X", b"12345678", b"\0", b"z" * 13, b"z" * 31]
    )
).map(b"".join)


@pytest.mark.catalogue("A9")
@given(lines, st.lists(st.integers(1, 200)), st.booleans())
@settings(max_examples=400)
def test_cut_of_lines_does_not_matter(octets: bytes, cuts: list[int], lenient: bool) -> None:
    expected = slow_lines(octets, lenient=lenient)
    assert read_lines(pieces(octets, cuts), lenient=lenient) == expected
    assert read_lines([octets] if octets else [], lenient=lenient) == expected
    assert read_lines(steps(octets, 1), lenient=lenient) == expected


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("start", [b"", b"AUTH ", b"x"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r\r\n"])
def test_every_length_and_every_cut(start: bytes, end: bytes, lenient: bool) -> None:
    for length in range(CEILING + 5):
        octets = start + b"a" * length + end + b"b\r\n"
        expected = slow_lines(octets, lenient=lenient)
        for cut in range(1, len(octets)):
            assert read_lines([octets[:cut], octets[cut:]], lenient=lenient) == expected
        for step in (1, 2, 3, len(octets)):
            assert read_lines(steps(octets, step), lenient=lenient) == expected


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        (b"a" * 8 + b"\r\n", [b"a" * 8]),
        (b"a" * 9 + b"\r\n", [Line.TOO_LONG]),
        (b"a" * 38 + b"\r\nb\r\n", [Line.TOO_LONG, b"b"]),
        (b"a" * 39 + b"\r\nb\r\n", [Line.FLOOD]),
        (b"a" * 40, []),
        (b"a" * 41, [Line.FLOOD]),
        (b"a" * 40 + b"\r", [Line.FLOOD]),
        (b"AuTh " + b"a" * 23 + b"\r\n", [b"AuTh " + b"a" * 23]),
        (b"AuTh " + b"a" * 24 + b"\r\n", [Line.TOO_LONG]),
        (b"AUTH\t" + b"a" * 4 + b"\r\n", [Line.TOO_LONG]),
        (b"x" * 13 + b"\r\n", [b"x" * 13]),
        (b"x" * 14 + b"\r\n", [Line.TOO_LONG]),
        (b"\r\n\r\n", [b"", b""]),
    ],
)
def test_limits_of_lines(octets: bytes, found: list[bytes | Line]) -> None:
    for step in (1, 2, 7, len(octets)):
        assert read_lines(steps(octets, step)) == found


def test_a_grant_above_the_ceiling() -> None:
    """What may be a line is no flood."""
    for octets, found in (
        (b"AUTH " + b"a" * 23 + b"\r\n", [b"AUTH " + b"a" * 23]),
        (b"AUTH " + b"a" * 26, [Line.FLOOD]),
    ):
        for step in (1, len(octets)):
            assert read_lines(steps(octets, step), ceiling=12) == found


@pytest.mark.catalogue("A6", "A13")
@pytest.mark.parametrize(
    "octet", [b"\n", b"\r", b"\x0b", b"\x0c", b"\x85", b"\0", b"\xc2\x85", b"\xe2\x80\xa8", b"\x8d\x8a"]
)
def test_only_cr_lf_ends_a_line(octet: bytes) -> None:
    line = b"a" + octet + b"b"
    assert read_lines([line]) == []
    assert read_lines([line + b"\r\n"]) == [line]
    assert read_lines(steps(line + b"\r\n", 1)) == [line]


@pytest.mark.parametrize(
    ("octets", "found", "bare"),
    [(b"\n", b"", True), (b"a\n", b"a", True), (b"\r\n", b"", False), (b"a\r\n", b"a", False),
    (b"\r\r\n", b"\r", False), (b"a\rb\n", b"a\rb", True)],
)  # fmt: skip
def test_lenient_line(octets: bytes, found: bytes, bare: bool) -> None:
    received = Input(CEILING)
    received.feed(b"x\r\n" + octets)
    assert received.line(LIMIT, lenient=True) == b"x"
    assert received.bare_lf is False
    assert received.line(LIMIT, lenient=True) == found
    assert received.bare_lf is bare
    assert received.line(LIMIT, lenient=True) is Line.PARTIAL


# --- input ---------------------------------------------------------------------------------------


def test_new_input() -> None:
    received = Input(CEILING)
    assert len(received) == 0
    assert not received.eof
    assert not received.bare_lf
    assert received.line(LIMIT) is Line.PARTIAL
    assert received.take() == b""


operations = st.lists(
    st.tuples(st.just("feed"), st.text("\r\nab", min_size=1, max_size=6))
    | st.tuples(st.just("take"), st.none() | st.integers(0, 8))
    | st.tuples(st.just("line"), st.none())
    | st.tuples(st.just("back"), st.none() | st.integers(1, 8))
    | st.tuples(st.just("clear"), st.none())
)


@given(operations, st.booleans())
@settings(max_examples=300)
def test_input_is_a_row_of_octets(done: list[tuple[str, object]], lenient: bool) -> None:
    received, model = Input(1000), b""
    for operation, argument in done:
        if operation == "feed":
            assert isinstance(argument, str)
            received.feed(argument.encode())
            model += argument.encode()
        elif operation == "take":
            assert argument is None or isinstance(argument, int)
            taken, model = (model, b"") if argument is None else (model[:argument], model[argument:])
            assert received.take(argument) == taken
        elif operation == "line":
            head, end, tail = model.partition(b"\n" if lenient else b"\r\n")
            line = received.line(500, lenient)
            if end:
                model = tail
                assert line == (head.removesuffix(b"\r") if lenient else head)
            else:
                assert line is Line.PARTIAL
        elif operation == "back":
            assert argument is None or isinstance(argument, int)
            data = received.take(argument)
            received.push_back(data, len(data) // 2)
            model = model[len(data) - len(data) // 2 :]
        else:
            received.clear()
            model = b""
        assert len(received) == len(model)
        assert received.data[received.pos :] == model


def test_whole_input_is_handed_on_as_it_is() -> None:
    """Not copied: a read of a body goes through untouched."""
    received = Input(CEILING)
    data = b"x" * 1000
    received.feed(data)
    assert received.take() is data
    received.feed(data)
    assert received.take(1000) is data
    received.feed(data)
    assert received.data is data


@pytest.mark.parametrize("step", [1, 3, 100])
def test_head_of_a_too_long_line(step: int) -> None:
    received = Input(CEILING)
    found = []
    for part in steps(b"a\r\nBDAT 10" + b"x" * 12 + b"\r\n" + b"y" * 20 + b"\r\nb\r\n", step):
        received.feed(part)
        while (line := received.line(LIMIT)) is not Line.PARTIAL:
            found.append((line, received.head[:4]))
    assert found == [(b"a", b""), (Line.TOO_LONG, b"BDAT"), (Line.TOO_LONG, b"yyyy"), (b"b", b"yyyy")]


def test_clear_forgets_what_was_swallowed() -> None:
    received = Input(CEILING)
    received.feed(b"a" * 30)
    assert received.line(LIMIT) is Line.PARTIAL
    assert len(received) == 0
    received.clear()
    received.feed(b"b\r\n")
    assert received.line(LIMIT) == b"b"


# --- messages: against the slow decoder ----------------------------------------------------------


@functools.lru_cache(maxsize=64)
def slowly(octets: bytes, policy: Stray, *, dots: bool) -> tuple[list[tuple[int, bool, int]], bytes, bool]:
    """What the slow decoder has come to after each octet: content, stray octet, octets left; and all in all."""
    slow = SlowDecoder(policy, dots=dots)
    states = []
    for octet in octets:
        slow.feed(bytes([octet]))
        states.append((len(slow.content), slow.stray_found, -1 if slow.left is None else len(slow.left)))
    if not dots:
        slow.finish()
    return states, bytes(slow.content), slow.stray_found


def assert_decodes(octets: bytes, parts: Iterable[bytes], policy: Stray, *, dots: bool) -> None:
    """After each part, the decoder has come to the same as the slow one."""
    states, whole, strayed = slowly(octets, policy, dots=dots)
    decoder = BodyDecoder(policy, dots=dots)
    content = b""
    fed = 0
    for part in parts:
        fed += len(part)
        out, rest = decoder.feed(part)
        content += out
        assert len(decoder._held) <= len(END) - 1
        size, stray, left = states[fed - 1]
        assert content == whole[:size]
        assert decoder.stray_found is stray
        assert rest == left
        if rest >= 0:
            return
    if not dots:
        assert content + decoder.finish() == whole
        assert decoder.stray_found is strayed


DENSE = [b"\r", b"\n", b".", b"\0", b"a"]
dense = st.lists(st.sampled_from([*DENSE, b"\r\n", b"\r\n.", b"\r\n..", b"\r\n.\r"]), max_size=40).map(b"".join)
text = st.lists(
    st.sampled_from(
        [b"a" * 76 + b"\r\n", b"b" * 200, b".c" + b"c" * 40 + b"\r\n", b"..\r\n", b"\r\n", b"." + b"d" * 15 + b"\r\n",
        b"e" * 14 + b"\r\n", *DENSE]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip
bodies = st.tuples(dense | text, dense | text, st.sampled_from([b"", END, END + b"NOOP\r\n"])).map(b"".join)


@pytest.mark.catalogue("A9", "B3")
@POLICIES
@DOTS
@given(octets=bodies, cuts=st.lists(st.integers(1, 3000), max_size=10))
@settings(max_examples=150)
def test_cut_of_bodies_does_not_matter(policy: Stray, dots: bool, octets: bytes, cuts: list[int]) -> None:
    assert_decodes(octets, pieces(octets, cuts), policy, dots=dots)
    assert_decodes(octets, pieces(octets, []), policy, dots=dots)
    for step in (1, 2, 5, 17):
        assert_decodes(octets, steps(octets, step), policy, dots=dots)


def all_short(length: int) -> Iterator[bytes]:
    for count in range(length + 1):
        for chosen in itertools.product(DENSE, repeat=count):
            yield b"".join(chosen)


@POLICIES
@DOTS
@pytest.mark.parametrize(
    ("head", "tail", "length"),
    [(b"", b"", 5), (b"h" * 40, b"t" * 40, 4), (b"h" * 20 + b"\r\n", b"t" * 40 + b"\r\n.\r\nNOOP", 4)],
    ids=["alone", "within a line", "at a line's start"],
)
def test_all_short_bodies(policy: Stray, dots: bool, head: bytes, tail: bytes, length: int) -> None:
    for middle in all_short(length):
        octets = head + middle + tail
        assert_decodes(octets, [octets] if octets else [], policy, dots=dots)
        assert_decodes(octets, [part for part in (head, *steps(middle, 1), tail) if part], policy, dots=dots)


@POLICIES
@DOTS
def test_every_cut(policy: Stray, dots: bool) -> None:
    for middle in (
        b".",
        b"..",
        b"\r",
        b"\n",
        b".\r",
        b".\n",
        b"\0",
        b"\r.\r",
        b"x" * 20,
        b"\r\n.\r",
        b"\r\n..\r\n..",
        b"",
    ):
        octets = b"." + b"a" * 80 + b"\r\n" + middle + b"\r\n.." + b"b" * 80 + b"\r\n.\r\n.\r\n"
        for first in range(1, len(octets)):
            assert_decodes(octets, [octets[:first], octets[first:]], policy, dots=dots)
        for first in range(80, 92):
            for second in range(first + 1, first + 8):
                assert_decodes(octets, pieces(octets, [first, second]), policy, dots=dots)


@POLICIES
@pytest.mark.parametrize("count", [1, 23, 24, 25, 26, 200])
@pytest.mark.parametrize("spoilt", [b"", b"\r", b"\n", b"\0"])
def test_dot_lines_beyond_a_few(policy: Stray, count: int, spoilt: bytes) -> None:
    octets = (b"..." + b"a" * 70 + b"\r\n") * count + spoilt + b"b" * 70 + b"\r\n.\r\n"
    for size in (len(octets), 64, 300):
        assert_decodes(octets, steps(octets, size), policy, dots=True)


def test_what_is_certain_comes_at_once() -> None:
    decoder = BodyDecoder(Stray.REJECT, dots=True)
    handed_out = [decoder.feed(octets) for octets in (b"a", b"b\r", b"\n", b".", b".c", b"\r\n.\r", b"\n")]
    assert handed_out == [(b"a", -1), (b"b", -1), (b"", -1), (b"", -1), (b"\r\n.c", -1), (b"", -1), (b"\r\n", 0)]


def test_untouched_octets_are_not_copied() -> None:
    data = b"a" * 1000
    for policy in Stray:
        assert BodyDecoder(policy, dots=False).feed(data)[0] is data
    decoder = BodyDecoder(Stray.REJECT, dots=True)
    decoder.feed(b"x")
    assert decoder.feed(data)[0] is data


@pytest.mark.parametrize(
    ("policy", "last", "end", "stray"),
    [
        (Stray.REJECT, b"a\r", b"", True),
        (Stray.NORMALISE, b"a\r", b"\r\n", False),
        (Stray.KEEP, b"a\r", b"", False),
        (Stray.REJECT, b"a\r\n", b"", False),
        (Stray.REJECT, b"\0\r", b"", True),
        (Stray.NORMALISE, b"\0\r", b"", True),
    ],
)
def test_end_of_the_last_chunk(policy: Stray, last: bytes, end: bytes, stray: bool) -> None:
    decoder = BodyDecoder(policy, dots=False)
    decoder.feed(last)
    assert decoder.finish() == end
    assert decoder.stray_found is stray
    assert decoder.finish() == b""


# --- messages: smuggling -------------------------------------------------------------------------

# The end that some take for one; whether it holds a stray octet; what it is as content, after "a" and before "b".
FALSE_ENDS: list[tuple[str, bytes, bool, bytes]] = [
    ("A1", b"x\n.\n", True, b"x\n.\n"),
    ("A1", b"\n.\r\n", True, b"\n.\r\n"),
    ("A1", b"\r\n.\n", True, b"\r\n\n"),
    ("A1", b"\n.\n", True, b"\n.\n"),
    ("A2", b"\r\n.\r\r\n", True, b"\r\n\r\r\n"),
    ("A2", b"\r\r\n.\r\r\n", True, b"\r\r\n\r\r\n"),
    ("A2", b"\r\r\n.\r", True, b"\r\r\n\r"),
    ("A3", b"\r.\r", True, b"\r.\r"),
    ("A3", b"\r.\n", True, b"\r.\n"),
    ("A3", b"\n.\r", True, b"\n.\r"),
    ("A3", b"\r\n.\r", True, b"\r\n\r"),
    ("A3", b"\r.\r\n", True, b"\r.\r\n"),
    ("A4", b"\r\n\0.\r\n", True, b"\r\n\0.\r\n"),
    ("A4", b"\r\n.\0\r\n", True, b"\r\n\0\r\n"),
    ("A4", b"\r\0\n.\r\0\n", True, b"\r\0\n.\r\0\n"),
    ("A6", b"\x0b.\x0b", False, b"\x0b.\x0b"),
    ("A6", b"\x0c.\x0c", False, b"\x0c.\x0c"),
    ("A6", b"\xc2\x85.\xc2\x85", False, b"\xc2\x85.\xc2\x85"),
    ("A6", b"\x85.\x85", False, b"\x85.\x85"),
    ("A6", b"\xe2\x80\xa8.\xe2\x80\xa8", False, b"\xe2\x80\xa8.\xe2\x80\xa8"),
    ("A6", b"\r\n.\xe2\x80\xa9", False, b"\r\n\xe2\x80\xa9"),
    ("A7", b"\x8d\x8a.\x8d\x8a", False, b"\x8d\x8a.\x8d\x8a"),
    ("A7", "\u760d\u760a.\u760d\u760a".encode(), False, "\u760d\u760a.\u760d\u760a".encode()),
    ("A7", "\u760d\u760a.\u760d\u760a".encode("utf-16-be"), True, b"v\rv\n\0.v\rv\n"),
    ("B3", b"\r\n..\r\n", False, b"\r\n.\r\n"),
    ("B3", b"\r\n. \r\n", False, b"\r\n \r\n"),
    ("B3", b"\r\n .\r\n", False, b"\r\n .\r\n"),
]
SMUGGLED = b"NOOP\r\nb"
REAL_END = b"\r\n.\r\nQUIT\r\n"


def false_ends() -> list[object]:
    return [pytest.param(*rest, marks=pytest.mark.catalogue(row), id=f"{row}-{rest[0]!r}") for row, *rest in FALSE_ENDS]


def decode(parts: Sequence[bytes], policy: Stray, *, dots: bool = True) -> tuple[bytes, int, bool]:
    """The content, the octets behind the end, and whether a stray one was found."""
    decoder = BodyDecoder(policy, dots=dots)
    content, rest = b"", -1
    for index, part in enumerate(parts):
        out, rest = decoder.feed(part)
        content += out
        if rest >= 0:
            return content, rest + sum(map(len, parts[index + 1 :])), decoder.stray_found
    return content, rest, decoder.stray_found


@pytest.mark.parametrize(("trigger", "stray", "content"), false_ends())
@pytest.mark.parametrize("filler", [b"a", b"a" * 300])
def test_false_end(trigger: bytes, stray: bool, content: bytes, filler: bytes) -> None:
    octets = filler + trigger + SMUGGLED + REAL_END
    left = len(REAL_END) - 5
    for step in (1, 2, 3, len(octets)):
        parts = steps(octets, step)
        assert decode(parts, Stray.KEEP) == (filler + content + SMUGGLED + b"\r\n", left, False)
        got, rest, found = decode(parts, Stray.REJECT)
        assert (rest, found) == (left, stray)
        assert got == (filler + content + SMUGGLED + b"\r\n" if not stray else got)
        assert (filler + content).startswith(got) or not stray
        got, rest, found = decode(parts, Stray.NORMALISE)
        assert (rest, found) == (left, b"\0" in trigger)
        assert got.count(b"\r") == got.count(b"\n") == got.count(b"\r\n")


@pytest.mark.parametrize(("trigger", "stray", "content"), false_ends())
@pytest.mark.parametrize("step", [1, 4096])
def test_server_does_not_end_there(trigger: bytes, stray: bool, content: bytes, step: int) -> None:
    driver = Driver(config(early_input=EarlyInput.REPORT))
    driver.say("EHLO client.example", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    sent = b"a" + trigger + b"RSET\r\nMAIL FROM:<evil@b>\r\nb"
    assert driver.feed(sent, step) == b""
    assert driver.feed(b"\r\n.\r\n", step)[:9] == (b"554 5.6.0" if stray else b"250 2.0.0")
    assert len(driver.seen(MailFrom)) == 1
    assert len(driver.seen(BodyEnd)) == (not stray)
    assert len(driver.seen(BodyAborted)) == stray
    if not stray:
        assert driver.body == b"a" + content + b"RSET\r\nMAIL FROM:<evil@b>\r\nb\r\n"
    assert driver.codes("NOOP") == ["250 2.0.0"]


@pytest.mark.catalogue("A5")
@pytest.mark.parametrize(
    ("octets", "content", "left", "stray"),
    [
        (b".\r\n", b"", 0, False),
        (b".\r\nQUIT\r\n", b"", 6, False),
        (b".\nx" + REAL_END, b"", 6, True),
        (b"\n.\r\nx" + REAL_END, b"", 6, True),
        (b".\rx" + REAL_END, b"", 6, True),
        (b"\r\n.\r\n", b"\r\n", 0, False),
        (b"..\r\n.\r\n", b".\r\n", 0, False),
        (b".a\r\n.\r\n", b"a\r\n", 0, False),
        (b"\r\n\r\n.\r\n.\r\n", b"\r\n\r\n", 3, False),
    ],
)
def test_first_octets(octets: bytes, content: bytes, left: int, stray: bool) -> None:
    """RFC 5321 4.1.1.4: the CR LF of the DATA line is the first of an end that comes at once."""
    for step in (1, 2, len(octets)):
        assert decode(steps(octets, step), Stray.REJECT) == (content, left, stray)


@pytest.mark.catalogue("A5", "B3")
def test_bdat_has_no_dots() -> None:
    """RFC 3030 2: no end is looked for in a chunk, and no dot is dropped."""
    for octets in (b".\r\n", b"\r\n.\r\n", b"a\r\n..b\r\n.\r\nc", b"."):
        for step in (1, len(octets)):
            assert decode(steps(octets, step), Stray.REJECT, dots=False) == (octets, -1, False)


@pytest.mark.catalogue("A8")
def test_no_command_is_read_after_a_stray_octet() -> None:
    for step in (1, 1000):
        driver = Driver(config(early_input=EarlyInput.REPORT))
        driver.say("EHLO client.example", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        assert driver.feed(b"\n.\nNOOP\r\nQUIT\r\nMAIL FROM:<evil@b>\r\n", step) == b""
        assert driver.feed(b".\r\nNOOP\r\n", step).split(b"\r\n")[0][:9] == b"554 5.6.0"
        assert driver.out.endswith(b"250 2.0.0 Ok\r\n")
        assert len(driver.seen(MailFrom)) == 1
        assert driver.body == b""


@pytest.mark.catalogue("A9")
@pytest.mark.parametrize("step", [1, 1000, 100_000])
@pytest.mark.parametrize("size", [0, 10, 5000])
def test_nothing_behind_a_message_is_lost(size: int, step: int) -> None:
    driver = Driver(config(early_input=EarlyInput.REPORT, limits=Limits(junk_commands=3000)))
    driver.say("EHLO client.example", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    said = driver.feed(b"x" * size + b"\r\n.\r\n" + b"NOOP\r\n" * 2000, step)
    assert said.count(b"\r\n") == 2001
    assert driver.body == b"x" * size + b"\r\n"


@pytest.mark.catalogue("A9")
@pytest.mark.parametrize("border", [4096, 65536])
@pytest.mark.parametrize("line", [b"x" * 62, b"x" * 5, b""])
def test_end_over_a_border(border: int, line: bytes) -> None:
    for shift in range(-6, 3):
        filler = ((line + b"\r\n") * border)[: border + shift]
        octets = filler.rpartition(b"\r\n")[0] + b"\r\n"
        octets = octets.ljust(border + shift, b"y") + END + b"NOOP\r\n"
        content, rest, stray = decode(steps(octets, border), Stray.REJECT)
        assert (content, rest, stray) == (octets[: -len(END + b"NOOP\r\n")] + b"\r\n", 6, False)


@pytest.mark.catalogue("A10")
def test_end_of_stream_completes_nothing() -> None:
    for octets in (b"a\r\n.\n", b"a\r\n.", b"a\r\n.\r", b"a\r\n", b".", b""):
        decoder = BodyDecoder(Stray.KEEP, dots=True)
        assert not octets or decoder.feed(octets)[1] == -1
        driver = Driver()
        for command in ("EHLO client.example", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"):
            driver.say(command)
        driver.feed(octets)
        driver.eof()
        assert driver.seen(BodyEnd) == []
        assert driver.events[-1] == Closed(Cause.EOF)
        assert driver.wait is Wait.CLOSED
    driver = Driver()
    driver.say("EHLO client.example")
    assert driver.feed(b"MAIL FROM:<a@b>") == b""
    driver.eof()
    assert driver.seen(MailFrom) == []
    assert driver.events[-1] == Closed(Cause.EOF)


# --- commands: line ends and long lines ----------------------------------------------------------


@pytest.mark.catalogue("A13")
@pytest.mark.parametrize(
    "line", [b"NOOP\n", b"NOOP\rRSET", b"NOOP\nRSET", b"NOOP\r", b"\n", b"NOOP \n.", b"MAIL FROM:<a@b>\nRCPT TO:<c@d>"]
)
@pytest.mark.parametrize("step", [1, 1000])
def test_bare_line_ends_in_commands(line: bytes, step: int) -> None:
    driver = Driver()
    driver.say("EHLO client.example")
    assert driver.feed(line, step) == b""
    said = driver.feed(b"\r\n", step)
    assert said.startswith(b"500 5.5.2")
    assert said.count(b"\r\n") == 1
    assert driver.seen(Refused)[-1].line == line
    for _ in range(9):
        assert driver.feed(line + b"\r\n", step).startswith(b"500 ")
    assert driver.feed(line + b"\r\n", step).startswith(b"421 "), "it counts as an error"


@pytest.mark.catalogue("A14")
@pytest.mark.parametrize("step", [1, 2048, 100_000])
def test_long_line_has_one_reply(step: int) -> None:
    driver = Driver()
    driver.say("EHLO client.example")
    long = b"NOOP " + b"x" * 16379 + b"RSET\r\n"
    assert driver.feed(long, step) == b"500 5.5.6 Line too long\r\n"
    assert driver.codes("NOOP") == ["250 2.0.0"]


@pytest.mark.catalogue("A14")
@pytest.mark.parametrize("step", [1000, 100_000])
def test_line_over_the_ceiling_closes(step: int) -> None:
    driver = Driver()
    driver.say("EHLO client.example")
    assert driver.feed(b"NOOP " + b"x" * (65536 - 5 - 2) + b"\r\n", step).startswith(b"500 ")
    said = driver.feed(b"NOOP " + b"x" * (65536 - 5 - 1), step)
    assert said == b""
    assert driver.feed(b"\r\nNOOP\r\n", step).startswith(b"421 4.7.0")
    assert driver.wait is Wait.CLOSED
    assert driver.events[-1] == Closed(Cause.LIMIT, "swallowed_octets")


# --- time ----------------------------------------------------------------------------------------

PUMPS = [
    b"a", b"\r", b"\n", b"\r\n", b".", b"\r\n.", b"\r\n..", b"\r\n.\r", b".\r", b"\n.", b"\r.", b"\0",
    b"a" * 15 + b"\n", b"a" * 14 + b"\r\n", b"a" * 16 + b"\n",
    b"a" * 76 + b"\r\n", b"." + b"a" * 75 + b"\r\n", b"..\r\n", b"\r\r\n", b"a" * 998 + b"\r\n.", b"a" * 40 + b"\r",
    b"a" * 40 + b"\0",
]  # fmt: skip


@pytest.mark.catalogue("E8")
@POLICIES
@DOTS
@pytest.mark.parametrize("size", [1, 100, 1 << 30], ids=["octets", "small", "whole"])
def test_decoding_is_linear(policy: Stray, dots: bool, size: int) -> None:
    def run(subjects: list[bytes]) -> None:
        for octets in subjects:
            decoder = BodyDecoder(policy, dots=dots)
            for part in steps(octets, size):
                decoder.feed(part)

    assert_linear(run, lambda count: [(pump * (count // len(pump) + 1))[:count] for pump in PUMPS])


@pytest.mark.parametrize("pump", [b"a", b"\r", b"\n", b"\r\n", b"\n\r", b"NOOP\r\n", b"AUTH ", b"a" * 9 + b"\r"])
@pytest.mark.parametrize("size", [1, 100, 1 << 30], ids=["octets", "small", "whole"])
@pytest.mark.parametrize("lenient", [False, True])
def test_reading_lines_is_linear(pump: bytes, size: int, lenient: bool) -> None:
    def run(octets: bytes) -> None:
        received = Input(1 << 40, GRANTS)
        for part in steps(octets, size):
            received.feed(part)
            while received.line(2048, lenient) is not Line.PARTIAL:
                pass

    assert_linear(run, lambda count: (pump * (count // len(pump) + 1))[:count])
