"""What a transcript shows, and what it does not."""

from base64 import b64encode

import pytest

from smtpcore import AuthDone, Cause, Closed, Command, Deviation, Oddity, Reply, Secret, TlsInfo, Violation
from smtpcore_trio import Transcript

SECRET = b64encode(b"\0tim\0correct horse")
DONE = AuthDone(Command("AUTH", "PLAIN ***"), Reply(235), "PLAIN")


def transcript(*secrets: Secret) -> tuple[Transcript, list[str]]:
    lines: list[str] = []
    return Transcript(lines.append, secrets), lines


def test_lines_and_parts_of_lines() -> None:
    script, lines = transcript()
    script.received(b"220 re")
    script.received(b"ady\r\n250-x\n\x1b[2J\r")
    script.sent(b"MAIL FROM:<>\r\nDATA\r\n")
    script.received(b"")
    script.received(b"")
    assert lines == ["<-  220 ready", "<-  250-x", " -> MAIL FROM:<>", " -> DATA", "<-  \\x{1B}[2J"]


@pytest.mark.catalogue("D12")
@pytest.mark.parametrize("verb", [b"AUTH", b"auth"])
def test_authentication(verb: bytes) -> None:
    script, lines = transcript(Secret("correct horse"), Secret("abc"))
    script.sent(verb + b" PLAIN " + SECRET + b"\r\n")
    script.received(b"334 " + SECRET + b" correct horse abc\r\n")
    script.sent(b"YWJjZGVmZw==\r\n")
    script.sent(b"*\r\n")
    script.received(b"535 YWJjZGVmZw== YWJj Y29ycmVjdCBob3JzZQ==\r\n")
    script.happened(DONE)
    script.sent(b"NOOP\r\nAUTH LOGIN\r\n")
    assert lines == [
        " -> AUTH PLAIN ***",
        "<-  334 *** *** abc",
        " -> ***",
        " -> ***",
        "<-  535 *** *** ***",
        " -> NOOP",
        " -> AUTH LOGIN",
    ]
    assert script.scrub("say correct horse") == "say ***"


def test_what_is_part_of_another() -> None:
    script, lines = transcript(Secret("horse"), Secret("correct horse"))
    script.received(b"correct horse, horse\r\n")
    assert lines == ["<-  ***, ***"]


def test_reports() -> None:
    script, lines = transcript()
    script.secured(TlsInfo("TLSv1.3", "X", verified=True))
    script.sent(b"NOOP\r\n")
    script.received(b"250\r\n")
    script.happened(Deviation(Oddity.MISSING_TEXT))
    script.happened(Deviation("early input"))
    script.happened(Closed(Cause.PROTOCOL, violation=Violation.SURPLUS_REPLY))
    script.happened(Closed(Cause.EOF))
    assert lines == [
        "=== TLSv1.3 X, the certificate is verified",
        " ~> NOOP",
        "<~  250",
        "*** a reply line that ends behind the code",
        "*** early input",
        "=== closed: a reply that no command asked for",
        "=== closed: the peer closed the connection",
    ]


def test_nobody_listens() -> None:
    script = Transcript(None, [Secret("correct horse")])
    script.sent(b"AUTH PLAIN abcdefgh\r\n")
    assert script.scrub("correct horse abcdefgh") == "*** ***"
