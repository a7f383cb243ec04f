r"""The grammar of RFC 5321 and its extensions as named patterns, the rule's text beside each.

Theory of operation. Every pattern runs in time linear in its input, whoever wrote the input. Each
repetition is possessive (``++``, ``*+``): what it took it never gives back, so no input makes it try
twice; and in each the alternatives begin with different characters, so giving back could not help.

Patterns match text, not octets: a command line is decoded once, strictly, and one that holds
characters outside ASCII reaches them only where SMTPUTF8 is enabled and after `unfit` found none of
the code points that no address may hold. So whatever is above ``\x7f`` stands for UTF8-non-ascii
(RFC 6531 section 3.3), and a class that takes it is written as the ASCII characters that it does not
take: `re` makes a bitmap of those, and a slow list of ranges of the other form.
"""

import re
from typing import Final

from ._errors import GrammarError

# RFC 5322 3.2.3: atext = ALPHA / DIGIT / "!" / "#" / "$" / ... ; RFC 6531 3.3: atext =/ UTF8-non-ascii
#   All but controls, SP, DEL and the specials ()<>[]:;@\,." of RFC 5322 3.2.3.
ATEXT: Final = r'[^\x00- "(),.:;<>@\[\\\]\x7f]'
# RFC 5321 4.1.2: Dot-string = Atom *("." Atom)
DOT_STRING: Final = rf"{ATEXT}++(?:\.{ATEXT}++)*+"
# RFC 5321 4.1.2: Quoted-string = DQUOTE *QcontentSMTP DQUOTE
#   quoted-pairSMTP = %d92 %d32-126     qtextSMTP = %d32-33 / %d35-91 / %d93-126
QUOTED_STRING: Final = r'"(?:[^\x00-\x1f"\\\x7f]++|\\[ -~])*+"'
LOCAL_PART: Final = rf"(?:{DOT_STRING}|{QUOTED_STRING})"
# RFC 5321 4.1.2: sub-domain = Let-dig [Ldh-str]; RFC 6531 3.3: sub-domain =/ U-label
_LET_DIG = r"[^\x00-/:-@\[-`{-\x7f]"
SUB_DOMAIN: Final = rf"{_LET_DIG}++(?:-++{_LET_DIG}++)*+"
# RFC 5321 4.1.2: Domain = sub-domain *("." sub-domain)
DOMAIN: Final = rf"{SUB_DOMAIN}(?:\.{SUB_DOMAIN})*+"
# RFC 5321 4.1.3: address-literal = "[" ( IPv4 / IPv6 / General ) "]", dcontent = %d33-90 / %d94-126
ADDRESS_LITERAL: Final = r"\[[!-Z^-~]++\]"
# RFC 5321 4.1.2: A-d-l = At-domain *( "," At-domain ), to be accepted and ignored
SOURCE_ROUTE: Final = rf"@{DOMAIN}(?:,@{DOMAIN})*+:"
# RFC 5321 4.1.2: Mailbox = Local-part "@" ( Domain / address-literal )
MAILBOX: Final = rf"(?P<local>{LOCAL_PART})@(?P<domain>{DOMAIN}|{ADDRESS_LITERAL})"
# RFC 5321 4.1.2: Path = "<" [ A-d-l ":" ] Mailbox ">"
PATH: Final = rf"<(?:{SOURCE_ROUTE})?+{MAILBOX}>"
# RFC 5321 4.1.2: esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
KEYWORD: Final = r"[A-Za-z0-9][A-Za-z0-9-]*+"
# RFC 5321 4.1.2: esmtp-value = 1*(%d33-60 / %d62-126); RFC 6531 3.3: esmtp-value =/ UTF8-non-ascii
ESMTP_VALUE: Final = r"[^\x00- =\x7f]++"
# RFC 5321 4.1.2: esmtp-param = esmtp-keyword ["=" esmtp-value]; Mail-parameters = esmtp-param *(SP esmtp-param)
# Read loosely here (any run of visible characters); each is then matched by ESMTP_PARAM.
PARAMETERS: Final = r"(?: (?P<params>[^\x00-\x1f\x7f]++))?+"
# RFC 5321 4.1.2: String = Atom / Quoted-string. Servers take any printable text for NOOP, HELP, VRFY.
STRING: Final = r"[^\x00-\x1f\x7f]++"
# RFC 3461 4: xtext = *( xchar / hexchar ), xchar = %d33-42 / %d44-60 / %d62-126, hexchar = "+" 2(hexdigit)
XTEXT: Final = r"(?:[!-*,-<>-~]++|\+[0-9A-F]{2})*+"
# RFC 4422 3.1: sasl-mech = 1*20mech-char, mech-char = UPPER-ALPHA / DIGIT / HYPHEN / UNDERSCORE
MECHANISM: Final = r"[A-Za-z0-9_-]{1,20}+"
# RFC 3030 2: bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CR LF, chunk-size = 1*DIGIT
# Bounded at 20 digits like SIZE (RFC 1870 section 4), so that no number costs more than its text.
BDAT: Final = r"(?P<size>[0-9]{1,20}+)(?P<last> ++[Ll][Aa][Ss][Tt])?+"

match_domain = re.compile(DOMAIN).fullmatch
match_literal = re.compile(ADDRESS_LITERAL).fullmatch
match_local_part = re.compile(LOCAL_PART).fullmatch
match_dot_string = re.compile(DOT_STRING).fullmatch
match_mailbox = re.compile(MAILBOX).fullmatch
match_esmtp_param = re.compile(rf"(?P<keyword>{KEYWORD})(?:=(?P<value>{ESMTP_VALUE}))?+").fullmatch
match_keyword = re.compile(KEYWORD).fullmatch
match_string = re.compile(STRING).fullmatch
match_xtext = re.compile(XTEXT).fullmatch
match_bdat = re.compile(BDAT).fullmatch
match_auth = re.compile(rf"(?P<mechanism>{MECHANISM})(?: ++(?P<initial>[!-~]++))?+").fullmatch

# Code points that no address or argument may hold: C1 controls, non-characters (Unicode section 23.7)
# and surrogates. Those are not UTF-8, so only our caller's text and punycode can hold them.
unfit = re.compile(
    "[\x80-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(1, 17))
    + "]"
).search

_hexchar = re.compile(r"\+([0-9A-F]{2})")
_not_xchar = re.compile(r"[^!-*,-<>-~]")


def decode_xtext(text: str) -> str:
    """xtext to the text that it stands for (RFC 3461 section 4).

    Raises:
        GrammarError: not xtext, or it hides a control character or an octet outside ASCII.
    """
    if match_xtext(text) is None:
        raise GrammarError("not xtext")
    decoded = _hexchar.sub(lambda m: chr(int(m[1], 16)), text)
    # RFC 3461 4.4: ENVID "MUST consist entirely of printable (graphic and white space) characters from
    # the US-ASCII repertoire". So xtext smuggles no line end into whoever prints it.
    if not decoded.isascii() or any(c < " " or c == "\x7f" for c in decoded):
        raise GrammarError("xtext holds a character that is not printable ASCII")
    return decoded


def encode_xtext(text: str) -> str:
    """Printable ASCII as xtext (RFC 3461 section 4).

    Raises:
        GrammarError: *text* is not printable ASCII.
    """
    if not text.isascii() or not text.isprintable():
        raise GrammarError("xtext holds printable ASCII only")
    return _not_xchar.sub(lambda m: f"+{ord(m[0]):02X}", text)


def decode_number(text: str, digits: int) -> int:
    """``1*nDIGIT`` as an int; ASCII digits only, no sign, no underscore.

    Raises:
        GrammarError: it is anything else.
    """
    if not 1 <= len(text) <= digits or text.strip("0123456789"):
        raise GrammarError(f"not a number of 1 to {digits} digits")
    return int(text)
