"""RFC 6409, message submission."""

import pytest
from _dialogue import TLS, Driver, config, play

from smtpcore import SUBMISSION, Cause, Closed, LocalProtocolError
from smtpcore.extensions import AUTH, ENHANCEDSTATUSCODES, PIPELINING, STARTTLS
from smtpcore.sasl import PLAIN

SETTINGS = config(extensions=(PIPELINING, ENHANCEDSTATUSCODES, STARTTLS, AUTH), mechanisms=(PLAIN,))


def test_4_3_no_mail_without_authentication() -> None:
    # "The MSA MUST by default issue an error response to the MAIL command if the session has not been authenticated"
    driver = play(
        """
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 STARTTLS
        C: MAIL FROM:<a@client.example>
        S: 530 5.7.0 Authentication required
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        TLS
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 AUTH PLAIN
        C: MAIL FROM:<a@client.example>
        S: 530 5.7.0 Authentication required
        C: AUTH PLAIN AGEAYg==
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<a@client.example>
        S: 250 2.1.0 Sender ok
        C: RCPT TO:<b@example.org>
        S: 250 2.1.5 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 Message accepted
        C: QUIT
        S: 221 2.0.0 mx.example.org closing connection
        """,
        SETTINGS,
        dialect=SUBMISSION,
    )
    assert driver.events[-1] == Closed(Cause.QUIT)


def test_8314_tls_from_the_start() -> None:
    play(
        """
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 AUTH PLAIN
        """,
        SETTINGS,
        dialect=SUBMISSION,
        tls=TLS,
    )


def test_4_3_other_ways_of_knowing_the_client() -> None:
    # "... unless the MSA has already independently established authentication or authorization", which the config says
    play(
        """
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 STARTTLS
        C: MAIL FROM:<a@client.example>
        S: 250 2.1.0 Sender ok
        """,
        config(extensions=SETTINGS.extensions, mechanisms=SETTINGS.mechanisms, auth_required=False),
        dialect=SUBMISSION,
    )


def test_7_auth_must_be_offered() -> None:
    with pytest.raises(LocalProtocolError):
        Driver(config(extensions=(PIPELINING, ENHANCEDSTATUSCODES)), dialect=SUBMISSION)


def test_an_impatient_client_is_borne_with() -> None:
    driver = Driver(SETTINGS, dialect=SUBMISSION, tls=TLS)
    assert driver.codes("EHLO client.example", "NOOP") == ["250", "250 2.0.0"]
