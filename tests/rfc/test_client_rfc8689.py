"""RFC 8689, REQUIRETLS: the client's half."""

from smtpcore.testing import CLIENT_TLS, play_client

OFFERED = """
    S: 220 mail.example.net ESMTP
    I: hello mail.example.org
    C: EHLO mail.example.org
    S: 250-mail.example.net
    S: 250 REQUIRETLS
"""
SENT = "E: HelloDone 250\nI: send roger@example.org -> editor@example.net ; REQUIRETLS\n"
REFUSED = "E: TransactionDone editor@example.net=REFUSED\n"


def test_2_requiretls() -> None:
    driver = play_client(
        """
        S: 220 mail.example.net ESMTP
        I: hello mail.example.org
        C: EHLO mail.example.org
        S: 250-mail.example.net
        S: 250 STARTTLS
        I: starttls
        C: STARTTLS
        S: 220 Go
        TLS
        I: hello mail.example.org
        C: EHLO mail.example.org
        S: 250-mail.example.net
        S: 250 REQUIRETLS
        """
        + SENT
        + """
        C: MAIL FROM:<roger@example.org> REQUIRETLS
        S: 250 OK
        C: RCPT TO:<editor@example.net>
        """
    )
    assert driver.conn.tls is CLIENT_TLS


def test_4_2_1_it_is_not_offered() -> None:
    driver = play_client(OFFERED.replace("REQUIRETLS", "HELP") + SENT + REFUSED, tls=CLIENT_TLS)
    assert b"MAIL" not in driver.out
    (outcome,) = driver.sent[0].transaction.outcomes
    assert outcome.reply is not None
    assert (outcome.reply.code, str(outcome.reply.status)) == (550, "5.7.30")


def test_2_the_session_needs_tls_itself() -> None:
    """Offered in the clear it means nothing, and may be anybody's word."""
    driver = play_client(OFFERED + SENT + REFUSED)
    assert b"MAIL" not in driver.out
