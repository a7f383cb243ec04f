from _dialogue import TLS
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, mail, offers

from smtpcore.extensions import REQUIRETLS, STARTTLS


def test_offered_within_tls_alone() -> None:
    driver = connect(STARTTLS, REQUIRETLS)
    assert offers(driver) == ["STARTTLS"]
    assert driver.codes("MAIL FROM:<a@b.example> REQUIRETLS") == ["555 5.5.4"]
    assert driver.codes("STARTTLS") == ["220 2.0.0"]
    driver.handshake()
    assert offers(driver) == ["REQUIRETLS"]
    assert driver.codes("MAIL FROM:<a@b.example> REQUIRETLS") == ["250 2.1.0"]


def test_parameter() -> None:
    said, params = mail("requiretls", REQUIRETLS, tls=TLS)
    assert said == MAIL_OK
    assert params is not None
    assert params.requiretls
    assert mail("REQUIRETLS=YES", REQUIRETLS, tls=TLS)[0] == MAIL_SYNTAX


def test_unmet() -> None:
    reply = REQUIRETLS.params[0].unmet(True)
    assert reply is not None
    assert (reply.code, str(reply.status)) == (550, "5.7.30")
