"""RFC 3461, DSN: the client's half."""

from smtpcore import Envelope, Mailbox, MailParams, Notify, OriginalRecipient, RcptParams, Recipient, Ret
from smtpcore.testing import ClientDriver, Greet, Send


def said(*offered: str) -> bytes:
    """What a client says to a server that offers these, for the message of section 10.1."""
    driver = ClientDriver()
    driver.say("220 Example.ORG SMTP server here")
    driver.do(Greet("Example.ORG"))
    driver.pump()
    *first, last = ["Example.ORG", "PIPELINING", *offered]
    driver.say(*(f"250-{each}" for each in first), f"250 {last}")
    driver.fresh()
    to = (
        ("Bob@Example.COM", frozenset({Notify.SUCCESS}), "Bob@Example.COM"),
        ("Carol@Ivory.EDU", frozenset({Notify.FAILURE}), "Carol@Ivory.EDU"),
        ("Dana@Ivory.EDU", frozenset({Notify.SUCCESS, Notify.FAILURE}), "Dana@Ivory.EDU"),
        ("Eric@Bombs.AF.MIL", frozenset({Notify.FAILURE}), "Eric+mail@Bombs.AF.MIL"),
        ("Fred@Bombs.AF.MIL", frozenset({Notify.NEVER}), None),
        ("George@Tax-ME.GOV", frozenset({Notify.FAILURE}), "George@Tax-ME.GOV"),
    )
    recipients = tuple(
        Recipient(
            Mailbox.parse(path),
            RcptParams(notify=notify, orcpt=OriginalRecipient("rfc822", orcpt) if orcpt else None),
        )
        for path, notify, orcpt in to
    )
    envelope = Envelope(Mailbox.parse("Alice@Example.ORG"), recipients, MailParams(ret=Ret.HEADERS, envid="QQ314159"))
    driver.do(Send(envelope, b"Hello\r\n"))
    driver.pump()
    return driver.fresh()


def test_10_1_submission() -> None:
    assert said("DSN") == (
        b"MAIL FROM:<Alice@Example.ORG> RET=HDRS ENVID=QQ314159\r\n"
        b"RCPT TO:<Bob@Example.COM> NOTIFY=SUCCESS ORCPT=rfc822;Bob@Example.COM\r\n"
        b"RCPT TO:<Carol@Ivory.EDU> NOTIFY=FAILURE ORCPT=rfc822;Carol@Ivory.EDU\r\n"
        b"RCPT TO:<Dana@Ivory.EDU> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Dana@Ivory.EDU\r\n"
        b"RCPT TO:<Eric@Bombs.AF.MIL> NOTIFY=FAILURE ORCPT=rfc822;Eric+2Bmail@Bombs.AF.MIL\r\n"
        b"RCPT TO:<Fred@Bombs.AF.MIL> NOTIFY=NEVER\r\n"
        b"RCPT TO:<George@Tax-ME.GOV> NOTIFY=FAILURE ORCPT=rfc822;George@Tax-ME.GOV\r\n"
        b"DATA\r\n"
    )


def test_5_2_2_relay_to_a_server_without_it() -> None:
    """What the sender asked for cannot be had there; the message goes without."""
    assert said() == (
        b"MAIL FROM:<Alice@Example.ORG>\r\n"
        b"RCPT TO:<Bob@Example.COM>\r\n"
        b"RCPT TO:<Carol@Ivory.EDU>\r\n"
        b"RCPT TO:<Dana@Ivory.EDU>\r\n"
        b"RCPT TO:<Eric@Bombs.AF.MIL>\r\n"
        b"RCPT TO:<Fred@Bombs.AF.MIL>\r\n"
        b"RCPT TO:<George@Tax-ME.GOV>\r\n"
        b"DATA\r\n"
    )
