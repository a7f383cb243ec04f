"""RFC 3030, CHUNKING and BINARYMIME."""

import pytest
from _dialogue import Driver, config, play

from smtpcore import (
    LMTP,
    Abort,
    Body,
    BodyAborted,
    BodyBegin,
    BodyEnd,
    Cause,
    Closed,
    Limits,
    MailFrom,
    Refused,
    Reset,
    Stray,
)
from smtpcore.extensions import BINARYMIME, CHUNKING, EIGHTBITMIME, ENHANCEDSTATUSCODES, PIPELINING

SETTINGS = config(extensions=(CHUNKING, PIPELINING, EIGHTBITMIME, BINARYMIME))
GREETED = """
    C: EHLO cnri.reston.va.us
    S: 250-mx.example.org
    S: 250-CHUNKING
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250 BINARYMIME
"""
OPEN = (
    GREETED
    + """
    C: MAIL FROM:<Sam@Random.com>
    C: RCPT TO:<Susan@Random.com>
    S: 250 Sender ok
    S: 250 Recipient ok
"""
)


def test_4_1_simple_chunking() -> None:
    driver = play(
        OPEN
        + r"""
        C: BDAT 10 LAST
        C~ 12345678\r\n
        S: 250 Message accepted
        C: QUIT
        S: 221 mx.example.org closing connection
        """,
        SETTINGS,
    )
    assert driver.body == b"12345678\r\n"
    assert driver.seen(BodyBegin, BodyEnd) == [BodyBegin("BDAT"), BodyEnd(10)]


def test_4_2_pipelining_binarymime() -> None:
    driver = play(
        GREETED
        + r"""
        C: MAIL FROM:<ned@ymir.claremont.edu> BODY=BINARYMIME
        C: RCPT TO:<gvaudre@cnri.reston.va.us>
        C: RCPT TO:<jstewart@cnri.reston.va.us>
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 250 Recipient ok
        C: BDAT 7
        C~ a\rb\nc\x00\xff
        C: BDAT 4
        C~ \r\n.\r
        C: BDAT 0 LAST
        S: 250 7 octets received
        S: 250 4 octets received
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.body == b"a\rb\nc\x00\xff\r\n.\r"
    assert driver.seen(MailFrom)[0].params.body is Body.BINARY_MIME


def test_2_dots_mean_nothing() -> None:
    driver = play(
        OPEN
        + r"""
        C: BDAT 9
        C~ \r\n.\r\n..\r\n
        C: BDAT 3 LAST
        C~ .\r\n
        S: 250 9 octets received
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.body == b"\r\n.\r\n..\r\n.\r\n"


def test_2_a_chunk_of_nothing() -> None:
    # "a chunk size of zero is permitted", and LAST in any case of letters
    driver = play(
        OPEN
        + r"""
        C: BDAT 0
        S: 250 0 octets received
        C: bdat 2
        C~ \r\n
        S: 250 2 octets received
        C: BDAT 0 last
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.body == b"\r\n"


def test_2_an_empty_message() -> None:
    driver = play(
        OPEN
        + """
        C: BDAT 0 LAST
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.seen(BodyEnd) == [BodyEnd(0)]


def test_2_a_crlf_may_be_cut_in_two() -> None:
    driver = play(
        OPEN
        + r"""
        C: BDAT 2
        C~ a\r
        S: 250 2 octets received
        C: BDAT 2 LAST
        C~ \nb
        S: 250 Message accepted
        """,
        SETTINGS,
    )
    assert driver.body == b"a\r\nb"


def test_2_any_positive_answer_to_a_chunk_keeps_nothing_of_the_next_command() -> None:
    # No CR LF ends a chunk: the octet behind it is the next command's first.
    play(
        OPEN
        + r"""
        C~ BDAT 3\r\nabcBDAT 0 LAST\r\nNOOP\r\n
        S: 250 3 octets received
        S: 250 Message accepted
        S: 250 Ok
        """,
        SETTINGS,
    )


@pytest.mark.catalogue("F9")
def test_2_bdat_after_last() -> None:
    # "Any BDAT command sent after the BDAT LAST is illegal and MUST be replied to with a 503"
    play(
        OPEN
        + r"""
        C~ BDAT 2 LAST\r\n\r\nBDAT 6\r\nNOOP\r\n
        S: 250 Message accepted
        S: 503 Bad sequence of commands
        """,
        SETTINGS,
    )


@pytest.mark.catalogue("F9")
def test_2_data_and_bdat_do_not_mix() -> None:
    # "DATA and BDAT commands cannot be used in the same transaction": 503.
    driver = play(
        OPEN
        + r"""
        C~ BDAT 2\r\n\r\n
        S: 250 2 octets received
        C: DATA
        S: 503 Bad sequence of commands
        C: MAIL FROM:<>
        S: 503 Bad sequence of commands
        C: RCPT TO:<more@Random.com>
        S: 503 Bad sequence of commands
        C: RSET
        S: 250 Ok
        C~ BDAT 6\r\nQUIT\r\n
        S: 503 Bad sequence of commands
        """,
        SETTINGS,
    )
    assert driver.seen(BodyAborted, Reset) == [BodyAborted(Abort.RESET), Reset()]


def test_2_ehlo_between_chunks() -> None:
    driver = play(
        OPEN
        + r"""
        C~ BDAT 2\r\n\r\n
        S: 250 2 octets received
        """
        + GREETED
        + """
        C: MAIL FROM:<>
        S: 250 Sender ok
        """,
        SETTINGS,
    )
    assert driver.seen(BodyAborted, Reset) == [BodyAborted(Abort.RESET), Reset()]


@pytest.mark.catalogue("F5")
def test_2_octets_of_a_refused_chunk_are_discarded() -> None:
    # "the receiver-SMTP MUST accept and discard the associated message data before sending the appropriate
    # 5XX or 4XX code"
    for verdict in ("550 Not that", "450 Not now"):
        driver = play(
            OPEN
            + rf"""
            C~ BDAT 18 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n
            A: BodyBegin reject {verdict}
            S: {verdict}
            S: 250 Ok
            C: RCPT TO:<Susan@Random.com>
            S: 503 Bad sequence of commands
            """,
            SETTINGS,
        )
        assert driver.body == b""


def test_2_chunks_in_the_pipeline_behind_a_refused_one() -> None:
    # "a pipelining server MUST be prepared to accept and discard additional BDAT chunks already in the pipeline
    # after the failed BDAT"; they are no errors of the client, and the next message is not affected.
    driver = play(
        OPEN
        + r"""
        C~ BDAT 6\r\nNOOP\r\nBDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nNOOP\r\n
        A: BodyBegin reject 552 No room
        S: 552 No room
        S: 503 Bad sequence of commands
        S: 503 Bad sequence of commands
        C: MAIL FROM:<Sam@Random.com>
        C: RCPT TO:<Susan@Random.com>
        C~ BDAT 2 LAST\r\n\r\n
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 250 Message accepted
        """,
        config(extensions=SETTINGS.extensions, limits=Limits(errors=0)),
    )
    assert driver.body == b"\r\n"


def test_2_the_verdict_waits_for_the_last_chunk() -> None:
    play(
        OPEN
        + r"""
        C~ BDAT 2\r\n\r\n
        S: 250 2 octets received
        C: BDAT 0 LAST
        A: BodyEnd reject 554 Not liked
        S: 554 Not liked
        C: BDAT 0 LAST
        S: 503 Bad sequence of commands
        C: MAIL FROM:<>
        S: 250 Sender ok
        """,
        SETTINGS,
    )


def test_2_bdat_out_of_its_place() -> None:
    play(
        r"""
        C~ BDAT 6\r\nNOOP\r\n
        S: 503 Bad sequence of commands
        """
        + GREETED
        + r"""
        C~ BDAT 6 LAST\r\nNOOP\r\n
        S: 503 Bad sequence of commands
        C: MAIL FROM:<Sam@Random.com>
        S: 250 Sender ok
        C~ BDAT 6 LAST\r\nNOOP\r\n
        S: 503 Bad sequence of commands
        C: RCPT TO:<Susan@Random.com>
        S: 250 Recipient ok
        C~ BDAT 2 LAST\r\n\r\n
        S: 250 Message accepted
        """,
        SETTINGS,
    )


@pytest.mark.parametrize("argument", ["", "x", "-1", "5 FIRST", "LAST", "5 LAST LAST", "1" * 21, "5\tLAST"])
def test_2_a_size_that_cannot_be_read_ends_the_session(argument: str) -> None:
    # Nobody can tell where the commands go on.
    driver = play(
        OPEN
        + f"""
        C: BDAT {argument}
        S: 501 Syntax: BDAT octets [LAST], closing connection
        CLOSED
        """,
        SETTINGS,
    )
    assert driver.seen(Closed) == [Closed(Cause.PROTOCOL, "BDAT")]
    assert len(driver.seen(Refused)) == 1


def test_2_a_size_above_the_limit() -> None:
    driver = play(
        OPEN
        + """
        C: BDAT 65537 LAST
        C~ """
        + "x" * 65537
        + """
        S: 552 Message size exceeds fixed limit of 65536 octets
        C: MAIL FROM:<>
        S: 250 Sender ok
        """,
        config(extensions=SETTINGS.extensions, limits=Limits(message_octets=65536)),
    )
    assert driver.body == b""
    assert not driver.seen(BodyBegin)


def test_3_binarymime_needs_bdat() -> None:
    # "If a server ... receives a DATA command after a MAIL with BODY=BINARYMIME, ... 503"
    play(
        GREETED
        + r"""
        C: MAIL FROM:<Sam@Random.com> BODY=BINARYMIME
        C: RCPT TO:<Susan@Random.com>
        C: DATA
        S: 250 Sender ok
        S: 250 Recipient ok
        S: 503 Bad sequence of commands
        C~ BDAT 3 LAST\r\n\n\r\x00
        S: 250 Message accepted
        """,
        SETTINGS,
    )


def test_3_only_binarymime_may_hold_any_octet() -> None:
    driver = play(
        GREETED
        + r"""
        C: MAIL FROM:<Sam@Random.com> BODY=8BITMIME
        C: RCPT TO:<Susan@Random.com>
        S: 250 Sender ok
        S: 250 Recipient ok
        C~ BDAT 3\r\na\nb
        S: 554 Message holds a bare CR, a bare LF or a NUL
        C~ BDAT 2 LAST\r\n\r\n
        S: 503 Bad sequence of commands
        """,
        SETTINGS,
    )
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.STRAY_OCTETS)]
    assert driver.body == b"a"


def test_3_stray_octets_made_line_ends() -> None:
    driver = play(
        OPEN
        + r"""
        C~ BDAT 4\r\na\nb\r
        S: 250 4 octets received
        C~ BDAT 2 LAST\r\nc\r
        S: 250 Message accepted
        """,
        config(extensions=SETTINGS.extensions, stray=Stray.NORMALISE),
    )
    assert driver.body == b"a\r\nb\r\nc\r\n"


def test_3_without_binarymime_its_body_is_refused() -> None:
    play(
        """
        C: EHLO client.example
        S: 250-mx.example.org
        S: 250-CHUNKING
        S: 250 8BITMIME
        C: MAIL FROM:<a@client.example> BODY=BINARYMIME
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        """,
        config(extensions=(CHUNKING, EIGHTBITMIME)),
    )


def test_not_enabled() -> None:
    # Neither offered nor accepted; but its octets are no commands all the same.
    play(
        r"""
        C: EHLO client.example
        S: 250 mx.example.org
        C~ BDAT 6\r\nQUIT\r\n
        S: 502 Command not implemented
        C: MAIL FROM:<a@client.example> BODY=BINARYMIME
        S: 555 Unsupported parameter: BODY
        """,
        config(extensions=()),
    )


def test_a_client_that_vanishes_in_a_chunk() -> None:
    driver = play(
        OPEN
        + """
        C: BDAT 100 LAST
        C~ forty-three octets, and not a single one more
        EOF
        CLOSED
        """,
        SETTINGS,
    )
    assert driver.events[-2:] == [BodyAborted(Abort.LOST), Closed(Cause.EOF)]


# RFC 2033 4.3: "a BDAT command containing the LAST parameter returns one reply for each previously successful RCPT
# command in the mail transaction ... A BDAT command without the LAST parameter returns a single success or
# failure reply code".

LMTP_SETTINGS = config(extensions=(PIPELINING, ENHANCEDSTATUSCODES, CHUNKING), limits=Limits(message_octets=65536))
LMTP_OPEN = """
    C: LHLO client.example
    S: 250-mx.example.org
    S: 250-PIPELINING
    S: 250-ENHANCEDSTATUSCODES
    S: 250 CHUNKING
    C: MAIL FROM:<>
    C: RCPT TO:<a@example.org>
    C: RCPT TO:<b@example.org>
    S: 250 2.1.0 Sender ok
    S: 250 2.1.5 Recipient ok
    S: 250 2.1.5 Recipient ok
"""


def test_lmtp_one_reply_for_each_recipient() -> None:
    play(
        LMTP_OPEN
        + r"""
        C~ BDAT 2\r\n\r\n
        S: 250 2.0.0 2 octets received
        C: BDAT 0 LAST
        A: BodyEnd settle 250 2.0.0 Kept | 452 4.2.2 Full
        S: 250 2.0.0 Kept
        S: 452 4.2.2 Full
        """,
        LMTP_SETTINGS,
        dialect=LMTP,
    )


def test_lmtp_a_stray_octet_in_the_last_chunk() -> None:
    play(
        LMTP_OPEN
        + r"""
        C~ BDAT 1 LAST\r\n\n
        S: 554 5.6.0 Message holds a bare CR, a bare LF or a NUL
        S: 554 5.6.0 Message holds a bare CR, a bare LF or a NUL
        """,
        LMTP_SETTINGS,
        dialect=LMTP,
    )


def test_lmtp_a_refused_last_chunk() -> None:
    play(
        LMTP_OPEN
        + r"""
        C~ BDAT 2 LAST\r\n\r\n
        A: BodyBegin reject 550 5.7.1 Not that
        S: 550 5.7.1 Not that
        S: 550 5.7.1 Not that
        """,
        LMTP_SETTINGS,
        dialect=LMTP,
    )


def test_lmtp_a_last_chunk_that_is_too_big() -> None:
    play(
        LMTP_OPEN
        + "C: BDAT 65537 LAST\nC~ "
        + "x" * 65537
        + """
        S: 552 5.3.4 Message size exceeds fixed limit of 65536 octets
        S: 552 5.3.4 Message size exceeds fixed limit of 65536 octets
        """,
        LMTP_SETTINGS,
        dialect=LMTP,
    )


def test_lmtp_a_first_chunk_that_is_refused() -> None:
    play(
        LMTP_OPEN
        + r"""
        C~ BDAT 2\r\n\r\n
        A: BodyBegin reject 550 5.7.1 Not that
        S: 550 5.7.1 Not that
        """,
        LMTP_SETTINGS,
        dialect=LMTP,
    )


def test_driver_of_these_dialogues_finds_a_wrong_reply() -> None:
    with pytest.raises(AssertionError):
        play("S: 250 no", SETTINGS)
    assert Driver(SETTINGS).out == b"220 mx.example.org ESMTP ready\r\n"
