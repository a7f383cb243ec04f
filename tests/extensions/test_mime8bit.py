import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers

from smtpcore import Body, GrammarError
from smtpcore.extensions import EIGHTBITMIME, SMTPUTF8
from smtpcore.extensions._extension import unmet_body

PARAM = find("MAIL", "BODY", of="8BITMIME")


def test_offer() -> None:
    assert offers(connect(EIGHTBITMIME)) == ["8BITMIME"]


@pytest.mark.parametrize(
    ("value", "body"), [("7BIT", Body.SEVEN_BIT), ("8BITMIME", Body.EIGHT_BIT_MIME), ("8bitMime", Body.EIGHT_BIT_MIME)]
)
def test_value(value: str, body: Body) -> None:
    said, params = mail(f"BODY={value}", EIGHTBITMIME)
    assert said == MAIL_OK
    assert params is not None
    assert params.body is body
    assert PARAM.encode(body) == f"BODY={value.upper()}"


@pytest.mark.parametrize("value", ["BINARYMIME", "8BIT", "7BITMIME", "8BITMIME,7BIT"])
def test_not_a_value(value: str) -> None:
    assert mail(f"BODY={value}", EIGHTBITMIME)[0] == MAIL_SYNTAX


@pytest.mark.catalogue("E11")
def test_value_in_ascii() -> None:
    assert mail("SMTPUTF8 BODY=7B\u0131T", EIGHTBITMIME, SMTPUTF8)[0] == MAIL_SYNTAX


def test_binary_is_not_sent_to_who_did_not_offer_it() -> None:
    with pytest.raises(GrammarError):
        PARAM.encode(Body.BINARY_MIME)


def test_unmet() -> None:
    assert PARAM.unmet is unmet_body
