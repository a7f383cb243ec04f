"""What commands are made of: addresses, arguments, parameters, and every codec of every extension.

The first octet chooses the parser. Text is refused with `GrammarError`, or what it was read as can be
written, and is the same when it is read again.
"""

from collections.abc import Callable
from typing import Any

from _harness import fuzz, instrumented

with instrumented():
    from smtpcore import (
        SMTP,
        AddressLiteral,
        Domain,
        Extension,
        GrammarError,
        Mailbox,
        MailParams,
        RcptParams,
        ServerConfig,
        safe,
    )
    from smtpcore._address import NULL_PATH, parse_host, quote_local_part, to_ascii, to_unicode
    from smtpcore._commands import (
        parse_bdat,
        parse_hello,
        parse_mail,
        parse_nothing,
        parse_optional_string,
        parse_rcpt,
        parse_string,
        split_params,
        with_brackets,
        without_spaces,
    )
    from smtpcore._config import decode_params
    from smtpcore._grammar import decode_number, decode_xtext, encode_xtext, unfit
    from smtpcore.extensions import (
        AUTH,
        BINARYMIME,
        DSN,
        ETRN,
        LIMITS,
        MT_PRIORITY,
        REQUIRETLS,
        RRVS,
        STANDARD,
        STARTTLS,
        Param,
        Verb,
        deliver_by,
        future_release,
        no_soliciting,
        xclient,
        xforward,
    )

EXTENSIONS: tuple[Extension, ...] = (
    *STANDARD, STARTTLS, BINARYMIME, DSN, ETRN, LIMITS, MT_PRIORITY, REQUIRETLS, RRVS, deliver_by(60),
    future_release(86400, "2030-01-01T00:00:00Z"), no_soliciting("org.example:ADV"), xclient(lambda peer: True),
    xforward(lambda peer: True),
)  # fmt: skip
PLAN = ServerConfig(hostname="mx.example", extensions=EXTENSIONS).plan(SMTP)
KEYWORDS = {extension.keyword for extension in EXTENSIONS}


def same_hash(one: object, other: object) -> None:
    assert one == other
    assert hash(one) == hash(other)


def domain(text: str) -> None:
    read = Domain.parse(text)
    assert str(read) == text
    assert read.ascii.isascii()
    assert len(read.ascii) <= 255
    assert max(map(len, read.ascii.split("."))) <= 63
    read.unicode.encode()
    same_hash(read, Domain.parse(read.ascii))
    same_hash(read, Domain.parse(read.unicode))


def mailbox(text: str) -> None:
    read = Mailbox.parse(text)
    assert str(read) == text
    assert len(text.encode()) <= 254
    assert not any(c < " " or c == "\x7f" for c in read.local)
    try:
        quoted = quote_local_part(read.local)
    except GrammarError:  # a dot-string over 64 octets was quoted by fewer
        return
    same_hash(read, Mailbox.parse(f"{quoted}@{read.domain}"))
    parse_mail(f"FROM:<{text}>")


def literal(text: str) -> None:
    same_hash(AddressLiteral.parse(text), AddressLiteral.parse(str(AddressLiteral.parse(text))))


def mail(text: str) -> None:
    path, raw = parse_mail(text)
    if path is not NULL_PATH and unfit(text) is None:
        same_hash(path, Mailbox.parse(str(path)))
    if raw is not None:
        assert text.endswith(f"> {raw}")


def rcpt(text: str) -> None:
    path, raw = parse_rcpt(text)
    assert str(path)
    if path.domain and unfit(text) is None:
        same_hash(path, Mailbox.parse(str(path)))
    if raw is not None:
        assert text.endswith(f"> {raw}")


def quoting(text: str) -> None:
    read = Mailbox.parse(f"{quote_local_part(text)}@a")
    assert read.local == text


def params(text: str) -> None:
    pairs = split_params(text)
    written = " ".join(keyword if value is None else f"{keyword}={value}" for keyword, value in pairs)
    assert split_params(written) == pairs
    assert len({keyword for keyword, _ in pairs}) == len(pairs)


def names(text: str) -> None:
    """Any text, even what is no domain."""
    shown = to_unicode(text)
    assert to_unicode(shown) == shown
    assert to_ascii(to_ascii(text)) == to_ascii(text)


def xtext(text: str) -> None:
    read = decode_xtext(text)
    assert read.isascii()
    assert decode_xtext(encode_xtext(read)) == read


def number(text: str) -> None:
    assert str(decode_number(text, 20)) == (text.lstrip("0") or "0")


def escaped(text: str) -> None:
    shown = safe(text, 1000)
    shown.encode()
    assert not any(c < " " or "\x7f" <= c < "\xa0" for c in shown)
    assert safe(shown, 10_000) == shown


def quirks(text: str) -> None:
    for mend in (without_spaces, with_brackets):
        mended = mend(text)
        assert mended is None or mend(mended) is None


def decoded(kind: Any, known: Any) -> Callable[[str], None]:
    def decode(text: str) -> None:
        read = decode_params(text, known, KEYWORDS, kind)
        hash(read)
        assert read == decode_params(text, known, KEYWORDS, kind)

    return decode


def parameter(param: Param) -> Callable[[str], None]:
    def decode(text: str) -> None:
        read = param.decode(text)
        written = param.encode(read)
        keyword, equals, value = written.partition("=")
        assert keyword == param.keyword
        again = param.decode(value if equals else None)
        assert again == read
        assert param.encode(again) == written
        assert split_params(written) == [(keyword, value if equals else None)]

    return decode


def verb(added: Verb) -> Callable[[str], None]:
    def parse(text: str) -> None:
        assert added.parse(text) == added.parse(text)

    return parse


PARSERS: list[Callable[[str], object]] = [
    domain, mailbox, literal, mail, rcpt, quoting, params, names, xtext, number, escaped, quirks, encode_xtext,
    parse_host, parse_hello, parse_string, parse_optional_string, parse_nothing, parse_bdat,
    decoded(MailParams, PLAN.mail_params), decoded(RcptParams, PLAN.rcpt_params),
    *(parameter(param) for extension in (*EXTENSIONS, AUTH) for param in extension.params),
    *(verb(added) for extension in (*EXTENSIONS, AUTH) for added in extension.verbs),
]  # fmt: skip


def target(octets: bytes) -> None:
    if not octets:
        return
    safe(octets)
    try:
        # Our caller's text may hold surrogates; the peer's cannot.
        text = octets[1:].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return
    try:
        PARSERS[octets[0] % len(PARSERS)](text)
    except GrammarError:
        return


if __name__ == "__main__":
    fuzz(target)
