"""What an extension is: a row of data that the server (and the client) read.

An extension offers a keyword in the reply to EHLO, adds parameters to MAIL and RCPT, and verbs. A
parameter or verb of an extension that is not in the config does not exist: 555, 500.
"""

import enum
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from .._commands import parse_nothing
from .._envelope import Body, MailParams, RcptParams
from .._errors import GrammarError
from .._events import Identity, Peer, TlsInfo
from .._grammar import decode_number, decode_xtext, encode_xtext, match_esmtp_param
from .._limits import Limits
from .._machine import Edge
from .._reply import Replies, Reply
from .._value import value

_E = TypeVar("_E", bound=enum.Enum)


class Facts(Protocol):
    """What an extension may look at; a `ServerConnection` is one."""

    @property
    def limits(self) -> Limits: ...
    @property
    def replies(self) -> Replies: ...
    @property
    def tls(self) -> TlsInfo | None: ...
    @property
    def identity(self) -> Identity | None: ...
    @property
    def peer(self) -> Peer: ...
    @property
    def mechanisms(self) -> Sequence[str]: ...
    @property
    def tls_before_auth(self) -> bool: ...


@value
class Codec:
    """How the value of a parameter is read and written.

    Args:
        decode: raises `GrammarError`. It may be given text beyond ASCII, where SMTPUTF8 permits it.
        encode: may leave what *decode* refuses to `Param.encode`, which reads back what it wrote.
    """

    decode: Callable[[str], Any]
    encode: Callable[[Any], str]


def _leave_out(_wanted: Any) -> None:
    return None


@value
class Param:
    """A parameter of MAIL or RCPT.

    Args:
        field: the field of `MailParams` or `RcptParams` that takes the value; ``extra`` under this
            name where they have no such field.
        codec: None for a keyword that takes no value; the field becomes True.
        unmet: what a client says for the server where the value is wanted and the server does not offer
            the extension, or not for this value. A reply refuses the message (for RCPT, the recipient);
            None leaves the parameter out.
    """

    verb: Literal["MAIL", "RCPT"]
    keyword: str
    field: str
    codec: Codec | None = None
    unmet: Callable[[Any], Reply | None] = _leave_out

    def decode(self, text: str | None) -> Any:
        """The value of ``keyword`` or ``keyword=text``.

        Raises:
            GrammarError: a value is missing, superfluous or malformed.
        """
        if self.codec is None:
            if text is not None:
                raise GrammarError(f"{self.keyword} takes no value")
            return True
        if not text:
            raise GrammarError(f"{self.keyword} needs a value")
        return self.codec.decode(text)

    def encode(self, decoded: Any) -> str:
        """The parameter as it stands on the command line.

        Raises:
            GrammarError: *decoded* cannot be expressed.
        """
        value = None if self.codec is None else self.codec.encode(decoded)
        text = self.keyword if value is None else f"{self.keyword}={value}"
        # What we would not take we do not send: so no value can bring a parameter or a command of its own.
        if match_esmtp_param(text) is None or self.decode(value) != decoded:
            raise GrammarError(f"no value of {self.keyword}")
        return text


def _nothing_wrong(_facts: Facts) -> None:
    return None


@value
class Verb:
    """A command that an extension adds.

    Args:
        edge: where it may come and where it leads.
        syntax: as a 501 and HELP show it.
        parse: its argument as a value; raises `GrammarError`.
        unavailable: the name of the stock reply that refuses it now; None where it may come.
        ok: the name of the stock reply to it, where the application gives none.
    """

    edge: Edge
    syntax: str
    parse: Callable[[str], Any] = parse_nothing
    unavailable: Callable[[Facts], str | None] = _nothing_wrong
    ok: str = "ok"


def _offer_bare(_facts: Facts) -> str:
    return ""


def _refuse_nothing(_heard: Any, _params: MailParams) -> None:
    return None


@value
class Extension:
    """An SMTP service extension (RFC 5321 section 2.2).

    Args:
        keyword: as offered in the reply to EHLO.
        rfc: the number of the RFC that defines it; 0 where none does.
        params: what it adds to MAIL and RCPT.
        verbs: what commands it adds.
        offer: the parameters behind the keyword in the reply to EHLO; None offers nothing now. What
            is not offered is not accepted.
        needs: keywords of extensions without which it cannot be offered.
        check_mail, check_rcpt: look at the decoded parameters of one command; a reply refuses it. So does, to
            MAIL, the name of a field of `Limits` that it is over, by the stock reply of that.
        hear: what the client makes of the parameters behind the keyword in the reply to EHLO, blanks
            around them removed; raises `GrammarError`. They come from a server that may be hostile.
        refuse: the client's own look at what it is about to ask with MAIL, all of which `Param.encode` has
            written. It is given what was heard, None where that could not be read; a reply refuses the
            message before anything is sent.
    """

    keyword: str
    rfc: int
    params: tuple[Param, ...] = ()
    verbs: tuple[Verb, ...] = ()
    offer: Callable[[Facts], str | None] = _offer_bare
    needs: tuple[str, ...] = ()
    check_mail: Callable[[Facts, MailParams], Reply | str | None] | None = None
    check_rcpt: Callable[[Facts, RcptParams], Reply | None] | None = None
    hear: Callable[[str], Any] = str
    refuse: Callable[[Any, MailParams], Reply | None] = _refuse_nothing


# --- codecs that more than one extension uses ----------------------------------------------------


def decimal(digits: int) -> Codec:
    """An unsigned number of at most *digits* digits."""
    return Codec(lambda text: decode_number(text, digits), str)


def integer(least: int, most: int) -> Codec:
    """A number from *least* to *most*; a minus sign, no plus sign, no leading zeros."""

    def decode(text: str) -> int:
        number = decode_number(text.removeprefix("-"), len(str(max(-least, most))))
        if text.startswith("-"):
            number = -number
        if str(number) != text or not least <= number <= most:
            raise GrammarError(f"not a number from {least} to {most}")
        return number

    return Codec(decode, str)


def choice(kind: type[_E]) -> Codec:
    """One of the values of an enum, in any case."""
    names = {str(each.value): each for each in kind}

    def decode(text: str) -> _E:
        # U+017F is S, and U+0131 is I, to str.upper.
        member = names.get(text.upper()) if text.isascii() else None
        if member is None:
            raise GrammarError(f"not one of {', '.join(names)}")
        return member

    return Codec(decode, lambda member: str(member.value))


def xtext(octets: int) -> Codec:
    """xtext (RFC 3461 section 4) of at most *octets* octets as encoded."""

    def decode(text: str) -> str:
        if len(text) > octets:
            raise GrammarError(f"longer than {octets} octets")
        return decode_xtext(text)

    return Codec(decode, encode_xtext)


# --- what more than one extension has of a client ------------------------------------------------


def words(text: str) -> tuple[str, ...]:
    """What stands between the blanks of *text*."""
    return tuple(word for word in text.split(" ") if word)


_NOT_CONVERTED = Reply(554, "The message needs BODY=8BITMIME, which the server does not take", "5.6.3")
_NOT_BINARY = Reply(554, "The message needs BODY=BINARYMIME, which the server does not take", "5.6.3")


def unmet_body(body: Body) -> Reply | None:
    """`Param.unmet` of BODY=."""
    # RFC 6152 3: "the client SMTP must not, under any circumstances, attempt to transfer a content that contains
    # characters outside of the US-ASCII octet range"; "it may treat this as a permanent error". RFC 3030 3: so for
    # binary data, "MUST NOT, under any circumstances".
    if body is Body.BINARY_MIME:
        return _NOT_BINARY
    return _NOT_CONVERTED if body is Body.EIGHT_BIT_MIME else None
