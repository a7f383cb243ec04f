import datetime as dt

import pytest
from hypothesis import given, strategies as st

from smtpcore import GrammarError
from smtpcore.extensions._datetime import decode_datetime, parse_datetime

UTC = dt.UTC


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        # RFC 3339 5.8, but for its leap seconds
        ("1985-04-12T23:20:50.52Z", dt.datetime(1985, 4, 12, 23, 20, 50, 520000, UTC)),
        ("1996-12-19T16:39:57-08:00", dt.datetime(1996, 12, 20, 0, 39, 57, 0, UTC)),
        ("1937-01-01T12:00:27.87+00:20", dt.datetime(1937, 1, 1, 11, 40, 27, 870000, UTC)),
        ("2024-02-29t00:00:00z", dt.datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-29T23:59:59.123456789-00:00", dt.datetime(2024, 2, 29, 23, 59, 59, 123456, UTC)),
        ("2026-01-01T00:00:00+23:59", dt.datetime(2025, 12, 31, 0, 1, 0, 0, UTC)),
    ],
)
def test_date_time(text: str, moment: dt.datetime) -> None:
    assert parse_datetime(text) == moment
    assert decode_datetime(text) == text


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00Z", "20260101T000000Z", "2026-W01-1T00:00:00Z",
        "2026-01-01 00:00:00Z", "2026-01-01T00:00:00 Z", " 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n",
        "2026-1-01T00:00:00Z", "26-01-01T00:00:00Z", "+2026-01-01T00:00:00Z", "-2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00.1234567890Z",
        "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+01", "2026-01-01T00:00:00+01:00:00",
        "2026-01-01T00:00:00+1:00",
        "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60", "\u0662026-01-01T00:00:00Z", "2026-01-01T00:00:00\uff3a", "1990-12-31T23:59:60Z",
    ],
)  # fmt: skip
def test_not_a_date_time(text: str) -> None:
    with pytest.raises(GrammarError, match="not a date-time"):
        parse_datetime(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_date_time_that_does_not_exist(text: str) -> None:
    with pytest.raises(GrammarError, match="does not exist"):
        decode_datetime(text)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_moments_are_in_order(one: dt.datetime, other: dt.datetime) -> None:
    assert (parse_datetime(one.isoformat()) < parse_datetime(other.isoformat())) == (one < other)


def test_moments_at_the_ends_of_the_calendar_are_in_order() -> None:
    first, last = parse_datetime("0001-01-01T00:00:00+23:59"), parse_datetime("9999-12-31T23:59:59-23:59")
    assert first < parse_datetime("0001-01-01T00:00:00Z") < parse_datetime("9999-12-31T23:59:59Z") < last
