"""RFC 6531, SMTPUTF8: the client's half."""

from smtpcore.testing import play_client

OFFERED = """
    S: 220 mx.example.org
    I: hello client.example
    C: EHLO client.example
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250 SMTPUTF8
"""
NOT_OFFERED = OFFERED.replace("SMTPUTF8", "HELP")


def test_3_4_the_parameter_says_that_it_is_used() -> None:
    play_client(
        OFFERED
        + """
        I: send jörg@example.com -> δοκιμή@παράδειγμα.δοκιμή
        C: MAIL FROM:<jörg@example.com> SMTPUTF8
        C: RCPT TO:<δοκιμή@παράδειγμα.δοκιμή>
        C: DATA
        """
    )


def test_3_2_a_sender_where_it_is_not_offered() -> None:
    driver = play_client(
        NOT_OFFERED
        + """
        E: HelloDone 250
        I: send jörg@example.com -> x@y.example
        E: TransactionDone x@y.example=REFUSED
        """
    )
    assert driver.out == b"EHLO client.example\r\n"


def test_3_2_a_recipient_where_it_is_not_offered() -> None:
    play_client(
        NOT_OFFERED
        + """
        I: send a@b.example -> x@y.example δοκιμή@y.example
        C: MAIL FROM:<a@b.example>
        C: RCPT TO:<x@y.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 354 Go
        C: Hello
        C: .
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone x@y.example=ACCEPTED δοκιμή@y.example=REFUSED
        """
    )


def test_3_2_headers_where_it_is_not_offered() -> None:
    """SMTPUTF8 of the application's: the message has headers in UTF-8."""
    driver = play_client(
        NOT_OFFERED
        + """
        E: HelloDone 250
        I: send a@b.example -> x@y.example ; SMTPUTF8
        E: TransactionDone x@y.example=REFUSED
        """
    )
    assert b"MAIL" not in driver.out


def test_3_2_a_domain_in_a_labels() -> None:
    for offered in (OFFERED, NOT_OFFERED):
        play_client(
            offered
            + """
            I: send a@bücher.example -> x@παράδειγμα.δοκιμή
            C: MAIL FROM:<a@xn--bcher-kva.example>
            C: RCPT TO:<x@xn--hxajbheg2az3al.xn--jxalpdlp>
            C: DATA
            """
        )
