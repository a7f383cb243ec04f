"""RFC 9422, LIMITS: the client's half."""

from smtpcore import ClientConnection, Envelope, Mailbox, Recipient
from smtpcore.testing import play_client


def greeted(limits: str) -> str:
    return f"""
        S: 220 mail.example.com
        I: hello client.example
        C: EHLO client.example
        S: 250-mail.example.com
        S: 250-PIPELINING
        S: 250 LIMITS {limits}
    """


def test_4_1_mailmax() -> None:
    driver = play_client(
        greeted("MAILMAX=1")
        + """
        I: send a@b.example -> x@y.example
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
        E: TransactionDone x@y.example=ACCEPTED
        I: send a@b.example -> z@y.example
        E: TransactionDone z@y.example=UNSENT
        I: quit
        C: QUIT
        """
    )
    assert driver.conn.transactions_left == 0


def test_4_2_rcptmax() -> None:
    driver = play_client(
        greeted("RCPTMAX=2")
        + """
        I: send <> -> x@y.example y@y.example z@y.example
        C: MAIL FROM:<>
        C: RCPT TO:<x@y.example>
        C: RCPT TO:<y@y.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 250 Ok
        S: 354 Go
        C: Hello
        C: .
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone x@y.example=ACCEPTED y@y.example=ACCEPTED z@y.example=UNSENT
        """
    )
    envelope = driver.sent[0].intent.envelope
    assert [len(each.recipients) for each in divided(driver.conn, envelope)] == [2, 1]


def test_4_3_rcptdomainmax() -> None:
    driver = play_client(
        greeted("RCPTDOMAINMAX=1 MAILMAX=20")
        + """
        I: send <> -> x@y.example y@z.example z@Y.example
        C: MAIL FROM:<>
        C: RCPT TO:<x@y.example>
        C: RCPT TO:<z@Y.example>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 250 Ok
        S: 354 Go
        C: Hello
        C: .
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone x@y.example=ACCEPTED y@z.example=UNSENT z@Y.example=ACCEPTED
        """
    )
    to = [Recipient(Mailbox.parse(each)) for each in ("a@x.example", "b@X.example", "c@y.example", "d@x.example")]
    whole = Envelope(driver.sent[0].intent.envelope.reverse_path, tuple(to))
    assert [list(each.recipients) for each in divided(driver.conn, whole)] == [to[:2], to[2:3], to[3:]]


def divided(conn: ClientConnection, envelope: Envelope) -> tuple[Envelope, ...]:
    return conn.divide(envelope)


def test_3_limits_that_nobody_knows() -> None:
    play_client(
        greeted("RCPTMAX=2 NEWMAX=1 RCPTDOMAINMAX=0 X")
        + """
        I: send <> -> x@y.example y@z.example
        C: MAIL FROM:<>
        C: RCPT TO:<x@y.example>
        C: RCPT TO:<y@z.example>
        C: DATA
        """
    )
