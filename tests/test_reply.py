"""Replies: safe by construction, whatever they are made from."""

import re
import unicodedata

import attrs
import pytest
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore._errors import LocalProtocolError
from smtpcore._reply import LINE_OCTETS, EnhancedStatus, Replies, Reply, fill, safe
from smtpcore._value import fields

# Texts in which what must be escaped or must not be cut is frequent.
texts = st.text(
    st.sampled_from("aZ9 \\\"'\r\n\t\0\x1b\x7f\x85\xa0é€\U0001f600\u2028\u202e\ufeff\U0001ffff") | st.characters()
)
long_texts = st.builds(lambda text, times: text * times, texts, st.integers(1, 200))
codes = st.builds(
    lambda one, two, three: 100 * one + 10 * two + three, st.integers(2, 5), st.integers(0, 5), st.integers(0, 9)
)

# RFC 5321 4.2: Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
#   Reply-code = %x32-35 %x30-35 %x30-39, textstring = 1*(%d09 / %d32-126)
REPLY = re.compile(rb"(?:([2-5][0-5][0-9])-[ -~]*\r\n(?=\1))*[2-5][0-5][0-9] [ -~]*\r\n")

STOCK = [field.name for field in fields(Replies)]


def pieces(wire: bytes) -> list[bytes]:
    """The text of each line."""
    assert wire.endswith(b"\r\n")
    return [line[4:] for line in wire[:-2].split(b"\r\n")]


# --- safe text -----------------------------------------------------------------------------------


@pytest.mark.catalogue("F14", "J1", "J2")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('plain text, "quoted" and \\ all', 'plain text, "quoted" and \\ all'),
        ("a\r\n250 forged", "a\\x{0D}\\x{0A}250 forged"),
        ("\x1b[31m", "\\x{1B}[31m"),
        ("\0\t\x7f", "\\x{00}\\x{09}\\x{7F}"),
        ("\x85\x9b", "\\x{85}\\x{9B}"),
        ("\u2028\u2029\u202e\u2066", "\\x{2028}\\x{2029}\\x{202E}\\x{2066}"),
        ("\u200f\u061c\ufeff\xad", "\\x{200F}\\x{61C}\\x{FEFF}\\x{AD}"),
        ("\ufdd0\uffff\U0001fffe\U0010ffff", "\\x{FDD0}\\x{FFFF}\\x{1FFFE}\\x{10FFFF}"),
        ("\U000e0041", "\\x{E0041}"),
        ("\ud800\udfff", "\\x{D800}\\x{DFFF}"),
        ("grüße 你好 😀", "grüße 你好 😀"),
        (b"gr\xc3\xbc\xff\xc3e", "grü\\x{FF}\\x{C3}e"),
        (b"\xc0\x80\xed\xa0\x80", "\\x{C0}\\x{80}\\x{ED}\\x{A0}\\x{80}"),
        ("", ""),
        (b"", ""),
    ],
)
def test_safe(text: str | bytes, shown: str) -> None:
    assert safe(text) == shown


@given(texts | st.binary())
def test_safe_text_drives_nothing(text: str | bytes) -> None:
    shown = safe(text)
    shown.encode()
    for character in shown:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "RLE",
            "LRE",
            "RLO",
            "LRO",
            "PDF",
            "RLI",
            "LRI",
            "FSI",
            "PDI",
        )


@given(texts)
def test_safe_text_stays_as_it_is(text: str) -> None:
    assert safe(safe(text, 10_000), 100_000) == safe(text, 10_000)


@pytest.mark.parametrize("character", ["a", "é", "😀"])
def test_limit_counts_characters(character: str) -> None:
    assert safe(character * 5, 5) == character * 5
    assert safe(character * 6, 5) == character * 5 + "..."
    assert safe((character * 5).encode(), 5) == character * 5
    assert safe((character * 6).encode(), 5) == character * 5 + "..."
    assert safe((character * 600).encode(), 5) == character * 5 + "..."
    assert len(safe("a" * 1000)) == 259


def test_safe_is_linear() -> None:
    assert_linear(lambda text: safe(text, len(text)), lambda size: "\r\n\u202e\xff" * size)
    assert_linear(lambda text: safe(text, len(text)), lambda size: b"\xff\xc3\xed\xa0" * size)


# --- enhanced status codes -----------------------------------------------------------------------


def test_status() -> None:
    assert EnhancedStatus.parse("5.7.14") == EnhancedStatus(5, 7, 14)
    assert str(EnhancedStatus(4, 0, 999)) == "4.0.999"


@given(st.sampled_from([2, 4, 5]), st.integers(0, 999), st.integers(0, 999))
def test_status_round_trip(class_: int, subject: int, detail: int) -> None:
    status = EnhancedStatus(class_, subject, detail)
    assert EnhancedStatus.parse(str(status)) == status


@pytest.mark.parametrize(
    "text", ["", "5", "5.1", "5.1.1.1", "3.1.1", "1.0.0", "6.0.0", "5.1000.1", "5.1.1000", "5.1.", "5.-1.1",
    "5.1.1\n", " 5.1.1", "5.١.1", "5.1_0.1"]
)  # fmt: skip
def test_not_a_status(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        EnhancedStatus.parse(text)


@pytest.mark.parametrize("parts", [(3, 0, 0), (0, 0, 0), (5, 1000, 0), (5, 0, 1000), (5, -1, 0), (5, 0, -1)])
def test_parts_of_a_status(parts: tuple[int, int, int]) -> None:
    with pytest.raises(LocalProtocolError):
        EnhancedStatus(*parts)


# --- replies -------------------------------------------------------------------------------------


def test_codes() -> None:
    for code in range(-1, 1100):
        if 200 <= code <= 559 and code // 10 % 10 <= 5:
            assert Reply(code).code == code
        else:
            with pytest.raises(LocalProtocolError, match=str(code)):
                Reply(code)


def test_class_of_status() -> None:
    assert (
        Reply(250, "", "2.1.0").status == EnhancedStatus(2, 1, 0) == Reply(250, status=EnhancedStatus(2, 1, 0)).status
    )
    for code, status in ((250, "5.0.0"), (450, "5.0.0"), (550, "4.0.0"), (354, "2.0.0")):
        with pytest.raises(LocalProtocolError, match=status):
            Reply(code, "", status)
    with pytest.raises(LocalProtocolError):
        Reply(250, "", "2.x")


@pytest.mark.parametrize(
    ("code", "positive", "transient", "permanent"),
    [
        (200, True, False, False), (259, True, False, False), (354, True, False, False), (400, False, True, False),
        (459, False, True, False), (500, False, False, True), (559, False, False, True),
    ],
)  # fmt: skip
def test_classes(code: int, positive: bool, transient: bool, permanent: bool) -> None:
    reply = Reply(code)
    assert (reply.positive, reply.transient, reply.permanent) == (positive, transient, permanent)


def test_content_does_not_change() -> None:
    reply = Reply(250, "Ok")
    for name in ("code", "text", "status"):
        with pytest.raises(attrs.exceptions.FrozenAttributeError):
            setattr(reply, name, None)


def test_kept_octets_do_not_count() -> None:
    reply = Reply(250, "Ok", "2.0.0")
    assert reply.wire(True) is reply.wire(True) == b"250 2.0.0 Ok\r\n"
    assert reply.wire(False) is reply.wire(False) == b"250 Ok\r\n"
    assert reply == Reply(250, "Ok", "2.0.0") != Reply(250, "Ok")
    assert hash(reply) == hash(Reply(250, "Ok", "2.0.0"))
    assert repr(reply) == repr(Reply(250, "Ok", "2.0.0"))


@pytest.mark.parametrize(
    ("reply", "plain", "enhanced"),
    [
        (Reply(250), b"250 \r\n", b"250 2.0.0 \r\n"),
        (Reply(250, "Ok", "2.1.5"), b"250 Ok\r\n", b"250 2.1.5 Ok\r\n"),
        (Reply(450, "Later"), b"450 Later\r\n", b"450 4.0.0 Later\r\n"),
        (Reply(550, "No"), b"550 No\r\n", b"550 5.0.0 No\r\n"),
        # RFC 2034 4: only replies of the classes 2, 4 and 5 have one.
        (Reply(354, "Go"), b"354 Go\r\n", b"354 Go\r\n"),
        (Reply(250, "a\nb", "2.0.1"), b"250-a\r\n250 b\r\n", b"250-2.0.1 a\r\n250 2.0.1 b\r\n"),
        (Reply(250, "a\n"), b"250-a\r\n250 \r\n", b"250-2.0.0 a\r\n250 2.0.0 \r\n"),
        (Reply(250, "\n"), b"250-\r\n250 \r\n", b"250-2.0.0 \r\n250 2.0.0 \r\n"),
        (Reply(250, "é😀\r"), b"250 \\x{E9}\\x{1F600}\\x{0D}\r\n", b"250 2.0.0 \\x{E9}\\x{1F600}\\x{0D}\r\n"),
    ],
)
def test_wire(reply: Reply, plain: bytes, enhanced: bytes) -> None:
    assert reply.wire(False) == plain == reply.encode()
    assert reply.wire(True) == enhanced == reply.encode(enhanced=True)


@pytest.mark.catalogue("F14")
@given(codes, long_texts, st.booleans())
def test_wire_is_well_formed(code: int, text: str, enhanced: bool) -> None:
    wire = Reply(code, text).wire(enhanced)
    assert REPLY.fullmatch(wire)
    assert all(len(line) <= LINE_OCTETS - 2 for line in wire.split(b"\r\n"))
    assert wire[:3] == b"%d" % code


@given(codes, long_texts, st.booleans())
def test_nothing_of_the_text_is_lost(code: int, text: str, enhanced: bool) -> None:
    reply = Reply(code, text)
    prefix = b"%d.0.0 " % (code // 100) if enhanced and code // 100 != 3 else b""
    wire = reply.encode(enhanced=enhanced, utf8=True)
    assert all(len(line) <= LINE_OCTETS - 2 for line in wire.split(b"\r\n"))
    assert all(piece.startswith(prefix) for piece in pieces(wire))
    got = [piece.removeprefix(prefix).decode() for piece in pieces(wire)]  # no character is cut in two
    assert "".join(got) == "".join(reply.lines()) == "".join(safe(line, 65536) for line in text.split("\n"))


@pytest.mark.parametrize(("enhanced", "most"), [(False, 506), (True, 500)])
@pytest.mark.parametrize("end", ["a", "é", "€", "😀"])
def test_line_limit(enhanced: bool, most: int, end: str) -> None:
    octets = len(end.encode())
    fits = Reply(550, "a" * (most - octets) + end)
    wire = fits.encode(enhanced=enhanced, utf8=True)
    assert len(wire) == LINE_OCTETS
    assert len(pieces(wire)) == 1
    over = Reply(550, "a" * (most - octets + 1) + end).encode(enhanced=enhanced, utf8=True)
    assert len(pieces(over)) == 2
    assert pieces(over)[-1].endswith(end.encode())
    assert over.index(b"\r\n") + 2 == LINE_OCTETS - octets + 1


def test_lines_of_one_character_each() -> None:
    wire = Reply(250, "\n" * 1000).wire(False)
    assert wire == b"250-\r\n" * 1000 + b"250 \r\n"


def test_str() -> None:
    assert str(Reply(250, "a\nb\r", "2.0.0")) == "250 2.0.0 a / b\\x{0D}"
    assert str(Reply(354, "Go")) == "354 Go"


def test_encode_is_linear() -> None:
    assert_linear(lambda reply: reply.encode(utf8=True), lambda size: Reply(250, "😀\n" * size))
    assert_linear(lambda reply: reply.encode(), lambda size: Reply(250, "😀\r\n" * size))


# --- the stock replies ---------------------------------------------------------------------------

LATER = {"chunk_ok": "octets", "help": "commands", "syntax": "syntax", "unknown_parameter": "keyword"}


@pytest.mark.parametrize("name", STOCK)
def test_stock_reply(name: str) -> None:
    reply: Reply = getattr(Replies().filled(domain="mx.example", protocol="ESMTP", limit="100"), name)
    if name in LATER:
        reply = fill(reply, **{LATER[name]: "x"})
    wire = reply.wire(True)
    assert REPLY.fullmatch(wire)
    assert len(wire) <= LINE_OCTETS
    assert b"{" not in wire
    if not reply.positive:
        assert reply.status is not None, "the client is to learn why"
    if reply.code in (220, 221, 421) and reply.status is None:
        assert b"mx.example" in wire, "RFC 5321 4.2: these name the domain"


@pytest.mark.parametrize("name", STOCK)
def test_421_says_that_it_closes_and_nothing_else_does(name: str) -> None:
    reply: Reply = getattr(Replies(), name)
    closing = "clos" in reply.text or "shutting" in reply.text
    assert closing == (reply.code == 421 or name in ("bye", "early_input", "bad_bdat"))


def test_filled() -> None:
    replies = Replies(ok=Reply(250, "{domain} {protocol} {limit} {other}", "2.9.9"), bye=Reply(221, "Bye"))
    filled = replies.filled(domain="mx.example", protocol="LMTP", limit="10")
    assert filled.ok == Reply(250, "mx.example LMTP 10 {other}", "2.9.9")
    assert filled.bye is replies.bye
    assert filled.greeting == Reply(220, "mx.example LMTP ready")
    assert replies.ok.text.startswith("{domain}")


def test_names_are_replaced_literally() -> None:
    assert fill(Reply(250, "{a} {b}"), a="\\1 %s {} {0}", b="{x}").text == "\\1 %s {} {0} {x}"
    reply = Reply(250, "{a}")
    assert fill(reply, b="c") is reply


@pytest.mark.catalogue("F14")
def test_what_is_filled_in_ends_no_reply() -> None:
    forged = fill(Reply(555, "no {keyword}"), keyword="a\r\n250 Ok")
    assert forged.wire(False) == b"555-no a\\x{0D}\r\n555 250 Ok\r\n"
