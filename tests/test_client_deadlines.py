"""Each deadline of a client: nothing before it, the end at it; and it is a reply that moves it, not an octet."""

import math
from collections.abc import Callable

import pytest
from _client_play import CRAM, ENVELOPE, SITUATIONS, TWO, Play, greeted, ready

from smtpcore import (
    CLIENT_DEADLINES,
    LMTP,
    SMTP,
    Cause,
    ClientConfig,
    ClientLimits,
    ClientTimeouts,
    Closed,
    Deadline,
    Fate,
    LocalProtocolError,
    Phase,
    TransactionDone,
    Wait,
)
from smtpcore._value import fields

START = 1000.0
# All different, and none the sum of others.
LENGTHS = ClientTimeouts(
    greeting=11.0, command=13.0, mail=17.0, rcpt=19.0, data=23.0, block=29.0, dot=31.0, quit=37.0, write=41.0,
    tls=43.0, session=5000.0,
)  # fmt: skip
EPSILON = 0.001

Begin = Callable[[Play], object]


def play_at(start: float, *keywords: str, chunking: bool = False, lmtp: bool = False) -> Play:
    limits = ClientLimits(unanswered_chunks=1)
    config = ClientConfig(timeouts=LENGTHS, limits=limits, cleartext_auth=True, prefer_chunking=chunking)
    play = ready(*keywords, config=config, dialect=LMTP if lmtp else SMTP)
    play.now = start
    return play


def _say(ask: Begin, *keywords: str, chunking: bool = False, lmtp: bool = False, leave: bool = True) -> Play:
    play = play_at(START, *keywords, chunking=chunking, lmtp=lmtp)
    ask(play)
    if leave:
        play.sent()
    else:
        assert play.conn.data_to_send(play.now)
    play.pump()
    return play


def _greeting() -> Play:
    play = Play(ClientConfig(timeouts=LENGTHS), now=START)
    assert play.wait is Wait.DATA
    return play


def _hello() -> Play:
    play = greeted(ClientConfig(timeouts=LENGTHS))
    play.now = START
    play.conn.hello("client.example")
    play.sent()
    return play


def _helo() -> Play:
    play = _hello()
    play.hear("502 No")
    play.now = START
    play.sent()
    return play


def _mail(*replies: str, keywords: tuple[str, ...] = (), chunking: bool = False, lmtp: bool = False) -> Play:
    play = play_at(START - 5, *keywords, chunking=chunking, lmtp=lmtp)
    play.transaction = play.conn.send(TWO)
    play.sent()
    for reply in replies:
        play.now += 0.5
        play.hear(reply)
        play.sent()
    return play


def _mail_last(*replies: str) -> Play:
    play = _mail(*replies[:-1])
    play.now = START
    play.hear(replies[-1])
    play.sent()
    return play


def _pipelined(*replies: str) -> Play:
    play = play_at(START - 5, "PIPELINING")
    play.transaction = play.conn.send(TWO)
    play.sent()
    for reply in replies:
        play.now = START
        play.hear(reply)
    return play


def _body(*, leave: bool, end: bool, lmtp: bool = False, chunking: bool = False) -> Play:
    keywords = ("CHUNKING", "PIPELINING") if chunking else ()
    replies = ("250 Ok", "250 Ok", "250 Ok") + (() if chunking else ("354 Go",))
    play = _mail(*replies, keywords=keywords, lmtp=lmtp, chunking=chunking)
    assert play.transaction is not None
    play.now = START
    play.conn.send_body(play.transaction, b"x" * (300_000 if chunking else 10))
    if end:
        play.conn.end_body(play.transaction)
    assert play.conn.data_to_send(START)
    if leave:
        play.conn.data_sent(START)
    if chunking and leave:  # the next one must wait; till then it would be the application's move
        play.conn.send_body(play.transaction, b"x" * 300_000)
    play.pump()
    return play


def _lmtp_second() -> Play:
    play = _body(leave=True, end=True, lmtp=True)
    play.conn.receive_data(b"250 Ok\r\n", START)
    play.pump()
    return play


def _starttls() -> Play:
    play = play_at(START - 5, "STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.hear("220 Go")
    play.at(START)
    return play


def _auth(*replies: str) -> Play:
    play = play_at(START if not replies else START - 5, "AUTH CRAM-MD5")
    play.conn.authenticate(CRAM)
    play.sent()
    for reply in replies:
        play.now = START
        play.hear(reply)
        play.sent()
    return play


ARMED: dict[str, tuple[Deadline, Callable[[], Play]]] = {
    "greeting": (Deadline.GREETING, _greeting),
    "EHLO": (Deadline.COMMAND, _hello),
    "HELO": (Deadline.COMMAND, _helo),
    "NOOP": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.noop())),
    "RSET": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.reset())),
    "HELP": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.help())),
    "VRFY": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.verify("a"))),
    "EXPN": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.expand("a"))),
    "ETRN": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.command("ETRN", "a"))),
    "XCLIENT": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.xclient({"NAME": "a"}), "XCLIENT NAME")),
    "STARTTLS": (Deadline.COMMAND, lambda: _say(lambda play: play.conn.start_tls(), "STARTTLS")),
    "AUTH": (Deadline.COMMAND, _auth),
    "an answer": (Deadline.COMMAND, lambda: _auth("334 PHhAeT4=")),
    "a cancellation": (Deadline.COMMAND, lambda: _auth("334 !")),
    "MAIL": (Deadline.MAIL, lambda: _say(lambda play: play.conn.send(ENVELOPE))),
    "MAIL of a group": (Deadline.MAIL, lambda: _say(lambda play: play.conn.send(ENVELOPE), "PIPELINING")),
    "RCPT": (Deadline.RCPT, lambda: _mail_last("250 Ok")),
    "RCPT of a group": (Deadline.RCPT, lambda: _pipelined("250 Ok")),
    "second RCPT": (Deadline.RCPT, lambda: _mail_last("250 Ok", "250 Ok")),
    "second RCPT of a group": (Deadline.RCPT, lambda: _pipelined("250 Ok", "550 No")),
    "DATA": (Deadline.DATA, lambda: _mail_last("250 Ok", "250 Ok", "250 Ok")),
    "DATA of a group": (Deadline.DATA, lambda: _pipelined("250 Ok", "250 Ok", "250 Ok")),
    "octets of a message": (Deadline.BLOCK, lambda: _body(leave=False, end=False)),
    "the last octets of a message": (Deadline.BLOCK, lambda: _body(leave=False, end=True)),
    "a chunk": (Deadline.COMMAND, lambda: _body(leave=True, end=False, chunking=True)),
    "a chunk that does not leave": (Deadline.BLOCK, lambda: _body(leave=False, end=False, chunking=True)),
    "the dot": (Deadline.DOT, lambda: _body(leave=True, end=True)),
    "the dot of LMTP": (Deadline.DOT, lambda: _body(leave=True, end=True, lmtp=True)),
    "the second reply of LMTP": (Deadline.DOT, _lmtp_second),
    "QUIT": (Deadline.QUIT, lambda: _say(lambda play: play.conn.quit())),
    "QUIT that does not leave": (Deadline.QUIT, lambda: _say(lambda play: play.conn.quit(), leave=False)),
    "the handshake": (Deadline.TLS, _starttls),
}


def length(deadline: Deadline) -> float:
    seconds: float = getattr(LENGTHS, deadline.value)
    return seconds


@pytest.mark.catalogue("G3", "C7")
@pytest.mark.parametrize("name", ARMED)
def test_nothing_before_it_and_the_end_at_it(name: str) -> None:
    deadline, make = ARMED[name]
    play = make()
    at = START + length(deadline)
    assert play.conn.next_deadline() == at
    assert play.at(at - EPSILON) == []
    assert play.wait is not Wait.CLOSED
    told = play.at(at)
    assert told[-1] == Closed(Cause.TIMED_OUT, deadline.value)
    assert [type(event) for event in told[:-1]] == [TransactionDone] * (len(told) - 1)
    assert play.wait is Wait.CLOSED


@pytest.mark.catalogue("F11")
@pytest.mark.parametrize("name", ARMED)
def test_behind_it_the_connection_is_dead(name: str) -> None:
    deadline, make = ARMED[name]
    play = make()
    play.at(START + length(deadline) + 1)
    assert play.feed(b"250 Ok\r\n") == []
    assert play.eof() == []
    assert play.sent() == b""
    assert play.conn.next_deadline() == math.inf
    assert not play.conn.wants_data
    with pytest.raises(LocalProtocolError):
        play.conn.quit()
    assert play.at(1e9) == []
    assert play.wait is Wait.CLOSED


@pytest.mark.catalogue("F13", "H7")
def test_the_fates_behind_it() -> None:
    for name, fate in {
        "MAIL": Fate.UNSENT, "DATA": Fate.UNSENT, "octets of a message": Fate.UNSENT, "the dot": Fate.UNKNOWN,
    }.items():  # fmt: skip
        deadline, make = ARMED[name]
        play = make()
        play.at(START + length(deadline))
        (transaction,) = play.done
        assert {outcome.fate for outcome in transaction.outcomes} == {fate}


@pytest.mark.catalogue("G3")
@pytest.mark.parametrize(
    "name", [each for each, (deadline, _) in ARMED.items() if deadline not in (Deadline.TLS, Deadline.BLOCK)]
)
@pytest.mark.parametrize("drip", [b"250-x\r\n", b"2", b"250 x"])
def test_octets_do_not_move_it(name: str, drip: bytes) -> None:
    deadline, make = ARMED[name]
    play = make()
    octets = drip * 1000 if drip == b"250-x\r\n" else drip + b"x" * 2000
    if drip == b"2":
        octets = b"250-" + b"x" * 2000
    now = START
    for octet in octets:
        now += 0.4
        if play.at(now):
            break
        play.feed(bytes([octet]))
    assert play.closed == Closed(Cause.TIMED_OUT, deadline.value)
    assert START + length(deadline) <= now < START + length(deadline) + 0.5


@pytest.mark.parametrize("name", [each for each, (deadline, _) in ARMED.items() if deadline is not Deadline.TLS])
def test_a_reply_disarms_it(name: str) -> None:
    deadline, make = ARMED[name]
    play = make()
    play.now = START + 1
    reply = {Deadline.GREETING: "220", Deadline.DATA: "354"}.get(deadline, "250")
    if "message" in name or "not leave" in name:
        play.conn.data_sent(play.now)
    if deadline is Deadline.BLOCK and "chunk" not in name:
        assert play.conn.next_deadline() != START + length(deadline)
        return
    if name in ("AUTH", "an answer", "a cancellation", "STARTTLS"):
        reply = "454"
    play.hear(f"{reply} Ok")
    assert play.conn.next_deadline() != START + length(deadline)


def test_idle_only_the_session_has_a_deadline() -> None:
    for name in ("EHLO", "anything", "QUIT alone", "body", "chunk"):
        play = SITUATIONS[name]()
        assert play.wait is Wait.INTENT
        assert play.conn.next_deadline() == ClientTimeouts().session
        play.at(ClientTimeouts().session)
        assert play.closed == Closed(Cause.TIMED_OUT, "session")


def test_the_session() -> None:
    play = Play(ClientConfig(timeouts=LENGTHS), now=START)
    play.hear("220 mx")
    assert play.conn.next_deadline() == START + 5000
    assert play.at(START + 5000 - EPSILON) == []
    assert play.at(START + 5000) == [Closed(Cause.TIMED_OUT, "session")]


def test_the_session_is_as_long_with_tls() -> None:
    play = _starttls()
    play.secure()
    assert play.conn.next_deadline() == 5000.0


def test_octets_that_are_not_taken() -> None:
    play = play_at(START)
    play.now = START
    play.conn.quit()
    # QUIT's own deadline is the shorter one here, so the two are told apart by lengths.
    config = ClientConfig(timeouts=ClientTimeouts(write=5.0))
    play = ready(config=config)
    play.now = START
    play.conn.noop()
    assert play.conn.data_to_send(START) == [b"NOOP\r\n"]
    assert play.conn.next_deadline() == START + 5
    assert play.at(START + 5 - EPSILON) == []
    assert play.at(START + 5) == [Closed(Cause.TIMED_OUT, "write")]


def test_octets_that_are_taken() -> None:
    play = ready(config=ClientConfig(timeouts=ClientTimeouts(write=5.0)))
    play.now = START
    play.conn.noop()
    play.conn.data_to_send(START)
    play.conn.data_sent(START + 4)
    assert play.conn.next_deadline() == START + 300


def test_more_octets_do_not_move_the_deadline_of_those_before() -> None:
    play = ready("PIPELINING", config=ClientConfig(timeouts=ClientTimeouts(write=5.0)))
    play.now = START
    play.conn.reset()
    play.conn.data_to_send(START)
    play.conn.quit()
    play.conn.data_to_send(START + 3)
    assert play.conn.next_deadline() == START + 5


def test_a_block_that_leaves_restarts_with_the_next() -> None:
    play = _body(leave=True, end=False)
    assert play.transaction is not None
    assert play.conn.next_deadline() == 5000.0
    play.conn.send_body(play.transaction, b"more")
    play.conn.data_to_send(START + 7)
    assert play.conn.next_deadline() == START + 7 + length(Deadline.BLOCK)
    play.conn.send_body(play.transaction, b"and more")
    play.conn.data_to_send(START + 9)
    assert play.conn.next_deadline() == START + 7 + length(Deadline.BLOCK)


def test_a_command_that_leaves_behind_a_reply_not_yet_read_has_its_whole_time() -> None:
    play = SITUATIONS["verdict"]()
    play.conn.receive_data(b"250 Ok\r\n", 50.0)
    play.conn.send(ENVELOPE)
    play.now = 100.0
    assert play.sent().startswith(b"MAIL")
    play.pump()
    assert play.conn.next_deadline() == 100.0 + ClientTimeouts().mail


def test_the_time_of_a_command_begins_as_it_leaves() -> None:
    play = ready()
    play.conn.noop()
    assert play.at(4000.0) == []
    play.sent()
    assert play.conn.next_deadline() == 4300.0


def test_a_fresh_connection_wants_to_be_told_the_time() -> None:
    for first in (
        lambda play: play.conn.handle_timeout(START),
        lambda play: play.conn.data_to_send(START),
        lambda play: play.conn.data_sent(START),
        lambda play: play.conn.receive_data(b"2", START),
    ):
        play = Play.__new__(Play)
        play.conn = type(Play().conn)(ClientConfig(timeouts=LENGTHS))
        assert play.conn.next_deadline() == -math.inf
        first(play)
        assert play.conn.next_deadline() == START + length(Deadline.GREETING)


def test_so_does_one_that_waits_for_a_handshake() -> None:
    for first in (
        lambda play: play.conn.handle_timeout(START),
        lambda play: play.conn.data_to_send(START),
        lambda play: play.conn.data_sent(START),
    ):
        play = play_at(START - 5, "STARTTLS")
        play.conn.start_tls()
        play.sent()
        play.hear("220 Go")
        assert play.conn.next_deadline() == -math.inf
        first(play)
        assert play.conn.next_deadline() == START + length(Deadline.TLS)


def test_a_handshake_at_once_has_no_deadline_behind_it() -> None:
    play = play_at(START, "STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.hear("220 Go")
    play.secure()
    assert play.conn.next_deadline() == 5000.0


def test_the_first_that_expires_is_told() -> None:
    play = _greeting()
    play.at(START + 1e6)
    assert play.closed == Closed(Cause.TIMED_OUT, "session")


def test_a_slow_application_does_not_make_the_server_late() -> None:
    play = SITUATIONS["verdict"]()
    play.conn.receive_data(b"250 Ok\r\n", 599.0)
    play.conn.handle_timeout(601.0)
    assert play.conn.phase is Phase.EOM
    play.pump()
    assert [outcome.fate for outcome in play.done[0].outcomes] == [Fate.ACCEPTED]


def test_nor_does_it_give_a_server_more_time_than_once() -> None:
    play = SITUATIONS["verdict"]()
    play.conn.receive_data(b"2", 599.0)
    play.conn.handle_timeout(601.0)
    assert play.pump() == []
    assert play.wait is Wait.DATA
    assert play.at(1201.0 - EPSILON) == []
    play.at(1201.0)
    assert play.closed == Closed(Cause.TIMED_OUT, "dot")


def test_the_session_ends_however_slow_the_application_is() -> None:
    play = SITUATIONS["verdict"]()
    play.conn.receive_data(b"250 Ok\r\n", 599.0)
    play.conn.handle_timeout(14_400.0)
    assert play.pump()[-1] == Closed(Cause.TIMED_OUT, "session")
    assert play.wait is Wait.CLOSED


def test_octets_do_not_excuse_what_was_not_written() -> None:
    play = ready("PIPELINING", config=ClientConfig(timeouts=ClientTimeouts(write=5.0)))
    play.conn.reset()
    play.conn.data_to_send(0.0)
    play.conn.receive_data(b"2", 4.0)
    play.conn.handle_timeout(5.0)
    assert play.pump() == [Closed(Cause.TIMED_OUT, "write")]


def test_every_row_is_tried() -> None:
    tried = {deadline for deadline, _ in ARMED.values()} | {Deadline.SESSION, Deadline.WRITE}
    assert tried == set(CLIENT_DEADLINES)
    assert {deadline.value for deadline in CLIENT_DEADLINES} == {field.name for field in fields(ClientTimeouts)}
    assert not any(row.reply for row in CLIENT_DEADLINES.values())
