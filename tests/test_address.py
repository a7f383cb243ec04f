"""Mailboxes, domains, address literals: read, compared, and bounded."""

import ipaddress

import pytest
from hypothesis import assume, given, strategies as st
from linearity import assert_linear

from smtpcore._address import (
    NULL_PATH,
    POSTMASTER,
    AddressLiteral,
    Domain,
    Mailbox,
    NullPath,
    checked_mailbox,
    parse_host,
    quote_local_part,
    to_ascii,
    to_unicode,
)
from smtpcore._errors import GrammarError

# --- strategies ----------------------------------------------------------------------------------

ATEXT = "abcXYZ019!#$%&'*+-/=?^_`{|}~"
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
u_labels = st.text("aZ0éüßñдЖλΣς中テ😀\u0301", min_size=1, max_size=12).filter(
    lambda label: len(label.encode("punycode")) < 58
)
domains = st.lists(labels | u_labels, min_size=1, max_size=4).map(".".join)
dot_strings = st.lists(st.text(ATEXT + "éд中😀", min_size=1, max_size=4), min_size=1, max_size=3).map(".".join)
quoted_strings = st.lists(st.sampled_from([*" a.@é,<>", '\\"', "\\\\", "\\ ", "\\a"]), max_size=12).map(
    lambda parts: f'"{"".join(parts)}"'
)
literals = (st.ip_addresses(v=4).map("[{}]".format)) | (st.ip_addresses(v=6).map("[IPv6:{}]".format))
mailboxes = st.builds("{}@{}".format, dot_strings | quoted_strings, domains | literals)


def domain_of(octets: int, first: str = "d") -> str:
    """A domain of *octets* octets."""
    text = first
    while len(text.encode()) < octets:
        room = octets - len(text.encode()) - 1
        assert room
        take = room if room <= 63 else min(63, room - 2)
        text += "." + "d" * take
    assert len(text.encode()) == octets
    return text


# --- domains -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unicode", "ascii_"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.Com", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.EXAMPLE", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),  # not in NFC
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.de", "xn--fa-hia.de"),  # IDNA2008 keeps the sharp s
        ("βόλος.com", "xn--nxasmm1c.com"),  # and the final sigma
        ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
        ("😀.example", "xn--e28h.example"),
        ("a--b.0-9.x", "a--b.0-9.x"),
    ],
)
def test_labels(unicode: str, ascii_: str) -> None:
    domain = Domain.parse(unicode)
    assert str(domain) == domain.text == unicode
    assert domain.ascii == ascii_
    other = Domain.parse(ascii_)
    assert other == domain
    assert hash(other) == hash(domain)
    assert other.unicode == domain.unicode
    assert to_ascii(other.unicode) == ascii_


def test_other_domains_are_other() -> None:
    assert Domain.parse("example.com") != Domain.parse("example.org")
    assert Domain.parse("example.com") != Domain.parse("sub.example.com")
    assert Domain.parse("example.com") != "example.com"
    assert len({Domain.parse("bücher.example"), Domain.parse("XN--BCHER-KVA.example")}) == 1


@pytest.mark.catalogue("E11")
def test_what_looks_alike_is_not_equal() -> None:
    assert Domain.parse("paypal.example") != Domain.parse("p\u0430ypal.example")
    assert Domain.parse("p\u0430ypal.example").ascii == "xn--pypal-4ve.example"


@given(domains)
def test_domain_round_trips(text: str) -> None:
    domain = Domain.parse(text)
    assert str(domain) == text
    assert domain.ascii.isascii()
    assert domain.ascii == to_ascii(domain.ascii) == to_ascii(domain.unicode)
    for spelling in (domain.ascii, domain.unicode, domain.ascii.upper()):
        again = Domain.parse(spelling)
        assert again == domain
        assert hash(again) == hash(domain)


@given(st.text("абвгдежзиклмнопрстуфхцчшщъыьэюя中文字", min_size=1, max_size=15))
def test_a_labels_are_those_of_the_standard_library(label: str) -> None:
    assume(len(label.encode("idna")) <= 63)
    assert to_ascii(label) == label.encode("idna").decode()


@pytest.mark.parametrize(
    "label",
    [
        "xn--a",  # nothing to decode
        "xn--",
        "xn--a-",  # all ASCII
        "xn--\x80",
        "xn--99999999",  # beyond Unicode
        "xn--zzzzzzzzzzzzzzzzzzzz",
        "xn--ib9b",  # a surrogate
        "xn--tfa",  # U+0080 to U+009F
        "xn--ejr",  # decodes to another letter's case or form
        "xn--bcher-KVAa",
        "xn--bcher-kva-",
    ],
)
def test_what_does_not_decode_stays(label: str) -> None:
    shown = to_unicode(f"{label}.Example")
    shown.encode()
    assert to_unicode(shown) == shown
    if label.isascii() and not shown.isascii():
        assert to_ascii(shown) == f"{label}.example".lower()
    else:
        assert shown == f"{label}.example".lower()


@given(st.from_regex(r"xn--[a-z0-9-]{0,12}", fullmatch=True))
def test_unicode_is_the_same_name(text: str) -> None:
    shown = to_unicode(text)
    shown.encode()
    assert shown == text or to_ascii(shown) == text


@pytest.mark.parametrize(
    "text",
    ["", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "a b", "a@b", "[a]", "a\0", "a\r\nb", "a\x7f", "a\x85",
    "a\ufffe", "\ud800", "a/b", "a:b", "*", '"a"'],
)  # fmt: skip
@pytest.mark.catalogue("E7", "E11")
def test_not_a_domain(text: str) -> None:
    with pytest.raises(GrammarError):
        Domain.parse(text)
    with pytest.raises(GrammarError):
        Mailbox.parse(f"x@{text}")


def test_not_a_domain_after_normalisation() -> None:
    with pytest.raises(GrammarError, match="not a label"):
        Domain.parse("\u037e")  # NFC: a semicolon
    assert Domain.parse("\u212a.example").ascii == "k.example"  # the Kelvin sign is a K
    assert to_ascii("\u212a") == "k"


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(
    ("label", "over"),
    [
        ("d" * 63, "d" * 64),
        # As A-labels: "xn--", what is ASCII and a hyphen, and the digits for the rest.
        ("ü" + "a" * 55, "ü" + "a" * 56),
        ("中" + "a" * 53, "中" + "a" * 54),
        ("中" * 57, "中" * 58),
    ],
)
def test_label_limit(label: str, over: str) -> None:
    for text in (label, f"a.{label}", f"{label}.a"):
        assert max(map(len, Domain.parse(text).ascii.split("."))) == 63
        assert Mailbox.parse(f"x@{text}").domain == text
    for text in (over, f"a.{over}", f"{over}.a"):
        for parse in (Domain.parse, lambda text: Mailbox.parse(f"x@{text}"), to_ascii):
            with pytest.raises(GrammarError, match="63"):
                parse(text)


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b"])
def test_no_label_is_empty(text: str) -> None:
    with pytest.raises(GrammarError):
        to_ascii(text)


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(("first", "octets"), [("d", 255), ("ü", 250), ("中", 251)])
def test_domain_limit(first: str, octets: int) -> None:
    """As A-labels, too, of which "xn--tda" and "xn--fiq" are longer than what they stand for."""
    fits, over = domain_of(octets, first), domain_of(octets + 1, first)
    assert len(Domain.parse(fits).ascii) == 255
    for parse in (Domain.parse, lambda text: Mailbox.parse(f"x@{text}"), to_ascii):
        with pytest.raises(GrammarError, match="255"):
            parse(over)


def test_domain_limit_counts_octets_as_written() -> None:
    text = ".".join(["中" * 15] * 6)  # 275 octets, of which few are left as A-labels
    assert len(text.encode()) > 255
    with pytest.raises(GrammarError, match="255"):
        Domain.parse(text)


# --- address literals ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[127.0.0.1]", "[127.0.0.1]"),
        ("[255.255.255.255]", "[255.255.255.255]"),
        ("[IPv6:::1]", "[IPv6:::1]"),
        ("[ipv6:2001:DB8:0:0::1]", "[IPv6:2001:db8::1]"),
        ("[IPV6:::ffff:192.0.2.1]", f"[IPv6:{ipaddress.IPv6Address('::ffff:192.0.2.1')}]"),
        ("[IPv6:1:2:3:4:5:6:7:8]", "[IPv6:1:2:3:4:5:6:7:8]"),
    ],
)
def test_literal(text: str, shown: str) -> None:
    literal = AddressLiteral.parse(text)
    assert str(literal) == shown
    assert AddressLiteral.parse(shown) == literal == parse_host(text)
    assert hash(AddressLiteral.parse(shown)) == hash(literal)
    assert Mailbox.parse(f"a@{text}").host == literal


@given(st.ip_addresses())
def test_literal_round_trips(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    literal = AddressLiteral(address)
    assert AddressLiteral.parse(str(literal)) == literal


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "127.0.0.1", "[127.0.0.1", "127.0.0.1]", "[127.0.0.1].", "[127.0.0]", "[127.0.0.256]",
    "[127.0.0.01]", "[127.0.0.1/8]", "[ 127.0.0.1]",
     "[2130706433]", "[0x7f.0.0.1]", "[::1]", "[IPv6:]", "[IPv6:127.0.0.1]", "[IPv6:::1%eth0]",
     "[IPv6:1:2:3:4:5:6:7:8:9]", "[IPv6:::12345]", "[IPv6::1]", "[IPv4:127.0.0.1]",
     "[x-tag:abc]", "[[127.0.0.1]]", "[127.0.0.1\0]", "[127.0.0.1\r\n]", "[١٢٧.0.0.1]"],
)  # fmt: skip
@pytest.mark.catalogue("E7")
def test_not_a_literal(text: str) -> None:
    with pytest.raises(GrammarError):
        AddressLiteral.parse(text)
    if text.startswith("["):
        with pytest.raises(GrammarError):
            Mailbox.parse(f"a@{text}")


def test_hosts() -> None:
    assert parse_host("example.com") == Domain("example.com")
    assert parse_host("[127.0.0.1]") == AddressLiteral(ipaddress.IPv4Address("127.0.0.1"))
    assert AddressLiteral.parse("[127.0.0.1]") != Domain("127.0.0.1")
    for text in ("", "[example.com]", "a b"):
        with pytest.raises(GrammarError):
            parse_host(text)


# --- mailboxes -----------------------------------------------------------------------------------


@given(mailboxes)
def test_mailbox_round_trips(text: str) -> None:
    mailbox = Mailbox.parse(text)
    assert str(mailbox) == text
    again = Mailbox.parse(str(mailbox))
    assert again == mailbox
    assert hash(again) == hash(mailbox)
    assert mailbox.is_ascii == text.isascii()


@given(mailboxes)
def test_equal_mailboxes_have_one_hash(text: str) -> None:
    mailbox = Mailbox.parse(text)
    assert mailbox.host is not None
    domain = mailbox.host.ascii.upper() if isinstance(mailbox.host, Domain) else str(mailbox.host)
    other = Mailbox.parse(f"{quote_local_part(mailbox.local)}@{domain}")
    assert other == mailbox
    assert hash(other) == hash(mailbox)
    assert other.local == mailbox.local


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("a@example.com", "a@EXAMPLE.COM", True),
        ("a@bücher.example", "a@xn--bcher-kva.example", True),
        ('"a"@example.com', "a@example.com", True),
        ('"\\a"@example.com', "a@example.com", True),
        ('"a b"@example.com', '"a\\ b"@example.com', True),
        ("a@[IPv6:::1]", "a@[ipv6:0:0:0:0:0:0:0:1]", True),
        ("A@example.com", "a@example.com", False),
        ("a@example.com", "b@example.com", False),
        ("a@example.com", "a@example.org", False),
        ("é@example.com", "e\u0301@example.com", False),
        ('"a.b"@example.com', "a.b@example.com", True),
        ('" a"@example.com', '"a"@example.com', False),
        ("a@127.0.0.1", "a@[127.0.0.1]", False),
    ],
)
def test_comparison(one: str, other: str, equal: bool) -> None:
    a, b = Mailbox.parse(one), Mailbox.parse(other)
    assert (a == b) is equal
    assert (hash(a) == hash(b)) is equal
    assert len({a, b}) == 2 - equal


def test_a_mailbox_is_no_text() -> None:
    assert Mailbox.parse("a@b") != "a@b"


@pytest.mark.catalogue("E7", "E15")
@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("victim%remote@local.example", "victim%remote", "local.example"),
        ("remote!victim@local.example", "remote!victim", "local.example"),
        ('"victim@remote"@local.example', "victim@remote", "local.example"),
        ('"@remote:victim"@local.example', "@remote:victim", "local.example"),
        ('"a\\"b\\\\c"@local.example', 'a"b\\c', "local.example"),
        ('""@local.example', "", "local.example"),
        ("../../etc/passwd@x", None, None),
        ('"../../etc/passwd"@x', "../../etc/passwd", "x"),
        (";sleep${IFS}5;@x", None, None),
        ("${run{/bin/sh}}@x", "${run{/bin/sh}}", "x"),
        ("|/bin/sh@x", "|/bin/sh", "x"),
        ("-oQ/tmp@x", "-oQ/tmp", "x"),
    ],
)
def test_local_part_is_opaque(text: str, local: str | None, domain: str | None) -> None:
    if local is None:
        with pytest.raises(GrammarError):
            Mailbox.parse(text)
    else:
        mailbox = Mailbox.parse(text)
        assert (mailbox.local, mailbox.domain) == (local, domain)
        assert str(mailbox) == text


@pytest.mark.catalogue("E1", "E2", "E3", "E7")
@pytest.mark.parametrize(
    "text",
    [
        "", "a", "@", "a@", "@b", "a@b@c", "a@b,c@d", "a@b c@d", "a @b", "a@ b", " a@b", "a@b ", "<a@b>", "a.@b",
        ".a@b", "a..b@c",
        '"a@b', 'a"@b', '"a"b@c', 'a."b"@c', '"a""b"@c', '"a\\"@b', "(c)a@b", "a@b.", "a@b..c", "a\0@b", '"\0"@b',
        '"\\\0"@b', "a\r\n@b",
        '"a\r\nRSET"@b', '"a\n"@b', '"\t"@b', "a\x7f@b", '"\x7f"@b', "a\x85@b", "é\x9b@b", "a@b\x85", '"\ufdd0"@b',
        "\U0001fffe@b", "\ud800@b", "a@\udfff",
        '"\\é"@b', "a:b@c", "a;b@c", "a[b@c", "a\\b@c",
    ],
)  # fmt: skip
def test_not_a_mailbox(text: str) -> None:
    with pytest.raises(GrammarError):
        Mailbox.parse(text)


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(("fill", "octets"), [("a", 1), ("é", 2), ("中", 3), ("😀", 4)])
def test_local_part_limit(fill: str, octets: int) -> None:
    local = fill * (64 // octets) + "a" * (64 % octets)
    assert len(local.encode()) == 64
    assert Mailbox.parse(f"{local}@b").local_part == local
    assert quote_local_part(local) == local
    with pytest.raises(GrammarError, match="64"):
        Mailbox.parse(f"{local}a@b")
    with pytest.raises(GrammarError, match="64"):
        quote_local_part(f"{local}a")


@pytest.mark.catalogue("E9")
def test_quotes_count() -> None:
    assert Mailbox.parse(f'"{"a" * 62}"@b').local == "a" * 62
    with pytest.raises(GrammarError, match="64"):
        Mailbox.parse(f'"{"a" * 63}"@b')
    assert quote_local_part(" " * 62) == f'"{" " * 62}"'
    with pytest.raises(GrammarError, match="64"):
        quote_local_part(" " * 63)
    assert quote_local_part('"' * 31) == '"' + '\\"' * 31 + '"'
    with pytest.raises(GrammarError, match="64"):
        quote_local_part('"' * 32)


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize("fill", ["a", "é"])
@pytest.mark.parametrize("local", [1, 14, 15, 32, 64])
def test_path_limit(fill: str, local: int) -> None:
    """RFC 5321 4.5.3.1.3: 256 octets, with the angle brackets."""
    part = fill * (local // len(fill.encode())) + "a" * (local % len(fill.encode()))
    room = min(256 - 3 - local, 255)
    mailbox = Mailbox.parse(f"{part}@{domain_of(room)}")
    assert len(f"<{mailbox}>".encode()) == min(256, local + 255 + 3)
    with pytest.raises(GrammarError, match="256" if room < 255 else "255"):
        Mailbox.parse(f"{part}@{domain_of(room + 1)}")


@pytest.mark.catalogue("E9")
def test_path_limit_counts_octets() -> None:
    domain = domain_of(200, "中")
    assert len(Mailbox.parse(f"{'a' * 53}@{domain}").domain.encode()) == 200
    with pytest.raises(GrammarError, match="256"):
        Mailbox.parse(f"{'a' * 54}@{domain}")
    with pytest.raises(GrammarError, match="256"):
        Mailbox.parse(f"{'é' * 27}@{domain}")


def test_checked_mailbox() -> None:
    assert checked_mailbox("a", "b") == Mailbox("a", "b")
    with pytest.raises(GrammarError):
        checked_mailbox("a", "[b]")


@pytest.mark.catalogue("E10")
def test_utf8_mailbox() -> None:
    mailbox = Mailbox.parse("用户@例え.テスト")
    assert not mailbox.is_ascii
    assert mailbox.local == "用户"
    assert mailbox.host == Domain("xn--r8jz45g.xn--zckzah")
    assert not Mailbox.parse("a@例え.テスト").is_ascii
    assert not Mailbox.parse("用户@a").is_ascii
    assert Mailbox.parse("a@b").is_ascii
    assert Mailbox.parse("\u202egro.elpmaxe@x").local == "\u202egro.elpmaxe"  # shown by `safe`, not refused


# --- quoting -------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=12))
def test_quoting_round_trips(text: str) -> None:
    quoted = quote_local_part(text)
    mailbox = Mailbox.parse(f"{quoted}@b")
    assert mailbox.local == text
    assert mailbox == Mailbox(quoted, "b")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("a.b", "a.b"), ("", '""'), ("a b", '"a b"'), ("a.", '"a."'), ('"', '"\\""'), ("\\", '"\\\\"'),
    ("a@b", '"a@b"'), ("é", "é"), ("é é", '"é é"')],
)  # fmt: skip
def test_quote(text: str, quoted: str) -> None:
    assert quote_local_part(text) == quoted


@pytest.mark.catalogue("B6")
@pytest.mark.parametrize("text", ["a\r\nRSET", "\0", "\x1f", "\x7f", "a\n", "\x85", "\ufffe", "\ud800"])
def test_no_quoting_of_controls(text: str) -> None:
    with pytest.raises(GrammarError):
        quote_local_part(text)


# --- the paths that are no mailbox ---------------------------------------------------------------


def test_null_path() -> None:
    assert NullPath() == NULL_PATH
    assert hash(NULL_PATH) == hash(NullPath())
    assert str(NULL_PATH) == ""
    assert NULL_PATH.is_ascii
    assert Mailbox("", "") != NULL_PATH


def test_postmaster() -> None:
    assert POSTMASTER.host is None
    assert POSTMASTER.local == str(POSTMASTER) == "Postmaster"
    assert POSTMASTER.is_ascii
    assert Mailbox("Postmaster", "") == POSTMASTER != Mailbox("Postmaster", "example.com")
    assert hash(Mailbox("Postmaster", "")) == hash(POSTMASTER)


def test_letters_of_postmaster_do_not_count() -> None:
    for name in ("postmaster", "POSTMASTER"):
        assert Mailbox(name, "") == POSTMASTER
        assert hash(Mailbox(name, "")) == hash(POSTMASTER)
        assert str(Mailbox(name, "")) == name


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize(
    "pump",
    [
        "<",
        "(",
        '\\"',
        "@a,",
        "a.",
        "a-",
        ".",
        "é",
        "é.",
        '"',
        "[",
        "[IPv6:",
        ":",
        "0",
        "xn--",
        "xn--0a.",
        "\\",
        "@",
        " ",
    ],
)
def test_parsing_is_linear(pump: str) -> None:
    def parse(texts: list[str]) -> None:
        for text in texts:
            for read in (Mailbox.parse, Domain.parse, AddressLiteral.parse, parse_host, quote_local_part):
                try:
                    read(text)
                except GrammarError:
                    continue

    def make(size: int) -> list[str]:
        long = pump * (size // len(pump))
        return [
            long,
            f"a@{long}",
            f"a@{long}b",
            f'"{long}"@b',
            f"{long}@b",
            f"[{long}]",
            f"a@[{long}]",
            f"a@[IPv6:{long}]",
        ]

    assert_linear(parse, make)
