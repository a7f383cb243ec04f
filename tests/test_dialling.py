"""What is issued, what is awaited, and which reply is whose."""

from typing import Any

import pytest
from _client_play import (
    ALL_OFFERED,
    ENVELOPE,
    NAME,
    OPEN,
    PLAIN,
    SITUATIONS,
    TLS,
    TWO,
    Play,
    greeted,
    ready,
    state,
)

from smtpcore import (
    LMTP,
    NO_CAPABILITIES,
    SMTP,
    Answer,
    Cause,
    ClientConfig,
    Closed,
    Command,
    Deviation,
    Fate,
    Greeting,
    LocalProtocolError,
    Oddity,
    Phase,
    Quirk,
    Reply,
    TransactionDone,
    Violation,
    Wait,
)
from smtpcore._machine import CLIENT
from smtpcore._reply import KNOWN_CODES

NOOP = Command("NOOP")


def asked(config: ClientConfig | None = None) -> Play:
    play = ready(*ALL_OFFERED, config=config)
    play.conn.noop()
    play.sent()
    play.pump()
    return play


# --- facts -------------------------------------------------------------------------------------------


def test_the_facts_of_a_fresh_connection() -> None:
    conn = Play(OPEN, tls=TLS, dialect=LMTP).conn
    assert conn.config is OPEN
    assert conn.dialect is LMTP
    assert conn.tls is TLS
    assert (conn.phase, conn.greeted, conn.authenticated) == (Phase.CONNECT, None, False)
    assert conn.capabilities is NO_CAPABILITIES
    assert conn.transactions_left is None
    assert conn.wants_data
    assert not conn.awaits_intent
    plain = Play().conn
    assert (plain.config, plain.dialect, plain.tls) == (ClientConfig(), SMTP, None)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_it_awaits_an_intent_where_it_says_so(situation: str) -> None:
    play = SITUATIONS[situation]()
    assert play.conn.awaits_intent is (play.wait is Wait.INTENT)
    assert play.conn.wants_data is (situation != "nothing")


def test_a_command_that_has_not_left_is_awaited() -> None:
    play = ready()
    assert play.conn.awaits_intent
    play.conn.noop()
    assert not play.conn.awaits_intent
    assert play.conn.next_event() is Wait.DATA


def test_how_many_transactions_are_left() -> None:
    play = ready("LIMITS MAILMAX=2", "PIPELINING")
    assert play.conn.transactions_left == 2
    for left in (1, 0):
        play.conn.send(ENVELOPE)
        assert play.conn.transactions_left == left
        play.sent()
        play.hear("550 No", "503 No", "503 No")
        assert play.wait is Wait.INTENT
    transaction = play.conn.send(ENVELOPE)
    assert play.sent() == b""
    assert transaction.done
    assert [outcome.fate for outcome in transaction.outcomes] == [Fate.UNSENT]
    assert play.conn.transactions_left == 0


def test_more_were_sent_than_a_second_ehlo_permits() -> None:
    play = ready("PIPELINING")
    for _ in range(3):
        play.conn.send(ENVELOPE)
        play.sent()
        play.hear("550 No", "503 No", "503 No")
    play.hello("LIMITS MAILMAX=2")
    assert play.conn.transactions_left == 0


# --- whose reply -------------------------------------------------------------------------------------


# A reply in two parts: what came before the command left, and what came behind.
EARLY = [
    (b"220 Go\r\n", b""), (b"550 No\r\n", b""), (b"220-Go\r\n", b"220 Go\r\n"), (b"220 Go\r", b"\n"),
    (b"220 Go", b"\r\n"), (b"220", b"\r\n"), (b"2", b"20 Go\r\n"),
]  # fmt: skip


@pytest.mark.catalogue("C3", "F11")
@pytest.mark.parametrize(("before", "behind"), EARLY)
@pytest.mark.parametrize("issued", [False, True])
@pytest.mark.parametrize("read", [False, True])
def test_octets_ahead_of_the_command_are_no_reply(before: bytes, behind: bytes, issued: bool, read: bool) -> None:
    play = ready("STARTTLS")
    if issued:
        play.conn.start_tls()
    play.conn.receive_data(before, 0.0)
    if read:
        play.pump()
    if read and not behind:
        expected = Violation.EARLY_REPLY if issued else Violation.SURPLUS_REPLY
    else:
        expected = Violation.EARLY_REPLY
        if not issued:
            play.conn.start_tls()
        assert play.sent() == b"STARTTLS\r\n"
        if behind:
            play.conn.receive_data(behind, 0.0)
        play.pump()
    assert play.closed.cause is Cause.PROTOCOL
    assert play.closed.violation is expected
    assert not any(isinstance(event, Answer) for event in play.events)


@pytest.mark.catalogue("F11")
def test_a_reply_is_early_by_a_single_octet() -> None:
    play = ready("PIPELINING")
    play.conn.reset()
    play.sent()
    play.feed(b"250 Ok\r\n2")  # begins the reply to a command that has not been said
    play.conn.noop()
    play.sent()
    play.feed(b"50 Ok\r\n")
    assert play.closed.violation is Violation.EARLY_REPLY
    assert play.closed.reply == Reply(250, "Ok")


def test_a_reply_that_begins_behind_its_command_is_in_time() -> None:
    play = ready("PIPELINING")
    play.conn.reset()
    play.sent()
    play.conn.receive_data(b"250 Reset\r\n", 0.0)
    play.conn.quit()
    assert play.sent() == b"QUIT\r\n"
    play.feed(b"221 Bye\r\n")
    assert [event.reply.code for event in play.events if isinstance(event, Answer)] == [250, 221]
    assert play.closed.cause is Cause.QUIT


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_reply_half_received_as_the_next_command_leaves(cut: int) -> None:
    play = ready("PIPELINING")
    play.conn.reset()
    play.sent()
    play.feed(b"250 Ok\r\n"[:cut])
    if cut < 8:
        play.conn.quit()
        play.sent()
        play.feed(b"250 Ok\r\n"[cut:])
        play.feed(b"221 Bye\r\n")
        assert play.closed.cause is Cause.QUIT
    else:
        assert play.wait is Wait.INTENT


@pytest.mark.catalogue("F11")
def test_replies_are_counted_against_commands() -> None:
    play = ready("PIPELINING")
    transaction = play.conn.send(TWO)
    play.sent()
    play.hear("250 Ok", "250 Ok", "550 No", "354 Go", "250 queued")
    assert play.closed.violation is Violation.SURPLUS_REPLY
    assert [outcome.fate for outcome in transaction.outcomes] == [Fate.UNSENT, Fate.REFUSED]
    assert isinstance(play.events[-2], TransactionDone)


@pytest.mark.catalogue("F11")
def test_a_verdict_before_the_end_of_the_message_is_none() -> None:
    play = SITUATIONS["body"]()
    assert play.transaction is not None
    play.conn.send_body(play.transaction, b"x\r\n")
    play.sent()
    play.conn.receive_data(b"250 queued\r\n", 0.0)
    play.conn.end_body(play.transaction)
    play.sent()
    play.pump()
    assert play.closed.violation is Violation.EARLY_REPLY
    assert [outcome.fate for outcome in play.transaction.outcomes] == [Fate.UNKNOWN]


def test_421_out_of_turn_says_why() -> None:
    play = ready()
    play.feed(b"42")
    play.conn.noop()
    play.sent()
    play.feed(b"1 Bye\r\n")
    assert play.closed == Closed(Cause.REJECTED, reply=Reply(421, "Bye"))


def test_an_answer_goes_out_before_the_next_is_told() -> None:
    # Commands leave one by one without PIPELINING, each at the reply to the one before.
    play = ready("SIZE")
    play.conn.send(TWO)
    wire = [play.sent()]
    for reply in ("250 Ok", "250 Ok", "250 Ok", "354 Go"):
        assert play.sent() == b""
        play.hear(reply)
        wire.append(play.sent())
    assert wire == [
        b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"RCPT TO:<e@d.example>\r\n", b"DATA\r\n", b"",
    ]  # fmt: skip


def test_a_config_may_do_without_pipelining() -> None:
    play = ready("PIPELINING", config=ClientConfig(pipelining=False))
    play.conn.send(ENVELOPE)
    assert play.sent() == b"MAIL FROM:<a@b.example>\r\n"


def test_nothing_is_said_behind_the_end_of_a_group() -> None:
    play = ready("PIPELINING")
    play.conn.reset()
    play.conn.quit()
    assert play.sent() == b"RSET\r\nQUIT\r\n"
    play.hear("250 Ok", "221 Bye")
    assert play.closed.cause is Cause.QUIT
    for intent in ("noop", "quit", "reset"):
        other = asked()
        with pytest.raises(LocalProtocolError, match="before the reply to NOOP"):
            getattr(other.conn, intent)()


def test_what_waits_behind_another_is_named() -> None:
    play = ready("SIZE")
    play.conn.send(ENVELOPE)
    with pytest.raises(LocalProtocolError, match="QUIT before the reply to DATA"):
        play.conn.quit()
    play = ready("PIPELINING")
    play.conn.send(ENVELOPE)
    with pytest.raises(LocalProtocolError, match="before the reply to DATA"):
        play.conn.noop()
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    with pytest.raises(LocalProtocolError, match="NOOP before the reply to EHLO"):
        play.conn.noop()


# What the server holds is a transaction still, as every recipient was refused. RFC 4954 4: "The AUTH command is not
# permitted during a mail transaction"; nor do servers take the others in one.
NOT_IN_A_TRANSACTION: list[Any] = [
    pytest.param(lambda conn: conn.authenticate(PLAIN), b"AUTH PLAIN ", "235 Ok", id="AUTH"),
    pytest.param(lambda conn: conn.start_tls(), b"STARTTLS\r\n", "220 Go", id="STARTTLS"),
    pytest.param(lambda conn: conn.xclient({"NAME": "x"}), b"XCLIENT ", "220 Hi", id="XCLIENT"),
]


@pytest.mark.parametrize(("ask", "wire", "reply"), NOT_IN_A_TRANSACTION)
def test_a_transaction_that_was_left_is_reset_before_what_may_not_stand_in_it(
    ask: Any, wire: bytes, reply: str
) -> None:
    play = ready("AUTH PLAIN", "STARTTLS", "XCLIENT NAME", config=OPEN)
    play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok")
    play.sent()
    play.hear("550 Who?")
    assert play.sent() == b""
    with pytest.raises(LocalProtocolError):
        play.conn.xclient({"NAME": "\n"})
    assert play.wait is Wait.INTENT
    ask(play.conn)
    assert play.sent() == b"RSET\r\n"
    assert play.hear("250 Ok") == [Answer(Command("RSET"), Reply(250, "Ok"))]
    assert play.sent().startswith(wire)
    play.hear(reply)
    assert play.wait is not Wait.CLOSED


@pytest.mark.parametrize("intent", ["noop", "help", "quit", "reset"])
def test_what_may_stand_in_a_transaction_is_said_at_once(intent: str) -> None:
    play = ready("SIZE")
    play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok")
    play.sent()
    play.hear("550 Who?")
    command = getattr(play.conn, intent)()
    assert play.sent() == f"{command}\r\n".encode()


@pytest.mark.parametrize(("ask", "wire", "reply"), NOT_IN_A_TRANSACTION)
def test_there_is_nothing_to_reset_where_there_was_no_transaction(ask: Any, wire: bytes, reply: str) -> None:
    play = ready("AUTH PLAIN", "STARTTLS", "XCLIENT NAME", config=OPEN)
    ask(play.conn)
    assert play.sent().startswith(wire)


@pytest.mark.catalogue("C3", "F11")
@pytest.mark.parametrize(
    ("situation", "replies"),
    [
        ("reply to EHLO", ("502 No", "250 mx")),
        ("reply to AUTH", ("334 PHhAeT4=", "235 Ok")),
        ("reply to an answer", ("334 !", "501 Cancelled")),
    ],
)
def test_what_follows_by_itself_is_not_answered_ahead_either(situation: str, replies: tuple[str, str]) -> None:
    play = SITUATIONS[situation]()
    play.hear(*replies)
    assert play.closed.violation is Violation.EARLY_REPLY
    assert play.sent() == b""


# --- what may be answered ------------------------------------------------------------------------------

# By hand, from RFC 5321 4.3.2 and the extensions: the replies that say yes. Other 2xx say so too, but for those where
# much hangs on the code.
YES = {
    "greeting": {220}, "reply to EHLO": {250}, "reply to HELO": {250}, "reply to EHLO again": {250},
    "reply to NOOP": {250}, "reply to RSET": {250}, "reply to VRFY": {250, 251, 252},
    "reply to ETRN": {250, 251, 252, 253},
    "reply to XCLIENT": {220}, "reply to STARTTLS": {220}, "reply to an answer": {235, 334}, "reply to MAIL": {250},
    "reply to RCPT": {250, 251, 252}, "reply to DATA": {354}, "verdict": {250}, "verdict over chunks": {250},
    "verdicts": {250}, "reply to QUIT": {221},
}  # fmt: skip
EXACT = {"reply to STARTTLS", "reply to an answer", "reply to DATA"}
CODES = (200, 211, 220, 221, 235, 250, 251, 252, 253, 300, 334, 350, 354, 359, 400, 421, 450, 500, 550, 559)


@pytest.mark.catalogue("B12")
@pytest.mark.parametrize("situation", YES)
@pytest.mark.parametrize("code", CODES)
def test_the_classes_of_replies(situation: str, code: int) -> None:
    play = SITUATIONS[situation]()
    told = play.hear(f"{code} {'PHhAeT4=' if code == 334 else 'text'}")
    odd = Deviation(Oddity.UNEXPECTED_CODE) in told
    assert (Deviation(Oddity.UNKNOWN_CODE) in told) is (code not in KNOWN_CODES)
    wrong = play.wait is Wait.CLOSED and play.closed.violation is Violation.WRONG_REPLY
    if code in YES[situation]:
        assert (wrong, odd) == (False, False)
    elif code >= 400:
        assert not odd
        # RFC 5321 4.1.1.5: RSET cannot be refused.
        assert wrong is (situation == "reply to RSET" and code != 421)
    elif code >= 300 or situation in EXACT:
        assert (wrong, odd) == (True, False)
        assert play.closed.detail.startswith(f"{code} to ")
    else:
        assert (wrong, odd) == (False, True)


def test_an_accepted_reply_is_named_by_the_table_too() -> None:
    named = {code for edge in CLIENT for code in edge.codes}
    assert named == set().union(*YES.values()) | {211, 214}


# --- oddities ------------------------------------------------------------------------------------------

ODD: dict[str, tuple[bytes, list[Oddity], Reply]] = {
    "an unknown code": (b"259 Ok\r\n", [Oddity.UNKNOWN_CODE, Oddity.UNEXPECTED_CODE], Reply(259, "Ok")),
    "an unexpected code": (b"220 Ok\r\n", [Oddity.UNEXPECTED_CODE], Reply(220, "Ok")),
    "no text": (b"250\r\n", [Oddity.MISSING_TEXT], Reply(250)),
    "no text in the last line": (b"250-a\r\n250\r\n", [Oddity.MISSING_TEXT], Reply(250, "a\n")),
    "an empty text": (b"250 \r\n", [], Reply(250)),
    "an empty text in the first line": (b"250-\r\n250 a\r\n", [], Reply(250, "\na")),
    "UTF-8": ("250 Grüße\r\n".encode(), [Oddity.NOT_ASCII], Reply(250, "Grüße")),
    "Latin-1": (b"250 Gr\xfc\xdfe\r\n", [Oddity.NOT_ASCII, Oddity.NOT_UTF8], Reply(250, "Gr\\x{FC}\\x{DF}e")),
    "Latin-1 in the first line": (
        b"250-\xfc\r\n250 a\r\n", [Oddity.NOT_ASCII, Oddity.NOT_UTF8], Reply(250, "\\x{FC}\na"),
    ),
    "512 octets": (b"250 " + b"x" * 506 + b"\r\n", [], Reply(250, "x" * 506)),
    "513 octets": (b"250 " + b"x" * 507 + b"\r\n", [Oddity.LONG_LINE], Reply(250, "x" * 507)),
    "513 octets in the first line": (
        b"250-" + b"x" * 507 + b"\r\n250 y\r\n", [Oddity.LONG_LINE], Reply(250, "x" * 507 + "\ny"),
    ),
    "a control": (b"250 a\x1b[31m\r\n", [], Reply(250, "a\\x{1B}[31m")),
    "a status": (b"250 2.1.0 Ok\r\n", [], Reply(250, "Ok", "2.1.0")),
    "a status of another class": (b"250 5.1.0 Ok\r\n", [], Reply(250, "5.1.0 Ok")),
    "all of these": (
        b"259-" + b"\xff" * 507 + b"\r\n259\r\n",
        [
            Oddity.UNKNOWN_CODE, Oddity.MISSING_TEXT, Oddity.NOT_ASCII, Oddity.NOT_UTF8, Oddity.LONG_LINE,
            Oddity.UNEXPECTED_CODE,
        ],
        Reply(259, "\\x{FF}" * 507 + "\n"),
    ),
}  # fmt: skip


@pytest.mark.catalogue("J1", "J2")
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("drip", [False, True])
def test_what_is_odd_is_told_and_taken(name: str, drip: bool) -> None:
    octets, oddities, reply = ODD[name]
    for _ in range(2):  # the second time it may be remembered
        play = asked()
        told = play.drip(octets) if drip else play.feed(octets)
        assert told == [*(Deviation(each) for each in oddities), Answer(NOOP, reply)]
        assert play.wait is Wait.INTENT


def test_the_status_of_a_reply_depends_on_what_it_is_to() -> None:
    line = "250 2.1.5 mx.example"
    play = ready()
    play.conn.noop()
    play.sent()
    assert play.hear(line) == [Answer(NOOP, Reply(250, "mx.example", "2.1.5"))]
    play.conn.hello(NAME)
    play.sent()
    play.hear(line)
    assert play.conn.capabilities.host == "2.1.5"
    other = Play()
    assert other.hear("421 4.3.2 Busy")[0] == Greeting(Reply(421, "Busy", "4.3.2"))


# --- the reader's faults ---------------------------------------------------------------------------------

MALFORMED = [
    b"\r\n", b"x\r\n", b"25\r\n", b"2500\r\n", b"250x\r\n", b"250_Ok\r\n", b"250\tOk\r\n", b" 250 Ok\r\n",
    b"150 Ok\r\n", b"650 Ok\r\n", b"260 Ok\r\n", b"290 Ok\r\n", b"-50 Ok\r\n", b"2 0 Ok\r\n", b"250 a\rb\r\n",
    b"250 a\nb\r\n", b"250 a\0b\r\n", b"250 Ok\n\r\n", b"\n250 Ok\r\n", b"\xb2\xb550 Ok\r\n", b"250-a\r\nx\r\n",
    b"250-a\r\n\r\n",    b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x01\x00\x02\r\n", b"* OK IMAP\r\n", b"+OK POP\r\n",
    b"\xef\xbb\xbf250 Ok\r\n",
    b"250\xa0Ok\r\n", b"250 Ok\r\r\n", "٢٥٠ Ok\r\n".encode(),
]  # fmt: skip
MIXED = [b"250-a\r\n251 b\r\n", b"250-a\r\n250-b\r\n550 c\r\n", b"550-a\r\n250 b\r\n", b"250-a\r\n251-b\r\n251 c\r\n"]


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize("octets", MALFORMED)
@pytest.mark.parametrize("drip", [False, True])
@pytest.mark.parametrize("situation", ["greeting", "reply to NOOP", "anything", "verdict", "reply to QUIT"])
def test_a_malformed_reply_is_the_end(octets: bytes, drip: bool, situation: str) -> None:
    play = SITUATIONS[situation]()
    told = play.drip(octets) if drip else play.feed(octets)
    assert play.closed.cause is Cause.PROTOCOL
    assert play.closed.violation is Violation.MALFORMED_REPLY
    assert len(told) == (2 if situation == "verdict" else 1)
    assert play.feed(b"250 Ok\r\n") == []


@pytest.mark.catalogue("F12")
@pytest.mark.parametrize("octets", MIXED)
def test_mixed_codes_are_the_end(octets: bytes) -> None:
    play = asked()
    assert [type(event) for event in play.feed(octets)] == [Closed]
    assert play.closed.violation is Violation.MIXED_CODES


def test_nothing_is_read_behind_the_end() -> None:
    play = asked()
    play.feed(b"x\r\n250 Ok\r\n421 Bye\r\n")
    assert [type(event) for event in play.events[2:]] == [Closed]


def test_a_bare_lf_where_the_config_takes_it() -> None:
    play = asked(ClientConfig(quirks=frozenset({Quirk.BARE_LF})))
    play.feed(b"250-a\n250 b\n")
    assert isinstance(play.last, Answer)
    assert play.last.reply == Reply(250, "a\nb")
    play = asked()
    assert play.feed(b"250 Ok\n") == []
    assert play.wait is Wait.DATA


# --- the end -----------------------------------------------------------------------------------------


def test_octets_behind_the_end_of_the_stream() -> None:
    play = ready()
    play.conn.receive_data(b"", 0.0)
    with pytest.raises(LocalProtocolError, match="after the end"):
        play.conn.receive_data(b"250 Ok\r\n", 0.0)
    assert play.conn.next_event() == Closed(Cause.EOF)
    play.conn.receive_data(b"250 Ok\r\n", 0.0)  # nobody minds behind the end of the session
    assert play.pump() == []


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_closed_connection_keeps_nothing(situation: str) -> None:
    play = SITUATIONS[situation]()
    if play.conn.phase is Phase.EOM:
        play.conn.send(TWO)  # which waits
    play.conn.close()
    play.pump()
    kept = state(play.conn)
    for queue in ("_todo", "_issued", "_expected", "_events", "_transactions"):
        assert kept[queue] == ()
    assert kept["_exchange"] is None
    assert kept["_in"]["data"] == b""
    assert kept["_link"]["out"] == ()


def test_what_was_said_before_the_stream_ended_is_heard() -> None:
    play = asked()
    play.conn.receive_data(b"250 Ok\r\n", 0.0)
    play.conn.receive_data(b"", 0.0)
    assert [type(event) for event in play.pump()] == [Answer, Closed]


def test_a_refusal_of_the_whole_connection_decides_its_messages() -> None:
    play = ready("PIPELINING")
    first, second = play.conn.send(ENVELOPE), None
    play.sent()
    play.hear("250 Ok", "250 Ok", "354 Go")
    play.conn.end_body(first)
    play.sent()
    second = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("421 4.3.2 Bye")
    assert [event.transaction for event in play.events if isinstance(event, TransactionDone)] == [first, second]
    assert play.closed.reply is not None
    assert [outcome.fate for outcome in first.outcomes] == [Fate.REFUSED]
    assert [outcome.fate for outcome in second.outcomes] == [Fate.UNSENT]


@pytest.mark.parametrize("situation", ["body", "chunk", "reply to DATA", "reply to RCPT"])
@pytest.mark.parametrize("reply", ["552 5.3.4 Too big", "452 4.3.1 Full", "250 Ok", "421 4.3.2 Bye"])
def test_a_word_between(situation: str, reply: str) -> None:
    # A server that has had enough of a message says so, against all rules, before its end.
    play = SITUATIONS[situation]()
    transaction = play.transaction
    assert transaction is not None
    if situation.startswith("reply"):
        play.feed(f"{reply[:-1]}".encode())
        play.eof()
        assert [(each.fate, each.reply) for each in transaction.outcomes] == [(Fate.UNSENT, None)]
        return
    play.hear(reply)
    (outcome,) = transaction.outcomes
    assert outcome.fate is (Fate.REFUSED if reply.startswith("5") else Fate.UNSENT)
    assert not outcome.local
    assert str(play.closed.reply) == reply
    assert outcome.reply is (None if reply.startswith("250") else play.closed.reply)  # what says yes refuses nobody
    assert play.closed.violation is (None if reply.startswith("421") else Violation.SURPLUS_REPLY)
