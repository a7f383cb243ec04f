import itertools

import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, mail, offers, session

from smtpcore import Body, BodyEnd, Extension, LocalProtocolError
from smtpcore.extensions import BINARYMIME, CHUNKING, EIGHTBITMIME
from smtpcore.extensions._extension import unmet_body

ALL = (EIGHTBITMIME, CHUNKING, BINARYMIME)


def test_offer() -> None:
    assert offers(connect(*ALL)) == ["8BITMIME", "CHUNKING", "BINARYMIME"]


@pytest.mark.parametrize("others", [(), (CHUNKING,), (EIGHTBITMIME,)])
def test_needs(others: tuple[Extension, ...]) -> None:
    with pytest.raises(LocalProtocolError, match="BINARYMIME needs"):
        connect(BINARYMIME, *others)


# RFC 3030 3 adds a value to the parameter of 8BITMIME, in whichever order they are given.
@pytest.mark.parametrize("order", [*itertools.permutations(ALL)])
@pytest.mark.parametrize("body", Body)
def test_value(order: tuple[Extension, ...], body: Body) -> None:
    said, params = mail(f"BODY={body.value.lower()}", *order)
    assert said == MAIL_OK
    assert params is not None
    assert params.body is body


def test_not_a_value() -> None:
    assert mail("BODY=BINARY", *ALL)[0] == MAIL_SYNTAX


# RFC 3030 3: "BINARYMIME cannot be used with the DATA command": 503.
def test_by_bdat_alone() -> None:
    driver = session(*ALL)
    driver.say("MAIL FROM:<a@b.example> BODY=BINARYMIME", "RCPT TO:<c@d.example>")
    assert driver.codes("DATA") == ["503 5.5.1"]
    assert driver.feed(b"BDAT 5 LAST\r\n\r\0\n\xff.") == b"250 2.0.0 Message accepted\r\n"
    assert driver.body == b"\r\0\n\xff."
    assert driver.seen(BodyEnd) == [BodyEnd(5)]


def test_unmet() -> None:
    assert BINARYMIME.params[0].unmet is unmet_body
