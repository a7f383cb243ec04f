import pytest
from _dialogue import TLS
from extension_play import connect, offers, session

from smtpcore import StartTls, Wait
from smtpcore.extensions import STARTTLS


def test_offered_in_the_clear_alone() -> None:
    assert offers(connect(STARTTLS)) == ["STARTTLS"]
    assert offers(connect(STARTTLS, tls=TLS)) == []


def test_handshake() -> None:
    driver = session(STARTTLS)
    assert driver.codes("starttls") == ["220 2.0.0"]
    assert driver.wait is Wait.TLS
    driver.handshake()
    assert driver.codes("MAIL FROM:<a@b.example>") == ["503 5.5.1"]
    assert offers(driver) == []


@pytest.mark.catalogue("C6")
def test_not_twice() -> None:
    assert session(STARTTLS, tls=TLS).codes("STARTTLS") == ["503 5.5.1"]


# RFC 3207 4: "STARTTLS with no parameters".
@pytest.mark.catalogue("C6")
def test_no_parameters() -> None:
    driver = session(STARTTLS)
    assert driver.say("STARTTLS now") == b"501 5.5.4 Syntax: STARTTLS\r\n"
    assert driver.seen(StartTls) == []
