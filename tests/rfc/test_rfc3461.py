"""RFC 3461, DSN, with the UTF-8 forms of RFC 6533."""

import pytest
from _dialogue import Driver, config, play

from smtpcore import MailFrom, Notify, OriginalRecipient, RcptTo, Ret
from smtpcore.extensions import DSN, EIGHTBITMIME, SMTPUTF8

SETTINGS = config(extensions=(DSN,))
GREETED = """
    C: EHLO Example.ORG
    S: 250-mx.example.org
    S: 250 DSN
"""


def test_10_1_the_example() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159
        S: 250 Sender ok
        C: RCPT TO:<Bob@Example.COM> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM
        S: 250 Recipient ok
        C: RCPT TO:<Carol@Ivory.EDU> NOTIFY=FAILURE ORCPT=rfc822;Carol@Ivory.EDU
        S: 250 Recipient ok
        C: RCPT TO:<Dana@Ivory.EDU> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Dana@Ivory.EDU
        S: 250 Recipient ok
        C: RCPT TO:<Eric@Bombs.AF.MIL> NOTIFY=FAILURE ORCPT=rfc822;Eric@Bombs.AF.MIL
        S: 250 Recipient ok
        C: RCPT TO:<Fred@Bombs.AF.MIL> NOTIFY=NEVER
        S: 250 Recipient ok
        C: RCPT TO:<George@Tax-ME.GOV> NOTIFY=FAILURE ORCPT=rfc822;George@Tax-ME.GOV
        S: 250 Recipient ok
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        """,
        SETTINGS,
    )
    (mail,) = driver.seen(MailFrom)
    assert (mail.params.ret, mail.params.envid) == (Ret.HEADERS, "QQ314159")
    recipients = driver.seen(RcptTo)
    assert recipients[2].params.notify == {Notify.SUCCESS, Notify.FAILURE}
    assert recipients[2].params.orcpt == OriginalRecipient("rfc822", "Dana@Ivory.EDU")
    assert recipients[4].params.notify == {Notify.NEVER}
    assert recipients[4].params.orcpt is None


@pytest.mark.parametrize(
    "params",
    [
        "NOTIFY=", "NOTIFY", "NOTIFY=NEVER,SUCCESS", "NOTIFY=SOMETIMES", "NOTIFY=DELAY,",
        "ORCPT=", "ORCPT=rfc822", "ORCPT=;a@b", "ORCPT=rfc822;a+4", "ORCPT=rfc822;a+0Ab",
        "ORCPT=rfc822;a=b", "ORCPT=rfc822;a+FFb", "ORCPT=" + "x" * 501, "NOTIFY=DELAY NOTIFY=DELAY",
    ],
)  # fmt: skip
def test_4_malformed_parameters_of_rcpt(params: str) -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO Example.ORG")
    driver.say("MAIL FROM:<Alice@Example.ORG>")
    assert driver.codes(f"RCPT TO:<Bob@Example.COM> {params}") == ["501"]


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize(
    "params",
    ["RET=", "RET=BODY", "RET", "ENVID=", "ENVID=a+0D+0Ab", "ENVID=a+00", "ENVID=a+7F", "ENVID=a+C3+A9", "ENVID=a+0d",
     "ENVID=a+", "ENVID=" + "x" * 101, "RET=FULL RET=HDRS"],
)  # fmt: skip
def test_4_malformed_parameters_of_mail(params: str) -> None:
    driver = Driver(SETTINGS)
    driver.say("EHLO Example.ORG")
    assert driver.codes(f"MAIL FROM:<Alice@Example.ORG> {params}") == ["501"]


def test_4_4_envid_in_xtext() -> None:
    driver = play(
        GREETED
        + """
        C: MAIL FROM:<> ENVID=a+2Bb+3Dc+20d ret=full
        S: 250 Sender ok
        """,
        SETTINGS,
    )
    (mail,) = driver.seen(MailFrom)
    assert (mail.params.envid, mail.params.ret) == ("a+b=c d", Ret.FULL)


def test_rfc6533_3_an_original_recipient_in_utf_8() -> None:
    driver = play(
        r"""
        C: EHLO Example.ORG
        S: 250-mx.example.org
        S: 250-DSN
        S: 250-8BITMIME
        S: 250 SMTPUTF8
        C: MAIL FROM:<Alice@Example.ORG> SMTPUTF8
        S: 250 Sender ok
        C: RCPT TO:<Bob@Example.COM> ORCPT=utf-8;g\x{FC}nter@Example.COM
        S: 250 Recipient ok
        C: RCPT TO:<Bob@Example.COM> ORCPT=utf-8;günter@Example.COM
        S: 250 Recipient ok
        """,
        config(extensions=(DSN, EIGHTBITMIME, SMTPUTF8)),
    )
    assert [event.params.orcpt for event in driver.seen(RcptTo)] == [
        OriginalRecipient("utf-8", "günter@Example.COM")
    ] * 2


def test_parameters_belong_to_their_commands() -> None:
    play(
        GREETED
        + """
        C: MAIL FROM:<> NOTIFY=NEVER
        S: 555 Unsupported parameter: NOTIFY
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: RCPT TO:<Bob@Example.COM> RET=FULL
        S: 555 Unsupported parameter: RET
        """,
        SETTINGS,
    )


def test_not_enabled() -> None:
    play(
        """
        C: EHLO Example.ORG
        S: 250 mx.example.org
        C: MAIL FROM:<> RET=FULL
        S: 555 Unsupported parameter: RET
        C: MAIL FROM:<> ENVID=1
        S: 555 Unsupported parameter: ENVID
        C: MAIL FROM:<>
        S: 250 Sender ok
        C: RCPT TO:<Bob@Example.COM> NOTIFY=NEVER
        S: 555 Unsupported parameter: NOTIFY
        C: RCPT TO:<Bob@Example.COM> ORCPT=rfc822;Bob@Example.COM
        S: 555 Unsupported parameter: ORCPT
        """,
        config(extensions=()),
    )
