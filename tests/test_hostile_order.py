"""What hostile and broken clients send: commands out of order, chunks, floods; and what a verdict is worth."""

import re

import pytest
from _dialogue import Driver, accept_all, codes, config, in_data, opened, ready
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore import (
    LMTP,
    NULL_PATH,
    Abort,
    BodyAborted,
    BodyEnd,
    Cause,
    Closed,
    EarlyInput,
    Limits,
    Quirk,
    Refused,
    Reply,
    ServerConnection,
    ServerEvent,
    Wait,
    safe,
)
from smtpcore.extensions import SIZE, STANDARD, STARTTLS

CUTS = pytest.mark.parametrize("cut", [None, 1], ids=["whole", "octets"])
END = b"\r\n.\r\n"
STRAY = b"554 5.6.0 Message holds a bare CR, a bare LF or a NUL\r\n"
ACCEPTED = b"250 2.0.0 Message accepted\r\n"


# --- F: the machine, pipelining, BDAT -------------------------------------------------------------------


@pytest.mark.catalogue("F1", "F2", "F3", "F4")
def test_order_and_resets() -> None:
    driver = ready()
    assert driver.codes("RCPT TO:<a@example.org>", "DATA") == ["503 5.5.1"] * 2
    assert driver.codes("MAIL FROM:<>", "MAIL FROM:<>", "RCPT TO:<a@example.org>") == [
        "250 2.1.0",
        "503 5.5.1",
        "250 2.1.5",
    ]
    assert driver.codes("EHLO client.example") == ["250"]
    assert driver.codes("DATA") == ["503 5.5.1"]
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA")
    assert driver.codes("a\nb", ".", "RCPT TO:<a@example.org>") == ["554 5.6.0", "503 5.5.1"]
    driver.say("MAIL FROM:<>", "RCPT TO:<a@example.org>")
    driver.feed(b"BDAT 4\r\na\nbc")
    assert driver.codes("DATA") == ["503 5.5.1"]
    driver = opened()
    # "BDAT 4 FIRST": what follows cannot be told from commands.
    assert driver.codes("BDAT 4 FIRST", "DATA") == ["501 5.5.4"]
    assert driver.wait is Wait.CLOSED


@pytest.mark.catalogue("F5")
@CUTS
@pytest.mark.parametrize("where", ["HELLO", "READY", "MAIL", "not offered", "no TLS"])
def test_a_refused_chunk_is_consumed(where: str, cut: int | None) -> None:
    driver = Driver(
        config(
            extensions=(SIZE,) if where == "not offered" else (*STANDARD, STARTTLS),
            tls_required=where == "no TLS",
        )
    )
    if where != "HELLO":
        driver.say("EHLO client.example")
    if where == "MAIL":
        driver.say("MAIL FROM:<>")
    out = driver.feed(b"BDAT 18 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n", cut)
    assert [code[:3] for code in codes(out)] == ["502" if where == "not offered" else "503"]
    assert driver.codes("NOOP")[0][:3] == "250"


@pytest.mark.catalogue("F6", "A10")
@CUTS
def test_a_chunk_that_does_not_come_whole(cut: int | None) -> None:
    driver = opened()
    driver.feed(b"BDAT 100 LAST\r\n" + b"x" * 43, cut)
    driver.eof()
    assert not driver.seen(BodyEnd)
    assert driver.events[-2:] == [BodyAborted(Abort.LOST), Closed(Cause.EOF)]


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize(
    "size",
    [
        "-1",
        "0x10",
        "1_0",
        "+1",
        "",
        "1 2",
        "1.0",
        "1e1",
        "9" * 21,
        "\u0663",
        "\u00b2",
        "\uff11",
        "LAST",
        "5 FIRST",
        "5LAST",
    ],
)
def test_a_size_that_cannot_be_read_closes(size: str) -> None:
    for driver in (ready(), opened()):
        assert driver.codes(f"BDAT {size}", "NOOP") == ["501 5.5.4"]
        assert driver.events[-1] == Closed(Cause.PROTOCOL, "BDAT")


@pytest.mark.catalogue("F7", "G8")
@pytest.mark.parametrize("size", [2**64 + 5, 10**20 - 1, 2**63, 78_643_201])
def test_a_size_too_great_to_be_consumed_closes(size: int) -> None:
    for driver in (ready(), opened()):
        assert driver.codes(f"BDAT {size} LAST") == ["421 4.3.0"]
        assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")


@pytest.mark.catalogue("F7")
def test_a_size_of_nothing() -> None:
    driver = opened()
    assert driver.codes("BDAT 0 LAST") == ["250 2.0.0"]
    assert driver.seen(BodyEnd) == [BodyEnd(0)]
    driver = opened(limits=Limits(message_octets=65_536))
    assert codes(driver.feed(b"BDAT 65537 LAST\r\n" + b"x" * 65_537)) == ["552 5.3.4"]


@pytest.mark.catalogue("F8")
def test_many_chunks() -> None:
    driver = opened()
    out = driver.feed(b"BDAT 1\r\nx" * 10_000 + b"BDAT 1 LAST\r\nx", 65_536)
    assert codes(out).count("250 2.0.0") == 10_000
    assert codes(out)[-1] == "552 5.3.4"
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG, "chunks")]


@pytest.mark.catalogue("F9")
def test_ways_of_sending_do_not_mix() -> None:
    driver = opened()
    assert codes(driver.feed(b"BDAT 2\r\n\r\nRSET\r\nBDAT 6\r\nNOOP\r\n")) == ["250 2.0.0", "250 2.0.0", "503 5.5.1"]
    driver = opened()
    assert codes(driver.feed(b"BDAT 2 LAST\r\n\r\nBDAT 6 LAST\r\nNOOP\r\n")) == ["250 2.0.0", "503 5.5.1"]
    driver = opened()
    assert codes(driver.feed(b"BDAT 2\r\n\r\nDATA\r\n")) == ["250 2.0.0", "503 5.5.1"]
    driver = in_data()
    assert codes(driver.feed(b"BDAT 2 LAST\r\n\r\n\r\n.\r\n")) == ["250 2.0.0"]
    assert driver.body == b"BDAT 2 LAST\r\n\r\n\r\n"


PRINTABLE = re.compile(rb"(?:[2-5][0-5][0-9][ -][ -~]{0,506}\r\n)*")


@pytest.mark.catalogue("F14", "J1", "J2")
@pytest.mark.parametrize(
    "line",
    [b"EHLO a\x1b[31mb", b"EHLO a\x1b]0;x\x07", b"HELO a\rb", b"NOOP \x1b[2J", b"VRFY \x1b[2J",
     b"MAIL FROM:<\x1b[2J@x>", b"\x1b[2J",
     b"MAIL FROM:<> \x1b=1", b"MAIL FROM:<> " + b"X" * 1_900, b"HELP \x1b", b"FOO\xe2\x80\xae", b"AUTH \x1b",
     b"ETRN \x1b", b"X" * 2_000],
)  # fmt: skip
def test_replies_are_safe(line: bytes) -> None:
    driver = Driver(config(quirks=frozenset(Quirk), verify=True))
    for _ in range(2):
        driver.feed(line + b"\r\n")
        assert PRINTABLE.fullmatch(driver.out)
        driver.say("EHLO client.example")
    told = safe("".join(safe(event.line) for event in driver.seen(Refused)))
    assert told.isprintable()


@pytest.mark.catalogue("F14")
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_replies_are_safe_whatever_comes(lines: list[bytes]) -> None:
    driver = Driver(config(early_input=EarlyInput.REPORT))
    driver.feed(b"EHLO client.example\r\n" + b"".join(line + b"\r\n" for line in lines))
    assert PRINTABLE.fullmatch(driver.out)


# --- G: exhaustion ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("G5")
def test_a_client_that_takes_nothing() -> None:
    conn = ready(limits=Limits(junk_commands=10**6)).conn
    flood = b"HELP\r\n" * 10_000
    conn.receive_data(flood, 0.0)
    assert conn.next_event() is Wait.SEND
    for _ in range(50):
        if conn.wants_data:
            conn.receive_data(flood, 0.0)
        assert conn.next_event() is Wait.SEND
    assert conn._link.out_octets < conn.limits.output_octets + 512
    assert len(conn._in) < conn.limits.buffered_octets + len(flood)


@pytest.mark.catalogue("G7")
def test_budgets() -> None:
    driver = ready()
    assert driver.codes(*["FOO"] * 11)[-1] == "421 4.7.0"
    for word in ("NOOP", "RSET", "HELP", "VRFY a", "EXPN a"):
        driver = ready()
        assert driver.codes(*[word] * 101)[-1] == "421 4.7.0"
        assert driver.wait is Wait.CLOSED
    driver = ready()
    said = driver.codes("MAIL FROM:<>", *["RCPT TO:<a@example.org>"] * 1_001)
    assert (said.count("250 2.1.5"), said[-1]) == (1_000, "452 4.5.3")


@pytest.mark.catalogue("G8")
def test_a_message_without_end() -> None:
    driver = in_data(limits=Limits(message_octets=1_000_000))
    read = b"x" * 65_536
    for _ in range(16):
        driver.feed(read)
    assert len(driver.body) == 1_000_000
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG, "message_octets")]
    for _ in range(7):
        driver.feed(read)
    assert driver.events[-1] == Closed(Cause.LIMIT, "discard_octets")
    assert len(driver.body) == 1_000_000


UNITS = {
    "commands": b"NOOP\r\n",
    "one long line": b"x",
    "empty lines": b"\r\n",
    "bare line ends": b"\n",
    "messages": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\n.\r\n",
    "chunks": b"BDAT 1\r\nx",
    "messages in chunks": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 1 LAST\r\nx",
    "stray chunks": b"BDAT 1 LAST\r\nx",
    "recipients": b"MAIL FROM:<>\r\nRCPT TO:<a@b>\r\n",
}
FOREVER = Limits(
    junk_commands=10**9, errors=10**9, recipients=10**9, chunks=10**9, message_octets=10**9, swallowed_octets=10**9,
    buffered_octets=10**9, output_octets=10**9,
)  # fmt: skip


@pytest.mark.catalogue("G10")
@pytest.mark.parametrize("cut", [None, 1, 1000], ids=["one read", "octets", "reads of 1000"])
@pytest.mark.parametrize(
    "before", [[], ["MAIL FROM:<>", "RCPT TO:<a@b>"], ["MAIL FROM:<>", "RCPT TO:<a@b>", "DATA"]], ids=len
)
@pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)
def test_time_is_linear_in_the_input(unit: bytes, before: list[str], cut: int | None) -> None:
    settings = config(early_input=EarlyInput.REPORT, limits=FOREVER)

    def session(octets: bytes) -> None:
        driver = Driver(settings)
        driver.say("EHLO client.example")
        driver.say(*before)
        conn = driver.conn
        for start in range(0, len(octets), cut or len(octets)):
            conn.receive_data(octets[start : start + cut] if cut else octets, 0.0)
            while not isinstance(event := conn.next_event(), Wait):
                accept_all(conn, event)
            conn.data_to_send(0.0)
        assert event is Wait.DATA

    # What lies behind a message in one read must not be gone through once for each; it takes a great read to see it.
    size = 128_000 if unit is UNITS["messages"] and cut is None else 4_000
    assert_linear(session, lambda size: unit * (size // len(unit)), size, 256_000)


# --- H: what a verdict is worth ---------------------------------------------------------------------------


@pytest.mark.catalogue("H7")
def test_the_verdict_is_said_at_once_and_the_client_told_before_it_leaves() -> None:
    driver = in_data()
    assert driver.say("x", ".") == ACCEPTED
    driver.eof()
    assert driver.events[-1] == Closed(Cause.EOF)


@pytest.mark.catalogue("H16")
def test_every_recipient_has_a_fate_of_its_own() -> None:
    def answer(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, BodyEnd):
            conn.settle(event, [Reply(250, "a"), Reply(452, "b"), Reply(550, "c")])
        else:
            accept_all(conn, event)

    driver = Driver(dialect=LMTP, answer=answer)
    driver.say("LHLO client.example")
    driver.say("MAIL FROM:<>", *(f"RCPT TO:<{name}@example.org>" for name in "abc"), "DATA")
    assert driver.codes(".") == ["250 2.0.0", "452 4.0.0", "550 5.0.0"]


@pytest.mark.catalogue("H20", "C5")
def test_nothing_is_left_of_a_transaction() -> None:
    driver = ready()
    conn = driver.conn
    envelopes = []
    for end in ("RSET", "EHLO client.example", "DATA"):
        driver.say(f"MAIL FROM:<{end[:4]}@client.example> SIZE=5", "RCPT TO:<a@example.org>")
        envelopes.append(conn.envelope)
        driver.say(end)
        if end == "DATA":
            driver.say(".")
        assert conn.envelope is None
        driver.say("MAIL FROM:<>")
        assert conn.envelope is not None
        assert (conn.envelope.reverse_path, conn.envelope.recipients) == (NULL_PATH, ())
        assert conn.envelope.params.size is None
        driver.say("RSET")
    # What was handed out before is not changed by what came after.
    assert [str(each.reverse_path) for each in envelopes if each] == [
        "RSET@client.example", "EHLO@client.example", "DATA@client.example",
    ]  # fmt: skip
    assert all(len(each.recipients) == 1 for each in envelopes if each)


@pytest.mark.catalogue("H20")
def test_sessions_share_nothing_but_the_config() -> None:
    settings = config(limits=Limits(errors=1))
    first, second = Driver(settings), Driver(settings)
    assert first.codes("FOO") == second.codes("FOO") == ["500 5.5.1"]
    first.say("EHLO first.example")
    first.say("MAIL FROM:<a@first.example>")
    assert second.conn.hello is None
    assert second.conn.envelope is None
