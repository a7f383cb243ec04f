"""Command lines (RFC 5321 section 4.1.1): the argument of each verb, read and written.

ESMTP parameters come out as written; what they mean is for the extension that brought them.
Arguments have lost their trailing white space already, which section 4.1.1 has servers tolerate.

What is written is checked by the same patterns that read it, since a value may have been made without
a check; so an address cannot bring a parameter, nor a line end a command of its own.
"""

import re
from collections.abc import Sequence
from typing import Final, final

from ._address import (
    NULL_PATH,
    PATH_OCTETS,
    Host,
    Mailbox,
    NullPath,
    ReversePath,
    check_mailbox,
    checked_mailbox,
    parse_host,
)
from ._errors import GrammarError, LocalProtocolError
from ._grammar import PARAMETERS, PATH, match_bdat, match_esmtp_param, match_keyword, match_mailbox, match_string, unfit
from ._value import value

# RFC 5321 4.1.1.2: mail = "MAIL FROM:" Reverse-path [SP Mail-parameters] CRLF, Reverse-path = Path / "<>"
_match_mail = re.compile(rf"[Ff][Rr][Oo][Mm]:(?:{PATH}|<>){PARAMETERS}").fullmatch
# RFC 5321 4.1.1.3: rcpt = "RCPT TO:" ( "<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path )
#                          [SP Rcpt-parameters] CRLF
_match_rcpt = re.compile(
    rf"[Tt][Oo]:(?:{PATH}|<(?P<postmaster>[Pp][Oo][Ss][Tt][Mm][Aa][Ss][Tt][Ee][Rr])>){PARAMETERS}"
).fullmatch
_spaces = re.compile(r"([A-Za-z]++:) ++").match
_bare_path = re.compile(r"([A-Za-z]++:)([^< ][^ ]*+)").match

# No path in an argument of so many characters is too long: a character has at most four octets.
_SHORT: Final = PATH_OCTETS // 4

SYNTAX: Final = {
    "EHLO": "EHLO domain",
    "HELO": "HELO domain",
    "LHLO": "LHLO domain",
    "MAIL": "MAIL FROM:<address> [parameters]",
    "RCPT": "RCPT TO:<address> [parameters]",
    "DATA": "DATA",
    "BDAT": "BDAT octets [LAST]",
    "RSET": "RSET",
    "NOOP": "NOOP [text]",
    "QUIT": "QUIT",
    "VRFY": "VRFY address",
    "EXPN": "EXPN list",
    "HELP": "HELP [verb]",
    "STARTTLS": "STARTTLS",
    "AUTH": "AUTH mechanism [initial-response]",
}
"""What a 501 and HELP say of each verb."""


class PathError(GrammarError):
    """The brackets are there, but what they hold is no address: 501 5.1.3 or 5.1.7."""


def parse_mail(argument: str) -> tuple[ReversePath, str | None]:
    """The reverse-path and the raw parameters of MAIL.

    Raises:
        PathError: the path is not one.
        GrammarError: the rest is wrong.
    """
    match = _match_mail(argument)
    if match is None:
        raise _why(argument, "FROM:<")
    local_part, domain, params = match.groups()
    if local_part is None:
        return NULL_PATH, params
    try:
        if len(argument) > _SHORT:
            _check_path(argument, match.end(2))
        return checked_mailbox(local_part, domain), params
    except GrammarError as error:
        raise PathError(*error.args) from None


def parse_rcpt(argument: str) -> tuple[Mailbox, str | None]:
    """The forward-path and the raw parameters of RCPT.

    Raises:
        PathError: the path is not one.
        GrammarError: the rest is wrong.
    """
    match = _match_rcpt(argument)
    if match is None:
        raise _why(argument, "TO:<")
    local_part, domain, postmaster, params = match.groups()
    if local_part is None:
        return Mailbox(postmaster, ""), params
    try:
        if len(argument) > _SHORT:
            _check_path(argument, match.end(2))
        return checked_mailbox(local_part, domain), params
    except GrammarError as error:
        raise PathError(*error.args) from None


def _check_path(argument: str, end: int) -> None:
    # RFC 5321 4.5.3.1.3: "including the punctuation and element separators", and so a route.
    if len(argument[argument.index("<") : end + 1].encode()) > PATH_OCTETS:
        raise GrammarError(f"a path has at most {PATH_OCTETS} octets")


def _why(argument: str, start: str) -> GrammarError:
    if argument[: len(start)].upper() == start and ">" in argument:
        return PathError("not a path")
    return GrammarError("not of the command's form")


def without_spaces(argument: str) -> str | None:
    """*argument* without the spaces after the colon; None where there are none."""
    match = _spaces(argument)
    return None if match is None else match[1] + argument[match.end() :]


def with_brackets(argument: str) -> str | None:
    """*argument* with angle brackets around a path that lacks both; None where it does not."""
    match = _bare_path(argument)
    return None if match is None else f"{match[1]}<{match[2]}>{argument[match.end() :]}"


def split_params(text: str) -> list[tuple[str, str | None]]:
    """``KEYWORD`` and ``KEYWORD=value`` pairs in their order, keywords in upper case.

    Raises:
        GrammarError: one is malformed, or a keyword occurs twice.
    """
    params: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    for param in text.split(" "):
        match = match_esmtp_param(param)
        if match is None:
            raise GrammarError("not an esmtp-param")
        keyword = match[1].upper()
        if keyword in seen:
            raise GrammarError(f"{keyword} given twice")
        seen.add(keyword)
        params.append((keyword, match[2]))
    return params


def parse_hello(argument: str) -> Host:
    """The argument of EHLO, HELO or LHLO.

    Raises:
        GrammarError: neither a domain nor an address literal.
    """
    return parse_host(argument)


def parse_string(argument: str) -> str:
    """Printable text.

    Raises:
        GrammarError: it is empty or holds a control character.
    """
    if match_string(argument) is None:
        raise GrammarError("not printable text")
    return argument


def parse_optional_string(argument: str) -> str:
    """Printable text or nothing.

    Raises:
        GrammarError: it holds a control character.
    """
    return argument and parse_string(argument)


def parse_nothing(argument: str) -> None:
    """No argument.

    Raises:
        GrammarError: there is one.
    """
    if argument:
        raise GrammarError("no argument is allowed")


def parse_bdat(argument: str) -> tuple[int, bool]:
    """The size in octets, and whether the chunk is the last (RFC 3030 section 2).

    Raises:
        GrammarError: not a size of at most 20 digits and perhaps LAST.
    """
    match = match_bdat(argument)
    if match is None:
        raise GrammarError("not a chunk size")
    return int(match[1]), match[2] is not None


# --- written -------------------------------------------------------------------------------------


@final
@value
class Command:
    """A command of the client's, as its answer names it. The argument of AUTH is not shown."""

    verb: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.argument}".rstrip(" ")


def encode_line(text: str, most: int) -> bytes:
    """*text* as a line to send: one CR LF, at its end.

    Args:
        most: octets that it may have, with CR LF.

    Raises:
        LocalProtocolError: *text* holds a control character or no Unicode text, or is too long.
    """
    plain = text and text.isascii() and text.isprintable()  # as nearly all are
    if not plain and (match_string(text) is None or unfit(text) is not None):
        raise LocalProtocolError("a command holds no control characters")
    line = text.encode() + b"\r\n"
    if len(line) > most:
        raise LocalProtocolError(f"a command line has at most {most} octets, not {len(line)}")
    return line


def format_path(path: ReversePath) -> str:
    """*path* without angle brackets, as it may stand between them.

    Raises:
        LocalProtocolError: it is not a `Mailbox` or `NullPath`, or not one that could have been read.
    """
    if type(path) is Mailbox:
        try:
            if path.domain:
                local_part, domain = path.local_part, path.domain
                text = f"{local_part}@{domain}"
                match = match_mailbox(text)
                # The parts are to be the pattern's, and not some that have the same text together.
                if match is not None and match.end(1) == len(local_part) and (text.isascii() or unfit(text) is None):
                    check_mailbox(local_part, domain)
                    return text
            elif path.local_part.isascii() and path.local_part.lower() == "postmaster":
                return path.local_part
        except (GrammarError, AttributeError, TypeError):
            pass
    elif type(path) is NullPath:
        return ""
    # A string is not parsed here: what looks like an address in a header may be a list, or a comment.
    raise LocalProtocolError(f"not an address that can be sent; Mailbox.parse makes one: {path!r}")


def format_mail(path: ReversePath, params: Sequence[str]) -> str:
    """A MAIL command.

    Raises:
        LocalProtocolError: as `format_path`, the path has no domain, or *params* are none.
    """
    if type(path) is Mailbox and not path.domain:  # RFC 5321 4.1.1.3: <Postmaster> alone is for RCPT
        raise LocalProtocolError(f"a sender has a domain: {path!r}")
    if not params:
        return f"MAIL FROM:<{format_path(path)}>"
    return " ".join((f"MAIL FROM:<{format_path(path)}>", *map(_checked_param, params)))


def format_rcpt(path: Mailbox, params: Sequence[str]) -> str:
    """A RCPT command.

    Raises:
        LocalProtocolError: as `format_path`, the path is null, or *params* are none.
    """
    text = format_path(path)
    if not text:
        raise LocalProtocolError("the null path is no recipient")
    if not params:
        return f"RCPT TO:<{text}>"
    return " ".join((f"RCPT TO:<{text}>", *map(_checked_param, params)))


def _checked_param(text: str) -> str:
    if match_esmtp_param(text) is None:
        raise LocalProtocolError(f"not a parameter: {text!r}")
    return text


def format_hello(verb: str, name: str) -> str:
    """EHLO, HELO or LHLO with a domain or an address literal.

    Raises:
        LocalProtocolError: *name* is neither.
    """
    try:
        parse_hello(name)
    except (GrammarError, AttributeError, TypeError) as error:
        raise LocalProtocolError(f"not a domain or an address literal: {name!r}") from error
    return f"{verb} {name}"


def format_command(verb: str, argument: str) -> str:
    """Any other verb and its argument.

    Raises:
        LocalProtocolError: *verb* is no verb.
    """
    if match_keyword(verb) is None:
        raise LocalProtocolError(f"not a verb: {verb!r}")
    return f"{verb} {argument}" if argument else verb
