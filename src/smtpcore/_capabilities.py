"""What a server can do: its reply to EHLO, read (RFC 5321 section 4.1.1.1).

Servers write it in ways that the grammar does not have, and none of them is reason not to send the
mail. So a line that cannot be read is passed over, parameters that cannot be read are not heard, and
what was odd is told.
"""

import re
import types
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from ._errors import GrammarError, SMTPError
from ._events import Oddity
from ._grammar import KEYWORD
from ._value import value
from .extensions import AUTH, LIMITS, SIZE, Extension

# RFC 5321 4.1.1.1: ehlo-line = ehlo-keyword *( SP ehlo-param ), ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
_match_keyword = re.compile(KEYWORD).fullmatch
# What servers said before there was RFC 2554, and some say to this day, beside the other or alone.
_match_auth_equals = re.compile("[Aa][Uu][Tt][Hh]=").match

_NOTHING: Final[Mapping[str, Any]] = types.MappingProxyType({})


class TooManyCapabilities(SMTPError):
    """A reply to EHLO of more lines than the client puts up with."""


@value
class Capabilities:
    """What a server offers, as it said in its reply to EHLO.

    ``keyword in capabilities`` says whether it offers an extension, given as an `Extension` or as its
    keyword in upper case.

    Args:
        host: what it calls itself.
        keywords: keyword in upper case to parameters as sent; those that nobody knows, too.
        heard: keyword to parameters as values, of the extensions that the client knows.
    """

    host: str = ""
    keywords: Mapping[str, str] = attrs.field(default=_NOTHING, hash=False)
    heard: Mapping[str, Any] = attrs.field(default=_NOTHING, hash=False)

    def __contains__(self, keyword: object) -> bool:
        return (keyword.keyword if isinstance(keyword, Extension) else keyword) in self.keywords

    def of(self, extension: Extension) -> Any:
        """The parameters of *extension* as `Extension.hear` made them; None where there are none to be read."""
        return self.heard.get(extension.keyword)

    @property
    def size(self) -> int | None:
        """The most octets that the server takes in a message; None where it does not say or has no maximum."""
        most: int | None = self.of(SIZE)
        return most

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """The SASL mechanisms, in upper case and in the server's order."""
        names: tuple[str, ...] = self.of(AUTH) or ()
        return names

    @property
    def recipients_most(self) -> int | None:
        """The most RCPT commands in a transaction (RFC 9422 section 4.2)."""
        return self._limit("RCPTMAX")

    @property
    def transactions_most(self) -> int | None:
        """The most transactions in a session (RFC 9422 section 4.1)."""
        return self._limit("MAILMAX")

    @property
    def domains_most(self) -> int | None:
        """The most recipient domains in a transaction (RFC 9422 section 4.3)."""
        return self._limit("RCPTDOMAINMAX")

    def _limit(self, name: str) -> int | None:
        limits: Mapping[str, int] = self.of(LIMITS) or _NOTHING
        return limits.get(name)


NO_CAPABILITIES: Final = Capabilities()


def parse_capabilities(
    lines: Sequence[str], known: Sequence[Extension], most: int
) -> tuple[Capabilities, tuple[Oddity, ...]]:
    """The reply to EHLO, and what is odd about it: each oddity once, however often it occurs.

    Args:
        lines: the text behind the code of each line, made safe; the first names the server.
        known: the extensions whose parameters are to be heard.
        most: the most lines behind the first.

    Raises:
        TooManyCapabilities: there are more.
    """
    if len(lines) - 1 > most:
        raise TooManyCapabilities(f"more than {most} capabilities")
    oddities: dict[Oddity, None] = {}  # a set that keeps its order
    keywords: dict[str, str] = {}
    mechanisms: list[str] = []
    for line in lines[1:]:
        word, _, text = line.strip(" ").partition(" ")
        if _match_auth_equals(word) is not None:
            oddities[Oddity.AUTH_EQUALS] = None
            mechanisms += (word[len("AUTH=") :], text)
            continue
        if _match_keyword(word) is None:
            oddities[Oddity.BAD_KEYWORD] = None
            continue
        # RFC 5321 4.1.1.1: "they MUST always be recognized and processed in a case-insensitive manner"
        keyword = word.upper()
        if keyword != word:
            oddities[Oddity.LOWER_CASE] = None
        if keyword in keywords:
            oddities[Oddity.REPEATED_KEYWORD] = None
        if keyword == "AUTH":
            mechanisms.append(text)
        keywords.setdefault(keyword, text.lstrip(" "))
    if mechanisms:
        keywords["AUTH"] = " ".join(filter(None, mechanisms))
    heard: dict[str, Any] = {}
    for extension in known:
        parameters = keywords.get(extension.keyword)
        if parameters is not None:
            try:
                heard[extension.keyword] = extension.hear(parameters)
            except GrammarError:
                oddities[Oddity.BAD_VALUE] = None
    # RFC 5321 4.1.1.1: ehlo-ok-rsp = "250" SP Domain [ SP ehlo-greet ] CRLF
    host = lines[0].strip(" ").partition(" ")[0] if lines else ""
    return Capabilities(host, keywords, heard), tuple(oddities)
