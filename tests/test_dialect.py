"""SMTP, submission and LMTP: what differs between them."""

import pytest
from _dialogue import Driver, codes, config

from smtpcore import LMTP, SMTP, SUBMISSION, Dialect, EarlyInput
from smtpcore.extensions import AUTH, STANDARD
from smtpcore.sasl import PLAIN

SETTINGS = config(extensions=(*STANDARD, AUTH), mechanisms=(PLAIN,), cleartext_auth=True)


@pytest.mark.parametrize(
    ("dialect", "protocol", "hello", "mail"),
    [
        (SMTP, "ESMTP", {"EHLO", "HELO"}, "250"),
        (SUBMISSION, "ESMTP", {"EHLO", "HELO"}, "530"),
        (LMTP, "LMTP", {"LHLO"}, "250"),
    ],
    ids=lambda each: getattr(each, "name", None),
)
def test_dialect(dialect: Dialect, protocol: str, hello: set[str], mail: str) -> None:
    driver = Driver(SETTINGS, dialect=dialect)
    assert driver.out == f"220 mx.example.org {protocol} ready\r\n".encode()
    for verb in ("EHLO", "HELO", "LHLO"):
        (code,) = driver.codes(f"{verb} client.example")
        assert code[:3] == ("250" if verb in hello else "502")
    assert driver.codes("MAIL FROM:<>")[0][:3] == mail


@pytest.mark.parametrize(("dialect", "replies"), [(SMTP, 1), (LMTP, 3)], ids=["SMTP", "LMTP"])
def test_verdicts(dialect: Dialect, replies: int) -> None:
    driver = Driver(SETTINGS, dialect=dialect)
    driver.say(f"{dialect.hello[0]} client.example")
    driver.say("MAIL FROM:<>", *["RCPT TO:<a@example.org>"] * 3, "DATA")
    assert codes(driver.say(".")) == ["250 2.0.0"] * replies


def test_early_input() -> None:
    assert [each.early_input for each in (SMTP, SUBMISSION, LMTP)] == [
        EarlyInput.REJECT,
        EarlyInput.REPORT,
        EarlyInput.REPORT,
    ]
