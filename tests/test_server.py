"""The doors of a server connection: their rules for the caller, and what they tell."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from _dialogue import ACCEPTABLE, PEER, QUESTIONS, TLS, Driver, accept_all, codes, config

from smtpcore import (
    LMTP,
    SMTP,
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    Cause,
    Closed,
    Connected,
    Dialect,
    EarlyInput,
    Extended,
    Hello,
    Identity,
    Limits,
    LocalProtocolError,
    MailFrom,
    PasswordCheck,
    Peer,
    Phase,
    RcptTo,
    Recipient,
    Refused,
    Replies,
    Reply,
    SecretWanted,
    ServerConnection,
    ServerEvent,
    StartTls,
    StoredKey,
    TokenCheck,
    Verify,
    Wait,
    XClient,
)
from smtpcore._value import evolve
from smtpcore.extensions import AUTH, ETRN, STANDARD, STARTTLS, xclient
from smtpcore.sasl import CRAM_MD5, EXTERNAL, PLAIN

NO = Reply(550, "No", "5.7.1")
SETTINGS = config(
    extensions=(*STANDARD, STARTTLS, AUTH, ETRN, xclient(lambda peer: True)),
    mechanisms=(PLAIN, CRAM_MD5, EXTERNAL),
    cleartext_auth=True,
    verify=True,
)
# What leads to each question.
LINES: dict[type, tuple[str, ...]] = {
    Connected: (),
    Hello: ("EHLO client.example",),
    StartTls: ("EHLO client.example", "STARTTLS"),
    PasswordCheck: ("EHLO client.example", "AUTH PLAIN AGEAYg=="),
    SecretWanted: ("EHLO client.example", "AUTH CRAM-MD5", "YSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg=="),
    TokenCheck: ("EHLO client.example", "AUTH EXTERNAL ="),
    MailFrom: ("EHLO client.example", "MAIL FROM:<>"),
    RcptTo: ("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>"),
    BodyBegin: ("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA"),
    BodyEnd: ("EHLO client.example", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA", "."),
    Verify: ("VRFY a",),
    Extended: ("EHLO client.example", "ETRN example.org"),
    XClient: ("XCLIENT ADDR=192.0.2.2",),
}
KINDS = pytest.mark.parametrize("kind", LINES, ids=lambda kind: kind.__name__)


def asked(kind: type, settings: Any = SETTINGS) -> tuple[Driver, Any]:
    """A session with an open question of this kind, and the question."""

    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if not isinstance(event, kind):
            accept_all(conn, event)

    driver = Driver(settings, answer=answer, tls=evolve(TLS, client_subject="tim") if kind is TokenCheck else None)
    for line in LINES[kind]:
        driver.say(line)
    assert driver.wait is Wait.REPLY
    assert driver.conn.awaits_answer
    return driver, driver.events[-1]


def test_every_question_is_tried() -> None:
    assert set(LINES) == set(QUESTIONS)


# --- answers ------------------------------------------------------------------------------------------


@KINDS
def test_a_question_holds_the_session(kind: type) -> None:
    driver, question = asked(kind)
    before = driver.out
    driver.feed(b"NOOP\r\n")
    assert driver.wait is Wait.REPLY
    assert driver.conn.next_event() is Wait.REPLY
    assert (driver.out, driver.events[-1]) == (before, question)


@KINDS
def test_a_question_is_answered_once(kind: type) -> None:
    driver, question = asked(kind)
    conn = driver.conn
    (conn.accept if isinstance(question, ACCEPTABLE) else conn.reject)(
        question, *([] if isinstance(question, ACCEPTABLE) else [NO])
    )
    assert not conn.awaits_answer
    for stale in (
        lambda: conn.accept(question),
        lambda: conn.reject(question, NO),
        lambda: conn.provide(question, None),
        lambda: conn.settle(question, [NO]),
    ):
        with pytest.raises(LocalProtocolError, match="not the open question"):
            stale()


@KINDS
def test_an_equal_question_is_not_the_question(kind: type) -> None:
    # The answer names the very object: two MAIL commands may be alike.
    driver, question = asked(kind)
    other_driver, other = asked(kind)
    assert other == question
    for answer in (
        lambda: driver.conn.accept(other),
        lambda: driver.conn.reject(other, NO),
        lambda: driver.conn.provide(other, None),
        lambda: driver.conn.settle(other, [NO]),
    ):
        with pytest.raises(LocalProtocolError):
            answer()
    assert driver.conn.awaits_answer
    assert other_driver.conn.awaits_answer


def wrong_answers(kind: type) -> list[Callable[[ServerConnection, Any], None]]:
    wrong: list[Callable[[ServerConnection, Any], None]] = [
        lambda conn, question: conn.reject(question, Reply(250, "yes")),
        lambda conn, question: conn.reject(question, Reply(354, "yes")),
    ]
    if kind is not SecretWanted:
        wrong += [
            lambda conn, question: conn.accept(question, NO),
            lambda conn, question: conn.accept(question, Reply(450, "no")),
            lambda conn, question: conn.accept(question, Reply(421, "no")),
            lambda conn, question: conn.provide(question, None),
            lambda conn, question: conn.provide(question, StoredKey()),
        ]
    else:
        wrong += [
            lambda conn, question: conn.accept(question),
            lambda conn, question: conn.accept(question, Reply(250)),
        ]
    if kind is BodyBegin:
        wrong += [lambda conn, question: conn.accept(question, Reply(250, "yes"))]
    else:
        wrong += [lambda conn, question: conn.accept(question, Reply(354, "go"))]
    if kind is BodyEnd:
        wrong += [
            lambda conn, question: conn.settle(question, []),
            lambda conn, question: conn.settle(question, [NO, NO]),
            lambda conn, question: conn.settle(question, [Reply(354, "go")]),
        ]
    else:
        wrong += [lambda conn, question: conn.settle(question, [NO]), lambda conn, question: conn.settle(question, [])]
    return wrong


@KINDS
def test_wrong_answers_change_nothing(kind: type) -> None:
    driver, question = asked(kind)
    conn = driver.conn
    phase, out, events = conn.phase, driver.out, list(driver.events)
    for wrong in wrong_answers(kind):
        with pytest.raises(LocalProtocolError):
            wrong(conn, question)
        assert driver.pump() is Wait.REPLY
        assert (conn.phase, driver.out, driver.events) == (phase, out, events)
    conn.reject(question, NO)
    driver.pump()
    assert driver.out.endswith(b"No\r\n")


@KINDS
def test_a_421_ends_the_session(kind: type) -> None:
    driver, question = asked(kind)
    driver.conn.reject(question, Reply(421, "Enough", "4.7.0"))
    assert driver.pump() is Wait.CLOSED
    assert driver.events[-1] == Closed(Cause.REJECTED)
    enhanced = b"" if kind in (Connected, Hello) else b"4.7.0 "
    assert driver.out.endswith(b"421 " + enhanced + b"Enough\r\n")


@pytest.mark.parametrize(
    "kind", [kind for kind in LINES if kind not in (SecretWanted, BodyBegin)], ids=lambda kind: kind.__name__
)
def test_own_words_for_yes(kind: type) -> None:
    driver, question = asked(kind)
    code = {Connected: 220, StartTls: 220, XClient: 220, PasswordCheck: 235, TokenCheck: 235}.get(kind, 250)
    driver.conn.accept(question, Reply(code, "so be it"))
    driver.pump()
    assert b"so be it\r\n" in driver.out


def test_bdat_is_accepted_without_a_word() -> None:
    driver = Driver(answer=lambda conn, event: None if isinstance(event, BodyBegin) else accept_all(conn, event))
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    before = driver.out
    driver.feed(b"BDAT 2 LAST\r\n")
    question = driver.events[-1]
    for reply in (Reply(250), Reply(354)):
        with pytest.raises(LocalProtocolError):
            driver.conn.accept(question, reply)
    driver.conn.accept(question)
    assert driver.pump() is Wait.DATA
    assert driver.out == before
    assert codes(driver.feed(b"\r\n")) == ["250 2.0.0"]


def test_provide() -> None:
    driver, question = asked(SecretWanted)
    assert question == SecretWanted("CRAM-MD5", "a")
    driver.conn.provide(question, None)
    driver.pump()
    assert codes(driver.out)[-1] == "535 5.7.8"
    driver, question = asked(SecretWanted)
    driver.conn.reject(question, Reply(454, "Later", "4.7.0"))
    driver.pump()
    assert codes(driver.out)[-1] == "454 4.7.0"


def test_settle_gives_one_verdict_in_smtp() -> None:
    driver, question = asked(BodyEnd)
    driver.conn.settle(question, [Reply(452, "Full", "4.3.1")])
    driver.pump()
    assert driver.out.endswith(b"452 4.3.1 Full\r\n")


# --- input ----------------------------------------------------------------------------------------------


def test_octets_after_the_end() -> None:
    driver = Driver(answer=lambda conn, event: None, start=False)
    conn = driver.conn
    conn.receive_data(b"", 0.0)
    conn.receive_data(b"", 0.0)
    with pytest.raises(LocalProtocolError, match="end of the stream"):
        conn.receive_data(b"NOOP\r\n", 0.0)


def test_the_end_waits_for_the_answer() -> None:
    driver, question = asked(BodyEnd)
    driver.eof()
    assert driver.wait is Wait.REPLY
    driver.conn.accept(question)
    assert driver.pump() is Wait.CLOSED
    assert driver.out.endswith(b"250 2.0.0 Message accepted\r\n")
    assert driver.events[-1] == Closed(Cause.EOF)


def test_commands_before_the_end_are_answered() -> None:
    driver = Driver()
    driver.conn.receive_data(b"EHLO client.example\r\n", 0.0)
    driver.conn.receive_data(b"", 0.0)
    driver.pump()
    assert codes(driver.out) == ["220", "250"]
    assert driver.events[-1] == Closed(Cause.EOF)


def test_a_closed_connection_hears_nothing() -> None:
    driver = Driver()
    driver.say("QUIT")
    events, out = list(driver.events), driver.out
    assert driver.feed(b"NOOP\r\n" * 3) == b""
    driver.eof()
    driver.feed(b"NOOP\r\n")
    assert (driver.events, driver.out) == (events, out)
    assert driver.conn.next_event() is Wait.CLOSED
    assert not driver.conn.wants_data


def test_a_connection_that_timed_out_wants_nothing() -> None:
    driver = Driver()
    assert driver.conn.wants_data
    driver.at(10_000.0)
    assert driver.wait is Wait.CLOSED
    assert not driver.conn.wants_data


@pytest.mark.parametrize("phase", [Phase.HELLO, Phase.READY, Phase.RCPT, Phase.AUTH, Phase.BODY, Phase.CLOSED])
def test_handshakes_that_nobody_asked_for(phase: Phase) -> None:
    driver = Driver(SETTINGS)
    lines = {
        Phase.READY: LINES[Hello],
        Phase.RCPT: LINES[RcptTo],
        Phase.AUTH: ("EHLO client.example", "AUTH PLAIN"),
        Phase.BODY: LINES[BodyBegin],
        Phase.CLOSED: ("QUIT",),
    }
    for line in lines.get(phase, ()):
        driver.say(line)
    assert driver.conn.phase is phase
    with pytest.raises(LocalProtocolError, match="no TLS handshake"):
        driver.conn.tls_started(TLS)
    with pytest.raises(LocalProtocolError, match="no TLS handshake"):
        driver.conn.tls_failed()
    assert driver.conn.phase is phase


# --- discard --------------------------------------------------------------------------------------------


def receiving(verb: str) -> Driver:
    driver = Driver()
    for line in LINES[RcptTo]:
        driver.say(line)
    driver.feed(b"DATA\r\n" if verb == "DATA" else b"BDAT 10 LAST\r\n")
    return driver


@pytest.mark.parametrize("verb", ["DATA", "BDAT"])
def test_discard(verb: str) -> None:
    driver = receiving(verb)
    driver.feed(b"abc")
    driver.conn.discard(Reply(552, "Enough", "5.2.2"))
    driver.conn.discard(Reply(554, "Too late to change one's mind", "5.0.0"))
    assert driver.pump() is Wait.DATA
    out = driver.feed(b"QUIT\r\n\r\n.\r\n" if verb == "DATA" else b"QUIT\r\n.")
    assert out == b"552 5.2.2 Enough\r\n"
    assert driver.body == b"abc"
    assert not driver.seen(BodyEnd, BodyAborted)
    assert driver.conn.envelope is None
    assert driver.codes("MAIL FROM:<>") == ["250 2.1.0"]


def test_discard_with_421() -> None:
    driver = receiving("DATA")
    driver.conn.discard(Reply(421, "Going down", "4.3.2"))
    assert driver.say("x", ".", "NOOP") == b"421 4.3.2 Going down\r\n"
    assert driver.events[-1] == Closed(Cause.REJECTED)


def test_discard_of_a_message_whose_end_is_there() -> None:
    driver = receiving("DATA")
    driver.answer = lambda conn, event: conn.discard(NO) if isinstance(event, BodyChunk) else accept_all(conn, event)
    assert driver.say("x", ".") == b"550 5.7.1 No\r\n"
    assert not driver.seen(BodyEnd)


def test_discard_between_chunks() -> None:
    driver = Driver()
    for line in LINES[RcptTo]:
        driver.say(line)
    driver.feed(b"BDAT 2\r\n\r\n")
    driver.conn.discard(NO)
    assert codes(driver.feed(b"BDAT 6\r\nQUIT\r\nBDAT 2 LAST\r\n\r\n")) == ["550 5.7.1", "503 5.5.1"]
    assert not driver.seen(BodyAborted)
    assert len(driver.seen(Refused)) == 1  # the chunk after the one that said it


def test_discard_of_a_refused_message_changes_nothing() -> None:
    driver = receiving("DATA")
    driver.feed(b"a\nb")
    driver.conn.discard(NO)
    assert codes(driver.say("", ".")) == ["554 5.6.0"]


def test_discard_in_lmtp_is_said_to_each() -> None:
    driver = Driver(dialect=LMTP)
    driver.say("LHLO client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")
    driver.conn.discard(Reply(421, "Going down", "4.3.2"))
    assert codes(driver.say(".")) == ["421 4.3.2"] * 2
    assert driver.seen(Closed) == [Closed(Cause.REJECTED)]


@pytest.mark.parametrize("kind", [Hello, RcptTo, BodyBegin, BodyEnd], ids=lambda kind: kind.__name__)
def test_discard_without_a_message(kind: type) -> None:
    driver, _ = asked(kind)
    with pytest.raises(LocalProtocolError, match="no message"):
        driver.conn.discard(NO)


@pytest.mark.parametrize("code", [200, 250, 354])
def test_discard_is_no_yes(code: int) -> None:
    driver = receiving("DATA")
    with pytest.raises(LocalProtocolError, match="rejects nothing"):
        driver.conn.discard(Reply(code))
    assert codes(driver.say(".")) == ["250 2.0.0"]


@pytest.mark.parametrize("code", [220, 250, 354])
def test_close_is_no_yes(code: int) -> None:
    driver = Driver()
    with pytest.raises(LocalProtocolError, match="closes no session"):
        driver.conn.close(Reply(code))
    assert driver.codes("NOOP") == ["250 2.0.0"]


# --- what happens when an application refuses a body ------------------------------------------------------


def test_a_rejected_data_keeps_the_transaction() -> None:
    driver, question = asked(BodyBegin)
    driver.conn.reject(question, NO)
    driver.pump()
    assert driver.conn.phase is Phase.RCPT
    assert driver.conn.envelope is not None


def test_a_rejected_bdat_drops_the_transaction() -> None:
    driver = Driver(answer=lambda conn, event: None if isinstance(event, BodyBegin) else accept_all(conn, event))
    for line in LINES[RcptTo]:
        driver.say(line)
    driver.feed(b"BDAT 2\r\n")
    driver.conn.reject(driver.events[-1], Reply(421, "No", "4.7.0"))
    assert driver.pump() is Wait.CLOSED


def test_a_rejected_bdat_that_is_too_long_to_be_consumed() -> None:
    limits = Limits(message_octets=100_000, discard_octets=10)
    driver = Driver(
        config(limits=limits),
        answer=lambda conn, event: None if isinstance(event, BodyBegin) else accept_all(conn, event),
    )
    for line in LINES[RcptTo]:
        driver.say(line)
    driver.feed(b"BDAT 11\r\n")
    driver.conn.reject(driver.events[-1], NO)
    assert driver.pump() is Wait.CLOSED
    assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")


# --- facts ----------------------------------------------------------------------------------------------


def test_facts() -> None:
    driver = Driver(SETTINGS)
    conn = driver.conn
    assert (conn.peer, conn.tls, conn.hello, conn.identity, conn.envelope) == (PEER, None, None, None, None)
    assert conn.limits is SETTINGS.limits
    assert conn.replies.greeting.text == "mx.example.org ESMTP ready"
    assert list(conn.mechanisms) == ["PLAIN", "CRAM-MD5"]
    assert not conn.tls_before_auth
    assert [each.keyword for each in conn.extensions] == [each.keyword for each in SETTINGS.extensions]
    driver.say("EHLO client.example")
    driver.say("AUTH PLAIN AGEAYg==")
    driver.say("MAIL FROM:<a@client.example> SIZE=7", "RCPT TO:<b@example.org>")
    assert conn.identity == Identity("a")
    envelope = conn.envelope
    assert envelope is not None
    assert str(envelope.reverse_path) == "a@client.example"
    assert envelope.params.size == 7
    assert envelope.recipients == (Recipient(driver.seen(RcptTo)[0].path),)


def test_mechanisms_where_tls_comes_first() -> None:
    settings = config(extensions=(AUTH,), mechanisms=(PLAIN,))
    assert list(Driver(settings).conn.mechanisms) == []
    assert Driver(settings).conn.tls_before_auth
    assert list(Driver(settings, tls=TLS).conn.mechanisms) == ["PLAIN"]


def test_extensions_follow_the_moment() -> None:
    settings = config(extensions=(STARTTLS, AUTH), mechanisms=(PLAIN,))
    assert [each.keyword for each in Driver(settings).conn.extensions] == ["STARTTLS"]
    assert [each.keyword for each in Driver(settings, tls=TLS).conn.extensions] == ["AUTH"]


def test_no_deadline_before_a_time_was_told_but_a_call_that_wants_one() -> None:
    conn = ServerConnection(SETTINGS, peer=Peer(None))
    assert conn.next_deadline() == -math.inf
    conn.handle_timeout(50.0)
    assert conn.next_deadline() == 50.0 + SETTINGS.timeouts.session


def test_nothing_to_send() -> None:
    conn = ServerConnection(SETTINGS, peer=PEER)
    assert conn.data_to_send(0.0) == []
    conn.data_sent(0.0)
    assert conn.next_event() == Connected(PEER)
    assert conn.next_event() is Wait.REPLY


def test_replies_of_the_config() -> None:
    replies = Replies(
        greeting=Reply(220, "{domain} here, {protocol}, no {nonsense}"),
        bye=Reply(221, "So long", "2.0.0"),
        unknown_command=Reply(500, "What?", "5.5.1"),
    )
    driver = Driver(config(extensions=(), replies=replies))
    assert driver.out == b"220 mx.example.org here, ESMTP, no {nonsense}\r\n"
    assert driver.say("FOO", "QUIT") == b"500 What?\r\n221 So long\r\n"


# --- dialects -------------------------------------------------------------------------------------------


def test_a_dialect_of_one_s_own() -> None:
    settings = config(extensions=())
    patient = evolve(SMTP, early_input=EarlyInput.REPORT)
    strict, lax = Driver(settings), Driver(settings, dialect=patient)
    assert codes(strict.feed(b"EHLO client.example\r\nNOOP\r\n")) == ["554"]
    assert codes(lax.feed(b"EHLO client.example\r\nNOOP\r\n")) == ["250", "250"]


# --- the order of events --------------------------------------------------------------------------------


def test_the_last_event_is_told_before_the_last_wait() -> None:
    """`Wait.CLOSED` comes only after `Closed`, whoever ended the session and how."""
    for end in ("close", "timeout", "eof", "quit", "reject"):
        driver, question = asked(MailFrom)
        conn = driver.conn
        if end == "close":
            conn.close()
        elif end == "timeout":
            conn.handle_timeout(1_000_000.0)
        elif end == "eof":
            conn.receive_data(b"", 0.0)
        elif end == "quit":
            conn.receive_data(b"QUIT\r\n", 0.0)
        conn.reject(question, Reply(421, "No") if end == "reject" else NO)
        assert driver.pump() is Wait.CLOSED
        assert isinstance(driver.events[-1], Closed)
        assert len(driver.seen(Closed)) == 1


@pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=["one verdict", "one each"])
def test_a_421_is_a_verdict_and_the_end(dialect: Dialect) -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, BodyEnd):
            conn.reject(event, Reply(421, "Later"))
        else:
            accept_all(conn, event)

    driver = Driver(config(), dialect=dialect, answer=answer)
    driver.say(f"{dialect.hello[0]} client.example")
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")
    driver.feed(b".\r\n")
    assert driver.out.count(b"421 4.0.0 Later\r\n") == (2 if dialect is LMTP else 1)
    assert driver.events[-2:] == [BodyEnd(0), Closed(Cause.REJECTED)]
