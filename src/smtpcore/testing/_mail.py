"""Strategies for the words of a session: addresses, parameters, envelopes, messages, replies."""

import functools
from collections.abc import Collection, Sequence
from typing import Any, Final, final

from hypothesis import strategies as st

from .._address import NULL_PATH, PATH_OCTETS, POSTMASTER, AddressLiteral, Mailbox, ReversePath
from .._config import ServerConfig
from .._envelope import (
    Body,
    DeliverBy,
    Envelope,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    Recipient,
    RequireRecipientValidSince,
    Ret,
)
from .._reply import EnhancedStatus, Reply
from .._server import ServerConnection
from .._value import value
from ..extensions import Extension
from ._cuts import pieces, steps
from ._server_driver import PEER, TLS

# --- addresses -----------------------------------------------------------------------------------

_ATEXT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"
# Letters that NFC and lower case leave as they are, so that they may stand in a U-label, too.
_LETTERS = "äéøßñþдомен例子テスト한국ไทย"
_NOT_CONTROLS = st.characters(min_codepoint=0xA0, exclude_categories=("Cs", "Cn"))


def local_parts(*, smtputf8: bool = False) -> st.SearchStrategy[str]:
    """Local parts, as dot-strings and as quoted strings (RFC 5321 section 4.1.2), of at most 64 octets."""
    others = _NOT_CONTROLS if smtputf8 else st.nothing()
    atoms = st.text(st.sampled_from(_ATEXT) | others, min_size=1, max_size=4)
    dot_strings = st.lists(atoms, min_size=1, max_size=3).map(".".join)
    # A quoted pair for any printable character; quotation marks and backslashes need one.
    plain = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\')
    paired = st.characters(min_codepoint=32, max_codepoint=126).map(lambda c: f"\\{c}")
    quoted = st.lists(plain | paired | others, max_size=12).map(lambda parts: f'"{"".join(parts)}"')
    return dot_strings | quoted | st.sampled_from(["postmaster", "PostMaster", "a" * 64, f'"{"b" * 62}"'])


def domains(*, smtputf8: bool = False) -> st.SearchStrategy[str]:
    """Domain names of at most 255 octets; with U-labels (RFC 6531 section 3.3), where *smtputf8* permits them."""
    edges = "abcxyzABC019" + (_LETTERS if smtputf8 else "")
    labels = st.text(edges, min_size=1, max_size=5) | st.builds(
        "{}{}{}".format, st.sampled_from(edges), st.text("abcxyzABC019-", max_size=10), st.sampled_from(edges)
    )
    longest = ".".join(["d" * 63] * 3 + ["e" * 63])
    return st.lists(labels, min_size=1, max_size=4).map(".".join) | st.sampled_from(["f" * 63 + ".example", longest])


def address_literals() -> st.SearchStrategy[str]:
    """Address literals of IPv4 and IPv6, with their brackets (RFC 5321 section 4.1.3)."""
    return st.ip_addresses().map(AddressLiteral).map(str)


def mailboxes(*, smtputf8: bool = False) -> st.SearchStrategy[Mailbox]:
    """Mailboxes that fit a path; beyond ASCII where *smtputf8* permits it."""
    return _mailboxes(smtputf8)


# Hypothesis looks at each new strategy anew, which takes longer than to draw from it.
@functools.cache
def _mailboxes(smtputf8: bool) -> st.SearchStrategy[Mailbox]:
    hosts = domains(smtputf8=smtputf8) | address_literals()
    texts = st.tuples(local_parts(smtputf8=smtputf8), hosts).map("@".join)
    return texts.filter(lambda text: len(text.encode()) + 2 <= PATH_OCTETS).map(Mailbox.parse)


def reverse_paths(*, smtputf8: bool = False) -> st.SearchStrategy[ReversePath]:
    """What MAIL may name: mailboxes and the null path."""
    return _reverse_paths(smtputf8)


@functools.cache
def _reverse_paths(smtputf8: bool) -> st.SearchStrategy[ReversePath]:
    return st.just(NULL_PATH) | mailboxes(smtputf8=smtputf8)


def forward_paths(*, smtputf8: bool = False) -> st.SearchStrategy[Mailbox]:
    """What RCPT may name: mailboxes and ``<Postmaster>``."""
    return _forward_paths(smtputf8)


@functools.cache
def _forward_paths(smtputf8: bool) -> st.SearchStrategy[Mailbox]:
    return mailboxes(smtputf8=smtputf8) | st.just(POSTMASTER)


@functools.cache
def _different_paths(smtputf8: bool, most: int) -> st.SearchStrategy[list[Mailbox]]:
    return st.lists(forward_paths(smtputf8=smtputf8), min_size=1, max_size=most, unique=True)


# --- parameters ----------------------------------------------------------------------------------

_ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
# What an address may hold: no controls, no surrogates, no non-characters.
_visible = st.text(st.characters(min_codepoint=32, exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30)
_instants = st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat() + "Z")
_words = st.from_regex(r"[A-Za-z][A-Za-z0-9._:-]{0,20}", fullmatch=True)

PARAM_VALUES: Final[dict[tuple[str, str], st.SearchStrategy[Any]]] = {
    ("SIZE", "SIZE"): st.integers(0, 65536) | st.integers(0, 10**20 - 1),
    ("8BITMIME", "BODY"): st.sampled_from([Body.SEVEN_BIT, Body.EIGHT_BIT_MIME]),
    ("BINARYMIME", "BODY"): st.sampled_from(Body),
    ("SMTPUTF8", "SMTPUTF8"): st.just(True),
    ("AUTH", "AUTH"): st.just("<>") | mailboxes(),
    ("DSN", "RET"): st.sampled_from(Ret),
    ("DSN", "ENVID"): _ascii_text,
    ("DSN", "NOTIFY"): st.just(frozenset({Notify.NEVER}))
    | st.frozensets(st.sampled_from([Notify.SUCCESS, Notify.FAILURE, Notify.DELAY]), min_size=1),
    ("DSN", "ORCPT"): st.builds(OriginalRecipient, st.sampled_from(["rfc822", "x400", "UTF-7"]), _ascii_text)
    | st.builds(OriginalRecipient, st.sampled_from(["utf-8", "UTF-8"]), _visible),
    ("REQUIRETLS", "REQUIRETLS"): st.just(True),
    ("RRVS", "RRVS"): st.builds(RequireRecipientValidSince, _instants, st.sampled_from(["C", "R"])),
    ("MT-PRIORITY", "MT-PRIORITY"): st.integers(-9, 9),
    ("FUTURERELEASE", "HOLDFOR"): st.integers(1, 3600) | st.integers(1, 999_999_999),
    ("FUTURERELEASE", "HOLDUNTIL"): _instants,
    ("DELIVERBY", "BY"): st.builds(
        DeliverBy, st.integers(-999_999_999, 999_999_999), st.just("N"), st.booleans()
    )
    | st.builds(DeliverBy, st.integers(1, 999_999_999), st.just("R"), st.booleans()),
    ("NO-SOLICITING", "SOLICIT"): st.lists(_words, min_size=1, max_size=8).map(tuple),
}  # fmt: skip
"""For the keyword of each extension and each of its parameters, all kinds of values that can be written."""


def _fields(extensions: Collection[Extension], verb: str) -> dict[str, st.SearchStrategy[Any]]:
    """What may stand in each field; of two extensions that fill the same, the one that needs the other counts."""
    found: dict[str, st.SearchStrategy[Any]] = {}
    for extension in sorted(extensions, key=lambda each: bool(each.needs)):
        for param in extension.params:
            if param.verb == verb and (extension.keyword, param.keyword) in PARAM_VALUES:
                found[param.field] = PARAM_VALUES[extension.keyword, param.keyword]
    return found


@st.composite
def mail_params(
    draw: st.DrawFn, extensions: Collection[Extension] = (), *, server: ServerConfig | None = None
) -> MailParams:
    """Parameters of MAIL that *extensions* bring, without SMTPUTF8, which goes with the addresses.

    Args:
        server: leave out what this server would refuse.
    """
    given = {
        name: draw(values)
        for name, values in _fields(extensions, "MAIL").items()
        if name != "smtputf8" and draw(st.integers(0, 2)) == 0
    }
    if server is not None:
        facts = ServerConnection(server, peer=PEER, tls=TLS)
        checks = [each.check_mail for each in server.extensions if each.check_mail is not None]
        while any(check(facts, MailParams(**given)) is not None for check in checks):
            given.popitem()
    return MailParams(**given)


@st.composite
def rcpt_params(draw: st.DrawFn, extensions: Collection[Extension] = ()) -> RcptParams:
    """Parameters of RCPT that *extensions* bring."""
    return RcptParams(
        **{
            name: draw(values)
            for name, values in _fields(extensions, "RCPT").items()
            if draw(st.integers(0, 2)) == 0
        }
    )  # fmt: skip


def recipients(extensions: Collection[Extension] = (), *, smtputf8: bool = False) -> st.SearchStrategy[Recipient]:
    """Forward-paths, with the parameters that *extensions* bring."""
    return st.builds(Recipient, forward_paths(smtputf8=smtputf8), rcpt_params(extensions))


@st.composite
def envelopes(
    draw: st.DrawFn, extensions: Collection[Extension] = (), *, server: ServerConfig | None = None, most: int = 4
) -> Envelope:
    """Envelopes of one to *most* recipients, all different; without *extensions*, such as every server takes.

    Args:
        extensions: those whose parameters may occur; with SMTPUTF8, addresses beyond ASCII, too.
        server: leave out what this server would refuse.
    """
    smtputf8 = any(each.keyword == "SMTPUTF8" for each in extensions) and draw(st.booleans())
    params = draw(mail_params(extensions, server=server))
    if smtputf8:
        params = MailParams(
            smtputf8=True, **{name: getattr(params, name) for name in _fields(extensions, "MAIL") if name != "smtputf8"}
        )
    paths = draw(_different_paths(smtputf8, most))
    to = tuple(Recipient(path, draw(rcpt_params(extensions))) for path in paths)
    return Envelope(draw(reverse_paths(smtputf8=smtputf8)), to, params)


# --- messages ------------------------------------------------------------------------------------

_DOTS = [b".", b"..", b".x", b"...", b". ", b".\x0b", b"-- ", b"From x"]


def messages(
    *, eight_bit: bool = False, stray: bool = False, binary: bool = False, most: int = 8
) -> st.SearchStrategy[bytes]:
    """Messages of lines that end with CR LF: with dots, empty lines, long ones; the last may lack its end.

    Args:
        eight_bit: with octets beyond ASCII.
        stray: with at least one bare CR, bare LF or NUL.
        binary: any octets at all, and no lines.
        most: lines.
    """
    return _messages(eight_bit, stray, binary, most)


@functools.cache
def _messages(eight_bit: bool, stray: bool, binary: bool, most: int) -> st.SearchStrategy[bytes]:
    if binary:
        return st.binary(max_size=60) | messages(eight_bit=True, stray=True)
    highest = 255 if eight_bit else 127
    octets = st.sampled_from([each for each in range(1, highest + 1) if each not in b"\r\n"])
    lines = (
        st.sampled_from([b"", b"", *_DOTS])
        | st.lists(octets, max_size=12).map(bytes)
        | st.sampled_from([b"x" * 998, b"." * 999, b"Subject: " + b"y" * 3000])
    )
    whole = st.tuples(st.lists(lines, max_size=most).map(b"\r\n".join), st.sampled_from([b"\r\n", b"\r\n", b""])).map(
        b"".join
    )
    return whole.flatmap(_strayed) if stray else whole


def _strayed(message: bytes) -> st.SearchStrategy[bytes]:
    # A stray octet beside a CR or LF would make a pair of its own of them; the text keeps it apart.
    odd = st.sampled_from([b"a\rb", b"a\nb", b"a\0b", b"a\n.\nb", b"a\r.\rb", b"a\n.\r\nb", b"a\r\n.\nb", b"a\r\r\nb"])
    return st.builds(lambda at, text: message[:at] + text + message[at:], st.integers(0, len(message)), odd)


# --- replies -------------------------------------------------------------------------------------

_replied = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@st.composite
def replies(draw: st.DrawFn, classes: Sequence[int] = (2, 3, 4, 5)) -> Reply:
    """Replies whose code begins with one of *classes*, with and without an enhanced status code."""
    class_ = draw(st.sampled_from(classes))
    code = class_ * 100 + draw(st.integers(0, 5)) * 10 + draw(st.integers(0, 9))
    text = "\n".join(draw(st.lists(_replied, min_size=1, max_size=4)))
    numbers = st.integers(0, 999)
    status = st.none() if class_ == 3 else st.none() | st.builds(EnhancedStatus, st.just(class_), numbers, numbers)
    return Reply(code, text, draw(status))


@final
@value
class SpokenReply:
    """Octets that are one reply, and what they say.

    Args:
        lines: what stands behind the code and its separator, of each line.
    """

    octets: bytes
    code: int
    lines: tuple[bytes, ...]


@st.composite
def reply_octets(draw: st.DrawFn, classes: Sequence[int] = (2, 3, 4, 5), *, odd: bool = False) -> SpokenReply:
    """What a server may say, one reply of one or more lines.

    Args:
        odd: as no RFC has it, but servers do: text beyond ASCII or missing, tabs, lines of more than 512 octets.
    """
    code = draw(st.sampled_from(classes)) * 100 + draw(st.integers(0, 5)) * 10 + draw(st.integers(0, 9))
    texts = _replied.map(str.encode) | st.sampled_from([b"", b"-", b"2.1.0 Ok", b"250 Ok", b"250-Ok"])
    if odd:
        texts |= st.sampled_from(["naïve".encode(), b"na\xefve", b"a\tb", b"\t", b"x" * 600])
    lines = draw(st.lists(texts, min_size=1, max_size=5))
    bare = odd and draw(st.booleans())
    *first, last = lines
    octets = b"".join(b"%d-%b\r\n" % (code, text) for text in first)
    if bare:
        return SpokenReply(octets + b"%d\r\n" % code, code, (*first, b""))
    return SpokenReply(octets + b"%d %b\r\n" % (code, last), code, tuple(lines))


def broken_reply_octets() -> st.SearchStrategy[bytes]:
    """What no client can make a reply of: the connection is over then."""
    return st.sampled_from(
        [
            b"\r\n", b"Ok\r\n", b"25 Ok\r\n", b"2500 Ok\r\n", b"25O Ok\r\n", b"250_Ok\r\n", b"150 Ok\r\n",
            b"600 Ok\r\n", b"260 Ok\r\n", b" 250 Ok\r\n",
            b"250-a\r\n251 b\r\n", b"250-a\r\nb\r\n", b"250-a\r\n\r\n", b"250 a\nb\r\n",
            b"250 a\rb\r\n", b"250 a\0b\r\n", b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0-x\r\n",
        ]
    )  # fmt: skip


# --- cuts ----------------------------------------------------------------------------------------


def cuts(octets: bytes) -> st.SearchStrategy[list[bytes]]:
    """*octets* in pieces: whole, octet by octet, in equal pieces, and cut anywhere."""
    if not octets:
        return st.just([])
    anywhere = st.lists(st.integers(1, len(octets)), max_size=12).map(lambda places: list(pieces(octets, places)))
    equal = st.integers(1, len(octets)).map(lambda step: steps(octets, step))
    return st.just([octets]) | st.just(steps(octets, 1)) | equal | anywhere


def piece_sizes() -> st.SearchStrategy[tuple[int, ...]]:
    """Sizes of pieces, to be used over and over; none for all at once."""
    return _PIECE_SIZES


_PIECE_SIZES: Final[st.SearchStrategy[tuple[int, ...]]] = st.sampled_from([(), (1,)]) | st.lists(
    st.integers(1, 60), min_size=1, max_size=8
).map(tuple)
