"""One end, pumped by hand."""

import pytest

from smtpcore import (
    Answer,
    BodyBegin,
    BodyChunk,
    ClientConfig,
    ClientLimits,
    Closed,
    Connected,
    Deviation,
    Envelope,
    Fate,
    Limits,
    Mailbox,
    Phase,
    Quit,
    Recipient,
    SecretWanted,
    ServerConfig,
    StartTls,
    Wait,
)
from smtpcore.extensions import AUTH, CHUNKING, STARTTLS
from smtpcore.sasl import CRAM_MD5
from smtpcore.testing import (
    CLIENT_TLS,
    ClientDriver,
    Greet,
    HangUp,
    Leave,
    LogIn,
    Pause,
    Say,
    Secure,
    Send,
    ServerDriver,
    joined,
    received,
)

ENVELOPE = Envelope(Mailbox.parse("a@b.example"), (Recipient(Mailbox.parse("c@d.example")),))


def test_server_driver() -> None:
    driver = ServerDriver(start=False)
    assert driver.out == b""
    assert driver.pump() is Wait.DATA
    assert driver.fresh() == b"220 mx.example.org ESMTP ready\r\n"
    assert driver.fresh() == b""
    assert driver.codes("EHLO a") == ["250"]
    assert driver.codes("MAIL FROM:<>", "RCPT TO:<b@c>", "DATA") == ["250 2.1.0", "250 2.1.5", "354"]
    assert driver.feed(b"Hello\r\n.\r\n", 1) == b"250 2.0.0 Message accepted\r\n"
    assert driver.body == b"Hello\r\n"
    assert [type(event) for event in driver.seen(Connected, BodyBegin)] == [Connected, BodyBegin]
    assert driver.at(301.0) is Wait.CLOSED
    assert driver.codes("NOOP") == []


def test_server_driver_asks_again_when_its_replies_have_left() -> None:
    driver = ServerDriver(ServerConfig(hostname="a", limits=Limits(output_octets=512)))
    assert driver.codes(*["NOOP"] * 60) == ["250 2.0.0"] * 60


def test_server_driver_tells_the_end() -> None:
    driver = ServerDriver()
    driver.eof()
    assert driver.wait is Wait.CLOSED
    assert driver.seen(Quit) == []


@pytest.mark.parametrize("succeeds", [True, False])
def test_server_driver_shakes_hands(succeeds: bool) -> None:
    driver = ServerDriver(ServerConfig(hostname="a", extensions=(STARTTLS,)))
    driver.say("EHLO b")
    driver.say("STARTTLS")
    assert driver.seen(StartTls)
    if succeeds:
        driver.handshake()
        assert driver.conn.tls is not None
    else:
        driver.fail_handshake()
    assert driver.wait is (Wait.DATA if succeeds else Wait.CLOSED)


def test_server_driver_knows_no_user() -> None:
    config = ServerConfig(hostname="a", extensions=(AUTH,), mechanisms=(CRAM_MD5,), cleartext_auth=True)
    driver = ServerDriver(config)
    driver.say("EHLO b")
    driver.say("AUTH CRAM-MD5")
    assert driver.codes("YSA3NGU2ODUxZjU1YjE5ZjI1NGE1MjQ3ZjE2NzQ5ZjQ5Zg==") == ["535"]
    assert driver.seen(SecretWanted)


def test_joined() -> None:
    a, b = BodyChunk(b"a"), BodyChunk(b"b")
    early = Deviation("early input")
    assert joined([Quit(), a, early, b, Quit(), b]) == [Quit(), BodyChunk(b"ab"), Quit(), b]


def ready(*capabilities: str, config: ClientConfig | None = None) -> ClientDriver:
    driver = ClientDriver(ClientConfig() if config is None else config)
    driver.say("220 mx")
    driver.do(Greet())
    driver.pump()
    lines = ["mx", *capabilities]
    driver.say(*[f"250-{each}" for each in lines[:-1]], f"250 {lines[-1]}")
    driver.fresh()
    return driver


def test_client_driver() -> None:
    driver = ClientDriver(start=False)
    assert driver.pump() is Wait.DATA
    driver.at(1.0)
    assert driver.feed(b"220 mx\r\n", 1) == b""
    assert driver.wait is Wait.INTENT
    driver.do(Leave())
    driver.pump()
    assert driver.fresh() == b"QUIT\r\n"
    driver.eof()
    assert [type(event).__name__ for event in driver.seen(Closed, Answer)] == ["Closed"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_client_driver_shakes_hands(succeeds: bool) -> None:
    driver = ready("STARTTLS")
    driver.do(Secure())
    driver.pump()
    driver.say("220 go")
    if succeeds:
        driver.handshake()
        assert driver.conn.tls is CLIENT_TLS
    else:
        driver.fail_handshake()
    assert driver.wait is (Wait.INTENT if succeeds else Wait.CLOSED)


def test_client_driver_without_a_mechanism() -> None:
    driver = ready("AUTH X-OWN")
    driver.do(LogIn("tim", "secret"))
    driver.pump()
    assert driver.fresh() == b""


def test_client_driver_waits() -> None:
    driver = ready()
    driver.do(Pause(3.0))
    assert driver.now == 3.0
    driver.do(HangUp())
    assert driver.pump() is Wait.CLOSED


def test_client_driver_gives_in_pieces() -> None:
    driver = ready("PIPELINING")
    driver.do(Send(ENVELOPE, b"abcdefg", (1, 3)))
    driver.pump()
    assert not driver.giving
    driver.say("250 Ok", "250 Ok", "354 go")
    assert not driver.giving
    assert driver.fresh().endswith(b"DATA\r\nabcdefg\r\n.\r\n")
    driver.say("250 Ok")
    assert driver.sent[0].transaction.outcomes[0].fate is Fate.ACCEPTED


def test_client_driver_gives_as_the_replies_permit() -> None:
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=2, unanswered_chunks=1))
    driver = ready("PIPELINING", "CHUNKING", config=config)
    driver.do(Send(ENVELOPE, b"abcdef", (1,)))
    driver.pump()
    driver.say("250 Ok", "250 Ok")
    assert driver.fresh().endswith(b"BDAT 2\r\nab")
    assert driver.giving
    assert driver.say("250 Ok") == b"BDAT 2\r\ncd"
    driver.eof()
    assert not driver.giving
    assert driver.sent[0].transaction.outcomes[0].fate is Fate.UNSENT


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        (Send(ENVELOPE, b"abcdef", (), abandon=3), b"abc"),
        (Send(ENVELOPE, b"ab\ncd", (2,)), b"ab"),
        (Send(ENVELOPE, b"ab\xff", (2,)), b"ab"),
        (Send(ENVELOPE, b"ab\r"), b"ab"),
    ],
    ids=["abandoned", "stray", "eight bit", "stray at the end"],
)
def test_client_driver_gives_up(intent: Send, said: bytes) -> None:
    driver = ready("PIPELINING")
    driver.do(intent)
    driver.pump()
    driver.say("250 Ok", "250 Ok", "354 go")
    assert driver.fresh().partition(b"DATA\r\n")[2] == said
    assert driver.wait is Wait.CLOSED
    assert driver.sent[0].transaction.outcomes[0].fate is Fate.UNSENT


def test_client_driver_that_does_not_give() -> None:
    driver = ready("PIPELINING")
    transaction = driver.send(Send(ENVELOPE, b"abc"), give=False)
    driver.pump()
    driver.say("250 Ok", "250 Ok", "354 go")
    assert transaction.wants_body
    assert driver.conn.phase is Phase.BODY
    assert driver.wait is Wait.INTENT


def test_say_another_command() -> None:
    driver = ready()
    driver.do(Say("NOOP"))
    driver.pump()
    assert driver.fresh() == b"NOOP\r\n"
    assert CHUNKING not in driver.conn.capabilities


def test_received() -> None:
    assert [received(each) for each in (b"", b"a", b"a\r\n", b"a\r")] == [b"", b"a\r\n", b"a\r\n", b"a\r\r\n"]
