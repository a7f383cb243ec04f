"""What a client is told once, and what the engine makes of it before the first connection."""

from typing import Final

import attrs

from ._errors import LocalProtocolError
from ._events import Quirk
from ._framing import Stray
from ._limits import ClientLimits, ClientTimeouts
from ._value import settings, value
from .extensions import ALL, Extension, Param
from .sasl import Strength


@settings
class ClientConfig:
    """How a client behaves; one object serves all connections.

    Args:
        extensions: those that it knows and uses where they are offered.
        limits, timeouts: the numbers.
        tls_required: say nothing but EHLO, STARTTLS, NOOP, RSET, HELP and QUIT before TLS.
        cleartext_auth: authenticate without TLS. Passwords can be read on the way then.
        unverified_auth: show a password or a token to a server whose certificate was not verified.
        auth_floor: the weakest mechanism to use.
        stray: what to do with a bare CR or a bare LF in a message: REJECT or NORMALISE. A NUL is refused by both.
        eight_bit: send octets beyond ASCII to a server that was not told BODY=8BITMIME. Many do; RFC 6152 forbids it.
        pipelining: send commands in groups where PIPELINING is offered (RFC 2920).
        prefer_chunking: send messages by BDAT where CHUNKING is offered, and not only BINARYMIME's.
        quirks: the departures from the grammar that are taken; of a server, BARE_LF.

    Raises:
        LocalProtocolError: the parts do not go together.
    """

    extensions: tuple[Extension, ...] = ALL
    limits: ClientLimits = attrs.field(factory=ClientLimits)
    timeouts: ClientTimeouts = attrs.field(factory=ClientTimeouts)
    tls_required: bool = False
    cleartext_auth: bool = False
    unverified_auth: bool = False
    auth_floor: Strength = Strength.REVEALED
    stray: Stray = Stray.REJECT
    eight_bit: bool = False
    pipelining: bool = True
    prefer_chunking: bool = False
    quirks: frozenset[Quirk] = frozenset()
    _params: list["Wishes"] = attrs.field(factory=list, init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        keywords = [each.keyword for each in self.extensions]
        if len(set(keywords)) != len(keywords):
            raise LocalProtocolError("an extension is given twice")
        if self.stray is Stray.KEEP:
            # RFC 5321 2.3.8: CR and LF "MUST NOT be transmitted" but as a pair that ends a line.
            raise LocalProtocolError("a message is not sent with stray octets: reject them, or normalise them")
        if not self.quirks <= {Quirk.BARE_LF}:
            raise LocalProtocolError("of a server, only Quirk.BARE_LF can be taken")

    @property
    def wishes(self) -> "Wishes":
        """The parameters of the extensions, as they are looked up for each message."""
        if not self._params:
            self._params.append(Wishes(self.extensions))
        return self._params[0]


@value
class Wish:
    """A field of `MailParams` or `RcptParams`, and the parameters that can express it.

    Args:
        params: each with the keyword of the extension that brings it; the first that has the value is used.
    """

    field: str
    params: tuple[tuple[Param, str], ...]


class Wishes:
    """What messages may ask of a server, of all extensions of a config."""

    def __init__(self, extensions: tuple[Extension, ...]) -> None:
        self.mail = _wishes(extensions, "MAIL")
        self.rcpt = _wishes(extensions, "RCPT")
        self.refusing = tuple(each for each in extensions if each.refuse is not _REFUSE_NOTHING)


_REFUSE_NOTHING: Final = Extension("X", rfc=0).refuse


def _wishes(extensions: tuple[Extension, ...], verb: str) -> dict[str, Wish]:
    found: dict[str, list[tuple[Param, str]]] = {}
    for extension in extensions:
        for param in extension.params:
            if param.verb == verb:
                found.setdefault(param.field, []).append((param, extension.keyword))
    return {name: Wish(name, tuple(params)) for name, params in found.items()}
