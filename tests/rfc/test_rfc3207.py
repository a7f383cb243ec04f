"""RFC 3207, STARTTLS."""

import pytest
from _dialogue import TLS, Driver, config, play

from smtpcore import (
    Cause,
    Closed,
    EarlyInput,
    Hello,
    Identity,
    Limits,
    LocalProtocolError,
    Phase,
    Reply,
    StartTls,
    Wait,
)
from smtpcore.extensions import AUTH, CHUNKING, ENHANCEDSTATUSCODES, PIPELINING, STARTTLS
from smtpcore.sasl import PLAIN

SETTINGS = config(extensions=(PIPELINING, STARTTLS))


def test_5_the_usage_example() -> None:
    driver = play(
        """
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 Ready to start TLS
        TLS
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250 PIPELINING
        C: MAIL FROM:<a@mail.example.com>
        S: 250 Sender ok
        """,
        SETTINGS,
    )
    assert driver.seen(StartTls) == [StartTls()]
    assert driver.conn.tls == TLS


def test_4_it_may_come_before_ehlo() -> None:
    play(
        """
        C: STARTTLS
        S: 220 Ready to start TLS
        TLS
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250 PIPELINING
        """,
        SETTINGS,
    )


def test_4_tls_not_available() -> None:
    play(
        """
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250 STARTTLS
        C: STARTTLS
        A: StartTls reject 454 TLS not available due to temporary reason
        S: 454 TLS not available due to temporary reason
        C: MAIL FROM:<a@mail.example.com>
        S: 250 Sender ok
        """,
        SETTINGS,
    )


@pytest.mark.catalogue("C6")
def test_4_no_parameter() -> None:
    play(
        """
        C: STARTTLS now
        S: 501 Syntax: STARTTLS
        C: STARTTLS
        S: 220 Ready to start TLS
        """,
        SETTINGS,
    )


@pytest.mark.catalogue("C6")
def test_4_2_not_offered_nor_taken_within_tls() -> None:
    play(
        """
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250 PIPELINING
        C: STARTTLS
        S: 503 TLS is active
        C: STARTTLS now
        S: 503 TLS is active
        """,
        SETTINGS,
        tls=TLS,
    )


def test_4_not_in_a_transaction() -> None:
    play(
        """
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250 STARTTLS
        C: MAIL FROM:<a@mail.example.com>
        S: 250 Sender ok
        C: STARTTLS
        S: 503 Bad sequence of commands
        C: RCPT TO:<b@example.org>
        S: 250 Recipient ok
        C: STARTTLS
        S: 503 Bad sequence of commands
        """,
        SETTINGS,
    )


def test_4_a_server_that_requires_it() -> None:
    # "the SMTP server SHOULD return the reply code: 530 Must issue a STARTTLS command first to every command other
    # than NOOP, EHLO, STARTTLS, or QUIT."
    play(
        """
        C: NOOP
        S: 250 2.0.0 Ok
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-ENHANCEDSTATUSCODES
        S: 250 STARTTLS
        C: MAIL FROM:<a@mail.example.com>
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: VRFY a
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: EXPN a
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: HELP
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: RSET
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: AUTH PLAIN
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        TLS
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-ENHANCEDSTATUSCODES
        S: 250 AUTH PLAIN
        C: MAIL FROM:<a@mail.example.com>
        S: 250 2.1.0 Sender ok
        C: QUIT
        S: 221 2.0.0 mx.example.org closing connection
        """,
        config(extensions=(ENHANCEDSTATUSCODES, STARTTLS, AUTH), mechanisms=(PLAIN,), tls_required=True),
    )


def test_4_a_server_that_requires_it_consumes_chunks_before_it_says_so() -> None:
    play(
        r"""
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-CHUNKING
        S: 250 STARTTLS
        C~ BDAT 6\r\nQUIT\r\n
        S: 503 Bad sequence of commands
        C: NOOP
        S: 250 Ok
        """,
        config(extensions=(CHUNKING, STARTTLS), tls_required=True),
    )


@pytest.mark.catalogue("C5")
def test_4_2_all_is_forgotten() -> None:
    # "The server MUST discard any knowledge obtained from the client, such as the argument to the EHLO command,
    # which was not obtained from the TLS negotiation itself."
    settings = config(extensions=(PIPELINING, STARTTLS, AUTH), mechanisms=(PLAIN,), cleartext_auth=True)
    driver = play(
        """
        C: EHLO mail.example.com
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-STARTTLS
        S: 250 AUTH PLAIN
        C: AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm
        S: 235 Authentication successful
        C: STARTTLS
        S: 220 Ready to start TLS
        TLS
        """,
        settings,
    )
    conn = driver.conn
    assert (conn.hello, conn.identity, conn.envelope, conn.phase) == (None, None, None, Phase.HELLO)
    assert driver.codes("MAIL FROM:<a@mail.example.com>") == ["503"]
    driver.say("EHLO other.example.com")
    assert conn.hello == driver.seen(Hello)[-1]
    assert driver.codes("AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm") == ["235"]
    assert conn.identity == Identity("tim")


@pytest.mark.catalogue("C1")
@pytest.mark.parametrize("policy", [EarlyInput.REJECT, EarlyInput.REPORT])
def test_4_2_octets_behind_the_command_never_count_as_secured(policy: EarlyInput) -> None:
    driver = Driver(config(extensions=(STARTTLS,), early_input=policy))
    driver.say("EHLO mail.example.com")
    assert driver.codes("STARTTLS", "EHLO x.example", "MAIL FROM:<a@b.example>") == ["554"]
    assert driver.events[-1] == Closed(Cause.PROTOCOL, "early input")
    assert driver.wait is Wait.CLOSED
    assert len(driver.seen(Hello)) == 1


@pytest.mark.catalogue("C1")
def test_octets_that_come_while_the_application_thinks() -> None:
    driver = Driver(SETTINGS, answer=lambda conn, event: None)
    conn = driver.conn
    conn.accept(driver.events[-1])
    driver.feed(b"STARTTLS\r\n")
    conn.receive_data(b"NOOP\r\n", 0.0)
    conn.accept(driver.events[-1])
    driver.pump()
    assert driver.out.endswith(b"554 Input sent before the reply that it depends on, closing connection\r\n")


@pytest.mark.catalogue("C1")
def test_octets_during_the_handshake_are_not_for_the_engine() -> None:
    driver = Driver(SETTINGS)
    driver.say("STARTTLS")
    with pytest.raises(LocalProtocolError):
        driver.conn.receive_data(b"\x16\x03\x01", 0.0)
    driver.handshake()
    assert driver.codes("EHLO client.example") == ["250"]


@pytest.mark.catalogue("C4")
def test_4_1_after_a_failed_handshake_there_is_no_way_back() -> None:
    driver = Driver(SETTINGS)
    driver.say("STARTTLS")
    before = driver.out
    driver.conn.tls_failed()
    assert driver.pump() is Wait.CLOSED
    assert driver.events[-1] == Closed(Cause.TLS_FAILED)
    driver.say("EHLO client.example")
    assert driver.out == before


@pytest.mark.catalogue("C4", "C8")
def test_the_client_goes_away_instead_of_shaking_hands() -> None:
    driver = Driver(SETTINGS)
    driver.say("STARTTLS")
    driver.eof()
    assert driver.events[-1] == Closed(Cause.EOF)
    with pytest.raises(LocalProtocolError):
        driver.conn.tls_started(TLS)


def test_not_enabled() -> None:
    play(
        """
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250 PIPELINING
        C: STARTTLS
        S: 502 Command not implemented
        """,
        config(extensions=(PIPELINING,)),
    )


def test_own_words() -> None:
    driver = play(
        """
        C: STARTTLS
        A: StartTls accept 220 Go ahead
        S: 220 Go ahead
        """,
        SETTINGS,
    )
    assert driver.wait is Wait.TLS


def test_counters_outlive_the_handshake() -> None:
    # Only what the client said is forgotten, not how it behaved.
    driver = Driver(config(extensions=(STARTTLS,), limits=Limits(errors=1)))
    assert driver.codes("FOO") == ["500"]
    driver.say("STARTTLS")
    driver.handshake()
    assert driver.codes("FOO") == ["421"]


def test_rejection_with_421_closes() -> None:
    driver = Driver(SETTINGS, answer=lambda conn, event: None)
    driver.conn.accept(driver.events[0])
    driver.feed(b"STARTTLS\r\n")
    driver.conn.reject(driver.events[-1], Reply(421, "no"))
    assert driver.pump() is Wait.CLOSED


def test_4_out_of_order_and_before_tls() -> None:
    play(
        """
        C: RCPT TO:<a@example.org>
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: DATA
        S: 530 5.7.0 Must issue a STARTTLS command first
        """,
        config(extensions=(ENHANCEDSTATUSCODES, STARTTLS), tls_required=True),
    )
