"""RFC 3030, CHUNKING and BINARYMIME: the client's half."""

from smtpcore import ClientConfig, ClientLimits
from smtpcore.testing import play_client

CHUNKS = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=6))
GREETED = """
    S: 220 cnri.reston.va.us SMTP service ready
    I: hello ymir.claremont.edu
    C: EHLO ymir.claremont.edu
    S: 250-cnri.reston.va.us
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250 8BITMIME
"""


def test_4_1_simple_chunking() -> None:
    play_client(
        GREETED
        + """
        I: send Sam@Random.com -> Susan@Random.com
        M: To: Susan@Random.com
        C: MAIL FROM:<Sam@Random.com>
        S: 250 <Sam@Random.com> sender ok
        C: RCPT TO:<Susan@Random.com>
        S: 250 <Susan@random.com> recipient ok
        C: BDAT 22 LAST
        C: To: Susan@Random.com
        S: 250 Message OK, 22 octets received
        E: MessageAnswer 250
        E: TransactionDone Susan@Random.com=ACCEPTED
        I: quit
        C: QUIT
        S: 221 Goodbye
        E: Answer 221 QUIT
        E: Closed QUIT
        """,
        ClientConfig(prefer_chunking=True),
    )


def test_4_2_binarymime() -> None:
    """Any octets, no dot before a dot, and no line end at the end."""
    driver = play_client(
        GREETED
        + """
        I: send ned@ymir.claremont.edu -> jstewart@cnri.reston.va.us ; BODY=BINARYMIME
        M~ a\\nb\\x00\\xff\\r\\n.\\n
        C: MAIL FROM:<ned@ymir.claremont.edu> BODY=BINARYMIME
        S: 250 Ok
        C: RCPT TO:<jstewart@cnri.reston.va.us>
        S: 250 Ok
        C: BDAT 9 LAST
        C: a
        C: b\0\\xff
        C: .
        S: 250 Got it
        E: MessageAnswer 250
        E: TransactionDone jstewart@cnri.reston.va.us=ACCEPTED
        """
    )
    assert driver.out.endswith(b"BDAT 9 LAST\r\na\nb\0\xff\r\n.\n")


def test_3_binarymime_goes_by_bdat_alone() -> None:
    driver = play_client(
        """
        S: 220 mx
        I: hello ymir.claremont.edu
        C: EHLO ymir.claremont.edu
        S: 250-mx
        S: 250-8BITMIME
        S: 250 BINARYMIME
        E: HelloDone 250
        I: send a@b.example -> x@y.example ; BODY=BINARYMIME
        E: TransactionDone x@y.example=REFUSED
        """
    )
    assert driver.out == b"EHLO ymir.claremont.edu\r\n"


def test_2_the_chunks_without_pipelining() -> None:
    """A chunk waits for the reply to the one before it."""
    play_client(
        GREETED
        + r"""
        I: send a@b.example -> x@y.example
        M: .234
        M~
        C: MAIL FROM:<a@b.example>
        S: 250 Ok
        C: RCPT TO:<x@y.example>
        S: 250 Ok
        C: BDAT 6
        C: .234
        S: 250 6 octets received
        C: BDAT 0 LAST
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone x@y.example=ACCEPTED
        """,
        CHUNKS,
    )


def test_2_a_chunk_is_refused() -> None:
    """Nothing is sent behind it, and RSET makes sure of the server's state."""
    play_client(
        GREETED
        + """
        I: send a@b.example -> x@y.example
        M: 1234
        C: MAIL FROM:<a@b.example>
        S: 250 Ok
        C: RCPT TO:<x@y.example>
        S: 250 Ok
        C: BDAT 6
        C: 1234
        S: 554 I do not like it
        E: MessageAnswer 554
        E: TransactionDone x@y.example=REFUSED
        I: send a@b.example -> x@y.example
        C: RSET
        S: 250 Ok
        C: MAIL FROM:<a@b.example>
        """,
        CHUNKS,
    )


def test_2_every_chunk_has_its_reply() -> None:
    play_client(
        GREETED.replace("250-CHUNKING", "250-PIPELINING\n    S: 250-CHUNKING")
        + """
        I: send a@b.example -> x@y.example
        M: 1234
        C: MAIL FROM:<a@b.example>
        C: RCPT TO:<x@y.example>
        S: 250 Ok
        S: 250 Ok
        C: BDAT 6
        C: 1234
        C: BDAT 0 LAST
        S: 452 Full
        E: MessageAnswer 452
        S: 503 No transaction
        E: TransactionDone x@y.example=REFUSED
        I: send c@d.example -> x@y.example
        C: RSET
        C: MAIL FROM:<c@d.example>
        C: RCPT TO:<x@y.example>
        """,
        CHUNKS,
    )


def test_2_an_empty_message() -> None:
    play_client(
        GREETED
        + r"""
        I: send a@b.example -> x@y.example
        M~
        C: MAIL FROM:<a@b.example>
        S: 250 Ok
        C: RCPT TO:<x@y.example>
        S: 250 Ok
        C: BDAT 0 LAST
        S: 250 Ok
        E: MessageAnswer 250
        E: TransactionDone x@y.example=ACCEPTED
        """,
        CHUNKS,
    )


def test_2_nobody_is_to_have_it() -> None:
    play_client(
        GREETED
        + """
        I: send a@b.example -> x@y.example
        C: MAIL FROM:<a@b.example>
        S: 250 Ok
        C: RCPT TO:<x@y.example>
        S: 550 No
        E: RecipientAnswer 550
        E: TransactionDone x@y.example=REFUSED
        """,
        CHUNKS,
    )
