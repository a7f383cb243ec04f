"""RFC 1870, SIZE: the client's half."""

from smtpcore.testing import play_client


def greeted(size: str) -> str:
    return f"""
        S: 220 dbc.mtview.ca.us SMTP service ready
        I: hello sigurd.innosoft.com
        C: EHLO sigurd.innosoft.com
        S: 250-dbc.mtview.ca.us
        S: 250 {size}
    """


def test_9_a_message_that_fits() -> None:
    play_client(
        greeted("SIZE 1000000")
        + """
        I: send ned@thor.innosoft.com -> ned@innosoft.com ; SIZE=500000
        C: MAIL FROM:<ned@thor.innosoft.com> SIZE=500000
        S: 250 Address Ok.
        C: RCPT TO:<ned@innosoft.com>
        S: 250 ned@innosoft.com OK; can accomodate 500000 byte message
        C: DATA
        """
    )


def test_9_a_message_that_does_not_fit() -> None:
    """By the server's own word; nothing has to be sent to hear it."""
    driver = play_client(
        greeted("SIZE 1000000")
        + """
        E: HelloDone 250
        I: send ned@thor.innosoft.com -> ned@innosoft.com ; SIZE=1000001
        E: TransactionDone ned@innosoft.com=REFUSED
        I: quit
        C: QUIT
        """
    )
    assert b"MAIL" not in driver.out


def test_6_1_the_server_says_so() -> None:
    play_client(
        greeted("SIZE 1000000")
        + """
        I: send ned@thor.innosoft.com -> ned@innosoft.com ; SIZE=900000
        C: MAIL FROM:<ned@thor.innosoft.com> SIZE=900000
        S: 452 insufficient channel storage
        E: SenderAnswer 452
        E: TransactionDone ned@innosoft.com=REFUSED
        """
    )


def test_6_1_there_is_no_room_for_one() -> None:
    play_client(
        greeted("SIZE 1000000")
        + """
        I: send ned@thor.innosoft.com -> ned@innosoft.com ned@ymir.claremont.edu ; SIZE=100000
        C: MAIL FROM:<ned@thor.innosoft.com> SIZE=100000
        S: 250 Address Ok.
        C: RCPT TO:<ned@innosoft.com>
        S: 250 Ok
        C: RCPT TO:<ned@ymir.claremont.edu>
        S: 552 Channel size limit exceeded: ned@YMIR.CLAREMONT.EDU
        C: DATA
        S: 354 Go
        C: Hello
        C: .
        S: 250 Some recipients OK
        E: MessageAnswer 250
        E: TransactionDone ned@innosoft.com=ACCEPTED ned@ymir.claremont.edu=REFUSED
        """
    )


def test_4_no_fixed_maximum() -> None:
    for offered in ("SIZE 0", "SIZE"):
        play_client(
            greeted(offered)
            + """
            I: send ned@thor.innosoft.com -> ned@innosoft.com ; SIZE=99999999999999999999
            C: MAIL FROM:<ned@thor.innosoft.com> SIZE=99999999999999999999
            """
        )


def test_5_it_is_not_offered() -> None:
    play_client(
        greeted("HELP")
        + """
        I: send ned@thor.innosoft.com -> ned@innosoft.com ; SIZE=99999999999999999999
        C: MAIL FROM:<ned@thor.innosoft.com>
        """
    )
