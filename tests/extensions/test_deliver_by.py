import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers

from smtpcore import DeliverBy, GrammarError, MailParams
from smtpcore.extensions import deliver_by

PARAM = find("MAIL", "BY")
TOO_SOON = "555 5.5.4 The delivery time is shorter than the minimum"


@pytest.mark.parametrize(
    ("seconds", "offer"), [(0, "DELIVERBY"), (1, "DELIVERBY 1"), (999_999_999, "DELIVERBY 999999999")]
)
def test_offer(seconds: int, offer: str) -> None:
    assert offers(connect(deliver_by(seconds))) == [offer]


@pytest.mark.parametrize("seconds", [-1, 1_000_000_000])
def test_not_an_offer(seconds: int) -> None:
    with pytest.raises(GrammarError):
        deliver_by(seconds)


@pytest.mark.parametrize(
    ("value", "by"),
    [
        ("125;R", DeliverBy(125, "R", False)),
        ("+125;r", DeliverBy(125, "R", False)),
        ("1;RT", DeliverBy(1, "R", True)),
        ("000000001;rt", DeliverBy(1, "R", True)),
        ("999999999;NT", DeliverBy(999_999_999, "N", True)),
        ("0;N", DeliverBy(0, "N", False)),
        ("-0;N", DeliverBy(0, "N", False)),
        ("-999999999;n", DeliverBy(-999_999_999, "N", False)),
    ],
)
def test_value(value: str, by: DeliverBy) -> None:
    said, params = mail(f"BY={value}", deliver_by())
    assert said == MAIL_OK
    assert params is not None
    assert params.by == by
    assert PARAM.decode(PARAM.encode(by).removeprefix("BY=")) == by


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "value",
    [
        "120", "120;", ";R", "120;X", "120;T", "120;TR", "120;RR", "120;RTT", "120;R;T", "1000000000;N", "--1;N",
        "+-1;N", "-;N", "1_0;N", "1.5;N", "0x10;N",
    ],
)  # fmt: skip
def test_not_a_value(value: str) -> None:
    assert mail(f"BY={value}", deliver_by())[0] == MAIL_SYNTAX


# RFC 2852 4: 'In the case of a by-mode of "R", a zero or negative by-time is a syntax error': 501, 5.5.4.
@pytest.mark.parametrize("value", ["0;R", "-0;R", "+0;RT", "-1;R", "000000000;R"])
def test_returned_before_it_came(value: str) -> None:
    assert mail(f"BY={value}", deliver_by())[0] == MAIL_SYNTAX
    assert mail(f"BY={value}", deliver_by(60))[0] == MAIL_SYNTAX


# RFC 2852 3: "a by-time strictly less than this limit", and of "R" alone
@pytest.mark.parametrize(
    ("value", "reply"),
    [("60;R", MAIL_OK), ("59;R", TOO_SOON), ("59;RT", TOO_SOON), ("59;N", MAIL_OK), ("-1;N", MAIL_OK)],
)
def test_minimum(value: str, reply: str) -> None:
    assert mail(f"BY={value}", deliver_by(60))[0] == reply


def test_without() -> None:
    assert mail("", deliver_by(60))[0] == MAIL_OK


def test_written() -> None:
    assert PARAM.encode(DeliverBy(-5, "N", True)) == "BY=-5;NT"


@pytest.mark.parametrize(("text", "heard"), [("", None), ("0", 0), ("060", 60), ("999999999", 999_999_999)])
def test_hear(text: str, heard: int | None) -> None:
    assert deliver_by().hear(text) == heard


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("text", ["-1", "+1", "1_0", "1 2", "1000000000", "\u0661", "soon"])
def test_not_heard(text: str) -> None:
    with pytest.raises(GrammarError):
        deliver_by().hear(text)


@pytest.mark.parametrize(
    ("heard", "by", "refused"),
    [
        (60, DeliverBy(60, "R", False), False),
        (60, DeliverBy(59, "R", True), True),
        (60, DeliverBy(59, "N", False), False),
        (60, None, False),
        (None, DeliverBy(1, "R", False), False),
    ],
)
def test_refuse(heard: int | None, by: DeliverBy | None, refused: bool) -> None:
    # What the server was made with is nothing to the client.
    reply = deliver_by(1000).refuse(heard, MailParams(by=by))
    assert (reply and str(reply)) == (TOO_SOON if refused else None)


def test_unmet() -> None:
    reply = PARAM.unmet(DeliverBy(60, "R", False))
    assert reply is not None
    assert (reply.code, str(reply.status)) == (550, "5.3.3")
    assert PARAM.unmet(DeliverBy(60, "N", True)) is None
