"""FUTURERELEASE (RFC 4865): the server holds a message until a time. The application does the holding.

It is for submission alone (section 3): offer it in the config of a submission port.
"""

import datetime as dt
import re

from .._envelope import MailParams
from .._errors import GrammarError
from .._reply import Reply
from .._value import value
from ._datetime import decode_datetime, parse_datetime
from ._extension import Codec, Extension, Param, integer

# RFC 4865 3: future-release-integer = %x31-39 *8DIGIT
_interval = integer(1, 999_999_999)

# RFC 4865 4.2: whatever is wrong with a hold-param, "SHOULD supply the reply code 501" and "5.5.4"; 5.2.2: so
# here, too.
_BOTH = Reply(501, "HOLDFOR and HOLDUNTIL exclude each other", "5.5.4")
_TOO_LONG = Reply(501, "The hold is longer than permitted", "5.5.4")
_TOO_LATE = Reply(501, "The hold would end after the message is to be delivered", "5.5.4")
_NOT_HELD = Reply(550, "The message is to be held, which the server does not do", "5.3.3")

# RFC 4865 3: future-release-keyword SP max-future-release-interval SP max-future-release-date-time
_match = re.compile("([1-9][0-9]{0,8}+) ([^ ]++)").fullmatch


@value
class FutureRelease:
    """What a server offers behind FUTURERELEASE.

    Args:
        max_date_time: an RFC 3339 date-time, in UTC.

    Raises:
        GrammarError: not 1 to 999,999,999 seconds, or not an RFC 3339 date-time in UTC.
    """

    max_seconds: int
    max_date_time: str

    def __attrs_post_init__(self) -> None:
        _interval.decode(str(self.max_seconds))
        # RFC 4865 3: "a timestamp, normalized to Universal Coordinated Time (UTC)"
        if parse_datetime(self.max_date_time).utcoffset() != dt.timedelta(0):
            raise GrammarError("not in UTC")


def _hear(text: str) -> FutureRelease:
    match = _match(text)
    if match is None:
        raise GrammarError("not an interval and a date-time")
    return FutureRelease(int(match[1]), match[2])


def _refuse(most: FutureRelease | None, params: MailParams) -> Reply | None:
    seconds, until = params.hold_for, params.hold_until
    # RFC 4865 4.2 (9): "MUST reject a MAIL command containing more than one hold-param".
    if seconds is not None and until is not None:
        return _BOTH
    # RFC 4865 4.2 (8): "later than the advertised max-future-release-date-time"
    if most is not None and until is not None and parse_datetime(until) > parse_datetime(most.max_date_time):
        return _TOO_LONG
    if seconds is None:
        return None
    # RFC 4865 4.2 (7): "greater than the advertised max-future-release-interval"
    if most is not None and seconds > most.max_seconds:
        return _TOO_LONG
    # RFC 4865 5.2.2: "MUST reject the MAIL command if it determines that the future message release time is
    # farther in the future than the deliver-by time".
    return _TOO_LATE if params.by is not None and seconds > params.by.seconds else None


def _unmet(_hold: int | str) -> Reply:
    # Sent without the parameter, the message would come too early.
    return _NOT_HELD


def future_release(max_seconds: int, max_date_time: str) -> Extension:
    """The extension for a server that holds for at most *max_seconds*, or until *max_date_time*.

    The engine has no clock. So a HOLDUNTIL that has passed, and one with BY=, are for the application.

    Raises:
        GrammarError: not 1 to 999,999,999 seconds, or not an RFC 3339 date-time in UTC.
    """
    most = FutureRelease(max_seconds, max_date_time)
    return Extension(
        "FUTURERELEASE",
        rfc=4865,
        params=(
            Param("MAIL", "HOLDFOR", "hold_for", _interval, _unmet),
            Param("MAIL", "HOLDUNTIL", "hold_until", Codec(decode_datetime, str), _unmet),
        ),
        offer=lambda facts: f"{max_seconds} {max_date_time}",
        check_mail=lambda facts, params: _refuse(most, params),
        hear=_hear,
        refuse=_refuse,
    )
