import pytest
from extension_play import RCPT_OK, RCPT_SYNTAX, connect, find, offers, rcpt
from linearity import assert_linear

from smtpcore import GrammarError, RequireRecipientValidSince
from smtpcore.extensions import RRVS

PARAM = find("RCPT", "RRVS")
SINCE = "2014-04-03T23:01:00Z"


def test_offer() -> None:
    assert offers(connect(RRVS)) == ["RRVS"]


@pytest.mark.parametrize(
    ("value", "since", "action"),
    [
        # RFC 7293 3.1: "R" (reject; the default)
        (SINCE, SINCE, "R"),
        (f"{SINCE};R", SINCE, "R"),
        (f"{SINCE};C", SINCE, "C"),
        (f"{SINCE};c", SINCE, "C"),
        ("2014-04-03t23:01:00-07:00;r", "2014-04-03t23:01:00-07:00", "R"),
    ],
)
def test_value(value: str, since: str, action: str) -> None:
    said, params = rcpt(f"RRVS={value}", RRVS)
    assert said == RCPT_OK
    assert params is not None
    assert params.rrvs is not None
    assert (params.rrvs.since, params.rrvs.action) == (since, action)


@pytest.mark.parametrize(
    "value",
    [
        ";C", f"{SINCE};", f"{SINCE};X", f"{SINCE};CR", f"{SINCE};C;R", f"{SINCE},C", f"{SINCE}C", "2014-04-03",
        "2014-02-30T23:01:00Z", "yesterday",
        # RFC 7293 3.1: 'a "time-secfrac" MUST NOT be used'
        "2014-04-03T23:01:00.0Z", "2014-04-03T23:01:00.5Z;C",
    ],
)  # fmt: skip
def test_not_a_value(value: str) -> None:
    assert rcpt(f"RRVS={value}", RRVS)[0] == RCPT_SYNTAX


def test_written() -> None:
    assert PARAM.encode(RequireRecipientValidSince(SINCE, "R")) == f"RRVS={SINCE};R"
    assert PARAM.encode(RequireRecipientValidSince(SINCE, "C")) == f"RRVS={SINCE};C"


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("piece", ["a", ";", ";C", "2014-04-03T23:01:00Z;"])
def test_a_hostile_value_takes_linear_time(piece: str) -> None:
    def decode(text: str) -> None:
        with pytest.raises(GrammarError):
            PARAM.decode(text)

    assert_linear(decode, lambda size: piece * (size // len(piece)))


def test_unmet() -> None:
    reply = PARAM.unmet(RequireRecipientValidSince(SINCE, "R"))
    assert reply is not None
    assert (reply.code, str(reply.status)) == (550, "5.3.3")
    assert PARAM.unmet(RequireRecipientValidSince(SINCE, "C")) is None
