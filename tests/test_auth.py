"""Exchanges of AUTH, with mechanisms of one's own: what a mechanism may say and is told."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from _dialogue import TLS, Driver, accept_all, codes, config, ready

from smtpcore import (
    STANDARD,
    Authenticated,
    AuthFailed,
    EarlyInput,
    Identity,
    PasswordCheck,
    Phase,
    Refused,
    Reply,
    Secret,
    SecretWanted,
    ServerConnection,
    ServerEvent,
    StoredKey,
    TlsInfo,
    TokenCheck,
    Wait,
)
from smtpcore._auth import AuthExchange, Outcome, challenge_line
from smtpcore.extensions import AUTH, ENHANCEDSTATUSCODES
from smtpcore.sasl import PLAIN, BadAnswer, Challenge, Exchange


class Mine:
    """A mechanism that does as its script says."""

    name = "X-MINE"

    def __init__(
        self, script: Callable[[TlsInfo | None], Exchange], *, initial: bool = True, wants_tls: bool = False
    ) -> None:
        self.initial = initial
        self._script = script
        self._wants_tls = wants_tls

    def available(self, tls: TlsInfo | None) -> bool:
        return tls is not None or not self._wants_tls

    def start(self, tls: TlsInfo | None) -> Exchange:
        return self._script(tls)


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def server(mechanism: Any, answer: Any = accept_all, tls: TlsInfo | None = TLS) -> Driver:
    settings = config(
        extensions=(ENHANCEDSTATUSCODES, AUTH),
        mechanisms=(mechanism,),
        cleartext_auth=True,
        early_input=EarlyInput.REPORT,
    )
    driver = Driver(settings, answer=answer, tls=tls)
    driver.say("EHLO client.example")
    return driver


def password(tls: TlsInfo | None) -> Exchange:
    name = (yield Challenge(b"who?")).decode()
    secret = yield Challenge(b"")
    if secret == b"":
        raise BadAnswer("no password")
    accepted = yield PasswordCheck("X-MINE", name, Secret(secret))
    return Identity(name) if accepted else None


def test_a_mechanism_of_one_s_own() -> None:
    driver = server(Mine(password))
    assert driver.say("AUTH X-MINE") == b"334 " + b64(b"who?").encode() + b"\r\n"
    assert driver.say(b64(b"tim")) == b"334 \r\n"
    assert driver.say(b64(b"secret")) == b"235 2.7.0 Authentication successful\r\n"
    assert driver.seen(PasswordCheck) == [PasswordCheck("X-MINE", "tim", Secret("secret"))]
    assert driver.seen(Authenticated) == [Authenticated("X-MINE", Identity("tim"))]


def test_an_initial_response_takes_the_place_of_the_first_answer() -> None:
    driver = server(Mine(password))
    assert driver.codes(f"AUTH x-mine {b64(b'tim')}") == ["334"]
    assert driver.codes(b64(b"secret")) == ["235 2.7.0"]
    driver = server(Mine(password, initial=False))
    assert driver.codes(f"AUTH X-MINE {b64(b'tim')}") == ["501 5.5.2"]
    assert driver.conn.phase is Phase.READY


def test_an_empty_initial_response() -> None:
    driver = server(Mine(password))
    assert driver.codes("AUTH X-MINE =") == ["334"]
    assert driver.codes(b64(b"secret")) == ["235 2.7.0"]
    assert driver.seen(PasswordCheck)[0].username == ""


def test_a_bad_answer_is_501() -> None:
    driver = server(Mine(password))
    assert driver.codes("AUTH X-MINE", "", "") == ["334", "334", "501 5.5.2"]
    assert [(event.mechanism, event.username, event.reply.code) for event in driver.seen(AuthFailed)] == [
        ("X-MINE", None, 501)
    ]


def test_a_rejection_is_said_in_the_application_s_words() -> None:
    def no(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, PasswordCheck):
            conn.reject(event, Reply(454, "Ask me later", "4.7.0"))
        else:
            accept_all(conn, event)

    driver = server(Mine(password), no)
    assert driver.codes("AUTH X-MINE", b64(b"tim"), b64(b"x")) == ["334", "334", "454 4.7.0"]
    assert [(event.username, event.reply.code) for event in driver.seen(AuthFailed)] == [("tim", 454)]
    assert driver.conn.identity is None


def test_an_acceptance_is_said_in_the_application_s_words() -> None:
    def yes(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, PasswordCheck):
            conn.accept(event, Reply(235, "Come in", "2.7.0"))
        else:
            accept_all(conn, event)

    driver = server(Mine(password), yes)
    assert driver.say("AUTH X-MINE", b64(b"tim"), b64(b"x")).endswith(b"235 2.7.0 Come in\r\n")


def test_a_mechanism_has_the_last_word() -> None:
    def never(tls: TlsInfo | None) -> Exchange:
        yield PasswordCheck("X-MINE", "tim", Secret(b""))
        return None

    driver = server(Mine(never))
    assert driver.codes("AUTH X-MINE") == ["535 5.7.8"]
    assert not driver.seen(Authenticated)


def test_one_that_asks_nothing() -> None:
    def anybody(tls: TlsInfo | None) -> Exchange:
        assert tls == TLS
        return Identity("anybody")
        yield  # makes this a generator

    driver = server(Mine(anybody))
    assert driver.codes("AUTH X-MINE") == ["235 2.7.0"]
    assert driver.conn.identity == Identity("anybody")


def test_one_that_asks_twice_and_goes_on_talking() -> None:
    def curious(tls: TlsInfo | None) -> Exchange:
        key = yield SecretWanted("X-MINE", "tim")
        assert key == StoredKey(salt=b"s")
        token = yield TokenCheck("X-MINE", "tim", Secret(b"t"))
        assert token is True
        answer = yield Challenge(b"and now?")
        assert answer == b"nothing"
        return Identity("tim", "tom")

    def answers(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, SecretWanted):
            conn.provide(event, StoredKey(salt=b"s"))
        else:
            accept_all(conn, event)

    driver = server(Mine(curious), answers)
    assert driver.codes("AUTH X-MINE", b64(b"nothing")) == ["334", "235 2.7.0"]
    assert driver.conn.identity == Identity("tim", "tom")


def test_a_failure_after_a_last_challenge() -> None:
    # As OAUTHBEARER does: it tells the client why, and the client answers before the 535 (RFC 7628 section 3.2.3).
    def explains(tls: TlsInfo | None) -> Exchange:
        if not (yield TokenCheck("X-MINE", "tim", Secret(b"t"))):
            yield Challenge(b'{"status":"401"}')
        return None

    def no(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, TokenCheck):
            conn.reject(event, Reply(535, "Expired", "5.7.8"))
        else:
            accept_all(conn, event)

    driver = server(Mine(explains), no)
    assert driver.codes("AUTH X-MINE") == ["334"]
    assert driver.say("AQ==") == b"535 5.7.8 Expired\r\n"


def test_a_mechanism_that_needs_tls() -> None:
    clear = server(Mine(password, wants_tls=True), tls=None)
    assert b"AUTH" not in clear.out
    assert clear.codes("AUTH X-MINE") == ["502 5.5.1"]
    assert b"AUTH X-MINE" in server(Mine(password, wants_tls=True)).out


def test_a_session_that_ends_in_the_middle() -> None:
    closed = []

    def careful(tls: TlsInfo | None) -> Exchange:
        try:
            yield Challenge(b"")
        finally:
            closed.append(True)
        return None

    driver = server(Mine(careful))
    driver.say("AUTH X-MINE")
    driver.eof()
    assert driver.wait is Wait.CLOSED
    assert closed == [True]


def test_cancelled_in_the_middle() -> None:
    driver = server(Mine(password))
    assert driver.codes("AUTH X-MINE", b64(b"tim"), "*", "NOOP") == ["334", "334", "501 5.7.0", "250 2.0.0"]
    assert driver.codes("AUTH X-MINE *") == ["501 5.7.0"]


def test_a_line_too_long_in_the_middle() -> None:
    driver = server(Mine(password))
    assert driver.codes("AUTH X-MINE", "A" * 20_000, "NOOP") == ["334", "500 5.5.6", "250 2.0.0"]


def test_octets_that_are_no_text() -> None:
    driver = server(Mine(password))
    driver.say("AUTH X-MINE")
    assert codes(driver.feed(b"\xff\xfe\r\n")) == ["501 5.5.2"]


# --- the exchange alone -----------------------------------------------------------------------------------


def test_steps() -> None:
    exchange = AuthExchange(Mine(password), None)
    assert (exchange.name, exchange.username) == ("X-MINE", None)
    assert exchange.begin(None) == Challenge(b"who?")
    assert exchange.answer(b64(b"tim").encode()) == Challenge(b"")
    assert exchange.answer(b64(b"x").encode()) == PasswordCheck("X-MINE", "tim", Secret("x"))
    assert exchange.username == "tim"
    assert exchange.resume(True) == Outcome(Identity("tim"), "authenticated")


def test_outcomes() -> None:
    assert AuthExchange(Mine(password), None).begin("*") == Outcome(None, "auth_cancelled")
    assert AuthExchange(Mine(password), None).begin("?") == Outcome(None, "malformed_auth")
    exchange = AuthExchange(Mine(password), None)
    exchange.begin(b64(b"tim"))
    exchange.answer(b64(b"x").encode())
    assert exchange.resume(False) == Outcome(None, "auth_failed")


def test_a_question_comes_before_an_initial_response_is_wanted() -> None:
    def asks(tls: TlsInfo | None) -> Exchange:
        return Identity("tim") if (yield TokenCheck("X-MINE", "tim", Secret(b""))) else None

    assert AuthExchange(Mine(asks), None).begin("AAAA") == TokenCheck("X-MINE", "tim", Secret(b""))


@pytest.mark.parametrize(
    ("octets", "line"), [(b"", b"334 \r\n"), (b"a", b"334 YQ==\r\n"), (b"x" * 60, b"334 " + b"eHh4" * 20 + b"\r\n")]
)
def test_challenge_lines_are_one_line(octets: bytes, line: bytes) -> None:
    assert challenge_line(Challenge(octets)) == line


@pytest.mark.catalogue("J3")
def test_a_password_behind_a_refused_auth_is_not_shown() -> None:
    """A client that does not wait for replies goes on with its password, in ASCII or not."""
    driver = ready(extensions=(*STANDARD, AUTH), mechanisms=(PLAIN,))
    driver.say("AUTH LOGIN")
    driver.feed(b"p\xe4ssword\r\npassword\r\nVRFY \xe4\r\n")
    assert [event.line for event in driver.seen(Refused)] == [b"AUTH ***", b"***", b"***", b"VRFY \xe4"]
