"""RFC 2033, LMTP: the client's half."""

from smtpcore import LMTP, ClientConfig
from smtpcore.testing import play_client

GREETED = """
    S: 220 foo.edu LMTP server ready
    I: hello foo.edu
    C: LHLO foo.edu
    S: 250-foo.edu
    S: 250-PIPELINING
    S: 250-CHUNKING
    S: 250 SIZE
"""
OPEN = (
    GREETED
    + """
    I: send chris@bar.com -> pat@foo.edu jones@foo.edu green@foo.edu
    C: MAIL FROM:<chris@bar.com>
    C: RCPT TO:<pat@foo.edu>
    C: RCPT TO:<jones@foo.edu>
    C: RCPT TO:<green@foo.edu>
    C: DATA
    S: 250 OK
    S: 250 OK
    S: 550 No such user here
    S: 250 OK
    S: 354 Start mail input; end with <CRLF>.<CRLF>
    C: Hello
    C: .
"""
)


def test_4_2_a_reply_for_each_recipient() -> None:
    play_client(
        OPEN
        + """
        S: 250 OK
        E: MessageAnswer 250 pat@foo.edu
        S: 452 <green@foo.edu> is temporarily over quota
        E: MessageAnswer 452 green@foo.edu
        E: TransactionDone pat@foo.edu=ACCEPTED jones@foo.edu=REFUSED green@foo.edu=REFUSED
        I: quit
        C: QUIT
        S: 221 foo.edu closing connection
        E: Answer 221 QUIT
        E: Closed QUIT
        """,
        dialect=LMTP,
    )


def test_4_2_a_reply_is_missing() -> None:
    play_client(
        OPEN
        + """
        S: 250 OK
        EOF
        E: MessageAnswer 250 pat@foo.edu
        E: TransactionDone pat@foo.edu=ACCEPTED jones@foo.edu=REFUSED green@foo.edu=UNKNOWN
        E: Closed EOF
        """,
        dialect=LMTP,
    )


def test_4_2_the_server_ends_it_in_the_middle() -> None:
    play_client(
        OPEN
        + """
        S: 421 Disk error
        E: MessageAnswer 421 pat@foo.edu
        E: TransactionDone pat@foo.edu=REFUSED jones@foo.edu=REFUSED green@foo.edu=UNKNOWN
        E: Closed REJECTED
        """,
        dialect=LMTP,
    )


def test_4_2_nobody_is_to_have_it() -> None:
    """The server must say 503 to DATA then."""
    play_client(
        GREETED
        + """
        I: send chris@bar.com -> jones@foo.edu
        C: MAIL FROM:<chris@bar.com>
        C: RCPT TO:<jones@foo.edu>
        C: DATA
        S: 250 OK
        S: 550 No
        S: 503 No recipients
        E: SenderAnswer 250
        E: RecipientAnswer 550
        E: TransactionDone jones@foo.edu=REFUSED
        I: send chris@bar.com -> pat@foo.edu
        C: RSET
        C: MAIL FROM:<chris@bar.com>
        C: RCPT TO:<pat@foo.edu>
        C: DATA
        """,
        dialect=LMTP,
    )


def test_4_2_chunks() -> None:
    """RFC 3030: the replies of each recipient are those to LAST."""
    play_client(
        GREETED
        + """
        I: send chris@bar.com -> pat@foo.edu green@foo.edu
        C: MAIL FROM:<chris@bar.com>
        C: RCPT TO:<pat@foo.edu>
        C: RCPT TO:<green@foo.edu>
        S: 250 OK
        S: 250 OK
        S: 250 OK
        C: BDAT 7 LAST
        C: Hello
        S: 250 OK
        S: 554 No
        E: MessageAnswer 250 pat@foo.edu
        E: MessageAnswer 554 green@foo.edu
        E: TransactionDone pat@foo.edu=ACCEPTED green@foo.edu=REFUSED
        """,
        ClientConfig(prefer_chunking=True),
        dialect=LMTP,
    )
