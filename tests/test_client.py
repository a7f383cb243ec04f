"""The greeting, EHLO, STARTTLS and the small commands, from the side of the client."""

import base64
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
    Play,
    greeted,
    ready,
    state,
)

from smtpcore import (
    LMTP,
    NO_CAPABILITIES,
    Answer,
    Cause,
    ClientConfig,
    Closed,
    Command,
    Deviation,
    Greeting,
    HelloDone,
    LocalProtocolError,
    Oddity,
    Phase,
    Reply,
    Violation,
    Wait,
)
from smtpcore.extensions import SIZE

EHLO = Command("EHLO", NAME)
HELO = Command("HELO", NAME)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


# --- the greeting ------------------------------------------------------------------------------------


def test_the_greeting() -> None:
    play = Play()
    assert play.wait is Wait.DATA
    assert play.sent() == b""
    assert play.hear("220-mx.example", "220 hello") == [Greeting(Reply(220, "mx.example\nhello"))]
    assert play.wait is Wait.INTENT
    assert play.conn.phase is Phase.HELLO


def test_no_status_is_read_from_a_greeting() -> None:
    assert Play().hear("220 2.0.0 mx.example") == [Greeting(Reply(220, "2.0.0 mx.example"))]


@pytest.mark.parametrize("code", [200, 211, 250, 251, 252])
def test_an_odd_greeting_that_says_yes(code: int) -> None:
    play = Play()
    told = play.hear(f"{code} mx.example")
    assert told[-2:] == [Deviation(Oddity.UNEXPECTED_CODE), Greeting(Reply(code, "mx.example"))]
    assert play.conn.phase is Phase.HELLO


@pytest.mark.parametrize("reply", ["450 4.3.2 No", "521 No", "554 5.7.1 No"])
def test_a_greeting_that_says_no(reply: str) -> None:
    play = Play()
    (greeting,) = play.hear(reply)
    assert isinstance(greeting, Greeting)
    assert str(greeting.reply) == reply
    assert play.wait is Wait.INTENT
    with pytest.raises(LocalProtocolError):
        play.conn.hello(NAME)
    assert play.conn.quit() == Command("QUIT")
    assert play.sent() == b"QUIT\r\n"
    assert play.hear("221 Bye") == [
        Answer(Command("QUIT"), Reply(221, "Bye")),
        Closed(Cause.QUIT, reply=Reply(221, "Bye")),
    ]


def test_a_greeting_of_421() -> None:
    play = Play()
    reply = Reply(421, "Busy", "4.3.2")
    assert play.hear("421 4.3.2 Busy") == [Greeting(reply), Closed(Cause.REJECTED, reply=reply)]
    assert play.wait is Wait.CLOSED


@pytest.mark.parametrize("code", [300, 334, 354, 359])
def test_a_greeting_that_cannot_be(code: int) -> None:
    play = Play()
    play.hear(f"{code} mx.example")
    assert play.closed.violation is Violation.WRONG_REPLY
    assert play.closed.detail == f"{code} to greeting"


# --- EHLO, HELO, LHLO --------------------------------------------------------------------------------


def test_ehlo() -> None:
    play = greeted()
    assert play.conn.hello(NAME) == EHLO
    assert play.sent() == b"EHLO client.example\r\n"
    (done,) = play.hear("250-mx.example at your service", "250-SIZE 1000", "250 X-ODD a b")
    assert isinstance(done, HelloDone)
    assert done.command == EHLO
    assert done.reply == Reply(250, "mx.example at your service\nSIZE 1000\nX-ODD a b")
    assert done.capabilities is play.conn.capabilities
    assert done.capabilities.host == "mx.example"
    assert done.capabilities.keywords == {"SIZE": "1000", "X-ODD": "a b"}
    assert done.capabilities.of(SIZE) == done.capabilities.size == 1000
    assert play.conn.greeted == EHLO
    assert play.conn.phase is Phase.READY
    assert play.wait is Wait.INTENT


def test_an_address_literal_is_a_name() -> None:
    play = greeted()
    play.conn.hello("[IPv6:2001:db8::1]")
    assert play.sent() == b"EHLO [IPv6:2001:db8::1]\r\n"


def test_a_capability_that_looks_like_a_status_is_none() -> None:
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    (deviation, done) = play.hear("250-2.0.0 mx.example", "250 2.1.0 SIZE 10")
    assert deviation == Deviation(Oddity.BAD_KEYWORD)
    assert isinstance(done, HelloDone)
    assert done.reply.status is None
    assert done.capabilities.host == "2.0.0"


@pytest.mark.parametrize("code", [500, 502, 504, 550, 554])
def test_helo_follows_where_ehlo_is_refused(code: int) -> None:
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    assert play.hear(f"{code} No") == []
    assert play.sent() == b"HELO client.example\r\n"
    assert play.hear("250-mx.example", "250 PIPELINING") == [
        HelloDone(HELO, Reply(250, "mx.example\nPIPELINING"), NO_CAPABILITIES)
    ]
    assert play.conn.greeted == HELO
    assert play.conn.capabilities == NO_CAPABILITIES
    assert play.conn.phase is Phase.READY


def test_both_refused() -> None:
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    play.hear("502 No")
    play.sent()
    assert play.hear("550 5.7.1 Never") == [HelloDone(HELO, Reply(550, "Never", "5.7.1"), NO_CAPABILITIES)]
    assert play.conn.greeted is None
    assert play.conn.phase is Phase.HELLO
    play.hello("SIZE")
    assert play.conn.greeted == EHLO


@pytest.mark.parametrize("code", [450, 451, 421])
def test_ehlo_put_off(code: int) -> None:
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    told = play.hear(f"{code} Later")
    assert told[0] == HelloDone(EHLO, Reply(code, "Later"), NO_CAPABILITIES)
    assert told[1:] == ([Closed(Cause.REJECTED, reply=Reply(421, "Later"))] if code == 421 else [])
    assert play.sent() == b""
    assert play.conn.greeted is None


def test_lhlo_has_nothing_to_fall_back_to() -> None:
    play = greeted(dialect=LMTP)
    assert play.conn.hello(NAME) == Command("LHLO", NAME)
    assert play.sent() == b"LHLO client.example\r\n"
    assert play.hear("500 What") == [HelloDone(Command("LHLO", NAME), Reply(500, "What"), NO_CAPABILITIES)]
    assert play.sent() == b""
    play.hello("PIPELINING")
    assert play.conn.greeted == Command("LHLO", NAME)
    assert "PIPELINING" in play.conn.capabilities


def test_capabilities_in_odd_forms() -> None:
    play = greeted()
    play.conn.hello(NAME)
    play.sent()
    told = play.hear(
        "250-mx.example", "250-size 5", "250-SIZE 6", "250-AUTH=LOGIN PLAIN", "250-AUTH CRAM-MD5 plain",
        "250-!bad", "250-", "250 LIMITS RCPTMAX=x",
    )  # fmt: skip
    assert {event.what for event in told if isinstance(event, Deviation)} >= {
        Oddity.LOWER_CASE, Oddity.REPEATED_KEYWORD, Oddity.AUTH_EQUALS, Oddity.BAD_KEYWORD,
    }  # fmt: skip
    assert isinstance(told[-1], HelloDone)
    capabilities = play.conn.capabilities
    assert capabilities.size == 5
    assert set(capabilities.mechanisms) == {"LOGIN", "PLAIN", "CRAM-MD5"}


def test_a_second_ehlo_replaces_what_was_offered() -> None:
    play = ready("PIPELINING", "SIZE 5")
    play.hello("SIZE 6", "STARTTLS")
    assert play.conn.capabilities.keywords == {"SIZE": "6", "STARTTLS": ""}
    play.conn.send(ENVELOPE)
    assert play.sent() == b"MAIL FROM:<a@b.example>\r\n"  # PIPELINING is gone


def test_a_second_ehlo_put_off_leaves_what_was_offered() -> None:
    play = ready("PIPELINING", "SIZE 5")
    play.conn.hello("other.example")
    play.sent()
    play.hear("451 Later")
    assert play.conn.capabilities.size == 5
    assert play.conn.greeted == EHLO
    assert play.conn.phase is Phase.READY


def test_a_second_ehlo_refused_falls_back_and_forgets() -> None:
    play = ready("PIPELINING", "SIZE 5")
    play.conn.hello("other.example")
    play.sent()
    play.hear("502 No")
    assert play.sent() == b"HELO other.example\r\n"
    play.hear("250 mx")
    assert play.conn.capabilities == NO_CAPABILITIES
    assert play.conn.greeted == Command("HELO", "other.example")


def test_authentication_outlives_a_second_ehlo() -> None:
    play = ready("AUTH PLAIN", tls=TLS)
    play.conn.authenticate(PLAIN)
    play.sent()
    play.hear("235 Ok")
    play.hello("AUTH PLAIN")
    assert play.conn.authenticated


# --- STARTTLS ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("C5")
def test_starttls_forgets_everything() -> None:
    play = ready(*ALL_OFFERED, config=OPEN)
    play.conn.authenticate(PLAIN)
    play.sent()
    play.hear("235 Ok")
    assert play.conn.start_tls() == Command("STARTTLS")
    assert play.sent() == b"STARTTLS\r\n"
    assert play.hear("220 2.0.0 Go") == [Answer(Command("STARTTLS"), Reply(220, "Go", "2.0.0"))]
    assert play.wait is Wait.TLS
    assert not play.conn.awaits_intent
    with pytest.raises(LocalProtocolError, match="for the TLS layer"):
        play.conn.receive_data(b"\x16\x03\x01", 0.0)
    play.secure()
    assert play.wait is Wait.INTENT
    conn = play.conn
    assert (conn.phase, conn.tls, conn.greeted, conn.authenticated) == (Phase.HELLO, TLS, None, False)
    assert conn.capabilities == NO_CAPABILITIES
    with pytest.raises(LocalProtocolError):
        conn.send(ENVELOPE)
    play.hello("STARTTLS", "AUTH PLAIN")
    assert conn.capabilities.keywords == {"STARTTLS": "", "AUTH": "PLAIN"}
    with pytest.raises(LocalProtocolError, match="TLS is active"):
        conn.start_tls()


@pytest.mark.parametrize("situation", ["handshake", "reply to XCLIENT"])
def test_pipelining_is_forgotten_with_the_rest(situation: str) -> None:
    play = SITUATIONS[situation]()
    if situation == "handshake":
        play.secure()
    else:
        play.hear("220 mx.example")
    play.conn.reset()
    with pytest.raises(LocalProtocolError, match="before the reply to RSET"):
        play.conn.quit()


def test_starttls_refused_leaves_all_as_it_was() -> None:
    play = ready("STARTTLS", "SIZE 5")
    play.conn.start_tls()
    play.sent()
    assert play.hear("454 4.7.0 No") == [Answer(Command("STARTTLS"), Reply(454, "No", "4.7.0"))]
    assert play.wait is Wait.INTENT
    assert play.conn.tls is None
    assert play.conn.capabilities.size == 5
    assert play.conn.phase is Phase.READY


def test_starttls_that_is_not_offered() -> None:
    play = ready("SIZE")
    before = state(play.conn)
    with pytest.raises(LocalProtocolError, match="not offered"):
        play.conn.start_tls()
    assert state(play.conn) == before


def test_starttls_where_tls_is_active_from_the_start() -> None:
    play = ready("STARTTLS", tls=TLS)
    with pytest.raises(LocalProtocolError, match="TLS is active"):
        play.conn.start_tls()


@pytest.mark.catalogue("C2")
@pytest.mark.parametrize("behind", ["2", "250 forged\r\n", "250-AUTH PLAIN\r\n", "\x00", "421 Bye\r\n"])
def test_octets_behind_the_220_are_fatal(behind: str) -> None:
    play = ready("STARTTLS")
    play.conn.start_tls()
    play.sent()
    told = play.feed(f"220 Go\r\n{behind}".encode())
    assert told == [
        Closed(Cause.PROTOCOL, f"{len(behind)} octets", Violation.OCTETS_BEFORE_TLS),
    ]


@pytest.mark.catalogue("C2")
def test_octets_that_come_later_are_not_taken_either() -> None:
    play = SITUATIONS["handshake"]()
    with pytest.raises(LocalProtocolError):
        play.conn.receive_data(b"250 forged\r\n", 0.0)
    play.secure()
    assert play.wait is Wait.INTENT
    assert len(play.events) == 3


@pytest.mark.catalogue("C2")
def test_octets_in_the_clear_that_came_before_the_command_are_fatal() -> None:
    play = ready("STARTTLS")
    play.feed(b"220")
    play.conn.start_tls()
    play.sent()
    play.feed(b" Go\r\n")
    assert play.closed.violation is Violation.EARLY_REPLY


def test_octets_behind_a_refusal_are_a_reply_too_many() -> None:
    play = ready("STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.hear("454 No", "250 Ok")
    assert play.closed.violation is Violation.SURPLUS_REPLY


@pytest.mark.catalogue("C4")
def test_a_failed_handshake_is_the_end() -> None:
    play = SITUATIONS["handshake"]()
    play.conn.tls_failed()
    assert play.pump() == [Closed(Cause.TLS_FAILED)]
    assert play.wait is Wait.CLOSED
    with pytest.raises(LocalProtocolError):
        play.conn.hello(NAME)
    assert play.sent() == b""


def test_the_answer_is_heard_before_the_handshake_is_told() -> None:
    play = ready("STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.conn.receive_data(b"220 Go\r\n", 0.0)
    with pytest.raises(LocalProtocolError):
        play.conn.tls_started(TLS)
    assert isinstance(play.conn.next_event(), Answer)
    play.secure()
    assert play.conn.tls == TLS


def test_the_answer_that_has_not_been_taken() -> None:
    play = ready("STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.conn.receive_data(b"220-Go\r\n220 on\r\n", 0.0)
    play.conn.next_event()
    assert play.conn.next_event() is Wait.TLS
    # An odd code brings two events; the handshake is told behind the second.
    play = ready("STARTTLS")
    play.conn.start_tls()
    play.sent()
    play.conn.receive_data("220 Grüße\r\n".encode(), 0.0)
    assert isinstance(play.conn.next_event(), Deviation)
    with pytest.raises(LocalProtocolError):
        play.conn.tls_started(TLS)


@pytest.mark.catalogue("C3")
@pytest.mark.parametrize("keywords", [("SIZE",), ("STARTTLS",)])
def test_tls_required_fails_closed(keywords: tuple[str, ...]) -> None:
    play = ready(*keywords, "AUTH PLAIN", config=ClientConfig(tls_required=True, cleartext_auth=True))
    if "STARTTLS" in keywords:
        play.conn.start_tls()
        play.sent()
        play.hear("454 No")
    for intent in (lambda: play.conn.send(ENVELOPE), lambda: play.conn.authenticate(PLAIN)):
        with pytest.raises(LocalProtocolError, match="before TLS, which the config demands"):
            intent()
    assert play.sent() == b""


@pytest.mark.catalogue("C3")
def test_tls_required_and_no_ehlo() -> None:
    play = greeted(ClientConfig(tls_required=True))
    play.conn.hello(NAME)
    play.sent()
    play.hear("502 No")
    play.sent()
    play.hear("250 mx.example")
    with pytest.raises(LocalProtocolError, match="not offered"):
        play.conn.start_tls()
    with pytest.raises(LocalProtocolError, match="before TLS"):
        play.conn.send(ENVELOPE)


# --- the small commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "wire", "command"),
    [
        (lambda conn: conn.reset(), b"RSET\r\n", Command("RSET")),
        (lambda conn: conn.noop(), b"NOOP\r\n", Command("NOOP")),
        (lambda conn: conn.help(), b"HELP\r\n", Command("HELP")),
        (lambda conn: conn.help("MAIL"), b"HELP MAIL\r\n", Command("HELP", "MAIL")),
        (lambda conn: conn.verify("tim"), b"VRFY tim\r\n", Command("VRFY", "tim")),
        (lambda conn: conn.verify("Tim <t@b>"), b"VRFY Tim <t@b>\r\n", Command("VRFY", "Tim <t@b>")),
        (lambda conn: conn.expand("staff"), b"EXPN staff\r\n", Command("EXPN", "staff")),
        (lambda conn: conn.command("etrn", "d.example"), b"ETRN d.example\r\n", Command("ETRN", "d.example")),
        (lambda conn: conn.command("X-1"), b"X-1\r\n", Command("X-1")),
        (
            lambda conn: conn.xclient({"NAME": "a.example", "ADDR": None}),
            b"XCLIENT NAME=a.example ADDR=[UNAVAILABLE]\r\n",
            Command("XCLIENT", "NAME=a.example ADDR=[UNAVAILABLE]"),
        ),
    ],
)
@pytest.mark.parametrize("reply", ["250 2.0.0 Ok", "550 5.5.1 No", "450 Later"])
def test_a_command_and_its_answer(ask: Any, wire: bytes, command: Command, reply: str) -> None:
    play = ready(*ALL_OFFERED)
    assert ask(play.conn) == command
    assert play.sent() == wire
    told = play.hear(reply)
    if command.verb == "RSET" and not reply.startswith("2"):
        assert play.closed.violation is Violation.WRONG_REPLY
        return
    answer = told[-1]
    assert isinstance(answer, Answer)
    assert (answer.command, str(answer.reply)) == (command, reply)
    assert play.wait is Wait.INTENT


def test_xclient_begins_anew() -> None:
    play = ready(*ALL_OFFERED, config=OPEN)
    play.conn.authenticate(PLAIN)
    play.sent()
    play.hear("235 Ok")
    play.conn.xclient({"NAME": "a.example"})
    play.sent()
    play.hear("220 mx.example")
    conn = play.conn
    assert (conn.phase, conn.greeted, conn.authenticated) == (Phase.HELLO, None, False)
    assert conn.capabilities == NO_CAPABILITIES


def test_xclient_refused_leaves_all_as_it_was() -> None:
    play = ready(*ALL_OFFERED)
    play.conn.xclient({"NAME": "a.example"})
    play.sent()
    play.hear("501 No")
    assert play.conn.phase is Phase.READY
    assert "SIZE" in play.conn.capabilities


def test_xclient_that_is_not_offered() -> None:
    with pytest.raises(LocalProtocolError, match="not offered"):
        ready("SIZE").conn.xclient({"NAME": "x"})


@pytest.mark.parametrize("attributes", [{}, {"NAME": ""}, {"FOO": "x"}, {"ADDR": "x"}, {"NAME": "a b"}, {"PORT": "-1"}])
def test_what_is_no_xclient(attributes: dict[str, str]) -> None:
    play = ready("XCLIENT NAME ADDR PORT")
    before = state(play.conn)
    with pytest.raises(LocalProtocolError, match="not XCLIENT attributes"):
        play.conn.xclient(attributes)
    assert state(play.conn) == before


OWN = [
    "EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "HELP", "VRFY", "EXPN", "QUIT", "AUTH",
    "STARTTLS", "XCLIENT",
]  # fmt: skip


@pytest.mark.parametrize("verb", [*OWN, *map(str.lower, OWN), "", "A B", "A\r\nB", "-", "ü", "ſtarttls", "X_Y"])
def test_what_command_does_not_say(verb: str) -> None:
    play = ready(*ALL_OFFERED)
    before = state(play.conn)
    with pytest.raises(LocalProtocolError):
        play.conn.command(verb)
    assert state(play.conn) == before


def test_quit() -> None:
    play = ready()
    assert play.conn.quit() == Command("QUIT")
    assert play.sent() == b"QUIT\r\n"
    reply = Reply(221, "Bye", "2.0.0")
    assert play.hear("221 2.0.0 Bye") == [Answer(Command("QUIT"), reply), Closed(Cause.QUIT, reply=reply)]
    assert play.feed(b"221 Bye\r\n") == []
    assert play.eof() == []


def test_quit_and_the_server_just_goes() -> None:
    play = ready()
    play.conn.quit()
    play.sent()
    assert play.eof() == [Closed(Cause.QUIT)]


def test_quit_that_has_not_left() -> None:
    play = ready()
    play.conn.quit()
    assert play.eof() == [Closed(Cause.EOF)]
    assert play.sent() == b""
