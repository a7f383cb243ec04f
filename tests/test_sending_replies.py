"""What a server says of a message, when nobody waits for it, and what is known when the connection ends."""

from collections import deque
from contextlib import suppress

import pytest
from _client_wire import (
    CHUNKS,
    EOF,
    ScriptedServer,
    begun,
    closing,
    converse,
    dones,
    envelope,
    fates,
    opened,
    start,
    wire,
)
from hypothesis import given, strategies as st

from smtpcore import (
    LMTP,
    SMTP,
    Answer,
    Cause,
    ClientConfig,
    Deviation,
    Dialect,
    LocalProtocolError,
    MessageAnswer,
    Oddity,
    Phase,
    Transaction,
    TransactionDone,
    Violation,
    Wait,
)
from smtpcore.testing import ClientDriver, Send

ONE_CHUNK = ClientConfig(prefer_chunking=True)
GROUPS = pytest.mark.parametrize("offered", [(), ("PIPELINING",)], ids=["single", "group"])
EITHER = pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=lambda dialect: dialect.name)


# --- replies that nobody waits for -----------------------------------------------------------------


@pytest.mark.catalogue("F13")
@pytest.mark.parametrize("offered", [(), ("PIPELINING",), ("CHUNKING", "PIPELINING")])
@pytest.mark.parametrize("given_octets", [False, True])
@pytest.mark.parametrize(
    ("code", "fate", "violation"),
    [
        (250, "UNSENT", Violation.SURPLUS_REPLY),
        (354, "UNSENT", Violation.SURPLUS_REPLY),
        (451, "UNSENT", Violation.SURPLUS_REPLY),
        (552, "REFUSED 552", Violation.SURPLUS_REPLY),
        (421, "UNSENT 421", None),
        (EOF, "UNSENT", None),
    ],
)
def test_replies_in_the_middle_of_a_message(
    offered: tuple[str, ...], given_octets: bool, code: int, fate: str, violation: Violation | None
) -> None:
    driver, transaction = opened(*offered)
    if given_octets:
        driver.conn.send_body(transaction, b"Hi.")
        driver.pump()
    if code == EOF:
        driver.eof()
    else:
        driver.say(f"{code} Enough")
    assert fates(transaction)[0].startswith(fate)
    assert dones(driver) == [transaction]
    closed = closing(driver)
    assert closed.violation is violation
    assert closed.cause is (Cause.PROTOCOL if violation else Cause.EOF if code == EOF else Cause.REJECTED)


@pytest.mark.parametrize("offered", [(), ("CHUNKING", "PIPELINING")])
@pytest.mark.parametrize(("code", "fate"), [(250, "UNSENT"), (451, "UNSENT"), (552, "REFUSED 552"), (421, "UNSENT")])
def test_a_verdict_before_the_end_has_left(offered: tuple[str, ...], code: int, fate: str) -> None:
    """The octets are there, but nobody has taken them yet: the end of the message has not been sent."""
    driver, transaction = opened(*offered, config=ONE_CHUNK)
    driver.conn.send_body(transaction, b"Hi\r")
    driver.conn.send_body(transaction, b"\n")
    driver.flush()
    driver.conn.end_body(transaction)
    driver.conn.receive_data(b"%d Already\r\n" % code, 0.0)
    driver.pump()
    assert fates(transaction)[0].startswith(fate)
    assert closing(driver).violation is (None if code == 421 else Violation.EARLY_REPLY)


@pytest.mark.parametrize("code", [250, 552])
def test_a_verdict_that_began_before_the_end_has_left(code: int) -> None:
    """It is no answer to what came after it, and that may have been read: nobody knows what became of it."""
    driver, transaction = opened()
    driver.feed(b"%d A" % code)
    driver.conn.send_body(transaction, b"Hi\r\n")
    driver.conn.end_body(transaction)
    driver.flush()
    driver.feed(b"lready\r\n")
    assert fates(transaction) == ["UNKNOWN"]
    assert closing(driver).violation is Violation.EARLY_REPLY


@GROUPS
def test_a_surplus_reply_after_the_verdict(offered: tuple[str, ...]) -> None:
    driver, transaction = opened(*offered)
    driver.conn.end_body(transaction)
    driver.pump()
    driver.say("250 Ok", "250 Ok again")
    assert fates(transaction) == ["ACCEPTED 250"]
    assert dones(driver) == [transaction]
    assert closing(driver).violation is Violation.SURPLUS_REPLY


@pytest.mark.catalogue("B12")
@GROUPS
@EITHER
def test_only_354_is_leave_to_send(offered: tuple[str, ...], dialect: Dialect) -> None:
    for code in (250, 220, 221, 334, 350):
        driver = begun(*offered, dialect=dialect)
        transaction = start(driver)
        converse(driver, ScriptedServer(dialect=dialect, script={"DATA": [code]}))
        assert fates(transaction)[0].startswith("UNSENT")
        assert closing(driver).violation is Violation.WRONG_REPLY
        assert driver.out.endswith(b"DATA\r\n")


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "BDAT", "END", "RSET"])
@pytest.mark.parametrize("code", [354, 334])
def test_a_reply_that_the_command_cannot_have(verb: str, code: int) -> None:
    driver = begun("CHUNKING", config=CHUNKS)
    transaction = start(driver, message=b"12345678", sizes=(4,))
    if verb == "RSET":
        converse(driver, ScriptedServer(script={"BDAT": [451]}))
        transaction = start(driver)
    converse(driver, ScriptedServer(script={verb: [code]}))
    assert fates(transaction)[0].split()[0] == ("UNKNOWN" if verb == "END" else "UNSENT")
    assert closing(driver).violation is Violation.WRONG_REPLY


def test_a_code_that_is_as_good() -> None:
    driver = begun("CHUNKING", config=CHUNKS)
    transaction = start(driver, message=b"12345678", sizes=(4,))
    converse(driver, ScriptedServer(script={"MAIL": [251], "RCPT": [251], "BDAT": [220, 250], "END": [200]}))
    assert fates(transaction) == ["ACCEPTED 200"]
    assert driver.seen(Deviation)[0] == Deviation(Oddity.UNEXPECTED_CODE)


@pytest.mark.parametrize("code", [451, 500, 502])
def test_rset_is_not_refused(code: int) -> None:
    driver = begun("PIPELINING")
    server = ScriptedServer(script={"RCPT": [550], "DATA": [554], "RSET": [code]})
    start(driver)
    converse(driver, server)
    second = start(driver)
    converse(driver, server)
    assert fates(second)[0].startswith("UNSENT")
    assert closing(driver).violation is Violation.WRONG_REPLY


def test_421_to_rset() -> None:
    driver = begun("PIPELINING")
    driver.conn.reset()
    driver.pump()
    driver.say("421 Bye")
    assert [answer.reply.code for answer in driver.seen(Answer)] == [421]
    assert closing(driver).cause is Cause.REJECTED


@GROUPS
def test_a_reset_of_the_application_counts(offered: tuple[str, ...]) -> None:
    """After it, none is needed before the next message."""
    driver = begun(*offered)
    server = ScriptedServer(script={"RCPT": [550], "DATA": [554] if offered else []})
    start(driver)
    converse(driver, server)
    driver.conn.reset()
    driver.pump()
    converse(driver, server)
    server.lines.clear()
    transaction = start(driver)
    converse(driver, server)
    assert server.lines[0] == "MAIL FROM:<a@b.example>"
    assert fates(transaction) == ["ACCEPTED 250"]


def test_a_hello_of_the_application_counts() -> None:
    driver = begun()
    server = ScriptedServer(script={"RCPT": [550]})
    start(driver)
    converse(driver, server)
    driver.conn.hello("client.example")
    driver.pump()
    converse(driver, server)
    server.lines.clear()
    start(driver)
    converse(driver, server)
    assert server.lines[0] == "MAIL FROM:<a@b.example>"


# --- when it is unknown ----------------------------------------------------------------------------


@pytest.mark.catalogue("F13")
@EITHER
@pytest.mark.parametrize("offered", [(), ("PIPELINING",), ("CHUNKING",), ("CHUNKING", "PIPELINING")])
@pytest.mark.parametrize("ends", ["eof", "close", "abort", "timeout", "421", "rubbish"])
def test_unknown_from_the_moment_that_the_end_leaves(dialect: Dialect, offered: tuple[str, ...], ends: str) -> None:
    to = ("x@y.example", "no@y.example", "z@y.example")

    def session() -> tuple[ClientDriver, Transaction]:
        driver = begun(*offered, config=CHUNKS, dialect=dialect)
        transaction = start(driver, envelope("a@b.example", *to), None)
        converse(driver, ScriptedServer(dialect=dialect, script={"RCPT": [250, 550, 250]}))
        driver.conn.send_body(transaction, b"Hi\r\n")
        driver.pump()
        if "CHUNKING" in offered:
            driver.say("250 Ok")
        driver.conn.end_body(transaction)
        return driver, transaction

    def finish(driver: ClientDriver, transaction: Transaction) -> list[str]:
        match ends:
            case "eof":
                driver.conn.receive_data(b"", 0.0)
            case "close":
                driver.conn.close()
            case "abort":
                driver.conn.abort(transaction)
            case "timeout":
                driver.conn.handle_timeout(1e9)
            case "421":
                driver.conn.receive_data(b"421 Bye\r\n", 0.0)
            case _:
                driver.conn.receive_data(b"rubbish\r\n", 0.0)
        driver.pump()
        assert dones(driver) == [transaction]
        closing(driver)
        return [each.removesuffix(" 421") for each in fates(transaction)]

    driver, transaction = session()
    assert fates(transaction) == ["UNSENT", "REFUSED 550", "UNSENT"]
    assert finish(driver, transaction) == ["UNSENT", "REFUSED 550", "UNSENT"]

    driver, transaction = session()
    assert driver.conn.data_to_send(0.0)
    assert fates(transaction) == ["UNKNOWN", "REFUSED 550", "UNKNOWN"]
    came = finish(driver, transaction)
    if ends != "421":
        assert came == ["UNKNOWN", "REFUSED 550", "UNKNOWN"]
    elif dialect is LMTP:
        # It is the reply for the first.
        assert came == ["REFUSED", "REFUSED 550", "UNKNOWN"]
    else:
        assert came == ["REFUSED", "REFUSED 550", "REFUSED"]


def test_the_last_of_a_message_that_waits_is_not_sent() -> None:
    """It is behind a chunk that has no reply yet: until it leaves, nothing can have been taken."""
    driver, transaction = opened("CHUNKING")
    driver.conn.send_body(transaction, b"12345")
    driver.conn.end_body(transaction)
    assert wire(driver.conn) == b"BDAT 5\r\n12345"
    driver.eof()
    assert fates(transaction) == ["UNSENT"]


def test_outcomes_are_the_envelopes() -> None:
    driver = begun("PIPELINING", dialect=LMTP)
    to = [f"{name}@y.example" for name in "abcdef"]
    transaction = start(driver, envelope("", *to))
    server = ScriptedServer(dialect=LMTP, script={"RCPT": [250, 550, 250, 450, 250, 250], "END": [250, 452, 554, 421]})
    converse(driver, server)
    assert fates(transaction) == [
        "ACCEPTED 250", "REFUSED 550", "REFUSED 452", "REFUSED 450", "REFUSED 554", "REFUSED 421"
    ]  # fmt: skip
    told = [(str(each.recipient.path), each.reply.code) for each in driver.seen(MessageAnswer)]
    assert told == [(to[0], 250), (to[2], 452), (to[4], 554), (to[5], 421)]


# --- whatever happens --------------------------------------------------------------------------------

CODES = [250, 354, 421, 451, 550, 220, 334]
STEPS = ["turn"] * 16 + ["leave"] * 2 + ["send"] * 4 + ["body"] * 2 + ["end"] * 3
STEPS += ["reply", "abort", "reset", "quit", "eof", "close"]


@pytest.mark.catalogue("F13", "H16")
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(CODES)), min_size=20, max_size=80),
    st.sets(st.sampled_from(["PIPELINING", "CHUNKING", "LIMITS MAILMAX=2 RCPTMAX=2"])),
    st.sampled_from([SMTP, LMTP]),
)
def test_a_fate_for_everybody(steps: list[tuple[str, int]], offered: set[str], dialect: Dialect) -> None:
    """Whatever is said in whatever order, each message is done once, before the end, and what was said of it stays."""
    driver = begun(*sorted(offered), config=CHUNKS, dialect=dialect)
    conn = driver.conn
    server = ScriptedServer(dialect=dialect, script={"RCPT": [250, 250, 450], "BDAT": [250, 250, 452]})
    pending: deque[bytes] = deque()
    sent: list[Transaction] = []
    given_whole: set[int] = set()
    left: set[int] = set()  # whose end may have left
    final: dict[int, list[str]] = {}

    def look() -> None:
        while not isinstance(event := conn.next_event(), Wait):
            driver.events.append(event)
            if isinstance(event, TransactionDone):
                assert id(event.transaction) not in final
                final[id(event.transaction)] = fates(event.transaction)
        for each in sent:
            told = fates(each)
            assert each.done == (id(each) in final)
            assert told == final.get(id(each), told)
            assert id(each) in left or not any(fate.startswith(("UNKNOWN", "ACCEPTED")) for fate in told)

    for step, code in steps:
        with suppress(LocalProtocolError):
            match step:
                case "reply":
                    conn.receive_data(b"%d Hm\r\n" % code, 0.0)
                case "leave" | "turn":
                    octets = b"".join(conn.data_to_send(0.0))
                    left |= given_whole if octets else set()
                    pending.extend(server.receive(octets).splitlines(keepends=True))
                    if step == "turn" and pending:
                        conn.receive_data(pending.popleft(), 0.0)
                case "send":
                    sent.append(conn.send(envelope("a@b.example", "x@y.example", "y@y.example", "z@y.example")))
                case "body" if sent:
                    conn.send_body(sent[-1], b"Hi\r\n")
                case "end" if sent:
                    conn.end_body(sent[-1])
                    given_whole.add(id(sent[-1]))
                case "abort" if sent:
                    conn.abort(sent[-1])
                case "eof":
                    conn.receive_data(b"", 0.0)
                case "reset" | "quit" | "close":
                    getattr(conn, step)()
        look()
    conn.close()
    look()
    assert set(map(id, dones(driver))) == set(map(id, sent))
    assert len(dones(driver)) == len(sent)
    closing(driver)


# --- abort -----------------------------------------------------------------------------------------


@GROUPS
@pytest.mark.parametrize("replies", range(4))
def test_abort_before_the_message_closes(offered: tuple[str, ...], replies: int) -> None:
    driver = begun(*offered)
    transaction = start(driver, envelope("a@b.example", "x@y.example", "z@y.example"), None)
    for _ in range(replies):
        driver.say("250 Ok")
    driver.conn.abort(transaction)
    driver.conn.abort(transaction)
    driver.pump()
    assert fates(transaction) == ["UNSENT", "UNSENT"]
    assert dones(driver) == [transaction]
    assert closing(driver).cause is Cause.ABORTED


def test_abort_before_anything_was_sent() -> None:
    driver = begun()
    transaction = driver.send(Send(envelope(), b""))
    driver.conn.abort(transaction)
    driver.pump()
    assert driver.fresh() == b""
    assert fates(transaction) == ["UNSENT"]
    assert closing(driver).cause is Cause.ABORTED


def test_abort_in_data_closes() -> None:
    """Half a message with an end would be a message: RFC 5321 has no other way out."""
    driver, transaction = opened()
    driver.conn.send_body(transaction, b"Hi\r\n")
    driver.conn.abort(transaction)
    driver.pump()
    assert driver.fresh() == b""
    assert fates(transaction) == ["UNSENT"]
    assert closing(driver).cause is Cause.ABORTED


@GROUPS
@EITHER
@pytest.mark.parametrize("octets", [b"", b"12"])
def test_abort_in_chunks_resets(offered: tuple[str, ...], dialect: Dialect, octets: bytes) -> None:
    driver, transaction = opened("CHUNKING", *offered, dialect=dialect)
    driver.conn.send_body(transaction, octets)
    driver.conn.abort(transaction)
    assert driver.pump() is Wait.INTENT
    assert fates(transaction) == ["UNSENT"]
    assert dones(driver) == [transaction]
    assert driver.fresh() == b""
    assert driver.conn.phase is Phase.READY
    driver.conn.abort(transaction)
    second = start(driver)
    server = ScriptedServer(dialect=dialect)
    converse(driver, server)
    assert server.lines[:2] == ["RSET", "MAIL FROM:<a@b.example>"]
    assert fates(second) == ["ACCEPTED 250"]


@GROUPS
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("code", [250, 451, 552, 421, EOF])
def test_abort_behind_a_chunk(offered: tuple[str, ...], left: bool, code: int) -> None:
    driver, transaction = opened("CHUNKING", *offered)
    driver.conn.send_body(transaction, b"1234")
    if left:
        driver.flush()
    driver.conn.send_body(transaction, b"56")
    driver.conn.abort(transaction)
    driver.pump()
    # The chunk has been said; its reply has to be awaited.
    assert driver.fresh() == b"BDAT 4\r\n1234"
    assert not transaction.done
    assert fates(transaction) == ["UNSENT"]
    for intent in (driver.conn.reset, driver.conn.quit, lambda: driver.conn.send(envelope())):
        with pytest.raises(LocalProtocolError, match="before the reply to BDAT"):
            intent()
    if code == EOF:
        driver.eof()
    else:
        driver.say(f"{code} Ok")
    assert fates(transaction) == ["UNSENT"]
    assert dones(driver) == [transaction]
    assert not driver.seen(MessageAnswer)
    if code in (421, EOF):
        closing(driver)
        return
    start(driver)
    assert driver.fresh().startswith(b"RSET\r\n")


@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
@pytest.mark.parametrize("left", [False, True])
def test_abort_after_the_end(offered: tuple[str, ...], left: bool) -> None:
    driver, transaction = opened(*offered)
    driver.conn.end_body(transaction)
    if left:
        driver.flush()
    driver.conn.abort(transaction)
    driver.pump()
    assert fates(transaction) == ["UNKNOWN" if left else "UNSENT"]
    assert closing(driver).cause is Cause.ABORTED


def test_abort_of_what_is_over() -> None:
    driver, transaction = opened("PIPELINING", "CHUNKING")
    driver.conn.send_body(transaction, b"1234")
    driver.conn.send_body(transaction, b"5678")
    driver.pump()
    driver.say("552 Too big")
    driver.conn.abort(transaction)  # refused, and a reply is on its way
    driver.say("552 Too big")
    driver.conn.abort(transaction)  # done
    assert fates(transaction) == ["REFUSED 552"]
    assert dones(driver) == [transaction]
    assert driver.conn.awaits_intent
