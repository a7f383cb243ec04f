import pytest
from extension_play import connect, offers

from smtpcore import Limits
from smtpcore.extensions import LIMITS, Extension


@pytest.mark.parametrize(
    ("limits", "offer"),
    [
        (Limits(), ["LIMITS RCPTMAX=1000"]),
        (Limits(recipients=100, transactions=1), ["LIMITS RCPTMAX=100 MAILMAX=1"]),
        # RFC 9422 4.1 and 4.2: "six-digit maximum"
        (Limits(recipients=999_999, transactions=999_999), ["LIMITS RCPTMAX=999999 MAILMAX=999999"]),
        (Limits(recipients=999_999, transactions=1_000_000), ["LIMITS RCPTMAX=999999"]),
        (Limits(recipients=1_000_000, transactions=5), ["LIMITS MAILMAX=5"]),
        # RFC 9422 3: at least one limit
        (Limits(recipients=1_000_000), []),
    ],
)
def test_offer(limits: Limits, offer: list[str]) -> None:
    assert offers(connect(LIMITS, limits=limits)) == offer


def test_adds_nothing_else() -> None:
    assert Extension("LIMITS", rfc=9422, offer=LIMITS.offer, hear=LIMITS.hear) == LIMITS


def test_the_server_takes_what_it_promises() -> None:
    driver = connect(LIMITS, limits=Limits(recipients=100, transactions=1))
    assert offers(driver) == ["LIMITS RCPTMAX=100 MAILMAX=1"]
    commands = ["MAIL FROM:<a@b.example>", *(f"RCPT TO:<{number}@d.example>" for number in range(101)), "RSET"]
    assert driver.codes(*commands) == ["250 2.1.0", *["250 2.1.5"] * 100, "452 4.5.3", "250 2.0.0"]
    assert driver.codes("MAIL FROM:<a@b.example>") == ["451 4.7.0"]


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("RCPTMAX=100 MAILMAX=1", {"RCPTMAX": 100, "MAILMAX": 1}),
        ("rcptmax=999999  RcptDomainMax=5", {"RCPTMAX": 999_999, "RCPTDOMAINMAX": 5}),
        ("RCPTMAX=100 RCPTMAX=5 rcptmax=7", {"RCPTMAX": 100}),
        ("X_NEW-1=20 RCPTMAX", {"X_NEW-1": 20}),
        ("", {}),
    ],
)
def test_hear(text: str, heard: dict[str, int]) -> None:
    assert LIMITS.hear(text) == heard


# A limit of 0 would have the client send nothing for ever.
@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "bad", ["0", "01", "1000000", "-1", "+1", "1_0", "1e3", "", "=1", "0x1", "\u0661", "\uff11", "\u00b2", "many"]
)
def test_one_limit_that_cannot_be_read_spoils_no_other(bad: str) -> None:
    assert LIMITS.hear(f"RCPTMAX={bad} MAILMAX=5 RCPT\u017f=1 =3") == {"MAILMAX": 5}
