"""RFC 5321, the client's half: transactions as its sections and its appendix D tell them."""

import pytest

from smtpcore import ClientConfig
from smtpcore.testing import play_client

GREETED = """
    S: 220 foo.com Simple Mail Transfer Service Ready
    I: hello bar.com
    C: EHLO bar.com
    S: 250-foo.com greets bar.com
    S: 250-8BITMIME
    S: 250-SIZE
    S: 250-DSN
    S: 250 HELP
"""


def test_d_1_typical_transaction() -> None:
    driver = play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com Green@foo.com Brown@foo.com
        M: Blah blah blah...
        M: ...etc. etc. etc.
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: RCPT TO:<Green@foo.com>
        S: 550 No such user here
        C: RCPT TO:<Brown@foo.com>
        S: 250 OK
        C: DATA
        S: 354 Start mail input; end with <CRLF>.<CRLF>
        C: Blah blah blah...
        C: ....etc. etc. etc.
        C: .
        S: 250 OK
        E: MessageAnswer 250
        E: TransactionDone Jones@foo.com=ACCEPTED Green@foo.com=REFUSED Brown@foo.com=ACCEPTED
        I: quit
        C: QUIT
        S: 221 foo.com Service closing transmission channel
        E: Answer 221 QUIT
        E: Closed QUIT
        CLOSED
        """
    )
    assert driver.out.endswith(b"\r\n....etc. etc. etc.\r\n.\r\nQUIT\r\n")


def test_d_2_aborted_transaction() -> None:
    """The recipients of the first are forgotten by RSET, which is said where it is needed."""
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Green@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Green@foo.com>
        S: 550 No such user here
        E: RecipientAnswer 550 Green@foo.com
        E: TransactionDone Green@foo.com=REFUSED
        I: send Smith@bar.com -> Jones@foo.com
        C: RSET
        S: 250 OK
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: DATA
        """
    )


def test_3_3_the_sender_is_refused() -> None:
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com Green@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 550 5.7.1 Not from you
        E: SenderAnswer 550
        E: TransactionDone Jones@foo.com=REFUSED Green@foo.com=REFUSED
        I: send Other@bar.com -> Jones@foo.com
        C: MAIL FROM:<Other@bar.com>
        """
    )


def test_3_3_data_is_refused() -> None:
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com Green@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: RCPT TO:<Green@foo.com>
        S: 550 No
        C: DATA
        S: 451 Try again later
        E: MessageAnswer 451
        E: TransactionDone Jones@foo.com=REFUSED Green@foo.com=REFUSED
        I: send Smith@bar.com -> Jones@foo.com
        C: RSET
        """
    )


def test_3_8_421_ends_it() -> None:
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com Green@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: RCPT TO:<Green@foo.com>
        S: 421 4.3.2 Shutting down
        E: RecipientAnswer 421 Green@foo.com
        E: TransactionDone Jones@foo.com=UNSENT Green@foo.com=REFUSED
        E: Closed REJECTED
        CLOSED
        """
    )


def test_4_1_1_4_an_empty_message() -> None:
    play_client(
        GREETED
        + r"""
        I: send <> -> Jones@foo.com
        M~
        C: MAIL FROM:<>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 251 User not local; will forward
        C: DATA
        S: 354 Go
        C: .
        S: 250 OK
        E: MessageAnswer 250
        E: TransactionDone Jones@foo.com=ACCEPTED
        """
    )


def test_4_2_5_nothing_came_after_the_dot() -> None:
    """The connection is gone: nobody can tell whether the message was taken."""
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: DATA
        S: 354 Go
        C: Hello
        C: .
        EOF
        E: TransactionDone Jones@foo.com=UNKNOWN
        E: Closed EOF
        CLOSED
        """
    )


def test_4_3_2_a_message_needs_354() -> None:
    play_client(
        GREETED
        + """
        I: send Smith@bar.com -> Jones@foo.com
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: DATA
        S: 250 OK
        E: TransactionDone Jones@foo.com=UNSENT
        E: Closed PROTOCOL WRONG_REPLY
        CLOSED
        """
    )


@pytest.mark.parametrize("pieces", [1, 3])
def test_4_5_2_transparency(pieces: int) -> None:
    lines = ["", ".", "..", ".x", "x.", "", "."] * pieces
    message = "".join(f"        M: {line}\n" for line in lines)
    stuffed = "".join(f"        C: {'.' if line[:1] == '.' else ''}{line}\n" for line in lines)
    play_client(
        GREETED
        + f"""
        I: send Smith@bar.com -> Jones@foo.com
{message}
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: DATA
        S: 354 Go
{stuffed}
        C: .
        """
    )


def test_2_3_8_a_line_end_is_cr_lf() -> None:
    """What is given otherwise is not sent: the application is told so, and has given up here."""
    play_client(
        GREETED
        + r"""
        I: send Smith@bar.com -> Jones@foo.com
        M~ Hello\n
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: DATA
        S: 354 Go
        E: BodyWanted
        E: TransactionDone Jones@foo.com=UNSENT
        E: Closed ABORTED
        """
    )


def test_3_2_helo_has_no_extensions() -> None:
    play_client(
        """
        S: 220 foo.com
        I: hello bar.com
        C: EHLO bar.com
        S: 502 What?
        C: HELO bar.com
        S: 250 foo.com
        I: send Smith@bar.com -> Jones@foo.com ; SIZE=1000
        C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        """,
        ClientConfig(prefer_chunking=True),
    )
