"""NAME=value pairs in xtext, as XCLIENT and XFORWARD carry them (from Postfix's documentation)."""

import re
from collections.abc import Callable, Mapping

from .._errors import GrammarError
from .._grammar import decode_xtext, encode_xtext
from ._extension import words

# XCLIENT_README, note 2: these "may be specified in upper case, lower case or mixed case".
_NO_VALUE = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")

# XFORWARD_README, note 1: "an attribute-value element must not be longer than 255 characters"; after
# xtext decoding it "must not contain control characters, non-ASCII characters, whitespace".
is_word = re.compile(r"[!-~]{1,255}+").fullmatch


def is_port(text: str) -> bool:
    """Whether *text* is "a TCP port number in decimal"."""
    return re.fullmatch("[0-9]{1,5}+", text) is not None and int(text) <= 65535


def hear_names(text: str) -> frozenset[str]:
    """The names of the attributes that a server takes, in upper case."""
    return frozenset(word.upper() for word in words(text) if word.isascii())


def attributes(forms: Mapping[str, Callable[[str], object]]) -> Callable[[str], dict[str, str | None]]:
    """A parser of pairs; None stands for a value that the peer does not have.

    The parser raises `GrammarError` for a malformed pair, another name, a name given twice, or a
    value that is not of its form.

    Args:
        forms: for each name, what a decoded value must make true.
    """

    def parse(argument: str) -> dict[str, str | None]:
        parsed: dict[str, str | None] = {}
        for pair in argument.split(" "):
            name, _, text = pair.partition("=")
            name = name.upper()
            # "attribute names ... are in fact case insensitive"; U+017F is S to str.upper.
            if not pair.isascii() or name not in forms or name in parsed:
                raise GrammarError("not a known attribute, or given twice")
            decoded = decode_xtext(text)
            if decoded.upper() in _NO_VALUE:
                parsed[name] = None
            elif forms[name](decoded):
                parsed[name] = decoded
            else:
                raise GrammarError(f"not a value of {name}")
        return parsed

    return parse


def encoder(
    parse: Callable[[str], Mapping[str, str | None]],
) -> Callable[[Mapping[str, str | None]], str]:
    """A writer of the pairs that *parse*, of `attributes`, reads.

    The writer raises `GrammarError` for what *parse* would refuse or take for something else.
    """

    def encode(attributes: Mapping[str, str | None]) -> str:
        argument = " ".join(
            f"{name}={_NO_VALUE[0] if text is None else encode_xtext(text)}" for name, text in attributes.items()
        )
        # So no name and no value can bring a pair or a command of its own.
        if parse(argument) != {name.upper(): text for name, text in attributes.items()}:
            raise GrammarError("not attributes")
        return argument

    return encode
