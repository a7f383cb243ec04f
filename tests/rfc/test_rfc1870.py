"""RFC 1870, SIZE."""

import pytest
from _dialogue import Driver, config, play

from smtpcore import Abort, BodyAborted, BodyEnd, Limits, MailFrom
from smtpcore.extensions import EIGHTBITMIME, SIZE, SMTPUTF8

SETTINGS = config(extensions=(SIZE,), limits=Limits(message_octets=100_000))
GREETED = """
    C: EHLO client.example
    S: 250-mx.example.org
    S: 250 SIZE 100000
"""


def test_7_the_example() -> None:
    driver = play(
        """
        C: EHLO ymir.claremont.edu
        S: 250-mx.example.org
        S: 250-8BITMIME
        S: 250 SIZE 1000000
        C: MAIL FROM:<ned@thor.innosoft.com> SIZE=500000
        S: 250 Sender ok
        C: RCPT TO:<ned@innosoft.com>
        S: 250 Recipient ok
        C: RCPT TO:<ned@ymir.claremont.edu>
        A: RcptTo reject 552 Channel size limit exceeded: <ned@YMIR.CLAREMONT.EDU>
        S: 552 Channel size limit exceeded: <ned@YMIR.CLAREMONT.EDU>
        """,
        config(extensions=(EIGHTBITMIME, SIZE), limits=Limits(message_octets=1_000_000)),
    )
    assert driver.seen(MailFrom)[0].params.size == 500_000


def test_6_1_a_declared_size_above_the_limit() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<a@client.example> SIZE=100001
        S: 552 Message size exceeds fixed limit of 100000 octets
        C: MAIL FROM:<a@client.example> SIZE=99999999999999999999
        S: 552 Message size exceeds fixed limit of 100000 octets
        C: RCPT TO:<b@example.org>
        S: 503 Bad sequence of commands
        C: MAIL FROM:<a@client.example> size=100000
        S: 250 Sender ok
        """,
        SETTINGS,
    )


def test_6_1_insufficient_storage_is_the_application_s_to_say() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<a@client.example> SIZE=10
        A: MailFrom reject 452 Insufficient system storage
        S: 452 Insufficient system storage
        """,
        SETTINGS,
    )


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "value",
    ["=-1", "=+1", "=1_0", "=0x10", "=1.0", "=1e3", "=", "", "= 1", "=" + "1" * 21, "=" + "9" * 25, "=\u0663",
     "=\u00b2", "=\uff11"],
)  # fmt: skip
def test_4_the_value_is_1_to_20_digits(value: str) -> None:
    driver = Driver(config(extensions=(SIZE, EIGHTBITMIME, SMTPUTF8), limits=Limits(message_octets=100_000)))
    driver.say("EHLO client.example")
    (code,) = driver.codes(f"MAIL FROM:<a@client.example> SMTPUTF8 SIZE{value}")
    assert code in ("501", "500")
    assert not driver.seen(MailFrom)


@pytest.mark.parametrize(
    ("value", "code"), [("=0", "250"), ("=00000000000000000007", "250"), (f"={2**64 + 10}", "552")]
)
def test_4_odd_but_right_values(value: str, code: str) -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO client.example")
    assert driver.codes(f"MAIL FROM:<a@client.example> SIZE{value}") == [code]


def test_6_2_a_client_that_declared_too_little() -> None:
    # "a server MUST NOT reject a message because it is larger than declared"? It may (section 6.3); what counts is
    # the limit, which holds whatever was declared.
    driver = Driver(SETTINGS)
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<a@client.example> SIZE=10", "RCPT TO:<b@example.org>", "DATA")
    assert driver.feed(b"x" * 99_998 + b"\r\n.\r\n") == b"250 Message accepted\r\n"
    assert driver.seen(BodyEnd) == [BodyEnd(100_000)]


def test_6_3_a_message_above_the_limit() -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO client.example")
    driver.say("MAIL FROM:<a@client.example>", "RCPT TO:<b@example.org>", "DATA")
    assert driver.feed(b"x" * 99_999 + b"\r\n.\r\n") == b"552 Message size exceeds fixed limit of 100000 octets\r\n"
    assert driver.seen(BodyAborted) == [BodyAborted(Abort.TOO_BIG, "message_octets")]
    assert driver.codes("MAIL FROM:<a@client.example>") == ["250"]


def test_only_mail_has_the_parameter() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<a@client.example> SIZE=1 SIZE=1
        S: 501 Syntax: MAIL FROM:<address> [parameters]
        C: MAIL FROM:<a@client.example>
        S: 250 Sender ok
        C: RCPT TO:<b@example.org> SIZE=1
        S: 555 Unsupported parameter: SIZE
        """,
        SETTINGS,
    )


def test_not_enabled() -> None:
    play(
        """
        C: EHLO client.example
        S: 250 mx.example.org
        C: MAIL FROM:<a@client.example> SIZE=1
        S: 555 Unsupported parameter: SIZE
        """,
        config(extensions=()),
    )
