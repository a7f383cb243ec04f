import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers

from smtpcore import DeliverBy, GrammarError, MailParams
from smtpcore.extensions import FutureRelease, deliver_by, future_release

HOUR = future_release(3600, "2030-01-01T00:00:00Z")
BOTH = "501 5.5.4 HOLDFOR and HOLDUNTIL exclude each other"
TOO_LONG = "501 5.5.4 The hold is longer than permitted"
TOO_LATE = "501 5.5.4 The hold would end after the message is to be delivered"


@pytest.mark.parametrize(
    ("seconds", "until"),
    [(1, "2030-01-01T00:00:00Z"), (999_999_999, "2030-01-01t00:00:00.5z"), (3600, "2030-01-01T00:00:00+00:00")],
)
def test_offer(seconds: int, until: str) -> None:
    assert offers(connect(future_release(seconds, until))) == [f"FUTURERELEASE {seconds} {until}"]


@pytest.mark.parametrize(
    ("seconds", "until"),
    [
        (0, "2030-01-01T00:00:00Z"),
        (-1, "2030-01-01T00:00:00Z"),
        (1_000_000_000, "2030-01-01T00:00:00Z"),
        (1, "2030-01-01"),
        (1, "2030-02-30T00:00:00Z"),
        (1, "2030-01-01T00:00:00+01:00"),
    ],
)
def test_not_an_offer(seconds: int, until: str) -> None:
    with pytest.raises(GrammarError):
        future_release(seconds, until)


@pytest.mark.parametrize(
    ("value", "reply"), [("1", MAIL_OK), ("3600", MAIL_OK), ("3601", TOO_LONG), ("999999999", TOO_LONG)]
)
def test_hold_for(value: str, reply: str) -> None:
    said, params = mail(f"HOLDFOR={value}", HOUR)
    assert said == reply
    assert (params.hold_for if params else None) == (int(value) if reply == MAIL_OK else None)


# RFC 4865 3: future-release-integer = %x31-39 *8DIGIT
@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("value", ["0", "01", "-1", "+1", "1000000000", "1.5", "1h", "1_0"])
def test_not_hold_for(value: str) -> None:
    assert mail(f"HOLDFOR={value}", HOUR)[0] == MAIL_SYNTAX


@pytest.mark.parametrize(
    ("value", "reply"),
    [
        ("2029-12-31T23:59:59Z", MAIL_OK),
        ("2030-01-01T00:00:00Z", MAIL_OK),
        ("2030-01-01T01:00:00+01:00", MAIL_OK),
        ("1999-01-01T00:00:00Z", MAIL_OK),  # whether it has passed is for a clock to say
        ("2030-01-01T00:00:00.001Z", TOO_LONG),
        ("2030-01-01T00:00:01Z", TOO_LONG),
        ("2029-12-31T23:30:00-01:00", TOO_LONG),
        ("9999-12-31T23:59:59-23:59", TOO_LONG),
    ],
)
def test_hold_until(value: str, reply: str) -> None:
    said, params = mail(f"HOLDUNTIL={value}", HOUR)
    assert said == reply
    assert (params.hold_until if params else None) == (value if reply == MAIL_OK else None)


@pytest.mark.parametrize("value", ["tomorrow", "2029-12-31", "2029-02-29T00:00:00Z", "3600"])
def test_not_hold_until(value: str) -> None:
    assert mail(f"HOLDUNTIL={value}", HOUR)[0] == MAIL_SYNTAX


# RFC 4865 4.2 (9)
@pytest.mark.parametrize(
    "params", ["HOLDFOR=1 HOLDUNTIL=2029-12-31T00:00:00Z", "HOLDUNTIL=2029-12-31T00:00:00Z HOLDFOR=1"]
)
def test_both(params: str) -> None:
    assert mail(params, HOUR)[0] == BOTH


# RFC 4865 5.2.2
@pytest.mark.parametrize(
    ("params", "reply"),
    [
        ("HOLDFOR=60 BY=60;R", MAIL_OK),
        ("HOLDFOR=60 BY=61;N", MAIL_OK),
        ("HOLDFOR=61 BY=60;R", TOO_LATE),
        ("BY=0;N HOLDFOR=1", TOO_LATE),
        ("BY=-60;NT HOLDFOR=1", TOO_LATE),
        ("BY=60;R", MAIL_OK),
        ("HOLDUNTIL=2029-12-31T00:00:00Z BY=60;R", MAIL_OK),  # for a clock to say, too
    ],
)
def test_with_deliver_by(params: str, reply: str) -> None:
    assert mail(params, HOUR, deliver_by())[0] == reply


def test_neither() -> None:
    assert mail("", HOUR)[0] == MAIL_OK


# --- the client's half ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "until"), [(1, "2030-01-01T00:00:00Z"), (999_999_999, "2030-01-01t00:00:00.5+00:00")]
)
def test_hear(seconds: int, until: str) -> None:
    assert HOUR.hear(f"{seconds} {until}") == FutureRelease(seconds, until)


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "text",
    [
        "", "3600", "2030-01-01T00:00:00Z", "0 2030-01-01T00:00:00Z", "01 2030-01-01T00:00:00Z",
        "1000000000 2030-01-01T00:00:00Z", "\u0661 2030-01-01T00:00:00Z", "1  2030-01-01T00:00:00Z",
        "1 2030-01-01T00:00:00Z 2", "1 2030-02-30T00:00:00Z", "1 2030-01-01T00:00:00+01:00", "1 later",
    ],
)  # fmt: skip
def test_not_heard(text: str) -> None:
    with pytest.raises(GrammarError):
        HOUR.hear(text)


HEARD = FutureRelease(60, "2029-01-01T00:00:00Z")
UNTIL = "2029-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("heard", "params", "reply"),
    [
        (HEARD, MailParams(), None),
        (HEARD, MailParams(hold_for=60), None),
        (HEARD, MailParams(hold_for=61), TOO_LONG),
        (HEARD, MailParams(hold_until=UNTIL), None),
        (HEARD, MailParams(hold_until="2029-01-01T00:00:00.1Z"), TOO_LONG),
        (HEARD, MailParams(hold_for=1, hold_until=UNTIL), BOTH),
        (HEARD, MailParams(hold_for=10, by=DeliverBy(9, "R", False)), TOO_LATE),
        (HEARD, MailParams(hold_for=10, by=DeliverBy(10, "R", False)), None),
        (None, MailParams(hold_for=999_999_999), None),
        (None, MailParams(hold_until="9999-12-31T23:59:59Z"), None),
        (None, MailParams(hold_for=1, hold_until=UNTIL), BOTH),
        (None, MailParams(hold_for=10, by=DeliverBy(9, "R", False)), TOO_LATE),
    ],
)
def test_refuse(heard: FutureRelease | None, params: MailParams, reply: str | None) -> None:
    said = HOUR.refuse(heard, params)
    assert (said and str(said)) == reply


@pytest.mark.parametrize(("keyword", "wanted"), [("HOLDFOR", 60), ("HOLDUNTIL", UNTIL)])
def test_unmet(keyword: str, wanted: int | str) -> None:
    reply = find("MAIL", keyword).unmet(wanted)
    assert reply is not None
    assert (reply.code, str(reply.status)) == (550, "5.3.3")
