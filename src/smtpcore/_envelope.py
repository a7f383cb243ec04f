"""The envelope of a message: who it is from, who it is for, and what was asked of us for it.

The parameters that extensions add to MAIL and RCPT are decoded to these fields; those of an
extension that this package does not know are in ``extra``.
"""

import enum
import types
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import attrs

from ._address import NULL_PATH, Mailbox, ReversePath
from ._errors import GrammarError
from ._reply import safe
from ._value import fields, settings, value


class Body(enum.Enum):
    """BODY= of MAIL (RFC 6152 section 2, RFC 3030 section 3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"


class Ret(enum.Enum):
    """RET= of MAIL: how much of the message a failure notification returns (RFC 3461 section 4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


class Notify(enum.Enum):
    """NOTIFY= of RCPT: when a notification is wanted (RFC 3461 section 4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@value
class OriginalRecipient:
    """ORCPT= of RCPT (RFC 3461 section 4.2, RFC 6533 section 3)."""

    address_type: str
    address: str


@value
class DeliverBy:
    """BY= of MAIL (RFC 2852 section 4)."""

    seconds: int
    mode: Literal["N", "R"]
    trace: bool


@value
class RequireRecipientValidSince:
    """RRVS= of RCPT (RFC 7293 section 3): an RFC 3339 date-time as written, and the wish for others."""

    since: str
    action: Literal["C", "R"]


_NOTHING: Final[Mapping[str, object]] = types.MappingProxyType({})


def _extra() -> Mapping[str, object]:
    field: Mapping[str, object] = attrs.field(default=_NOTHING, hash=False)
    return field


def _given(params: object) -> str:
    """The repr of parameters: those that were given."""
    given = [
        f"{field.name}={getattr(params, field.name)!r}"
        for field in fields(type(params))
        if getattr(params, field.name) != field.default
    ]
    return f"{type(params).__name__}({', '.join(given)})"


@settings
class MailParams:
    """The parameters of a MAIL command; a field is None or False where the client did not give it."""

    size: int | None = None
    body: Body | None = None
    smtputf8: bool = False
    auth: Mailbox | None | Literal["<>"] = None
    ret: Ret | None = None
    envid: str | None = None
    priority: int | None = None
    hold_for: int | None = None
    hold_until: str | None = None
    by: DeliverBy | None = None
    requiretls: bool = False
    solicit: tuple[str, ...] = ()
    extra: Mapping[str, object] = _extra()

    __repr__ = _given


@settings
class RcptParams:
    """The parameters of a RCPT command; a field is None or empty where the client did not give it."""

    notify: frozenset[Notify] = frozenset()
    orcpt: OriginalRecipient | None = None
    rrvs: RequireRecipientValidSince | None = None
    extra: Mapping[str, object] = _extra()

    __repr__ = _given


NO_MAIL_PARAMS: Final = MailParams()
NO_RCPT_PARAMS: Final = RcptParams()


@value
class Recipient:
    """A forward-path and what was asked for it."""

    path: Mailbox
    params: RcptParams = NO_RCPT_PARAMS


@value
class Envelope:
    """A reverse-path, its recipients, and the parameters of MAIL."""

    reverse_path: ReversePath
    recipients: tuple[Recipient, ...]
    params: MailParams = NO_MAIL_PARAMS

    @classmethod
    def parse(cls, sender: str, recipients: Iterable[str], params: MailParams = NO_MAIL_PARAMS) -> "Envelope":
        """An envelope of addresses as text: bare ones, without brackets, names or comments.

        Args:
            sender: empty for the null reverse-path.

        Raises:
            GrammarError: one is no address, and this is which. What is in a header is not: it may be a list.
        """
        if isinstance(recipients, str):
            raise GrammarError("the recipients are several addresses, not one text")
        path = _mailbox(sender) if sender else NULL_PATH
        return cls(path, tuple(Recipient(_mailbox(each)) for each in recipients), params)


def _mailbox(text: str) -> Mailbox:
    try:
        return Mailbox.parse(text)
    except GrammarError as error:
        raise GrammarError(f"'{safe(text)}': {error}") from None
