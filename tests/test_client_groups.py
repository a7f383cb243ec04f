"""Commands in groups (RFC 2920): how far a client goes ahead of the replies, and what may stand behind what."""

import pytest
from _client_wire import (
    EOF,
    ScriptedServer,
    begun,
    closing,
    converse,
    dones,
    envelope,
    fates,
    start,
)
from hypothesis import given, strategies as st

from smtpcore import (
    LMTP,
    SMTP,
    Answer,
    BodyWanted,
    Cause,
    ClientConfig,
    ClientLimits,
    Dialect,
    LocalProtocolError,
    MessageAnswer,
    RecipientAnswer,
    SenderAnswer,
    Transaction,
    Violation,
    Wait,
)
from smtpcore.testing import ClientDriver

SINGLE = [((), ClientConfig()), (("PIPELINING",), ClientConfig(pipelining=False))]
EITHER = pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=lambda dialect: dialect.name)


def verdict_awaited(*offered: str, dialect: Dialect = SMTP) -> tuple[ClientDriver, Transaction]:
    """A session in which the end of a message has left, and its verdict is awaited."""
    driver = begun("PIPELINING", *offered, config=ClientConfig(prefer_chunking=True), dialect=dialect)
    transaction = start(driver)
    driver.say("250 Ok", "250 Ok", *["354 Go"] * ("CHUNKING" not in offered))
    assert driver.fresh().endswith((b".\r\n", b"LAST\r\nHi\r\n"))
    assert fates(transaction) == ["UNKNOWN"]
    return driver, transaction


# --- a transaction -------------------------------------------------------------------------------


def test_a_group() -> None:
    driver = begun("PIPELINING")
    transaction = start(driver, envelope("", "x@y.example", "z@y.example"))
    assert driver.fresh() == b"MAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<z@y.example>\r\nDATA\r\n"
    for reply in ("250 1", "250 2", "550 3"):
        assert driver.say(reply) == b""
    assert driver.say("354 4") == b"Hi\r\n.\r\n"
    driver.say("250 5")
    answers = driver.seen(SenderAnswer, RecipientAnswer, MessageAnswer)
    assert [answer.reply.text for answer in answers] == ["1", "2", "3", "5"]
    assert [str(answer.recipient.path) for answer in driver.seen(RecipientAnswer)] == ["x@y.example", "z@y.example"]
    assert fates(transaction) == ["ACCEPTED 250", "REFUSED 550"]


def test_a_group_whose_message_goes_by_chunks() -> None:
    """Nobody wants the first chunk before all of RCPT have their replies: who knows whether anybody is to have it."""
    driver = begun("PIPELINING", "CHUNKING", config=ClientConfig(prefer_chunking=True))
    start(driver, envelope("", "x@y.example", "z@y.example"))
    assert driver.fresh() == b"MAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nRCPT TO:<z@y.example>\r\n"
    for reply in ("250 1", "250 2"):
        assert driver.say(reply) == b""
        assert not driver.seen(BodyWanted)
    assert driver.say("550 3") == b"BDAT 4 LAST\r\nHi\r\n"


@pytest.mark.parametrize(("offered", "config"), SINGLE)
def test_one_by_one(offered: tuple[str, ...], config: ClientConfig) -> None:
    driver = begun(*offered, config=config)
    start(driver, envelope("", "x@y.example", "z@y.example"))
    assert driver.fresh() == b"MAIL FROM:<>\r\n"
    assert driver.say("250 Ok") == b"RCPT TO:<x@y.example>\r\n"
    assert driver.say("550 No") == b"RCPT TO:<z@y.example>\r\n"
    assert driver.say("250 Ok") == b"DATA\r\n"
    assert driver.say("354 Go") == b"Hi\r\n.\r\n"


@pytest.mark.parametrize(("offered", "config"), SINGLE)
def test_what_is_of_no_use_is_not_said(offered: tuple[str, ...], config: ClientConfig) -> None:
    driver = begun(*offered, config=config)
    transaction = start(driver, envelope("", "x@y.example", "z@y.example"))
    assert driver.say("550 No") == b""
    assert dones(driver) == [transaction]
    second = start(driver)
    driver.fresh()
    driver.say("250 Ok")
    driver.fresh()
    assert driver.say("550 No") == b""
    assert dones(driver) == [transaction, second]


def test_the_rest_of_a_group_that_has_not_left_is_dropped() -> None:
    limits = ClientLimits(pipelined_octets=512)
    driver = begun("PIPELINING", config=ClientConfig(limits=limits))
    transaction = start(driver, envelope("", *(f"user{number:03}@example.org" for number in range(100))))
    lines = driver.fresh().count(b"\r\n")
    assert 1 < lines < 30
    driver.say("550 No")
    for _ in range(lines - 1):
        assert not transaction.done
        assert driver.say("503 What?") == b""
    assert transaction.done
    assert fates(transaction) == ["REFUSED 550"] * 100
    # The server has no transaction.
    start(driver)
    assert driver.fresh().startswith(b"MAIL ")


@pytest.mark.parametrize("bound", [512, 600, 2048, 16384])
@pytest.mark.parametrize("replies", [1, 3])
@EITHER
def test_so_many_octets_are_ahead(bound: int, replies: int, dialect: Dialect) -> None:
    driver = begun("PIPELINING", config=ClientConfig(limits=ClientLimits(pipelined_octets=bound)), dialect=dialect)
    to = [f"{'u' * (number % 50)}{number}@d{'d' * (number % 40)}.example" for number in range(1, 300)]
    transaction = start(driver, envelope("a@b.example", *to), b"")
    wanted = [b"MAIL FROM:<a@b.example>\r\n", *(f"RCPT TO:<{each}>\r\n".encode() for each in to), b"DATA\r\n"]
    octets, answered = b"", 0
    while answered < len(wanted):
        octets += driver.fresh()
        ahead = len(octets) - sum(map(len, wanted[:answered]))
        assert 0 < ahead <= bound
        sent = octets.count(b"\r\n")
        assert octets == b"".join(wanted[:sent])
        # It goes as far as it may.
        if sent < len(wanted):
            assert ahead + len(wanted[sent]) > bound
        count = min(replies, sent - answered)
        driver.say(*("354 Go" if each == b"DATA\r\n" else "250 Ok" for each in wanted[answered : answered + count]))
        answered += count
    assert driver.fresh() == b".\r\n"
    driver.say(*["250 Ok"] * (len(to) if dialect is LMTP else 1))
    assert fates(transaction) == ["ACCEPTED 250"] * len(to)
    assert driver.conn.awaits_intent


def test_a_line_that_is_over_the_bound_goes_alone() -> None:
    driver = begun("PIPELINING", "NO-SOLICITING", config=ClientConfig(limits=ClientLimits(pipelined_octets=512)))
    start(driver, envelope("a@b.example", "x@y.example", solicit=("x" * 900,)))
    line = driver.fresh()
    assert line.endswith(b"x\r\n")
    assert len(line) > 900
    assert driver.say("250 Ok") == b"RCPT TO:<x@y.example>\r\nDATA\r\n"


@given(st.lists(st.sampled_from([250, 450, 550]), min_size=1, max_size=40), st.integers(512, 700), st.booleans())
def test_replies_come_to_their_commands(codes: list[int], bound: int, group: bool) -> None:
    config = ClientConfig(limits=ClientLimits(pipelined_octets=bound))
    offered = ["PIPELINING"] * group
    driver = begun(*offered, config=config)
    to = [f"{number}{'x' * 40}@y.example" for number in range(len(codes))]
    transaction = start(driver, envelope("a@b.example", *to))
    nobody = 250 not in codes
    server = ScriptedServer(script={"RCPT": codes, "DATA": [503] if nobody and group else []})
    converse(driver, server)
    assert fates(transaction) == ["ACCEPTED 250" if code == 250 else f"REFUSED {code}" for code in codes]
    assert [answer.reply.code for answer in driver.seen(RecipientAnswer)] == codes
    assert server.unsaid == 0
    assert driver.conn.awaits_intent


# --- nobody is to have it ------------------------------------------------------------------------


def test_354_for_nobody_is_answered_by_a_dot() -> None:
    driver = begun("PIPELINING")
    transaction = start(driver, envelope("", "x@y.example", "z@y.example"))
    driver.fresh()
    assert driver.say("250 Ok", "550 No", "450 No", "354 Go") == b".\r\n"
    assert not driver.seen(BodyWanted)
    assert fates(transaction) == ["REFUSED 550", "REFUSED 450"]
    assert not transaction.done
    driver.say("554 No valid recipients")
    driver.fresh()
    assert dones(driver) == [transaction]
    assert not driver.seen(MessageAnswer)
    start(driver)
    assert driver.fresh().startswith(b"MAIL ")


def test_354_after_mail_was_refused() -> None:
    for rcpts, dot in ((("550 No", "550 No"), True), (("550 No", "250 Ok"), False)):
        driver = begun("PIPELINING")
        transaction = start(driver, envelope("", "x@y.example", "z@y.example"))
        driver.fresh()
        # An empty message could be delivered to whom RCPT was accepted for.
        assert driver.say("451 No", *rcpts, "354 Go") == b".\r\n" * dot
        assert fates(transaction) == ["REFUSED 451"] * 2
        if not dot:
            assert closing(driver).violation is Violation.WRONG_REPLY
            assert dones(driver) == [transaction]


# --- behind the end of a message -------------------------------------------------------------------


@EITHER
@pytest.mark.parametrize("code", [250, 451, 554])
@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
def test_the_next_message_behind_the_end(offered: tuple[str, ...], code: int, dialect: Dialect) -> None:
    driver, first = verdict_awaited(*offered, dialect=dialect)
    second = start(driver, envelope("c@d.example"), b"Second\r\n")
    data = b"" if offered else b"DATA\r\n"
    assert driver.fresh() == b"MAIL FROM:<c@d.example>\r\nRCPT TO:<x@y.example>\r\n" + data
    with pytest.raises(LocalProtocolError, match="before the reply"):
        driver.conn.send(envelope())
    assert not second.wants_body
    driver.say(f"{code} Verdict")
    assert fates(first) == ["ACCEPTED 250" if code == 250 else f"REFUSED {code}"]
    assert dones(driver) == [first]
    assert fates(second) == ["UNSENT"]
    assert driver.say("250 Ok", "250 Ok", *["354 Go"] * (not offered)).count(b"Second\r\n") == 1
    driver.say("250 Ok")
    assert fates(second) == ["ACCEPTED 250"]
    assert dones(driver) == [first, second]


def test_the_end_and_the_next_message_leave_together() -> None:
    driver = begun("PIPELINING")
    first = start(driver, message=None)
    driver.say("250 Ok", "250 Ok", "354 Go")
    driver.fresh()
    driver.conn.send_body(first, b"Hi\r\n")
    driver.conn.end_body(first)
    second = driver.conn.send(envelope())
    driver.conn.next_event()
    assert b"".join(driver.conn.data_to_send(0.0)) == (
        b"Hi\r\n.\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n"
    )
    driver.say("250 Ok", "550 No", "503 What?", "503 What?")
    assert (fates(first), fates(second)) == (["ACCEPTED 250"], ["REFUSED 550"])
    assert driver.conn.awaits_intent


@EITHER
def test_many_messages_without_waiting(dialect: Dialect) -> None:
    offered = ["PIPELINING"]
    driver = begun(*offered, dialect=dialect)
    server = ScriptedServer(offered, dialect=dialect, script={"END": [250, 452, 554, 250, 250]})
    sent = [start(driver, message=b"0\r\n")]
    for number in range(1, 5):
        converse_until_end(driver, server)
        sent.append(start(driver, message=b"%d\r\n" % number))
    converse(driver, server)
    assert [fates(each) for each in sent] == [
        ["ACCEPTED 250"], ["REFUSED 452"], ["REFUSED 554"], ["ACCEPTED 250"], ["ACCEPTED 250"]
    ]  # fmt: skip
    assert dones(driver) == sent
    assert server.messages == [b"%d\r\n" % number for number in range(5)]
    assert "RSET" not in server.lines


def converse_until_end(driver: ClientDriver, server: ScriptedServer) -> None:
    """Carry octets until the end of a message has left; the client has not heard the verdict then."""
    while not driver.out.endswith(b".\r\n"):
        driver.feed(server.receive(driver.fresh()))


def test_reset_behind_the_end() -> None:
    driver, first = verdict_awaited()
    driver.conn.reset()
    driver.conn.reset()
    driver.pump()
    assert driver.fresh() == b"RSET\r\nRSET\r\n"
    second = start(driver)
    assert driver.fresh() == b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n"
    driver.say("554 No")
    assert fates(first) == ["REFUSED 554"]
    driver.say("250 Ok", "250 Ok")
    assert [answer.command.verb for answer in driver.seen(Answer)] == ["RSET", "RSET"]
    driver.say("250 Ok", "250 Ok", "354 Go")
    driver.say("250 Ok")
    assert fates(second) == ["ACCEPTED 250"]


@EITHER
@pytest.mark.parametrize("code", [250, 451, 554, 421, EOF])
def test_quit_behind_the_end(code: int, dialect: Dialect) -> None:
    driver, first = verdict_awaited(dialect=dialect)
    driver.conn.quit()
    driver.pump()
    assert driver.fresh() == b"QUIT\r\n"
    for intent in (driver.conn.reset, driver.conn.quit, lambda: driver.conn.send(envelope())):
        with pytest.raises(LocalProtocolError, match="before the reply to QUIT"):
            intent()
    if code == EOF:
        driver.eof()
        assert fates(first) == ["UNKNOWN"]
        assert closing(driver).cause is Cause.EOF
    else:
        driver.say(f"{code} Verdict")
        assert fates(first) == ["ACCEPTED 250" if code == 250 else f"REFUSED {code}"]
        if code == 421:
            assert closing(driver).cause is Cause.REJECTED
        else:
            driver.say("221 Bye")
            assert closing(driver).cause is Cause.QUIT
    assert dones(driver) == [first]


@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
@pytest.mark.parametrize("intent", ["reset", "quit", "send"])
def test_nothing_stands_behind_the_end_without_pipelining(offered: tuple[str, ...], intent: str) -> None:
    driver = begun(*offered, config=ClientConfig(prefer_chunking=True))
    start(driver)
    converse(driver, _Mute(offered))
    argument = [envelope()] if intent == "send" else []
    with pytest.raises(LocalProtocolError, match="before the reply to"):
        getattr(driver.conn, intent)(*argument)
    driver.pump()
    assert driver.fresh() == b""


class _Mute(ScriptedServer):
    """Has nothing to say of a message."""

    def _end(self, verb: str) -> None:
        self.lines.append("mute")


@pytest.mark.parametrize("other", ["noop", "help"])
def test_what_may_not_stand_behind_the_end(other: str) -> None:
    driver, _ = verdict_awaited()
    with pytest.raises(LocalProtocolError):
        getattr(driver.conn, other)()


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize(
    ("code", "first_fate", "second_fate"),
    [
        (421, "REFUSED 421", "UNSENT 421"),
        (EOF, "UNKNOWN", "UNSENT"),
        (354, "UNKNOWN", "UNSENT"),
    ],
)
def test_the_end_of_the_connection_between_two_messages(code: int, first_fate: str, second_fate: str) -> None:
    driver, first = verdict_awaited()
    second = start(driver, envelope("a@b.example", "x@y.example", "z@y.example"))
    if code == EOF:
        driver.eof()
    else:
        driver.say(f"{code} Bye")
    assert fates(first) == [first_fate]
    assert [each.removesuffix(" 354") for each in fates(second)] == [second_fate] * 2
    assert dones(driver) == [first, second]
    closing(driver)


def test_the_verdicts_of_lmtp_and_the_next_message() -> None:
    driver = begun("PIPELINING", dialect=LMTP)
    first = start(driver, envelope("", "x@y.example", "no@y.example", "z@y.example"))
    driver.say("250 Ok", "250 Ok", "550 No", "250 Ok", "354 Go")
    second = start(driver, envelope("c@d.example", "w@y.example"))
    driver.say("250 Ok")
    assert fates(first) == ["ACCEPTED 250", "REFUSED 550", "UNKNOWN"]
    assert not dones(driver)
    driver.say("452 Full")
    assert fates(first) == ["ACCEPTED 250", "REFUSED 550", "REFUSED 452"]
    assert dones(driver) == [first]
    driver.say("250 Ok", "250 Ok", "354 Go")
    driver.say("250 Ok")
    assert fates(second) == ["ACCEPTED 250"]
    recipients = [answer.recipient for answer in driver.seen(MessageAnswer)]
    to = first.envelope.recipients
    assert recipients == [to[0], to[2], second.envelope.recipients[0]]


def test_lmtp_421_between_the_verdicts() -> None:
    driver = begun("PIPELINING", dialect=LMTP)
    first = start(driver, envelope("", "x@y.example", "y@y.example", "z@y.example"))
    driver.say("250 Ok", "250 Ok", "250 Ok", "250 Ok", "354 Go")
    second = start(driver)
    driver.say("250 Ok", "421 Bye")
    assert fates(first) == ["ACCEPTED 250", "REFUSED 421", "UNKNOWN"]
    assert fates(second) == ["UNSENT 421"]
    assert dones(driver) == [first, second]
    assert closing(driver).cause is Cause.REJECTED


@EITHER
def test_too_many_verdicts(dialect: Dialect) -> None:
    driver = begun("PIPELINING", dialect=dialect)
    transaction = start(driver, envelope("", "x@y.example", "y@y.example"))
    driver.say("250 Ok", "250 Ok", "250 Ok", "354 Go")
    driver.say("250 Ok", "250 Ok", "250 Ok")
    assert fates(transaction) == ["ACCEPTED 250"] * 2
    assert closing(driver).violation is Violation.SURPLUS_REPLY


def test_a_whole_session_in_groups_is_the_same_as_one_by_one() -> None:
    def outcomes(*offered: str) -> list[list[str]]:
        driver = begun(*offered)
        server = ScriptedServer(offered, script={"MAIL": [250, 250, 451], "RCPT": [250, 550, 550, 450], "END": [552]})
        if offered:
            # What was said for nothing is answered, too.
            server = ScriptedServer(
                offered,
                script={
                    "MAIL": [250, 250, 451],
                    "RCPT": [250, 550, 550, 450, 503, 503],
                    "DATA": [354, 554, 503],
                    "END": [552],
                },
            )
        told = []
        for _ in range(4):
            transaction = start(driver, envelope("a@b.example", "x@y.example", "z@y.example"))
            converse(driver, server)
            told.append(fates(transaction))
        assert server.unsaid == 0
        assert server.lines.count("RSET") == 1
        return told

    assert outcomes() == outcomes("PIPELINING")
    assert outcomes() == [
        ["REFUSED 552", "REFUSED 550"],
        ["REFUSED 550", "REFUSED 450"],
        ["REFUSED 451", "REFUSED 451"],
        ["ACCEPTED 250", "ACCEPTED 250"],
    ]


def test_abort_does_not_lose_the_verdict_before() -> None:
    driver, first = verdict_awaited()
    second = driver.conn.send(envelope())
    with pytest.raises(LocalProtocolError, match="verdict over the message before"):
        driver.conn.abort(second)
    driver.flush()
    driver.say("250 Queued")
    assert fates(first) == ["ACCEPTED 250"]
    driver.conn.abort(second)
    driver.pump()
    assert fates(second) == ["UNSENT"]
    assert closing(driver).cause is Cause.ABORTED


def test_chunks_are_given_while_others_have_no_reply() -> None:
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=4, unanswered_chunks=2))
    conn = begun("PIPELINING", "CHUNKING", config=config).conn
    transaction = conn.send(envelope())
    conn.data_to_send(0.0)
    conn.receive_data(b"250 Ok\r\n250 Ok\r\n", 0.0)
    while not isinstance(conn.next_event(), Wait):
        pass
    for _ in range(2):
        conn.send_body(transaction, b"1234")
        assert conn.data_to_send(1.0)
        conn.data_sent(1.0)
        assert conn.next_event() is Wait.INTENT
        # It is the application's move, so the server is not late.
        assert conn.next_deadline() > 1.0 + config.timeouts.command
    conn.send_body(transaction, b"1234")
    assert not transaction.wants_body
    assert conn.data_to_send(2.0) == []
    assert conn.next_event() is Wait.DATA
    assert conn.next_deadline() == 1.0 + config.timeouts.command
    conn.receive_data(b"250 Ok\r\n", 3.0)
    assert conn.next_event() is Wait.INTENT
    assert b"".join(conn.data_to_send(3.0)) == b"BDAT 4\r\n1234"
