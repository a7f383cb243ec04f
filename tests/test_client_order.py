"""What a client may say, and when: by an oracle written by hand, and by the table that the engine goes by.

RFC 5321 section 4.1.4 for the most part; RFC 2920 section 3.1 for what may follow a command that has no reply yet.
"""

from collections.abc import Callable
from typing import Any

import pytest
from _client_play import (
    ALL_OFFERED,
    ENVELOPE,
    NAME,
    PLAIN,
    SITUATIONS,
    SITUATIONS_ONE_BY_ONE,
    TLS,
    Play,
    ready,
    state,
)

from smtpcore import (
    LMTP,
    SMTP,
    Cause,
    ClientConfig,
    ClientConnection,
    ClientLimits,
    Closed,
    Gate,
    LocalProtocolError,
    Phase,
    Transaction,
    TransactionDone,
    Violation,
    Wait,
)
from smtpcore._machine import CLIENT, rows

Intent = Callable[[ClientConnection], Any]

INTENTS: dict[str, Intent] = {
    "hello": lambda conn: conn.hello(NAME),
    "start_tls": lambda conn: conn.start_tls(),
    "authenticate": lambda conn: conn.authenticate(PLAIN),
    "send": lambda conn: conn.send(ENVELOPE),
    "reset": lambda conn: conn.reset(),
    "noop": lambda conn: conn.noop(),
    "help": lambda conn: conn.help(),
    "verify": lambda conn: conn.verify("tim"),
    "expand": lambda conn: conn.expand("list"),
    "xclient": lambda conn: conn.xclient({"NAME": "x.example"}),
    "command": lambda conn: conn.command("ETRN", "d.example"),
    "quit": lambda conn: conn.quit(),
}
WIRE = {
    "hello": b"EHLO client.example\r\n",
    "start_tls": b"STARTTLS\r\n",
    "authenticate": b"AUTH PLAIN AHRpbQBzM2NyM3QtaG9yc2U=\r\n",
    "send": b"MAIL FROM:<a@b.example>",
    "reset": b"RSET\r\n",
    "noop": b"NOOP\r\n",
    "help": b"HELP\r\n",
    "verify": b"VRFY tim\r\n",
    "expand": b"EXPN list\r\n",
    "xclient": b"XCLIENT NAME=x.example\r\n",
    "command": b"ETRN d.example\r\n",
    "quit": b"QUIT\r\n",
}
INPUTS = {
    "start_tls": "STARTTLS", "authenticate": "AUTH", "send": "MAIL", "reset": "RSET", "noop": "NOOP", "help": "HELP",
    "verify": "VRFY", "expand": "EXPN", "xclient": "XCLIENT", "command": "other", "quit": "QUIT",
}  # fmt: skip
"""The edge of each; that of hello depends on the dialect."""

EVERYTHING = set(INTENTS)
# "The NOOP, HELP, EXPN, VRFY, and RSET commands can be used at any time during a session, or without previously
# initializing a session." QUIT "may be issued at any time". All else waits for EHLO.
BEFORE_HELLO = {"hello", "reset", "noop", "help", "verify", "expand", "quit"}
# RFC 2920 3.1: RSET and MAIL may stand in a group, and QUIT end one. They mean the same whatever the verdict is.
IN_A_GROUP = {"send", "reset", "quit"}

LEGAL = {
    "QUIT alone": {"quit"},  # RFC 5321 3.1: after a 554 greeting a client "SHOULD" send QUIT
    "EHLO": BEFORE_HELLO,
    "LHLO": BEFORE_HELLO,
    "anything": EVERYTHING,
    "anything in LMTP": EVERYTHING,
}
LEGAL_WITH_PIPELINING = LEGAL | dict.fromkeys(
    ("verdict", "verdicts", "verdict over chunks", "reply to RSET"), IN_A_GROUP
)
IN_CHUNKS_AND_DATA = {"body", "chunk"}
# Without TLS where TLS is required.
GATED = {
    "EHLO": {"hello", "reset", "noop", "help", "quit"},
    "anything": {"hello", "start_tls", "reset", "noop", "help", "quit"},
}

CASES = [
    pytest.param(make, intent, intent in legal.get(situation, ()), id=f"{situation}-{intent}-{name}")
    for name, makers, legal in (
        ("pipelining", SITUATIONS, LEGAL_WITH_PIPELINING),
        ("one by one", SITUATIONS_ONE_BY_ONE, LEGAL),
    )
    for situation, make in makers.items()
    for intent in INTENTS
]


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize(("make", "intent", "legal"), CASES)
def test_each_intent_in_each_situation(make: Callable[[], Play], intent: str, legal: bool) -> None:
    play = make()
    before, told, wait = state(play.conn), len(play.events), play.wait
    if legal:
        INTENTS[intent](play.conn)
        wire = WIRE[intent].replace(b"EHLO", play.conn.dialect.hello[0].encode())
        assert play.sent().startswith(wire)
        assert play.pump() == []
        assert play.wait is Wait.DATA
        return
    with pytest.raises(LocalProtocolError):
        INTENTS[intent](play.conn)
    assert state(play.conn) == before
    assert play.sent() == b""
    assert play.pump() == []
    assert (play.wait, len(play.events)) == (wait, told)


@pytest.mark.parametrize("intent", INTENTS)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_table_says_the_same(situation: str, intent: str) -> None:
    play = SITUATIONS[situation]()
    row = rows(CLIENT)[play.conn.phase]
    edge = row.get(INPUTS.get(intent, play.conn.dialect.hello[0]))
    idle = play.wait is Wait.INTENT
    group = situation in LEGAL_WITH_PIPELINING and intent in IN_A_GROUP
    legal = edge is not None and (idle or group)
    assert legal is (intent in LEGAL_WITH_PIPELINING.get(situation, ()))
    if edge is None:
        with pytest.raises(LocalProtocolError, match=f"out of order.* {play.conn.phase.value}$"):
            INTENTS[intent](play.conn)
    elif not legal:
        with pytest.raises(LocalProtocolError, match="before the reply to "):
            INTENTS[intent](play.conn)


def test_the_situations_reach_all_phases() -> None:
    assert {make().conn.phase for make in SITUATIONS.values()} == set(Phase) - {Phase.BDAT}


@pytest.mark.catalogue("C3")
@pytest.mark.parametrize("intent", INTENTS)
@pytest.mark.parametrize("situation", GATED)
def test_where_tls_is_required(situation: str, intent: str) -> None:
    config = ClientConfig(cleartext_auth=True, tls_required=True)
    play = Play(config)
    play.hear("220 mx.example")
    if situation == "anything":
        play.hello(*ALL_OFFERED)
    before = state(play.conn)
    if intent in GATED[situation]:
        INTENTS[intent](play.conn)
        assert play.sent()
        return
    with pytest.raises(LocalProtocolError):
        INTENTS[intent](play.conn)
    assert state(play.conn) == before
    assert play.sent() == b""


@pytest.mark.parametrize("intent", [each for each in INTENTS if each != "start_tls"])
def test_tls_opens_the_gate(intent: str) -> None:
    play = ready(*ALL_OFFERED, config=ClientConfig(tls_required=True), tls=TLS)
    INTENTS[intent](play.conn)
    assert play.sent().startswith(WIRE[intent])


def test_the_gates_are_in_the_table() -> None:
    gated = {edge.input for edge in CLIENT if Gate.TLS in edge.gates}
    assert {INPUTS[intent] for intent in EVERYTHING - GATED["anything"]} <= gated


def _transaction(play: Play) -> Transaction:
    assert play.transaction is not None
    return play.transaction


BODY_INTENTS: dict[str, Callable[[Play], Any]] = {
    "send_body": lambda play: play.conn.send_body(_transaction(play), b"x"),
    "end_body": lambda play: play.conn.end_body(_transaction(play)),
}
MAILING = [name for name, make in SITUATIONS.items() if make().transaction is not None]


@pytest.mark.parametrize("intent", BODY_INTENTS)
@pytest.mark.parametrize("situation", MAILING)
def test_the_body_is_given_where_it_is_wanted(situation: str, intent: str) -> None:
    play = SITUATIONS[situation]()
    if situation in IN_CHUNKS_AND_DATA:
        BODY_INTENTS[intent](play)
        return
    before = state(play.conn)
    with pytest.raises(LocalProtocolError):
        BODY_INTENTS[intent](play)
    assert state(play.conn) == before


def test_the_mailing_situations() -> None:
    assert set(MAILING) == {
        "reply to MAIL", "reply to RCPT", "reply to DATA", "body", "chunk", "verdict", "verdicts",
        "verdict over chunks",
    }  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_handshake_is_told_where_it_is_asked_for(situation: str) -> None:
    for tell in (lambda conn: conn.tls_started(TLS), lambda conn: conn.tls_failed()):
        play = SITUATIONS[situation]()
        if situation == "handshake":
            tell(play.conn)
            continue
        before = state(play.conn)
        with pytest.raises(LocalProtocolError, match="no TLS handshake was asked for"):
            tell(play.conn)
        assert state(play.conn) == before


@pytest.mark.parametrize("situation", SITUATIONS)
def test_closing_is_always_possible(situation: str) -> None:
    play = SITUATIONS[situation]()
    under_way = play.transaction is not None
    play.conn.close()
    told = play.pump()
    if situation == "nothing":
        assert told == []
        return
    assert [type(event) for event in told] == [TransactionDone] * under_way + [Closed]
    assert play.closed == Closed(Cause.ABORTED)
    assert play.sent() == b""
    play.conn.close()
    assert play.pump() == []


@pytest.mark.parametrize("intent", sorted(IN_A_GROUP))
def test_nothing_follows_chunks_that_may_be_refused(intent: str) -> None:
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=5))
    play = ready("PIPELINING", "CHUNKING", config=config)
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok", "250 Ok")
    play.conn.send_body(transaction, b"12345")
    play.conn.end_body(transaction)
    assert play.sent() == b"BDAT 5\r\n12345BDAT 0 LAST\r\n"
    before = state(play.conn)
    with pytest.raises(LocalProtocolError, match="before the reply to BDAT"):
        INTENTS[intent](play.conn)
    assert state(play.conn) == before
    play.hear("250 Ok")
    INTENTS[intent](play.conn)
    assert play.sent().startswith(WIRE[intent])


# --- where replies lead ------------------------------------------------------------------------------

NEXT = [
    ("greeting", "220 Hi", Phase.HELLO),
    ("greeting", "554 No", Phase.CONNECT),
    ("greeting", "450 No", Phase.CONNECT),
    ("reply to EHLO", "250 mx", Phase.READY),
    ("reply to EHLO", "550 No", Phase.HELLO),
    ("reply to EHLO", "450 No", Phase.HELLO),
    ("reply to HELO", "250 mx", Phase.READY),
    ("reply to HELO", "550 No", Phase.HELLO),
    ("reply to EHLO again", "250 mx", Phase.READY),
    # 4.1.4: "If the EHLO command is not acceptable to the SMTP server ... The SMTP server MUST stay in the same state"
    ("reply to EHLO again", "450 No", Phase.READY),
    ("reply to NOOP", "250 Ok", Phase.READY),
    ("reply to NOOP", "502 No", Phase.READY),
    ("reply to RSET", "250 Ok", Phase.READY),
    ("reply to RSET", "502 No", Phase.CLOSED),
    ("reply to VRFY", "252 Perhaps", Phase.READY),
    ("reply to VRFY", "550 No", Phase.READY),
    ("reply to ETRN", "250 Ok", Phase.READY),
    ("reply to ETRN", "458 No", Phase.READY),
    ("reply to XCLIENT", "220 Hi", Phase.HELLO),
    ("reply to XCLIENT", "550 No", Phase.READY),
    ("reply to STARTTLS", "220 Go", Phase.TLS),
    ("reply to STARTTLS", "454 No", Phase.READY),
    ("reply to AUTH", "334 PHhAeT4=", Phase.AUTH),
    ("reply to AUTH", "334 !", Phase.AUTH),
    ("reply to AUTH", "535 No", Phase.READY),
    ("reply to AUTH", "235 Ok", Phase.CLOSED),
    ("reply to an answer", "235 Ok", Phase.READY),
    ("reply to an answer", "535 No", Phase.READY),
    ("reply to an answer", "334 PHhAeT4=", Phase.AUTH),
    ("reply to a cancellation", "501 Cancelled", Phase.READY),
    ("reply to a cancellation", "334 PHhAeT4=", Phase.CLOSED),
    ("reply to a cancellation", "235 Ok", Phase.CLOSED),
    ("reply to MAIL", "250 Ok", Phase.MAIL),
    ("reply to MAIL", "550 No", Phase.READY),
    ("reply to RCPT", "250 Ok", Phase.RCPT),
    ("reply to DATA", "354 Go", Phase.BODY),
    ("reply to DATA", "451 No", Phase.READY),
    ("verdict", "250 Ok", Phase.READY),
    ("verdict", "550 No", Phase.READY),
    ("verdicts", "250 Ok", Phase.EOM),
    ("verdict over chunks", "250 Ok", Phase.READY),
    ("verdict over chunks", "550 No", Phase.READY),
    ("reply to QUIT", "221 Bye", Phase.CLOSED),
    ("reply to QUIT", "500 What", Phase.CLOSED),
]
ANSWERABLE = [name for name, make in SITUATIONS.items() if make().wait is Wait.DATA]


@pytest.mark.parametrize(("situation", "reply", "phase"), NEXT)
def test_where_a_reply_leads(situation: str, reply: str, phase: Phase) -> None:
    play = SITUATIONS[situation]()
    play.hear(reply)
    assert play.conn.phase is phase


def test_a_reply_to_each_command_was_tried() -> None:
    assert {situation for situation, _, _ in NEXT} == set(ANSWERABLE)


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_421_ends_the_session_wherever_it_comes(situation: str) -> None:
    play = SITUATIONS[situation]()
    if situation == "handshake":
        with pytest.raises(LocalProtocolError):
            play.hear("421 Bye")
        return
    play.hear("421 4.3.2 Bye")
    if situation == "nothing":
        assert play.closed.cause is Cause.ABORTED
        return
    if situation == "reply to QUIT":
        assert play.closed.cause is Cause.QUIT
    else:
        assert play.closed.cause is Cause.REJECTED
    assert play.closed.reply is not None
    assert str(play.closed.reply) == "421 4.3.2 Bye"
    assert play.closed.violation is None
    assert len(play.done) == (play.transaction is not None)
    assert play.sent() == b""
    assert play.conn.next_deadline() == float("inf")


@pytest.mark.catalogue("F13", "C8")
@pytest.mark.parametrize("partial", [b"", b"2", b"250", b"250-half\r\n", b"250 Ok\r"])
@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_end_of_the_stream_completes_nothing(situation: str, partial: bytes) -> None:
    play = SITUATIONS[situation]()
    if situation == "handshake":
        play.eof()
        assert play.wait is Wait.TLS
        play.conn.tls_failed()
        play.pump()
        assert play.closed.cause is Cause.TLS_FAILED
        return
    if partial:
        assert play.feed(partial) == []
    play.eof()
    expected = {"nothing": Cause.ABORTED, "reply to QUIT": Cause.QUIT}.get(situation, Cause.EOF)
    assert play.closed.cause is expected
    assert len(play.done) == (play.transaction is not None)
    if play.transaction is not None:
        ended = situation.startswith("verdict")
        fates = {outcome.fate.name for outcome in play.transaction.outcomes}
        assert fates == {"UNKNOWN" if ended else "UNSENT"}


@pytest.mark.catalogue("F11")
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_reply_that_nothing_asked_for(situation: str) -> None:
    play = SITUATIONS[situation]()
    if play.wait is not Wait.INTENT or play.conn.phase is Phase.CLOSED:
        return
    play.hear("250 Ok")
    assert play.closed.cause is Cause.PROTOCOL
    assert play.closed.violation is Violation.SURPLUS_REPLY


@pytest.mark.parametrize("dialect", [SMTP, LMTP])
def test_a_whole_session_in_order(dialect: Any) -> None:
    play = ready(*ALL_OFFERED, config=ClientConfig(cleartext_auth=True), dialect=dialect)
    for intent in ("noop", "help", "verify", "expand", "reset", "command"):
        INTENTS[intent](play.conn)
        assert play.sent() == WIRE[intent]
        assert len(play.hear("250 Ok")) >= 1
        assert play.wait is Wait.INTENT
