"""Mailboxes, domains and address literals (RFC 5321 sections 4.1.2, 4.1.3 and 2.3.11; RFC 6531).

A mailbox keeps its text as the peer wrote it. Nothing is rewritten: the local part is opaque to
everybody but the host that the domain names, so ``%``, ``!`` and a quoted ``@`` in it mean nothing.
Comparison is of the meaning: local parts without needless quoting and to the letter, domains
without regard to case and between U-labels and A-labels.
"""

import ipaddress
import re
import unicodedata
from typing import Final, final

from ._errors import GrammarError
from ._grammar import match_domain, match_dot_string, match_literal, match_local_part, match_mailbox, unfit
from ._value import value

# RFC 5321 4.5.3.1: octets of a local-part, a domain and a path; RFC 1035 2.3.4: of a label.
LOCAL_PART_OCTETS: Final = 64
DOMAIN_OCTETS: Final = 255
LABEL_OCTETS: Final = 63
PATH_OCTETS: Final = 256

# So many characters have no more octets than a local part may have.
_SHORT: Final = 16

_unquote = re.compile(r"\\(.)", re.DOTALL)


def to_ascii(domain: str) -> str:
    """*domain* with each U-label as an A-label, in lower case (RFC 5890 section 2.3.2.1).

    Labels are put into NFC and lower case first; whether IDNA allows their code points is for the
    registry and the resolver, not for a mail server, to say.

    Raises:
        GrammarError: a label is longer than 63 octets as an A-label, or the domain than 255.
    """
    labels = []
    for label in domain.split("."):
        if label.isascii():
            label = label.lower()
        else:
            label = unicodedata.normalize("NFC", label.lower())
            if not label.isascii():
                label = "xn--" + label.encode("punycode").decode("ascii")
            elif match_domain(label) is None:  # such as U+037E, which NFC makes a semicolon
                raise GrammarError("not a label")
        if not 1 <= len(label) <= LABEL_OCTETS:
            raise GrammarError(f"a label has 1 to {LABEL_OCTETS} octets")
        labels.append(label)
    whole = ".".join(labels)
    if len(whole) > DOMAIN_OCTETS:
        raise GrammarError(f"a domain has at most {DOMAIN_OCTETS} octets")
    return whole


def to_unicode(domain: str) -> str:
    """*domain* with each A-label as a U-label, in lower case; what does not decode stays as it is."""
    labels = []
    for label in domain.split("."):
        label = unicodedata.normalize("NFC", label.lower())
        if label.startswith("xn--"):
            try:
                decoded = label[4:].encode("ascii").decode("punycode")
                # An A-label is one only if it is what its U-label encodes to.
                if not decoded.isascii() and unfit(decoded) is None and to_ascii(decoded) == label:
                    label = decoded
            except (UnicodeError, GrammarError, OverflowError, ValueError):
                pass
        labels.append(label)
    return ".".join(labels)


@final
@value
class Domain:
    """A domain name, as written; equal to any other spelling of the same name.

    Raises (from `parse`):
        GrammarError: not a domain, or too long.
    """

    text: str

    @classmethod
    def parse(cls, text: str) -> "Domain":
        """Read ``Domain`` of RFC 5321 section 4.1.2, U-labels included."""
        if match_domain(text) is None or unfit(text) is not None:
            raise GrammarError("not a domain")
        _check_domain(text)
        return cls(text)

    @property
    def ascii(self) -> str:
        """The name in A-labels and lower case, for DNS and for comparison."""
        return to_ascii(self.text)

    @property
    def unicode(self) -> str:
        """The name in U-labels and lower case, for people."""
        return to_unicode(self.text)

    def __eq__(self, other: object) -> bool:
        return self.ascii == other.ascii if isinstance(other, Domain) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ascii)

    def __str__(self) -> str:
        return self.text


@final
@value
class AddressLiteral:
    """An address literal such as ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 section 4.1.3)."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address

    @classmethod
    def parse(cls, text: str) -> "AddressLiteral":
        """Read a literal with its brackets.

        Raises:
            GrammarError: not IPv4 nor IPv6 in the RFC's form. (No other tag was ever registered.)
        """
        inner = text[1:-1]
        if match_literal(text) is None:
            raise GrammarError("not an address literal")
        try:
            if inner[:5].upper() != "IPV6:":
                return cls(ipaddress.IPv4Address(inner))
            if "%" not in inner:  # RFC 4007 zones are for the host that wrote them
                return cls(ipaddress.IPv6Address(inner[5:]))
        except ValueError:
            pass
        raise GrammarError("not an IPv4 or IPv6 address literal")

    def __str__(self) -> str:
        tag = "IPv6:" if self.address.version == 6 else ""
        return f"[{tag}{self.address}]"


Host = Domain | AddressLiteral


def parse_host(text: str) -> Host:
    """A domain or an address literal, as EHLO takes them.

    Raises:
        GrammarError: *text* is neither.
    """
    return AddressLiteral.parse(text) if text.startswith("[") else Domain.parse(text)


@final
@value
class Mailbox:
    """``local-part@domain``, both as written; the domain part is empty for ``<Postmaster>`` alone.

    Make one with `parse`, which checks; the constructor does not.
    """

    local_part: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> "Mailbox":
        """Read an address without angle brackets.

        Raises:
            GrammarError: not a Mailbox (RFC 5321 section 4.1.2, RFC 6531 section 3.3), or too long.
        """
        match = match_mailbox(text)
        if match is None or unfit(text) is not None:
            raise GrammarError("not a mailbox")
        return checked_mailbox(*match.group("local", "domain"))

    @property
    def local(self) -> str:
        """The local part without quoting: what it means."""
        if self.local_part.startswith('"'):
            return _unquote.sub(r"\1", self.local_part[1:-1])
        return self.local_part

    @property
    def host(self) -> Host | None:
        """The domain or address literal; None for ``<Postmaster>``."""
        return parse_host(self.domain) if self.domain else None

    @property
    def is_ascii(self) -> bool:
        """Whether it can be sent without SMTPUTF8."""
        return self.local_part.isascii() and self.domain.isascii()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mailbox):
            return NotImplemented
        return self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash(self._meaning())

    def _meaning(self) -> tuple[str, Host | None]:
        # RFC 5321 2.4 and 4.5.1: local parts to the letter, but for the one that is reserved.
        local = self.local
        return (local.lower() if local.lower() == "postmaster" else local), self.host

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}" if self.domain else self.local_part


@final
@value
class NullPath:
    """The null reverse-path ``<>``, the sender of bounces (RFC 5321 section 4.5.5)."""

    is_ascii = True

    def __str__(self) -> str:
        return ""


NULL_PATH: Final = NullPath()
POSTMASTER: Final = Mailbox("Postmaster", "")
"""The one recipient that has no domain (RFC 5321 section 4.1.1.3); no letter's case counts."""

ReversePath = Mailbox | NullPath


def quote_local_part(text: str) -> str:
    """*text* as a local part: as it is where it can be, else quoted.

    Raises:
        GrammarError: it holds a control character, or is too long.
    """
    if match_dot_string(text) is None:
        text = '"' + re.sub(r'([\\"])', r"\\\1", text) + '"'
    if match_local_part(text) is None or unfit(text) is not None:
        raise GrammarError("a local part holds no control characters")
    if len(text.encode()) > LOCAL_PART_OCTETS:
        raise GrammarError(f"a local part has at most {LOCAL_PART_OCTETS} octets")
    return text


def checked_mailbox(local_part: str, domain: str) -> Mailbox:
    """A mailbox of parts that match the grammar already; checks what a pattern cannot say.

    Raises:
        GrammarError: a part is too long, or the literal is not an address.
    """
    check_mailbox(local_part, domain)
    return Mailbox(local_part, domain)


def check_mailbox(local_part: str, domain: str) -> None:
    """As `checked_mailbox`, for those who have a mailbox already.

    Raises:
        GrammarError: a part is too long, or the literal is not an address.
    """
    # Nearly every mailbox is too short for anything to be too long in it.
    if len(local_part) > _SHORT or len(domain) > LABEL_OCTETS or domain[0] == "[" or not domain.isascii():
        if len(local_part.encode()) > LOCAL_PART_OCTETS:
            raise GrammarError(f"a local part has at most {LOCAL_PART_OCTETS} octets")
        if domain[0] == "[":
            AddressLiteral.parse(domain)
        else:
            _check_domain(domain)
            if len(local_part.encode()) + len(domain.encode()) + 3 > PATH_OCTETS:
                raise GrammarError(f"a path has at most {PATH_OCTETS} octets")


def _check_domain(domain: str) -> None:
    if len(domain.encode()) > DOMAIN_OCTETS:
        raise GrammarError(f"a domain has at most {DOMAIN_OCTETS} octets")
    to_ascii(domain)
