"""Dialogues hold where the engine does what they say, and tell what it did where it does not."""

import pytest

from smtpcore import LMTP, NULL_PATH, Body, ClientConfig, LocalProtocolError, Mailbox, MailFrom, ServerConfig
from smtpcore.extensions import STARTTLS
from smtpcore.testing import CONFIG, DialogueError, describe, play_client, play_server, read_reply

# --- the server's side ---------------------------------------------------------------------------


def test_server_dialogue() -> None:
    driver = play_server(
        r"""
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250 STARTTLS

        C: STARTTLS
        S: 220 Ready to start TLS
        TLS
        C: EHLO client.example
        S: 250 mx.example.org
        C~ MAIL FROM:<a@b.\x65xample>\r\n
        C: RCPT TO:<c@example.org>
        C: RCPT TO:<d@example.org>
        A: MailFrom accept 250 2.1.0 Fine
        A: RcptTo accept
        A: RcptTo reject 550 5.1.1 No such mailbox
        S: 250 Fine
        S: 250 Recipient ok
        S: 550 No such mailbox
        C: QUIT
        S: 221 mx.example.org closing connection
        CLOSED
        """,
        ServerConfig(hostname="mx.example.org", extensions=(STARTTLS,)),
    )
    assert driver.seen(MailFrom) == [MailFrom(Mailbox.parse("a@b.example"))]


def test_server_dialogue_from_the_first_word() -> None:
    play_server("S: 220 mx.example.org ESMTP ready\nEOF\nCLOSED", greet=False)


def test_server_dialogue_of_lmtp() -> None:
    driver = play_server(
        """
        C: LHLO client.example
        S: 250-mx.example.org
        S: 250-PIPELINING
        S: 250-SIZE 52428800
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-SMTPUTF8
        S: 250 CHUNKING
        C: MAIL FROM:<>
        C: RCPT TO:<a@example.org>
        C: RCPT TO:<b@example.org>
        C: DATA
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        A: BodyEnd settle 250 2.0.0 Ok | 450 4.2.2 Full
        S: 250 2.0.0 Ok
        S: 450 4.2.2 Full
        """,
        dialect=LMTP,
    )
    assert driver.body == b""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("C: NOOP\nS: 251 Ok", "the server said:\n250 2.0.0 Ok\nand should have said:\n251 Ok\n"),
        ("C: NOOP", "should have said:\n$"),
        ("C: NOOP\nTLS", "said:\n250"),
        ("C: NOOP\nS: 250 2.0.0 Ok\nTLS", "waits for no handshake, but for Wait.DATA"),
        ("C: NOOP\nS: 250 2.0.0 Ok\nCLOSED", "does not want to close, but Wait.DATA"),
        ("C: NOOP\nA: RcptTo accept\nS: 250 2.0.0 Ok", "no question for the decision"),
        ("C: EHLO a\nA: Hello maybe\nS: 250", "no such decision: maybe"),
        ("X: NOOP", "not a line of a server's dialogue: X: NOOP"),
        (r"C~ \xff" + "\nS: 250", r"after b'\\xff'"),
    ],
)
def test_server_dialogue_that_does_not_hold(text: str, why: str) -> None:
    with pytest.raises(DialogueError, match=why):
        play_server(text)


def test_server_that_depends_on_the_cut() -> None:
    # What comes behind DATA ahead of its reply is early, if it comes in one read.
    with pytest.raises(DialogueError, match="554"):
        play_server("C: EHLO a\nC: NOOP\nS: 250 a", CONFIG)


def test_read_reply() -> None:
    assert str(read_reply("550 5.1.1 No such user")) == "550 5.1.1 No such user"
    assert str(read_reply("250 Ok")) == "250 Ok"
    with pytest.raises(LocalProtocolError):
        read_reply("999 Ok")


# --- the client's side ---------------------------------------------------------------------------

HELLO = """
    S: 220 mx.example.org ESMTP
    E: Greeting 220
    I: hello client.example
    C: EHLO client.example
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250 SIZE 1000
    E: HelloDone 250 PIPELINING 8BITMIME SIZE
"""


def test_client_dialogue() -> None:
    driver = play_client(
        HELLO
        + r"""
        I: send a@b.example -> c@d.example e@d.example ; SIZE=20 BODY=8BITMIME
        M: Subject: Tea
        M~ \r\n.\xff
        C: MAIL FROM:<a@b.example> SIZE=20 BODY=8BITMIME
        C: RCPT TO:<c@d.example>
        C: RCPT TO:<e@d.example>
        C: DATA
        S: 250 Ok
        S~ 250 \x4fk\r\n
        S: 550 5.1.1 No such mailbox
        S: 354 Go on
        E: SenderAnswer 250
        E: RecipientAnswer 250 c@d.example
        E: RecipientAnswer 550 e@d.example
        E: BodyWanted
        C: Subject: Tea
        C:
        C: ..\xff
        C: .
        S: 250 Taken
        E: MessageAnswer 250
        E: TransactionDone c@d.example=ACCEPTED e@d.example=REFUSED
        I: quit
        C: QUIT
        S: 221 Bye
        E: Answer 221 QUIT
        E: Closed QUIT
        CLOSED
        """
    )
    assert driver.sent[0].intent.envelope.params.body is Body.EIGHT_BIT_MIME
    assert driver.sent[0].intent.message == b"Subject: Tea\r\n\r\n.\xff"


def test_client_dialogue_with_tls_and_auth() -> None:
    driver = play_client(
        """
        S: 220 mx
        I: hello client.example
        C: EHLO client.example
        S: 250-mx
        S: 250 STARTTLS
        I: starttls
        C: STARTTLS
        S: 220 Go
        TLS
        I: hello client.example
        C: EHLO client.example
        S: 250-mx
        S: 250 AUTH PLAIN
        I: auth tim tanstaaf tanstaaf
        C: AUTH PLAIN AHRpbQB0YW5zdGFhZiB0YW5zdGFhZg==
        S: 235 Welcome
        E: AuthDone 235 PLAIN
        I: auth tim tanstaaf
        I: send <> -> c@d.example
        C: MAIL FROM:<>
        S: 250 Ok
        E: SenderAnswer 250
        C: RCPT TO:<c@d.example>
        S: 452 Full
        E: RecipientAnswer 452 c@d.example
        E: TransactionDone c@d.example=REFUSED
        I: say RSET
        C: RSET
        S: 250 Ok
        I: say NOOP
        C: NOOP
        S: 250 Ok
        I: say VRFY tim
        C: VRFY tim
        S: 252 Perhaps
        I: say EXPN list
        C: EXPN list
        S: 550 No
        I: say HELP
        C: HELP
        S: 214 Help
        I: say ETRN a.example
        C: ETRN a.example
        S: 250 Ok
        E: Answer 250 ETRN
        I: close
        E: Closed ABORTED
        CLOSED
        """,
    )
    assert driver.sent[0].intent.envelope.reverse_path is NULL_PATH
    assert driver.conn.authenticated


def test_client_dialogue_of_a_bad_end() -> None:
    play_client("S: 220 mx\nI: hello a\nC: EHLO a\nI: wait 301\nE: Closed TIMED_OUT command\nCLOSED")
    play_client("EOF\nE: Closed EOF\nCLOSED")
    play_client("S: 250 x\nE: Deviation UNEXPECTED_CODE\nE: Greeting 250")
    play_client("S: 220-x\nS: 221 x\nE: Closed PROTOCOL MIXED_CODES\nCLOSED")
    play_client(
        "S: 220 mx\nI: hello a\nC: EHLO a\nS: 250-mx\nS: 250 STARTTLS\n"
        "I: starttls\nC: STARTTLS\nS: 220 Go\nNOTLS\nE: Answer 220 STARTTLS\nE: Closed TLS_FAILED"
    )


def test_client_dialogue_of_lmtp() -> None:
    driver = play_client(
        """
        S: 220 mx LMTP
        I: hello client.example
        C: LHLO client.example
        S: 250-mx
        S: 250 PIPELINING
        I: send a@b -> c@d e@f
        C: MAIL FROM:<a@b>
        C: RCPT TO:<c@d>
        C: RCPT TO:<e@f>
        C: DATA
        S: 250 Ok
        S: 250 Ok
        S: 250 Ok
        S: 354 Go
        C: Hello
        C: .
        S: 250 Ok
        S: 450 Full
        E: MessageAnswer 250 c@d
        E: MessageAnswer 450 e@f
        E: TransactionDone c@d=ACCEPTED e@f=REFUSED
        """,
        ClientConfig(),
        dialect=LMTP,
    )
    assert [describe(event) for event in driver.events[-1:]] == ["TransactionDone c@d=ACCEPTED e@f=REFUSED"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("S: 220 mx\nI: hello a\nC: EHLO b", "the client said:\nEHLO a\nand should have said:\nEHLO b\n"),
        ("S: 220 mx\nE: Greeting 221", "there came:\nGreeting 220\nand not:\nGreeting 221"),
        ("S: 220 mx\nE: Greeting 22", "there came"),
        ("S: 220 mx\nE: Greeting 220\nE: BodyWanted", "there came"),
        ("S: 220 mx\nTLS", "waits for no handshake, but for Wait.INTENT"),
        ("S: 220 mx\nCLOSED", "does not want to close, but Wait.INTENT"),
        ("X: NOOP", "not a line of a client's dialogue: X: NOOP"),
        ("S: 220 mx\nI: dance", "no such intent: dance"),
        ("M: Hello", "M: stands behind I: send"),
        ("S: 220 mx\nI: hello a\nM: Hello", "M: stands behind I: send"),
    ],
)
def test_client_dialogue_that_does_not_hold(text: str, why: str) -> None:
    with pytest.raises(DialogueError, match=why):
        play_client(text)


def test_an_intent_that_is_not_possible() -> None:
    with pytest.raises(LocalProtocolError):
        play_client("I: hello a")
