"""What a client is to do, as values: so that a session can be generated, shrunk and printed."""

from typing import final

import attrs

from .._envelope import Envelope
from .._value import value


@final
@value
class Greet:
    """Say EHLO (HELO where that is refused), or LHLO in LMTP."""

    name: str = "client.example"


@final
@value
class Secure:
    """Say STARTTLS."""


@final
@value
class LogIn:
    """Authenticate by the strongest mechanism that both sides permit; nothing where there is none."""

    username: str
    password: str = attrs.field(repr=False)


@final
@value
class Send:
    """Send a message.

    Args:
        sizes: of the pieces that it is given in, over and over; none for one piece.
        abandon: give up after so many octets; None for not at all.
    """

    envelope: Envelope
    message: bytes
    sizes: tuple[int, ...] = ()
    abandon: int | None = None


@final
@value
class Say:
    """Say another command: RSET, NOOP, VRFY, EXPN, HELP, or one of an extension."""

    verb: str
    argument: str = ""


@final
@value
class Leave:
    """Say QUIT."""


@final
@value
class HangUp:
    """Close at once, without QUIT."""


@final
@value
class Pause:
    """Do nothing for some time."""

    seconds: float


Intent = Greet | Secure | LogIn | Send | Say | Leave | HangUp | Pause
