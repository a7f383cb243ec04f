"""RFC 6152, 8BITMIME: the client's half."""

from smtpcore import ClientConfig
from smtpcore.testing import play_client

OFFERED = """
    S: 220 dbc.mtview.ca.us SMTP service ready
    I: hello ymir.claremont.edu
    C: EHLO ymir.claremont.edu
    S: 250-dbc.mtview.ca.us says hello
    S: 250 8BITMIME
"""
NOT_OFFERED = OFFERED.replace("8BITMIME", "HELP")
SENT = r"""
    I: send ned@ymir.claremont.edu -> mrose@dbc.mtview.ca.us ; BODY=8BITMIME
    M~ na\xefve\r\n
"""


def test_4_8bitmime() -> None:
    driver = play_client(
        OFFERED
        + SENT
        + """
        C: MAIL FROM:<ned@ymir.claremont.edu> BODY=8BITMIME
        S: 250 <ned@ymir.claremont.edu>... Sender and 8BITMIME ok
        C: RCPT TO:<mrose@dbc.mtview.ca.us>
        S: 250 <mrose@dbc.mtview.ca.us>... Recipient ok
        C: DATA
        S: 354 Send 8BITMIME message, ending in CRLF.CRLF.
        C: na\\xefve
        C: .
        S: 250 OK
        E: MessageAnswer 250
        E: TransactionDone mrose@dbc.mtview.ca.us=ACCEPTED
        """
    )
    assert driver.out.endswith(b"\r\nna\xefve\r\n.\r\n")


def test_3_it_is_not_offered() -> None:
    """It "may treat this as a permanent error"; to convert the message is for whoever knows MIME."""
    driver = play_client(NOT_OFFERED + "E: HelloDone 250" + SENT + "E: TransactionDone mrose@dbc.mtview.ca.us=REFUSED")
    assert driver.out == b"EHLO ymir.claremont.edu\r\n"


def test_3_7bit_needs_no_extension() -> None:
    for offered, parameter in ((OFFERED, " BODY=7BIT"), (NOT_OFFERED, "")):
        play_client(
            offered
            + f"""
            I: send ned@ymir.claremont.edu -> mrose@dbc.mtview.ca.us ; BODY=7BIT
            C: MAIL FROM:<ned@ymir.claremont.edu>{parameter}
            """
        )


def test_3_octets_that_were_not_announced() -> None:
    """The driver's application gives up where its octets are refused."""
    open_ = """
        C: MAIL FROM:<ned@ymir.claremont.edu>
        S: 250 Ok
        C: RCPT TO:<mrose@dbc.mtview.ca.us>
        S: 250 Ok
        C: DATA
        S: 354 Go
    """
    sent = SENT.replace(" ; BODY=8BITMIME", "")
    play_client(
        OFFERED
        + sent
        + open_
        + """
        E: BodyWanted
        E: TransactionDone mrose@dbc.mtview.ca.us=UNSENT
        E: Closed ABORTED
        """
    )
    driver = play_client(OFFERED + sent + open_ + "C: na\\xefve\nC: .\n", ClientConfig(eight_bit=True))
    assert driver.out.endswith(b"\r\nna\xefve\r\n.\r\n")
