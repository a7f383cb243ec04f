import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, mail, offers

from smtpcore import GrammarError, Limits, MailParams, Refused, Replies, Reply
from smtpcore.extensions import SIZE

LIMITS = Limits(message_octets=100_000)
TOO_BIG = "552 5.3.4 Message size exceeds fixed limit of 100000 octets"


def test_offer() -> None:
    assert offers(connect(SIZE)) == ["SIZE 52428800"]
    assert offers(connect(SIZE, limits=LIMITS)) == ["SIZE 100000"]


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("0", MAIL_OK),
        ("99999", MAIL_OK),
        ("100000", MAIL_OK),
        ("00000000000000000001", MAIL_OK),
        ("100001", TOO_BIG),
        ("99999999999999999999", TOO_BIG),
        ("18446744073709551626", TOO_BIG),
        ("100000000000000000000", MAIL_SYNTAX),
        ("-1", MAIL_SYNTAX),
        ("+1", MAIL_SYNTAX),
        ("1_0", MAIL_SYNTAX),
        ("0x10", MAIL_SYNTAX),
        ("1e3", MAIL_SYNTAX),
        ("unlimited", MAIL_SYNTAX),
    ],
)
def test_value(value: str, reply: str) -> None:
    said, params = mail(f"SIZE={value}", SIZE, limits=LIMITS)
    assert said == reply
    assert (params.size if params else None) == (int(value) if reply == MAIL_OK else None)


def test_without_size() -> None:
    assert mail("SIZE=1", SIZE)[0] == mail("", SIZE)[0] == MAIL_OK


def test_refusal_is_reported_and_the_session_goes_on() -> None:
    driver = connect(SIZE, limits=LIMITS)
    offers(driver)
    assert driver.codes("MAIL FROM:<a@b.example> SIZE=100001") == ["552 5.3.4"]
    (refused,) = driver.seen(Refused)
    assert refused.reply.code == 552
    assert driver.codes("RCPT TO:<c@d.example>", "MAIL FROM:<a@b.example> SIZE=1") == ["503 5.5.1", "250 2.1.0"]


def test_reply_of_your_own() -> None:
    replies = Replies(too_big=Reply(552, "At most {limit}", "5.3.4"))
    assert mail("SIZE=100001", SIZE, limits=LIMITS, replies=replies)[0] == "552 5.3.4 At most 100000"


@pytest.mark.parametrize(
    ("text", "heard"), [("", None), ("0", None), ("00", None), ("1", 1), ("52428800", 52428800), ("9" * 20, 10**20 - 1)]
)
def test_hear(text: str, heard: int | None) -> None:
    assert SIZE.hear(text) == heard


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("text", ["-1", "+1", "1_0", "1e3", "0x10", "1 2", "9" * 21, "\u0661", "\uff11", "unlimited"])
def test_not_heard(text: str) -> None:
    with pytest.raises(GrammarError):
        SIZE.hear(text)


@pytest.mark.parametrize(
    ("heard", "size", "refused"),
    [(100, 100, False), (100, 101, True), (100, 0, False), (100, None, False), (None, 10**20 - 1, False)],
)
def test_refuse(heard: int | None, size: int | None, refused: bool) -> None:
    too_big = Reply(552, "Message size exceeds fixed limit of 100 octets", "5.3.4")
    assert SIZE.refuse(heard, MailParams(size=size)) == (too_big if refused else None)


def test_unmet() -> None:
    assert SIZE.params[0].unmet(1) is None
