"""Messages on their way out: what may be said when, what goes on the wire, and what comes of what the server says."""

import re
from typing import Any

import pytest
from _client_wire import (
    CHUNKS,
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
    Body,
    ClientConfig,
    ClientLimits,
    Closed,
    Dialect,
    Envelope,
    Fate,
    LocalProtocolError,
    MessageAnswer,
    SenderAnswer,
    Stray,
    Transaction,
    TransactionDone,
    Violation,
    Wait,
)
from smtpcore.testing import ClientDriver, pieces
from smtpcore.testing.strategies import messages

ONE_CHUNK = ClientConfig(prefer_chunking=True)
GROUPS = pytest.mark.parametrize("offered", [(), ("PIPELINING",)], ids=["single", "group"])
EITHER = pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=lambda dialect: dialect.name)


# --- out of order --------------------------------------------------------------------------------


def test_send_needs_a_greeted_server() -> None:
    driver = ClientDriver()
    with pytest.raises(LocalProtocolError, match="out of order"):
        driver.conn.send(envelope())
    driver.say("220 Hi")
    with pytest.raises(LocalProtocolError, match="out of order"):
        driver.conn.send(envelope())
    assert driver.out == b""


@GROUPS
def test_one_transaction_at_a_time(offered: tuple[str, ...]) -> None:
    driver = begun(*offered)
    start(driver)
    with pytest.raises(LocalProtocolError, match="before the reply to"):
        driver.conn.send(envelope())
    driver.say("250 Ok")
    with pytest.raises(LocalProtocolError, match="out of order"):
        driver.conn.send(envelope())
    assert driver.conn.divide(envelope()) == (envelope(),)
    for other in (driver.conn.quit, driver.conn.reset, driver.conn.noop):
        with pytest.raises(LocalProtocolError):
            other()


@pytest.mark.parametrize("offered", [(), ("CHUNKING",), ("PIPELINING",)])
def test_nothing_but_the_message_while_it_is_given(offered: tuple[str, ...]) -> None:
    driver, transaction = opened(*offered)
    for intent in (driver.conn.quit, driver.conn.reset, driver.conn.noop, lambda: driver.conn.send(envelope())):
        with pytest.raises(LocalProtocolError, match="out of order"):
            intent()
    assert driver.conn.next_event() is Wait.INTENT
    assert driver.conn.awaits_intent
    assert wire(driver.conn) == b""
    assert fates(transaction) == ["UNSENT"]


def give(driver: ClientDriver, transaction: Transaction) -> None:
    driver.conn.send_body(transaction, b"Hi\r\n")


def end(driver: ClientDriver, transaction: Transaction) -> None:
    driver.conn.end_body(transaction)


BODY_INTENTS = pytest.mark.parametrize("intent", [give, end])


@BODY_INTENTS
def test_a_message_that_is_not_wanted_yet(intent: Any) -> None:
    driver = begun("PIPELINING")
    transaction = start(driver, message=None)
    for reply in ("250 Ok", "250 Ok"):
        with pytest.raises(LocalProtocolError, match="wanted"):
            intent(driver, transaction)
        assert not transaction.wants_body
        assert driver.say(reply) == b""
    driver.say("354 Go")
    assert transaction.wants_body
    intent(driver, transaction)


@BODY_INTENTS
@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
def test_a_message_whose_end_was_given(intent: Any, offered: tuple[str, ...]) -> None:
    driver, transaction = opened(*offered)
    end(driver, transaction)
    octets = wire(driver.conn)
    assert octets in (b".\r\n", b"BDAT 0 LAST\r\n")
    assert not transaction.wants_body
    with pytest.raises(LocalProtocolError, match="wanted"):
        intent(driver, transaction)
    assert wire(driver.conn) == b""
    driver.say("250 Ok")
    assert fates(transaction) == ["ACCEPTED 250"]
    # Of a message that is done no more is wanted, and there is nothing to say of it: a race is nobody's fault.
    intent(driver, transaction)
    assert wire(driver.conn) == b""
    assert driver.conn.awaits_intent


@BODY_INTENTS
def test_what_comes_after_a_refusal_is_dropped(intent: Any) -> None:
    driver, transaction = opened("CHUNKING", "PIPELINING")
    driver.conn.send_body(transaction, b"12345")
    assert wire(driver.conn) == b"BDAT 5\r\n12345"
    driver.conn.send_body(transaction, b"6789")
    assert wire(driver.conn) == b"BDAT 4\r\n6789"
    driver.say("552 Too big")
    assert not transaction.wants_body
    assert not transaction.done
    intent(driver, transaction)
    assert wire(driver.conn) == b""
    driver.say("503 What?")
    assert transaction.done
    intent(driver, transaction)
    assert wire(driver.conn) == b""
    assert fates(transaction) == ["REFUSED 552"]


@BODY_INTENTS
def test_a_message_of_another_connection(intent: Any) -> None:
    _, transaction = opened()
    other, others = opened()
    with pytest.raises(LocalProtocolError, match="connection"):
        intent(other, transaction)
    with pytest.raises(LocalProtocolError, match="connection"):
        other.conn.abort(transaction)
    assert wire(other.conn) == b""
    assert others.wants_body
    assert other.conn.awaits_intent


def test_a_connection_that_is_gone() -> None:
    driver, transaction = opened()
    driver.eof()
    assert fates(transaction) == ["UNSENT"]
    give(driver, transaction)
    end(driver, transaction)
    driver.conn.abort(transaction)
    assert wire(driver.conn) == b""
    with pytest.raises(LocalProtocolError):
        driver.conn.send(envelope())


made: Any = Envelope  # of what the type checker would not take


@pytest.mark.catalogue("B5", "B7")
@pytest.mark.parametrize(
    "wrong",
    [
        None, "a@b.example", b"a@b.example", ("a@b.example", ["x@y.example"]),
        made(envelope().reverse_path, ()),
        made(envelope().reverse_path, None),
        made(envelope().reverse_path, ("x@y.example",)),
        made(envelope().reverse_path, "x@y.example"),
        made(envelope().reverse_path, (each for each in envelope().recipients)),
        made(envelope().reverse_path, list(envelope().recipients)),
        made(envelope().reverse_path, envelope().recipients, None),
        made(envelope().reverse_path, envelope().recipients, {"size": 5}),
        made("a@b.example", envelope().recipients),
        made(None, envelope().recipients),
    ],
    ids=lambda wrong: str(wrong).partition(" at 0x")[0],
)  # fmt: skip
def test_what_is_no_envelope(wrong: Any) -> None:
    driver = begun("PIPELINING")
    with pytest.raises(LocalProtocolError):
        driver.conn.send(wrong)
    if not isinstance(wrong, Envelope) or isinstance(wrong.reverse_path, type(envelope().reverse_path)):
        with pytest.raises(LocalProtocolError):
            driver.conn.divide(wrong)
    works(driver)


def works(driver: ClientDriver) -> None:
    """The session is as if nothing had been said: nothing is on the wire, and a message goes through, without RSET."""
    assert driver.pump() is Wait.INTENT
    assert driver.fresh() == b""
    assert driver.conn.awaits_intent
    server = ScriptedServer()
    transaction = start(driver)
    converse(driver, server)
    assert fates(transaction) == ["ACCEPTED 250"]
    assert server.lines[0] == "MAIL FROM:<a@b.example>"


# --- the message ---------------------------------------------------------------------------------

STRAYS = [b"a\rb", b"a\nb", b"a\0b", b"\n", b"a\r\n.\nb", b"a\n.\r\nb", b"\r\r\n", b"\0"]


@pytest.mark.catalogue("B1", "B2")
@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
@pytest.mark.parametrize("stray", STRAYS)
def test_stray_octets_are_refused(stray: bytes, offered: tuple[str, ...]) -> None:
    driver, transaction = opened(*offered, config=ONE_CHUNK)
    driver.conn.send_body(transaction, b"1")
    with pytest.raises(LocalProtocolError, match=r"bare|NUL"):
        driver.conn.send_body(transaction, stray)
    # Nothing of it was taken, and the message can still be given.
    driver.conn.send_body(transaction, b"2\r\n")
    driver.conn.end_body(transaction)
    octets = wire(driver.conn)
    assert octets == (b"BDAT 4 LAST\r\n12\r\n" if offered else b"12\r\n.\r\n")


@pytest.mark.catalogue("B1")
@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
def test_a_cr_at_the_end_is_refused(offered: tuple[str, ...]) -> None:
    driver, transaction = opened(*offered, config=ONE_CHUNK)
    driver.conn.send_body(transaction, b"12\r")
    with pytest.raises(LocalProtocolError, match="bare CR"):
        driver.conn.end_body(transaction)
    assert transaction.wants_body
    assert wire(driver.conn) == (b"" if offered else b"12")
    driver.conn.send_body(transaction, b"\n")
    driver.conn.end_body(transaction)
    assert wire(driver.conn) in (b"\r\n.\r\n", b"BDAT 4 LAST\r\n12\r\n")


@pytest.mark.catalogue("B1", "B2")
@pytest.mark.parametrize("offered", [(), ("CHUNKING",)])
def test_stray_octets_are_normalised(offered: tuple[str, ...]) -> None:
    config = ClientConfig(prefer_chunking=True, stray=Stray.NORMALISE)
    driver, transaction = opened(*offered, config=config)
    with pytest.raises(LocalProtocolError, match="NUL"):
        driver.conn.send_body(transaction, b"\0")
    for piece in (b"a\rb\n.\nc\r", b"\nd\n\re\r"):
        driver.conn.send_body(transaction, piece)
    driver.conn.end_body(transaction)
    lines = b"a\r\nb\r\n.\r\nc\r\nd\r\n\r\ne\r\n"
    octets = wire(driver.conn)
    if offered:
        assert octets == b"BDAT %d LAST\r\n%b" % (len(lines), lines)
    else:
        assert octets == lines.replace(b"\r\n.", b"\r\n..") + b".\r\n"


@pytest.mark.catalogue("B11")
@pytest.mark.parametrize("offered", [("8BITMIME",), ("8BITMIME", "CHUNKING")])
def test_octets_beyond_ascii(offered: tuple[str, ...]) -> None:
    for of, config in (
        (envelope(), CHUNKS),
        (envelope(body=Body.SEVEN_BIT), CHUNKS),
    ):
        driver, transaction = opened(*offered, of=of, config=config)
        with pytest.raises(LocalProtocolError, match="8BITMIME"):
            driver.conn.send_body(transaction, b"na\xefve")
        driver.conn.end_body(transaction)
        assert wire(driver.conn) in (b".\r\n", b"BDAT 0 LAST\r\n")
    for of, config in (
        (envelope(body=Body.EIGHT_BIT_MIME), CHUNKS),
        (envelope(), ClientConfig(eight_bit=True, prefer_chunking=True)),
    ):
        driver, transaction = opened(*offered, of=of, config=config)
        driver.conn.send_body(transaction, b"na\xefve\r\n")
        driver.conn.end_body(transaction)
        assert b"na\xefve\r\n" in wire(driver.conn)


def test_octets_beyond_ascii_are_those_of_smtputf8_too() -> None:
    driver, transaction = opened("SMTPUTF8", "8BITMIME", of=envelope("ä@b.example"))
    driver.conn.send_body(transaction, "Subject: ä\r\n".encode())
    assert wire(driver.conn) == "Subject: ä\r\n".encode()


def expected_lines(message: bytes) -> bytes:
    """What DATA sends for *message*, line by line."""
    ended = message if not message or message.endswith(b"\r\n") else message + b"\r\n"
    lines = ended.split(b"\r\n")[:-1]
    return b"".join((b"." if line[:1] == b"." else b"") + line + b"\r\n" for line in lines) + b".\r\n"


@pytest.mark.catalogue("B3")
@given(messages(), st.data())
def test_a_cut_of_the_message_does_not_show(message: bytes, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(1, max(1, len(message) - 1)), max_size=8))
    driver, transaction = opened()
    octets = b""
    for piece in pieces(message, places) if message else ():
        driver.conn.send_body(transaction, piece)
        if data.draw(st.booleans()):
            octets += wire(driver.conn)
    driver.conn.end_body(transaction)
    assert octets + wire(driver.conn) == expected_lines(message)


@pytest.mark.catalogue("B3", "B11")
@given(messages() | messages(binary=True), st.booleans(), st.integers(1, 20), st.integers(1, 5), st.data())
def test_chunks_are_the_message(message: bytes, group: bool, octets: int, most: int, data: st.DataObject) -> None:
    """No dot is put in, nor a last CR LF; every chunk but the last is full, and of any octets with BINARYMIME."""
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=5).map(tuple))
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=octets, unanswered_chunks=most))
    offered = ["CHUNKING", "BINARYMIME", "8BITMIME", *["PIPELINING"] * group]
    driver = begun(*offered, config=config)
    server = ScriptedServer(offered)
    transaction = start(driver, envelope(body=Body.BINARY_MIME), message, sizes)
    converse(driver, server)
    assert fates(transaction) == ["ACCEPTED 250"]
    assert server.messages == [message]
    chunks = [line for line in server.lines if line.startswith("BDAT ")]
    assert re.fullmatch(r"BDAT [0-9]+ LAST", chunks.pop())
    for each in chunks:
        assert int(each.removeprefix("BDAT ")) >= octets


@given(messages(stray=True), st.sampled_from([(), ("CHUNKING",)]), st.data())
def test_only_canonical_octets_leave(message: bytes, offered: tuple[str, ...], data: st.DataObject) -> None:
    """Whatever is given and however: what leaves has no bare CR, no bare LF, no NUL, and one end."""
    config = ClientConfig(prefer_chunking=True, stray=data.draw(st.sampled_from([Stray.REJECT, Stray.NORMALISE])))
    driver, transaction = opened(*offered, config=config)
    places = data.draw(st.lists(st.integers(1, max(1, len(message) - 1)), max_size=5))
    refused = False
    for piece in pieces(message, places):
        try:
            driver.conn.send_body(transaction, piece)
        except LocalProtocolError:
            refused = True
    try:
        driver.conn.end_body(transaction)
    except LocalProtocolError:
        refused = True
        driver.conn.send_body(transaction, b"\n")
        driver.conn.end_body(transaction)
    octets = wire(driver.conn)
    assert b"\0" not in octets
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    if not offered:
        assert (b"\r\n" + octets).find(b"\r\n.\r\n") == len(octets) - 3
    if config.stray is Stray.REJECT:
        assert refused


# --- chunks --------------------------------------------------------------------------------------


def test_chunks_gather_and_wait() -> None:
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=4, unanswered_chunks=2))
    driver, transaction = opened("CHUNKING", "PIPELINING", config=config)
    driver.conn.send_body(transaction, b"abc")
    assert wire(driver.conn) == b""
    driver.conn.send_body(transaction, b"d")
    assert wire(driver.conn) == b"BDAT 4\r\nabcd"
    driver.conn.send_body(transaction, b"efghijkl")
    assert wire(driver.conn) == b"BDAT 8\r\nefghijkl"
    assert transaction.wants_body
    driver.conn.send_body(transaction, b"mno")
    assert transaction.wants_body
    driver.conn.send_body(transaction, b"p")
    # Two are on their way: what is given now is kept here.
    assert wire(driver.conn) == b""
    assert not transaction.wants_body
    driver.conn.send_body(transaction, b"q")
    driver.conn.end_body(transaction)
    assert wire(driver.conn) == b""
    assert driver.say("250 Got four") == b"BDAT 5 LAST\r\nmnopq"
    assert driver.say("250 Got twelve") == b""
    assert fates(transaction) == ["UNKNOWN"]
    driver.say("250 Got it")
    assert fates(transaction) == ["ACCEPTED 250"]
    assert driver.events[-1] == TransactionDone(transaction)
    assert [answer.command.argument for answer in driver.seen(MessageAnswer)] == ["5 LAST"]


def test_the_last_chunk_is_said_once() -> None:
    """However many replies to chunks before it come behind it."""
    driver, transaction = opened("CHUNKING", "PIPELINING")
    for piece in (b"1234", b"5678", b"90ab"):
        driver.conn.send_body(transaction, piece)
    driver.conn.end_body(transaction)
    assert wire(driver.conn) == b"BDAT 4\r\n1234BDAT 4\r\n5678BDAT 4\r\n90abBDAT 0 LAST\r\n"
    for _ in range(3):
        assert driver.say("250 Ok") == b""
        assert fates(transaction) == ["UNKNOWN"]
    driver.say("250 Ok")
    assert fates(transaction) == ["ACCEPTED 250"]
    works(driver)


@pytest.mark.parametrize(("dialect", "offered"), [(SMTP, ()), (LMTP, ()), (LMTP, ("PIPELINING",))])
def test_the_last_chunk_waits(dialect: Dialect, offered: tuple[str, ...]) -> None:
    """Without PIPELINING for each chunk before it; in LMTP, too, since it may have one reply or many."""
    driver, transaction = opened("CHUNKING", *offered, dialect=dialect, of=envelope("", "x@y.example", "z@y.example"))
    driver.conn.send_body(transaction, b"12345")
    driver.conn.end_body(transaction)
    assert wire(driver.conn) == b"BDAT 5\r\n12345"
    assert fates(transaction) == ["UNSENT", "UNSENT"]
    assert driver.say("250 Ok") == b"BDAT 0 LAST\r\n"
    assert fates(transaction) == ["UNKNOWN", "UNKNOWN"]
    driver.say("250 Ok")
    assert transaction.done == (dialect is SMTP)
    driver.say(*["452 Full"] * (dialect is LMTP))
    assert fates(transaction) == ["ACCEPTED 250", "ACCEPTED 250" if dialect is SMTP else "REFUSED 452"]
    assert dones(driver) == [transaction]


@pytest.mark.parametrize("reply", ["250 Ok", "451 No", "554 No"])
def test_a_chunk_is_refused_and_the_next_message_does_not_wait(reply: str) -> None:
    driver, transaction = opened("CHUNKING", "PIPELINING")
    driver.conn.send_body(transaction, b"1234")
    driver.conn.end_body(transaction)
    assert wire(driver.conn) == b"BDAT 4\r\n1234BDAT 0 LAST\r\n"
    with pytest.raises(LocalProtocolError, match="before the reply to BDAT"):
        driver.conn.send(envelope())
    driver.say("452 Full")
    assert driver.seen(MessageAnswer)[0].command.argument == "4"
    assert fates(transaction) == ["REFUSED 452"]
    assert not transaction.done
    second = start(driver, envelope("c@d.example"))
    assert driver.fresh() == b"RSET\r\nMAIL FROM:<c@d.example>\r\nRCPT TO:<x@y.example>\r\n"
    driver.say(reply)
    assert dones(driver)[0] is transaction
    if reply.startswith("250"):
        # A chunk of it was refused, and yet it was taken?
        assert fates(transaction) == ["UNKNOWN"]
        assert second.outcomes[0].fate is Fate.UNSENT
        assert dones(driver) == [transaction, second]
        assert closing(driver).violation is Violation.WRONG_REPLY
        return
    assert fates(transaction) == ["REFUSED 452"]
    driver.say("250 Reset", "250 Ok", "250 Ok")
    assert driver.fresh().endswith(b"BDAT 4\r\nHi\r\nBDAT 0 LAST\r\n")
    driver.say("250 Ok", "250 Ok")
    assert fates(second) == ["ACCEPTED 250"]


def test_chunks_that_were_not_sent_are_dropped() -> None:
    limits = ClientLimits(chunk_octets=1, unanswered_chunks=1000, pipelined_octets=512)
    driver, transaction = opened("CHUNKING", "PIPELINING", config=ClientConfig(prefer_chunking=True, limits=limits))
    for _ in range(600):
        driver.conn.send_body(transaction, b"x")
    driver.conn.end_body(transaction)
    sent = wire(driver.conn).count(b"BDAT 1\r\nx")
    assert sent == 512 // len(b"BDAT 1\r\n")
    assert fates(transaction) == ["UNSENT"]
    driver.say("452 Full")
    for _ in range(sent - 1):
        assert not transaction.done
        assert driver.say("503 What?") == b""
    assert fates(transaction) == ["REFUSED 452"]
    assert dones(driver) == [transaction]
    start(driver)
    assert driver.fresh().startswith(b"RSET\r\nMAIL")


# --- without the server ------------------------------------------------------------------------------


def test_a_message_that_is_refused_here() -> None:
    driver = begun("PIPELINING", "SIZE 100")
    transaction = start(driver, envelope("a@b.example", "x@y.example", "z@y.example", size=101))
    assert transaction.done
    assert fates(transaction) == ["REFUSED 552 5.3.4 local"] * 2
    assert driver.events == [TransactionDone(transaction)]
    assert not driver.seen(SenderAnswer, Closed)
    for intent in (give, end):
        intent(driver, transaction)
    driver.conn.abort(transaction)
    works(driver)


def test_mailmax() -> None:
    driver = begun("LIMITS MAILMAX=2")
    server = ScriptedServer()
    assert driver.conn.transactions_left == 2
    for left in (1, 0):
        transaction = start(driver)
        assert driver.conn.transactions_left == left
        converse(driver, server)
        assert fates(transaction) == ["ACCEPTED 250"]
    driver.events.clear()
    transaction = start(driver)
    assert fates(transaction) == ["UNSENT 452 4.3.2 local"]
    assert driver.events == [TransactionDone(transaction)]
    assert driver.fresh() == b""
    assert driver.conn.awaits_intent
    assert driver.conn.transactions_left == 0


def test_what_is_refused_here_is_no_transaction() -> None:
    driver = begun("LIMITS MAILMAX=1", "SIZE 100")
    assert start(driver, envelope(size=101)).outcomes[0].fate is Fate.REFUSED
    assert driver.conn.transactions_left == 1
