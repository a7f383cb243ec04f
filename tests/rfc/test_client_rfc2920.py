"""RFC 2920, PIPELINING: the client's half."""

from smtpcore import LMTP
from smtpcore.testing import play_client

GREETED = """
    S: 220 dbc.mtview.ca.us SMTP service ready
    I: hello innosoft.com
    C: EHLO innosoft.com
    S: 250-dbc.mtview.ca.us
    S: 250 PIPELINING
"""


def test_4_a_group() -> None:
    play_client(
        GREETED
        + """
        I: send mrose@dbc.mtview.ca.us -> ned@innosoft.com dan@innosoft.com kvc@innosoft.com
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<ned@innosoft.com>
        C: RCPT TO:<dan@innosoft.com>
        C: RCPT TO:<kvc@innosoft.com>
        C: DATA
        S: 250 sender <mrose@dbc.mtview.ca.us> OK
        S: 250 recipient <ned@innosoft.com> OK
        S: 250 recipient <dan@innosoft.com> OK
        S: 250 recipient <kvc@innosoft.com> OK
        S: 354 enter mail, end with line containing only "."
        C: Hello
        C: .
        I: quit
        C: QUIT
        S: 250 message sent
        S: 221 goodbye
        E: MessageAnswer 250
        E: TransactionDone ned@innosoft.com=ACCEPTED dan@innosoft.com=ACCEPTED kvc@innosoft.com=ACCEPTED
        E: Answer 221 QUIT
        E: Closed QUIT
        CLOSED
        """
    )


def test_4_every_recipient_is_refused() -> None:
    """The server might have said 354, "and then had to process the message"; here it did not."""
    play_client(
        GREETED
        + """
        I: send mrose@dbc.mtview.ca.us -> nsb@thumper.bellcore.com galvin@tis.com
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<nsb@thumper.bellcore.com>
        C: RCPT TO:<galvin@tis.com>
        C: DATA
        S: 250 sender <mrose@dbc.mtview.ca.us> OK
        S: 550 remote mail to <nsb@thumper.bellore.com> not allowed
        S: 550 remote mail to <galvin@tis.com> not allowed
        S: 554 no valid recipients given
        E: SenderAnswer 250
        E: RecipientAnswer 550 nsb@thumper.bellcore.com
        E: RecipientAnswer 550 galvin@tis.com
        E: TransactionDone nsb@thumper.bellcore.com=REFUSED galvin@tis.com=REFUSED
        I: quit
        C: QUIT
        """
    )


def test_3_1_354_without_recipients() -> None:
    """The client "MUST ... send a single dot" then."""
    play_client(
        GREETED
        + """
        I: send mrose@dbc.mtview.ca.us -> galvin@tis.com
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<galvin@tis.com>
        C: DATA
        S: 250 Ok
        S: 550 No
        S: 354 Go
        C: .
        E: SenderAnswer 250
        E: RecipientAnswer 550 galvin@tis.com
        S: 554 no valid recipients given
        E: TransactionDone galvin@tis.com=REFUSED
        I: send mrose@dbc.mtview.ca.us -> ned@innosoft.com
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<ned@innosoft.com>
        C: DATA
        """
    )


def test_3_1_354_without_a_sender() -> None:
    play_client(
        GREETED
        + """
        I: send mrose@dbc.mtview.ca.us -> galvin@tis.com
        C: MAIL FROM:<mrose@dbc.mtview.ca.us>
        C: RCPT TO:<galvin@tis.com>
        C: DATA
        S: 452 Not now
        S: 250 Ok
        S: 354 Go
        E: SenderAnswer 452
        E: RecipientAnswer 250 galvin@tis.com
        E: TransactionDone galvin@tis.com=REFUSED
        E: Closed PROTOCOL WRONG_REPLY
        CLOSED
        """
    )


def test_3_1_the_next_message_behind_the_dot() -> None:
    play_client(
        GREETED
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
        I: send c@d.example -> z@y.example
        C: MAIL FROM:<c@d.example>
        C: RCPT TO:<z@y.example>
        C: DATA
        S: 552 Too big
        S: 250 Ok
        S: 250 Ok
        S: 354 Go
        C: Hello
        C: .
        E: MessageAnswer 552
        E: TransactionDone x@y.example=REFUSED
        E: SenderAnswer 250
        E: RecipientAnswer 250 z@y.example
        E: BodyWanted
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone z@y.example=ACCEPTED
        """
    )


def test_3_2_a_reply_more_than_there_are_commands() -> None:
    play_client(
        GREETED
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
        S: 250 Ok
        E: Closed PROTOCOL SURPLUS_REPLY
        """
    )


def test_3_1_lmtp() -> None:
    """RFC 2033 section 4.2: no 354 without a recipient, and so no dot."""
    play_client(
        """
        S: 220 foo.edu LMTP server ready
        I: hello foo.edu
        C: LHLO foo.edu
        S: 250-foo.edu
        S: 250 PIPELINING
        I: send <> -> jones@foo.edu
        C: MAIL FROM:<>
        C: RCPT TO:<jones@foo.edu>
        C: DATA
        S: 250 OK
        S: 550 No
        S: 354 Go
        E: SenderAnswer 250
        E: RecipientAnswer 550 jones@foo.edu
        E: TransactionDone jones@foo.edu=REFUSED
        E: Closed PROTOCOL WRONG_REPLY
        """,
        dialect=LMTP,
    )
