import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, mail, offers

from smtpcore import GrammarError
from smtpcore.extensions import deliver_by, future_release

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
