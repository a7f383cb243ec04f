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
    assert Extension("LIMITS", rfc=9422, offer=LIMITS.offer) == LIMITS


def test_the_server_takes_what_it_promises() -> None:
    driver = connect(LIMITS, limits=Limits(recipients=100, transactions=1))
    assert offers(driver) == ["LIMITS RCPTMAX=100 MAILMAX=1"]
    commands = ["MAIL FROM:<a@b.example>", *(f"RCPT TO:<{number}@d.example>" for number in range(101)), "RSET"]
    assert driver.codes(*commands) == ["250 2.1.0", *["250 2.1.5"] * 100, "452 4.5.3", "250 2.0.0"]
    assert driver.codes("MAIL FROM:<a@b.example>") == ["451 4.7.0"]
