"""Whatever a server sends, a client tells its application what became of everything, and says nothing odd itself."""

import re
import tracemalloc
from collections.abc import Iterator

import pytest
from _client_play import ALL_OFFERED, SITUATIONS, TLS, Play
from hypothesis import example, given, settings, strategies as st
from linearity import assert_linear

from smtpcore import (
    LMTP,
    SMTP,
    Cause,
    ClientConfig,
    ClientConnection,
    ClientLimits,
    Closed,
    LocalProtocolError,
    Phase,
    Quirk,
    TransactionDone,
    Violation,
    Wait,
)
from smtpcore._machine import CLIENT
from smtpcore.testing import pieces, steps

CODES = st.sampled_from([220, 221, 235, 250, 251, 252, 334, 354, 421, 450, 500, 501, 502, 535, 550, 554, 250, 250, 354])
TEXTS = st.sampled_from(
    [
        b"", b" ", b" Ok", b"-", b"-more", b" 2.1.0 Ok", b" 5.1.1 No", b" PHhAeT4=", b" !", b"-PIPELINING",
        b"-AUTH PLAIN", b" \xff\xfe", " Grüße".encode(), b" " + b"x" * 600, b"x", b"\t", b" a\0b", b" a\rb",
    ]
)  # fmt: skip
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"", b"\r\r\n"])
REPLY = st.tuples(CODES, TEXTS, ENDS).map(lambda parts: b"%d%b%b" % parts)
GOOD = st.tuples(CODES, st.sampled_from([b" Ok", b" PHhAeT4=", b"-a\r\n%d b"])).map(
    lambda parts: b"%d%b\r\n" % (parts[0], parts[1] % parts[0] if b"%d" in parts[1] else parts[1])
)
OCTETS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.one_of(REPLY, GOOD), max_size=8).map(b"".join),
    st.lists(GOOD, max_size=8).map(b"".join),
)
# What a client can have said, in whole lines; a message has one line here.
LINE = re.compile(
    rb"(?:EHLO|HELO|LHLO) client\.example|STARTTLS|AUTH (?:CRAM-MD5|PLAIN [A-Za-z0-9+/=]+)|MAIL FROM:<a@b\.example>"
    rb"|RCPT TO:<[ce]@d\.example>|DATA|BDAT [0-9]+(?: LAST)?|\.|RSET|NOOP|QUIT|VRFY tim|ETRN d\.example|XCLIENT NAME=x"
    rb"|[A-Za-z0-9+/=]*|[*]"
)


def react(play: Play) -> None:
    """An application that goes on where it can, and takes what comes."""
    for _ in range(20):
        if play.wait is Wait.TLS:
            play.secure(TLS)
        elif play.wait is Wait.INTENT and play.conn.phase in (Phase.BODY, Phase.CHUNK) and play.transaction is not None:
            try:
                play.conn.end_body(play.transaction)
            except LocalProtocolError:
                return
        else:
            return
        play.pump()


def check(play: Play, said: bytes) -> None:
    """What holds of every session that has ended."""
    assert play.wait is Wait.CLOSED
    closed = play.closed
    assert (closed.violation is None) or closed.cause in (Cause.PROTOCOL, Cause.LIMIT)
    assert (closed.cause in (Cause.PROTOCOL, Cause.LIMIT)) is (closed.violation is not None)
    done = [event.transaction for event in play.events if isinstance(event, TransactionDone)]
    assert len(done) == len({id(each) for each in done})
    if play.transaction is not None:
        assert play.transaction in done
        assert play.transaction.done
    assert said == b"" or said.endswith(b"\r\n")
    for line in said.split(b"\r\n"):
        assert LINE.fullmatch(line), line
    assert play.conn.next_deadline() == float("inf")
    assert not play.conn.wants_data


def feed(play: Play, octets: bytes, cuts: list[int]) -> bytes:
    said = b""
    for piece in pieces(octets, cuts):
        if play.conn.phase is Phase.TLS:
            play.secure(TLS)
        play.feed(piece)
        said += play.sent()
        react(play)
        said += play.sent()
        play.pump()
    return said


@pytest.mark.catalogue("F11", "F12", "F13")
@pytest.mark.parametrize("situation", SITUATIONS)
@given(octets=OCTETS, cuts=st.lists(st.integers(1, 60), max_size=4))
@settings(max_examples=60)
def test_nothing_that_a_server_sends_raises(situation: str, octets: bytes, cuts: list[int]) -> None:
    play = SITUATIONS[situation]()
    said = feed(play, octets, cuts)
    if play.conn.phase is Phase.TLS:
        play.conn.tls_failed()
    else:
        play.conn.receive_data(b"", 0.0)
    play.pump()
    check(play, said + play.sent())


@given(octets=st.binary(max_size=300), lenient=st.booleans(), lmtp=st.booleans())
@example(octets=b"220\n\n", lenient=True, lmtp=False)
@example(octets=b"220 \r\r\n", lenient=True, lmtp=False)
def test_nothing_that_greets_raises(octets: bytes, lenient: bool, lmtp: bool) -> None:
    config = ClientConfig(quirks=frozenset({Quirk.BARE_LF}) if lenient else frozenset())
    play = Play(config, dialect=LMTP if lmtp else SMTP)
    play.drip(octets)
    play.eof()
    check(play, play.sent())


@given(times=st.lists(st.floats(0, 20_000), max_size=6), octets=OCTETS)
def test_no_time_raises(times: list[float], octets: bytes) -> None:
    for situation in ("greeting", "handshake", "verdict", "body", "reply to AUTH"):
        play = SITUATIONS[situation]()
        for now in sorted(times):
            play.at(now)
            if situation != "handshake":
                play.feed(octets)
                play.sent()
                if play.conn.phase is Phase.TLS:
                    play.secure(TLS)
        play.at(30_000)
        assert play.closed.cause in Cause


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_session_cut_off_anywhere(situation: str) -> None:
    script = b"220 Hi\r\n250-mx\r\n250 PIPELINING\r\n"
    for at in range(len(script)):
        play = SITUATIONS[situation]()
        if situation == "handshake":
            play.conn.tls_failed()
        said = feed(play, script[:at], [])
        play.conn.receive_data(b"", 0.0) if play.conn.phase is not Phase.CLOSED else None
        play.pump()
        check(play, said)


# --- time and memory ---------------------------------------------------------------------------------


def _dripped(octets: bytes) -> None:
    play = Play(ClientConfig(limits=ClientLimits(reply_lines=1 << 20, reply_octets=1 << 24)))
    for piece in steps(octets, 1):
        play.conn.receive_data(piece, 0.0)
        play.conn.next_event()


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize("line", [b"220-\r\n", b"220-" + b"x" * 500 + b"\r\n", b"220-\xff\r\n"])
def test_octets_one_by_one_take_linear_time(line: bytes) -> None:
    assert_linear(_dripped, lambda size: line * (size // len(line) + 1) + b"220 end\r\n", largest=1 << 15)


def _in_lines(octets: bytes) -> None:
    conn = ClientConnection(ClientConfig(limits=ClientLimits(reply_lines=1 << 20, reply_octets=1 << 24)))
    conn.receive_data(octets, 0.0)
    while not isinstance(conn.next_event(), Wait):
        pass


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize("line", [b"220-\r\n", b"220-" + b"\xff" * 500 + b"\r\n", b"220-" + b"\x1b" * 500 + b"\r\n"])
def test_a_long_reply_takes_linear_time(line: bytes) -> None:
    assert_linear(_in_lines, lambda size: line * (size // len(line) + 1) + b"220 end\r\n")


ENDLESS: dict[str, bytes] = {
    "one line": b"x" * 1000,
    "one reply line": b"250-" + b"x" * 996,
    "one reply": b"250-x\r\n" * 150,
    "replies": b"250 Ok\r\n" * 125,
    "oddities": b"259 \xff\r\n" * 100,
    "line ends": b"\r\n" * 500,
    "CRs": b"\r" * 1000,
    "LFs": b"\n" * 1000,
    "NULs": b"\0" * 1000,
    "challenges": b"334 PHhAeT4=\r\n" * 70,
}
STILL = [name for name in SITUATIONS if name not in ("nothing", "handshake")]


def _endless(octets: bytes) -> Iterator[bytes]:
    for _ in range(1000):
        yield octets


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("octets", ENDLESS.values(), ids=ENDLESS)
def test_what_has_no_end_is_ended(octets: bytes) -> None:
    for situation in STILL:
        play = SITUATIONS[situation]()
        tracemalloc.start()
        try:
            fed = 0
            for piece in _endless(octets):
                if play.conn.phase is Phase.TLS:
                    play.secure(TLS)
                if not play.conn.wants_data:
                    break
                play.conn.receive_data(piece, 0.0)
                fed += len(piece)
                while not isinstance(event := play.conn.next_event(), Wait):
                    if isinstance(event, Closed):
                        assert event.violation is not None or event.cause is Cause.QUIT
                play.sent()
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert play.conn.phase is Phase.CLOSED
        assert fed <= 70_000
        assert held < 600_000


def test_what_a_closed_connection_is_fed_it_drops() -> None:
    play = SITUATIONS["nothing"]()
    tracemalloc.start()
    try:
        for _ in range(1000):
            play.conn.receive_data(b"250 Ok\r\n" * 1000, 0.0)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()
    assert play.pump() == []


def test_a_client_does_not_read_ahead_of_its_application() -> None:
    play = SITUATIONS["reply to NOOP"]()
    fed = 0
    while play.conn.wants_data:
        play.conn.receive_data(b"250-" + b"x" * 96 + b"\r\n", 0.0)
        fed += 102
    assert fed < ClientLimits().buffered_octets + 102
    play.pump()
    assert play.closed.violation is Violation.REPLY_TOO_LONG


def test_the_situations_cover_the_edges() -> None:
    """So what is said of all situations is said of every reply."""
    answered = {edge.input for edge in CLIENT if edge.codes}
    reached = set()
    for make in SITUATIONS.values():
        expected = make().conn._expected
        if expected:
            reached.add(expected[0].edge.input)
    assert answered - reached == {"challenge", "LHLO", "HELP", "EXPN", "BDAT"}
    assert ALL_OFFERED
