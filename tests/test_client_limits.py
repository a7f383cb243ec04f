"""Every limit of a client at its number, and one over it."""

from collections.abc import Callable

import pytest
from _client_play import ENVELOPE, NAME, SITUATIONS, TLS, Play, Scripted, greeted, ready

from smtpcore import (
    LMTP,
    SMTP,
    Answer,
    Cause,
    ClientConfig,
    ClientLimits,
    Dialect,
    Envelope,
    HelloDone,
    LocalProtocolError,
    Mailbox,
    MessageAnswer,
    Recipient,
    RecipientAnswer,
    Violation,
    Wait,
)
from smtpcore._limits import LimitRow, rows


def limited(**numbers: int) -> ClientConfig:
    return ClientConfig(limits=ClientLimits(**numbers), prefer_chunking=True)


def asked(config: ClientConfig) -> Play:
    play = ready(config=config)
    play.conn.noop()
    play.sent()
    play.pump()
    return play


def is_too_long(play: Play, limit: str) -> bool:
    if play.wait is Wait.CLOSED:
        assert (play.closed.cause, play.closed.violation) == (Cause.LIMIT, Violation.REPLY_TOO_LONG)
        assert play.closed.limit == limit
        assert not isinstance(play.events[-2], Answer)
        return True
    assert isinstance(play.last, Answer)
    return False


FEEDS: dict[str, Callable[[Play, bytes], object]] = {"whole": Play.feed, "octet by octet": Play.drip}


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("how", FEEDS)
@pytest.mark.parametrize("most", [512, 600, 4096])
def test_reply_line_octets(most: int, how: str) -> None:
    for octets in (most, most + 1):
        for lines in (b"", b"250-more\r\n"):
            play = asked(limited(reply_line_octets=most))
            FEEDS[how](play, lines + b"250 " + b"x" * (octets - 6) + b"\r\n")
            assert is_too_long(play, "reply_line_octets") is (octets > most)


@pytest.mark.catalogue("G4")
def test_a_line_without_an_end_is_cut_as_soon_as_it_is_too_long() -> None:
    play = asked(limited(reply_line_octets=600))
    play.feed(b"250 " + b"x" * 596)
    assert play.wait is Wait.DATA
    play.feed(b"x")
    assert is_too_long(play, "reply_line_octets")


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("how", FEEDS)
@pytest.mark.parametrize("most", [1, 2, 7])
def test_reply_lines(most: int, how: str) -> None:
    for lines in (most, most + 1):
        play = asked(limited(reply_lines=most)) if most > 1 else greeted(limited(reply_lines=most))
        if most == 1:
            play.conn.noop()
            play.sent()
        FEEDS[how](play, b"250-more\r\n" * (lines - 1) + b"250 last\r\n")
        assert is_too_long(play, "reply_lines") is (lines > most)


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("how", FEEDS)
def test_reply_octets(how: str) -> None:
    most = 1000
    line = b"250-" + b"x" * 94 + b"\r\n"
    for last in (100, 101):
        play = asked(limited(reply_octets=most))
        FEEDS[how](play, line * 9 + b"250 " + b"x" * (last - 6) + b"\r\n")
        assert is_too_long(play, "reply_octets") is (last > 100)


@pytest.mark.catalogue("G4")
def test_a_reply_without_an_end() -> None:
    play = asked(ClientConfig())
    fed = 0
    while play.wait is Wait.DATA:
        play.feed(b"250-x\r\n" * 100)
        fed += 700
    assert is_too_long(play, "reply_lines")
    assert fed <= 7_700  # a thousand lines


@pytest.mark.catalogue("G4")
@pytest.mark.parametrize("most", [32, 200])
def test_capabilities(most: int) -> None:
    for number in (most, most + 1):
        play = greeted(limited(capabilities=most))
        play.conn.hello(NAME)
        play.sent()
        play.hear("250-mx", *(f"250-X{each}" for each in range(number - 1)), "250 LAST")
        if number > most:
            assert (play.closed.cause, play.closed.violation) == (Cause.LIMIT, Violation.TOO_MANY_CAPABILITIES)
            assert play.closed.limit == "capabilities"
            assert not any(isinstance(event, HelloDone) for event in play.events)
        else:
            assert len(play.conn.capabilities.keywords) == most


def test_buffered_octets() -> None:
    play = asked(limited(buffered_octets=4200, reply_line_octets=512))
    conn = play.conn
    conn.receive_data(b"250-" + b"x" * 4195, 0.0)
    assert conn.wants_data
    conn.receive_data(b"x", 0.0)
    assert not conn.wants_data
    play.pump()
    assert is_too_long(play, "reply_line_octets")
    assert not conn.wants_data


@pytest.mark.parametrize(("buffered", "line"), [(512, 512), (512, 4096), (4096, 4096)])
def test_there_is_always_room_for_the_line_that_is_awaited(buffered: int, line: int) -> None:
    play = asked(limited(buffered_octets=buffered, reply_line_octets=line))
    for octet in b"250 " + b"x" * (line - 6) + b"\r\n":
        assert play.conn.wants_data
        play.feed(bytes([octet]))
    assert isinstance(play.last, Answer)


@pytest.mark.catalogue("B9")
@pytest.mark.parametrize("most", [512, 2048])
def test_command_octets(most: int) -> None:
    play = ready(config=limited(command_octets=most))
    with pytest.raises(LocalProtocolError, match=f"at most {most} octets, not {most + 1}"):
        play.conn.verify("x" * (most + 1 - len("VRFY \r\n")))
    assert play.sent() == b""
    assert play.wait is Wait.INTENT
    play.conn.verify("x" * (most - len("VRFY \r\n")))
    assert len(play.sent()) == most


@pytest.mark.catalogue("D7")
@pytest.mark.parametrize("most", [12288, 12290])
def test_auth_octets(most: int) -> None:
    # Base64 grows by four octets: 9213 octets come to 12286 with CRLF, 9214 to 12290.
    for octets in (9213, 9214, 9217):
        play = ready("AUTH X", config=limited(auth_octets=most), tls=TLS)
        play.conn.authenticate(Scripted(None, b"a" * octets))
        play.sent()
        play.hear("334 ")
        line = 4 * -(-octets // 3) + 2
        assert len(play.sent()) == (line if line <= most else len("*\r\n"))


def many(recipients: int) -> Envelope:
    return Envelope(
        Mailbox.parse("a@b.example"),
        tuple(Recipient(Mailbox.parse(f"user{each:04}@d.example")) for each in range(recipients)),
    )


@pytest.mark.parametrize("spare", [0, 1])
def test_pipelined_octets(spare: int) -> None:
    mail, rcpt = b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<user0000@d.example>\r\n"
    most = len(mail) + 20 * len(rcpt) - spare
    play = ready("PIPELINING", config=ClientConfig(limits=ClientLimits(pipelined_octets=most)))
    play.conn.send(many(50))
    first = play.sent()
    assert first.count(b"RCPT") == 20 - spare
    assert play.sent() == b""
    # Each reply makes room, and what has room then leaves, in its order.
    commands = [mail, *(b"RCPT TO:<user%04d@d.example>\r\n" % each for each in range(50)), b"DATA\r\n"]
    said = first
    for answered in range(len(commands) - 1):
        play.hear("250 Ok")
        said += play.sent()
        outstanding = len(said) - len(b"".join(commands[: answered + 1]))
        assert b"".join(commands).startswith(said)
        assert outstanding <= most
        assert outstanding > most - len(rcpt) or said.endswith(b"DATA\r\n")
    assert said == b"".join(commands)


@pytest.mark.parametrize("most", [1, 10, 262_144])
def test_chunk_octets(most: int) -> None:
    play = ready("CHUNKING", "PIPELINING", config=limited(chunk_octets=most))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok", "250 Ok")
    play.conn.send_body(transaction, b"x" * (most - 1))
    assert play.sent() == b""
    assert transaction.wants_body
    play.conn.send_body(transaction, b"y")
    assert play.sent() == b"BDAT %d\r\n" % most + b"x" * (most - 1) + b"y"


@pytest.mark.parametrize("most", [1, 2, 4])
def test_unanswered_chunks(most: int) -> None:
    play = ready("CHUNKING", "PIPELINING", config=limited(chunk_octets=5, unanswered_chunks=most))
    transaction = play.conn.send(ENVELOPE)
    play.sent()
    play.hear("250 Ok", "250 Ok")
    for _ in range(most):
        assert transaction.wants_body
        play.conn.send_body(transaction, b"12345")
        assert play.sent() == b"BDAT 5\r\n12345"
    play.conn.send_body(transaction, b"67890")
    assert not transaction.wants_body
    assert play.sent() == b""
    play.hear("250 Ok")
    assert play.sent() == b"BDAT 5\r\n67890"


@pytest.mark.parametrize("most", [64, 512])
@pytest.mark.parametrize("dialect", [SMTP, LMTP], ids=["RCPT", "verdict"])
def test_outcome_characters(dialect: Dialect, most: int) -> None:
    """A thousand recipients are not to keep a thousand long replies."""
    for characters in (most, most + 1):
        play = ready("PIPELINING", config=limited(outcome_characters=most), dialect=dialect)
        transaction = play.conn.send(many(2))
        play.sent()
        if dialect is SMTP:
            play.hear("250 Ok", "550 5.1.1 " + "x" * characters, "250 Ok", "354 Go")
        else:
            play.hear("250 Ok", "250 Ok", "250 Ok", "354 Go")
            play.conn.end_body(transaction)
            play.sent()
            play.hear("550 5.1.1 " + "x" * characters, "250 Ok")
        told = [event.reply for event in play.events if isinstance(event, RecipientAnswer | MessageAnswer)]
        reply = transaction.outcomes[0].reply
        assert reply is not None
        assert "x" * characters in [each.text for each in told]
        assert reply.text == "x" * most + ("" if characters == most else "...")
        assert (reply.code, str(reply.status)) == (550, "5.1.1")


def test_all_limits_are_tried() -> None:
    tried = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {row.name for row in rows(ClientLimits)} <= tried


@pytest.mark.parametrize("row", list(rows(ClientLimits)), ids=lambda row: row.name)
def test_no_limit_is_below_its_floor(row: LimitRow) -> None:
    name, floor = row.name, row.floor
    assert getattr(ClientLimits(**{name: floor}), name) == floor
    with pytest.raises(LocalProtocolError, match=f"{name} must be at least {floor}"):
        ClientLimits(**{name: floor - 1})


def test_the_least_limits_of_all_do() -> None:
    least = ClientLimits(**{row.name: row.floor for row in rows(ClientLimits)})
    config = ClientConfig(limits=least)
    play = Play(config)
    play.hear("220 mx")
    play.conn.hello(NAME)
    play.sent()
    play.hear("250 mx")
    transaction = play.conn.send(ENVELOPE)
    for reply in ("250 Ok", "250 Ok", "354 Go"):
        assert play.sent()
        play.hear(reply)
    play.conn.send_body(transaction, b"x")
    play.conn.end_body(transaction)
    assert play.sent() == b"x\r\n.\r\n"
    play.hear("250 Ok")
    assert [outcome.fate.name for outcome in transaction.outcomes] == ["ACCEPTED"]


def test_every_situation_fits_into_them() -> None:
    for make in SITUATIONS.values():
        play = make()
        assert len(play.events) < 20


def test_memory_is_the_sum_of_what_is_held() -> None:
    stock = ClientLimits()
    assert stock.memory() == sum((row.default or 0) * row.memory for row in rows(ClientLimits))
    assert ClientLimits(reply_octets=stock.reply_octets + 7).memory() == stock.memory() + 7
