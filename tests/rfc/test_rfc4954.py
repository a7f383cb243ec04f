"""RFC 4954, AUTH."""

import base64

import pytest
from _dialogue import TLS, Driver, accept_all, config, play

from smtpcore import (
    Authenticated,
    AuthFailed,
    Cause,
    Closed,
    EarlyInput,
    Identity,
    Mailbox,
    MailFrom,
    PasswordCheck,
    Refused,
    Reply,
    Secret,
    ServerConnection,
    ServerEvent,
)
from smtpcore.extensions import AUTH, ENHANCEDSTATUSCODES, PIPELINING, STARTTLS
from smtpcore.sasl import CRAM_MD5, LOGIN, PLAIN

SETTINGS = config(extensions=(ENHANCEDSTATUSCODES, AUTH), mechanisms=(PLAIN, LOGIN))
GREETED = """
    C: EHLO client.example.com
    S: 250-mx.example.org
    S: 250-ENHANCEDSTATUSCODES
    S: 250 AUTH PLAIN LOGIN
"""
INITIAL = base64.b64encode(b"\0test\x001234").decode()


def test_4_1_plain_within_tls() -> None:
    driver = play(
        """
        C: EHLO client.example.com
        S: 250-mx.example.org
        S: 250 STARTTLS
        C: STARTTLS
        S: 220 Ready to start TLS
        TLS
        C: EHLO client.example.com
        S: 250-mx.example.org
        S: 250 AUTH PLAIN
        C: AUTH PLAIN dGVzdAB0ZXN0ADEyMzQ=
        S: 235 Authentication successful
        """,
        config(extensions=(STARTTLS, AUTH), mechanisms=(PLAIN,)),
    )
    # The RFC's own initial response: "test" NUL "test" NUL "1234".
    assert driver.seen(PasswordCheck) == [PasswordCheck("PLAIN", "test", Secret("1234"))]
    assert driver.seen(Authenticated) == [Authenticated("PLAIN", Identity("test"))]
    assert driver.conn.identity == Identity("test")


def test_4_1_without_an_initial_response() -> None:
    play(
        GREETED
        + """
        C: AUTH PLAIN
        S: 334
        C: dGVzdAB0ZXN0ADEyMzQ=
        S: 235 2.7.0 Authentication successful
        """,
        SETTINGS,
        tls=TLS,
    )


def test_4_login_and_a_wrong_password() -> None:
    driver = play(
        GREETED
        + """
        C: auth login
        S: 334 VXNlcm5hbWU6
        C: dGVzdA==
        S: 334 UGFzc3dvcmQ6
        C: MTIzNA==
        A: PasswordCheck reject 535 5.7.8 Not today
        S: 535 5.7.8 Not today
        C: AUTH LOGIN dGVzdA==
        S: 334 UGFzc3dvcmQ6
        C: MTIzNA==
        S: 235 2.7.0 Authentication successful
        """,
        SETTINGS,
        tls=TLS,
    )
    (failed,) = driver.seen(AuthFailed)
    assert (failed.mechanism, failed.username, failed.reply.code) == ("LOGIN", "test", 535)


def test_4_an_empty_challenge_has_its_blank() -> None:
    # 'continue-req = "334" SP [base64] CRLF'
    driver = Driver(SETTINGS, tls=TLS)
    driver.say("EHLO client.example.com")
    assert driver.say("AUTH PLAIN") == b"334 \r\n"


@pytest.mark.catalogue("D5")
def test_4_cancelling() -> None:
    # "If the client wishes to cancel the authentication exchange, it issues a line with a single "*". If the server
    # receives such a response, it MUST reject the AUTH command by sending a 501 reply."
    driver = play(
        GREETED
        + """
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: MAIL FROM:<a@client.example.com>
        S: 250 2.1.0 Sender ok
        """,
        SETTINGS,
        tls=TLS,
    )
    assert [event.reply.code for event in driver.seen(AuthFailed)] == [501]


def test_4_an_empty_initial_response() -> None:
    # "If the client needs to send a zero-length initial response, it MUST transmit the response as a single equals
    # sign ('=')."
    driver = play(
        GREETED
        + """
        C: AUTH PLAIN =
        S: 501 5.5.2 Malformed authentication data
        """,
        SETTINGS,
        tls=TLS,
    )
    assert len(driver.seen(AuthFailed)) == 1


def test_4_no_initial_response_where_the_server_begins() -> None:
    # "If the client uses an initial-response argument to the AUTH command with a SASL mechanism in which the client
    # does not begin the authentication exchange, the server MUST reject the AUTH command with a 501 reply."
    play(
        """
        C: EHLO client.example.com
        S: 250-mx.example.org
        S: 250 AUTH CRAM-MD5
        C: AUTH CRAM-MD5 dGVzdA==
        S: 501 Malformed authentication data
        """,
        config(extensions=(AUTH,), mechanisms=(CRAM_MD5,)),
        tls=TLS,
    )


@pytest.mark.catalogue("D6")
@pytest.mark.parametrize(
    "answer",
    ["!!!!", "AGE AYg==", "AGEAYg", "AGEA=Yg=", "AGEAYg==AGEAYg==", "=AGEAYg=", "====", "A", "AGEAYg===", "AGEAYg==\n",
     "AGE\nAYg==", "AGEAYg==\r", "\N{LATIN SMALL LETTER A WITH ACUTE}GEAYg=", "AGEAY-_=", "QUJD=", "*=", "**"],
)  # fmt: skip
def test_4_base64_to_the_letter(answer: str) -> None:
    # "If the server cannot [BASE64] decode any client response, it MUST fail the AUTH command with a 501 reply (and an
    # enhanced status code of 5.5.2)."
    driver = Driver(SETTINGS, tls=TLS)
    driver.say("EHLO client.example.com")
    assert driver.codes("AUTH PLAIN") == ["334"]
    assert driver.codes(answer) == ["501 5.5.2"]
    assert not driver.seen(PasswordCheck)
    assert driver.codes("NOOP") == ["250 2.0.0"]


@pytest.mark.catalogue("D6")
@pytest.mark.parametrize("initial", ["!!!!", "AGEAYg", "AGEA=Yg=", "==", "AGE\tAYg=="])
def test_4_base64_of_an_initial_response(initial: str) -> None:
    driver = Driver(SETTINGS, tls=TLS)
    driver.say("EHLO client.example.com")
    assert driver.codes(f"AUTH PLAIN {initial}")[0][:2] == "50"
    assert not driver.seen(PasswordCheck)


def test_4_mechanisms_that_nobody_offers() -> None:
    play(
        GREETED
        + """
        C: AUTH NTLM
        S: 504 5.5.4 Unrecognized authentication mechanism
        C: AUTH
        S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
        C: AUTH PLAIN a b
        S: 501 5.5.4 Syntax: AUTH mechanism [initial-response]
        """,
        SETTINGS,
        tls=TLS,
    )


@pytest.mark.catalogue("D10")
def test_4_only_once_and_not_in_a_transaction() -> None:
    # "After an AUTH command has been successfully completed, no more AUTH commands may be issued in the same session.
    # After a successful AUTH command completes, a server MUST reject any further AUTH commands with a 503 reply."
    # "The AUTH command is not permitted during a mail transaction. An AUTH command issued during a mail transaction
    # MUST be rejected with a 503 reply."
    play(
        """
        C: AUTH PLAIN
        S: 503 5.5.1 Bad sequence of commands
        """
        + GREETED
        + f"""
        C: MAIL FROM:<a@client.example.com>
        S: 250 2.1.0 Sender ok
        C: AUTH PLAIN {INITIAL}
        S: 503 5.5.1 Bad sequence of commands
        C: RCPT TO:<b@example.org>
        S: 250 2.1.5 Recipient ok
        C: AUTH PLAIN {INITIAL}
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 Ok
        C: AUTH PLAIN {INITIAL}
        S: 235 2.7.0 Authentication successful
        C: AUTH PLAIN {INITIAL}
        S: 503 5.5.1 Already authenticated
        """
        + GREETED
        + """
        C: MAIL FROM:<a@client.example.com> AUTH=<>
        S: 250 2.1.0 Sender ok
        """,
        SETTINGS,
        tls=TLS,
    )


@pytest.mark.catalogue("D1")
def test_4_no_passwords_in_the_clear() -> None:
    driver = play(
        f"""
        C: EHLO client.example.com
        S: 250-mx.example.org
        S: 250-ENHANCEDSTATUSCODES
        S: 250 STARTTLS
        C: AUTH PLAIN {INITIAL}
        S: 538 5.7.11 Encryption required for requested authentication mechanism
        C: AUTH BOGUS !!!
        S: 538 5.7.11 Encryption required for requested authentication mechanism
        """,
        config(extensions=(ENHANCEDSTATUSCODES, STARTTLS, AUTH), mechanisms=(PLAIN, LOGIN)),
    )
    assert not driver.seen(PasswordCheck)
    assert [event.line for event in driver.seen(Refused)] == [b"AUTH ***", b"AUTH ***"]


def test_4_no_mechanism_on_this_connection() -> None:
    class Never:
        name = "X-NEVER"
        initial = True

        def available(self, tls: object) -> bool:
            return False

        def start(self, tls: object) -> object:
            raise NotImplementedError

    driver = Driver(config(extensions=(AUTH,), mechanisms=(Never(),)), tls=TLS)
    assert driver.say("EHLO client.example.com") == b"250 mx.example.org\r\n"
    assert driver.codes("AUTH X-NEVER") == ["502"]


def test_4_own_words() -> None:
    play(
        GREETED
        + f"""
        C: AUTH PLAIN {INITIAL}
        A: PasswordCheck accept 235 2.7.0 Welcome
        S: 235 2.7.0 Welcome
        """,
        SETTINGS,
        tls=TLS,
    )


def test_4_temporary_failure() -> None:
    driver = play(
        GREETED
        + f"""
        C: AUTH PLAIN {INITIAL}
        A: PasswordCheck reject 454 4.7.0 Temporary authentication failure
        S: 454 4.7.0 Temporary authentication failure
        C: AUTH PLAIN {INITIAL}
        A: PasswordCheck reject 421 4.7.0 Go away
        S: 421 4.7.0 Go away
        CLOSED
        """,
        SETTINGS,
        tls=TLS,
    )
    assert driver.events[-1] == Closed(Cause.REJECTED)


def test_5_the_auth_parameter_of_mail() -> None:
    # The example of section 5 has an xtext of "e=mc2@example.com".
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<e=mc2@example.com> AUTH=e+3Dmc2@example.com
        S: 250 2.1.0 Sender ok
        C: RSET
        S: 250 2.0.0 Ok
        C: MAIL FROM:<john@example.org> AUTH=<>
        S: 250 2.1.0 Sender ok
        C: RSET
        S: 250 2.0.0 Ok
        C: MAIL FROM:<john@example.org> AUTH=
        S: 501 5.5.4 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<john@example.org> AUTH=a+0D+0Ab@example.org
        S: 501 5.5.4 Syntax: MAIL FROM:<address> [parameters]
        """,
        SETTINGS,
        tls=TLS,
    )
    assert [event.params.auth for event in driver.seen(MailFrom)] == [Mailbox("e=mc2", "example.com"), "<>"]


def test_6_authentication_required() -> None:
    play(
        GREETED
        + f"""
        C: MAIL FROM:<a@client.example.com>
        S: 530 5.7.0 Authentication required
        C: VRFY a
        S: 530 5.7.0 Authentication required
        C: NOOP
        S: 250 2.0.0 Ok
        C: RSET
        S: 250 2.0.0 Ok
        C: AUTH PLAIN {INITIAL}
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<a@client.example.com>
        S: 250 2.1.0 Sender ok
        """,
        config(extensions=SETTINGS.extensions, mechanisms=SETTINGS.mechanisms, auth_required=True),
        tls=TLS,
    )


def test_not_enabled() -> None:
    play(
        """
        C: EHLO client.example.com
        S: 250 mx.example.org
        C: AUTH PLAIN
        S: 502 Command not implemented
        C: MAIL FROM:<a@client.example.com> AUTH=<>
        S: 555 Unsupported parameter: AUTH
        """,
        config(extensions=()),
        tls=TLS,
    )


def test_pipelined_behind_auth_where_early_input_is_reported() -> None:
    # The octets behind AUTH are the exchange's, and after it commands again.
    def reject(conn: ServerConnection, event: ServerEvent) -> None:
        if isinstance(event, PasswordCheck):
            conn.reject(event, Reply(535, "No", "5.7.8"))
        else:
            accept_all(conn, event)

    driver = Driver(
        config(extensions=(PIPELINING, AUTH), mechanisms=(LOGIN,), cleartext_auth=True, early_input=EarlyInput.REPORT),
        answer=reject,
    )
    driver.say("EHLO client.example.com")
    assert driver.codes("AUTH LOGIN", "dGVzdA==", "MTIzNA==", "NOOP") == ["334", "334", "535", "250"]
