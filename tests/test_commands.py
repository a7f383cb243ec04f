"""Command arguments: read as the grammar says, refused as the RFCs say."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import abnf
import pytest
from _dialogue import Driver, codes, config
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore import Limits, MailFrom, RcptTo, Refused, ServerConfig
from smtpcore._address import NULL_PATH, POSTMASTER, AddressLiteral, Domain, Mailbox
from smtpcore._commands import (
    SYNTAX,
    Command,
    PathError,
    encode_line,
    format_command,
    format_hello,
    format_mail,
    format_path,
    format_rcpt,
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
from smtpcore._errors import GrammarError, LocalProtocolError
from smtpcore.extensions import DSN, SIZE, STANDARD

paths = st.sampled_from(
    [
        "a@b",
        "A.b+c@Example.COM",
        '"a b"@[127.0.0.1]',
        '"a>b"@b',
        '"\\">"@b',
        "用户@例え.テスト",
        "a@[IPv6:::1]",
        "x" * 64 + "@y",
    ]
)
params = st.none() | st.sampled_from(["SIZE=10", "SIZE=10 BODY=8BITMIME", "X", "=", " ", "<>", "a>b c", "é"])


def mixed_case(text: str) -> st.SearchStrategy[str]:
    return st.tuples(*(st.sampled_from([c.lower(), c.upper()]) for c in text)).map("".join)


def refused(parse: Callable[[str], object], argument: str) -> bool:
    try:
        parse(argument)
    except GrammarError:
        return True
    return False


# --- MAIL and RCPT -------------------------------------------------------------------------------


@given(mixed_case("FROM:"), paths, params)
def test_mail(start: str, path: str, raw: str | None) -> None:
    argument = f"{start}<{path}>" if raw is None else f"{start}<{path}> {raw}"
    reverse_path, got = parse_mail(argument)
    assert isinstance(reverse_path, Mailbox)
    assert str(reverse_path) == path
    assert got == raw


@given(mixed_case("TO:"), paths, params)
def test_rcpt(start: str, path: str, raw: str | None) -> None:
    argument = f"{start}<{path}>" if raw is None else f"{start}<{path}> {raw}"
    forward_path, got = parse_rcpt(argument)
    assert str(forward_path) == path
    assert got == raw


@pytest.mark.catalogue("E5")
@given(params)
def test_null_reverse_path(raw: str | None) -> None:
    assert parse_mail("FROM:<>" if raw is None else f"FROM:<> {raw}") == (NULL_PATH, raw)


@given(mixed_case("POSTMASTER"), params)
def test_postmaster(name: str, raw: str | None) -> None:
    path, got = parse_rcpt(f"TO:<{name}>" if raw is None else f"TO:<{name}> {raw}")
    assert path.host is POSTMASTER.host
    assert str(path) == name
    assert got == raw


def test_postmaster_sends_nothing_without_a_domain() -> None:
    with pytest.raises(PathError):
        parse_mail("FROM:<Postmaster>")
    with pytest.raises(PathError):
        parse_rcpt("TO:<abuse>")


def arguments(start: str, words: tuple[str, ...], length: int) -> Iterator[str]:
    for count in range(length + 1):
        for chosen in itertools.product(words, repeat=count):
            yield start + "".join(chosen)


WORDS = ("<", ">", "a", "@", ":", ",", '"', " ", ".")


@pytest.mark.parametrize("start", ["", "FROM:", "FROM:<", "FROM:<a@", "FROM:<@a", 'FROM:<"', "FROM:<>"])
def test_all_short_mail_arguments(start: str) -> None:
    for argument in arguments(start, WORDS, 4):
        assert refused(parse_mail, argument) != abnf.mail(argument), argument


@pytest.mark.parametrize("start", ["", "TO:", "TO:<", "TO:<a@", "TO:<@a", "TO:<Post", "TO:<Postmaster>"])
def test_all_short_rcpt_arguments(start: str) -> None:
    for argument in arguments(start, (*WORDS[:-1], "master"), 4):
        assert refused(parse_rcpt, argument) != abnf.rcpt(argument), argument


@given(st.text('<>a@:," .[]\\\r\0é', max_size=20))
def test_random_arguments(text: str) -> None:
    assert refused(parse_mail, f"FROM:<{text}>") != (not text or abnf.mail(f"FROM:<{text}>"))
    assert refused(parse_rcpt, f"TO:<{text}>") != abnf.rcpt(f"TO:<{text}>")


BAD_PATHS = {
    "E1": ["a\0@b", "a@b\0", "\0", '"\0"@b', '"\\\0"@b', "a\x1b@b", "a\t@b", "a@b\x7f", "a\r@b", "a@\nb"],
    "E2": ["a@x,b@y", "a@x, b@y", "a@x b@y", "a@x;b@y"],
    "E3": ["a@b>>", "<a@b", "<a@b>", '"a@b', 'a"@b', '"a"b"@c', "a@b>c", "(a@b", "a@b)", "a@[127.0.0.1",
    "a@127.0.0.1]"],
    "E6": ["@a:", "@a", "@a,b:c@d", "@a,@b c@d", "@a,,@b:c@d", "@:c@d", "@a:@b:c@d", "@a@b:c@d", "a:b@c",
    "@[127.0.0.1]:c@d"],
    "E7": ["a@b@c", "@[127.0.0.1]", "a@b.", "a@.b", "a@b..c", "@", "a", "a@", "@b", "a@[::1]", "a@[127.0.0.256]",
    "a@b_c", "a@-b", "a@b-"],
    "E11": ["a@b\x85", "\x85@b", "a\ufffe@b", "a@\ufdd0"],
}  # fmt: skip


def bad_paths(*but: str) -> list[Any]:
    return [
        pytest.param(row, path, marks=pytest.mark.catalogue(row), id=f"{row}-{path!a}")
        for row, texts in BAD_PATHS.items()
        for path in texts
        if row not in but
    ]


# The code points of E11 are looked for in the whole line, before it is parsed.
@pytest.mark.parametrize(("row", "path"), bad_paths("E11"))
def test_not_a_path(row: str, path: str) -> None:
    for tail in ("", " SIZE=1"):
        with pytest.raises(GrammarError):
            parse_mail(f"FROM:<{path}>{tail}")
        with pytest.raises(GrammarError):
            parse_rcpt(f"TO:<{path}>{tail}")


@pytest.mark.catalogue("E4")
def test_null_forward_path() -> None:
    with pytest.raises(PathError):
        parse_rcpt("TO:<>")
    with pytest.raises(PathError):
        parse_rcpt("TO:<> NOTIFY=NEVER")


@pytest.mark.catalogue("E6")
@pytest.mark.parametrize("route", ["@a:", "@a,@b:", "@a.example,@b.example,@c-d.example:", "@例え.テスト:"])
def test_source_route_is_read_and_ignored(route: str) -> None:
    assert parse_rcpt(f"TO:<{route}c@d> X") == (Mailbox("c", "d"), "X")
    assert parse_mail(f"FROM:<{route}c@d>") == (Mailbox("c", "d"), None)


@pytest.mark.catalogue("E7")
@pytest.mark.parametrize(
    ("path", "local", "domain"),
    [
        ("victim%remote@local", "victim%remote", "local"),
        ("remote!victim@local", "remote!victim", "local"),
        ('"victim@remote"@local', "victim@remote", "local"),
        ('"victim@remote>"@local', "victim@remote>", "local"),
        ('"<a@b>"@local', "<a@b>", "local"),
        ("a@[127.0.0.1]", "a", "[127.0.0.1]"),
    ],
)
def test_the_domain_alone_decides(path: str, local: str, domain: str) -> None:
    mailbox, _ = parse_rcpt(f"TO:<{path}>")
    assert (mailbox.local, mailbox.domain) == (local, domain)
    assert str(mailbox) == path


@pytest.mark.parametrize(
    ("argument", "of_path"),
    [
        ("FROM:<a>", True), ("from:<a@b.>", True), ("FROM:<a@b>x", True), ("FROM:<a@b>\tSIZE=1", True),
        ("FROM:<<a@b>", True),
        ("", False), ("FROM", False), ("FROM:", False), ("FROM:a@b", False), ("FROM: <a@b>", False),
        ("FROM :<a@b>", False), ("FROM:<a@b", False),
        ("TO:<a@b>", False), ("<a@b>", False), ("FROM:<", False), ("XFROM:<a@b>", False),
    ],
)  # fmt: skip
def test_why(argument: str, of_path: bool) -> None:
    with pytest.raises(GrammarError) as raised:
        parse_mail(argument)
    assert isinstance(raised.value, PathError) is of_path
    if not of_path or "TO:" in argument.upper():
        return
    with pytest.raises(PathError):
        parse_rcpt(argument.upper().replace("FROM:", "TO:"))


# --- the limits of a path ------------------------------------------------------------------------


def labels(*octets: int) -> str:
    return ".".join("d" * count for count in octets)


PATH_LIMITS = [
    ("local part", "a" * 64 + "@b", "a" * 65 + "@b"),
    ("quoted local part", f'"{"a" * 62}"@b', f'"{"a" * 63}"@b'),
    ("utf-8 local part", "é" * 32 + "@b", "é" * 32 + "a@b"),
    ("label", "a@" + "d" * 63, "a@" + "d" * 64),
    ("label of many", "a@b." + "d" * 63 + ".c", "a@b." + "d" * 64 + ".c"),
    ("path", "a" * 64 + "@" + labels(62, 62, 63), "a" * 64 + "@" + labels(62, 63, 63)),
    ("path of a short local part", "a@" + labels(62, 62, 62, 63), "a@" + labels(62, 62, 63, 63)),
    ("path with a route", f"@{labels(63)},@{labels(63)},@{labels(61)}:{'c' * 59}@d",
     f"@{labels(63)},@{labels(63)},@{labels(62)}:{'c' * 59}@d"),
]  # fmt: skip


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(("fits", "over"), [row[1:] for row in PATH_LIMITS], ids=[row[0] for row in PATH_LIMITS])
def test_path_limits(fits: str, over: str) -> None:
    mailbox = fits.rpartition(":")[2]
    assert str(parse_mail(f"FROM:<{fits}> SIZE=1")[0]) == mailbox
    assert str(parse_rcpt(f"TO:<{fits}>")[0]) == mailbox
    with pytest.raises(PathError):
        parse_mail(f"FROM:<{over}> SIZE=1")
    with pytest.raises(PathError):
        parse_rcpt(f"TO:<{over}>")


def test_limits_are_those_of_a_path() -> None:
    assert [len(f"<{fits}>") for name, fits, _ in PATH_LIMITS if name.startswith("path")] == [256] * 3
    assert [len(f"<{over}>") for name, _, over in PATH_LIMITS if name.startswith("path")] == [257] * 3


# --- quirks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "mended"),
    [
        ("FROM: <a@b>", "FROM:<a@b>"), ("to:   <a@b> X", "to:<a@b> X"), ("FROM: a@b", "FROM:a@b"),
        ("FROM:<a@b>", None),
        ("FROM :<a@b>", None), ("", None), (" FROM: <>", None), ("FROM:\t<a@b>", None), (": <a@b>", None),
        ("FROM: ", "FROM:"),
    ],
)  # fmt: skip
def test_without_spaces(argument: str, mended: str | None) -> None:
    assert without_spaces(argument) == mended
    if mended is not None:
        assert without_spaces(mended) is None


@pytest.mark.parametrize(
    ("argument", "mended"),
    [
        ("FROM:a@b", "FROM:<a@b>"), ("TO:a@b X=1 Y", "TO:<a@b> X=1 Y"), ("FROM:a@b>", "FROM:<a@b>>"),
        ("FROM:<a@b>", None),
        ("FROM:<a@b", None), ("FROM: a@b", None), ("FROM:", None), ("", None), ("FROM", None), ("a@b", None),
        ('TO:"a b"@c', 'TO:<"a> b"@c'),
    ],
)  # fmt: skip
def test_with_brackets(argument: str, mended: str | None) -> None:
    assert with_brackets(argument) == mended
    if mended is not None:
        assert with_brackets(mended) is None


# --- parameters ----------------------------------------------------------------------------------

keywords = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9-]{0,6}", fullmatch=True)
values = st.none() | st.text("!aZ09+-;,:<>/é中", min_size=1, max_size=8)


@given(st.lists(st.tuples(keywords, values), min_size=1, max_size=5, unique_by=lambda pair: pair[0].upper()))
def test_params_round_trip(pairs: list[tuple[str, str | None]]) -> None:
    text = " ".join(keyword if value is None else f"{keyword}={value}" for keyword, value in pairs)
    assert split_params(text) == [(keyword.upper(), value) for keyword, value in pairs]


@pytest.mark.parametrize(
    "text",
    ["", " ", " A", "A ", "A  B", "=", "A=", "=1", "A=1=2", "A==", "-A", "A_B", "A.B=1", "É=1", "A=\x7f", "A\tB",
    "A=1 A=2", "a A", "A=1 B a=1", "A=1 , B", "A B=", "SIZE =1", "SIZE= 1"],
)  # fmt: skip
def test_malformed_params(text: str) -> None:
    with pytest.raises(GrammarError):
        split_params(text)


def test_params_are_as_written() -> None:
    assert split_params("size=00 x-Y a=b;c") == [("SIZE", "00"), ("X-Y", None), ("A", "b;c")]


# --- the other verbs -----------------------------------------------------------------------------


def test_hello() -> None:
    assert parse_hello("client.example") == Domain("client.example")
    assert parse_hello("[127.0.0.1]") == AddressLiteral.parse("[127.0.0.1]")
    for text in ("", "a b", "[a]", "-", "a.", "a_b"):
        with pytest.raises(GrammarError):
            parse_hello(text)


def test_string() -> None:
    for text in ("a", "Ünïcode ok", '"quoted"', "\\"):
        assert parse_string(text) == parse_optional_string(text) == text
    assert parse_optional_string("") == ""
    with pytest.raises(GrammarError):
        parse_string("")
    for text in ("\0", "a\tb", "\r", "a\n", "\x7f"):
        for parse in (parse_string, parse_optional_string):
            with pytest.raises(GrammarError):
                parse(text)


def test_nothing() -> None:
    parse_nothing("")
    with pytest.raises(GrammarError):
        parse_nothing("x")


@given(st.integers(0, 10**20 - 1), st.booleans())
def test_bdat_round_trip(size: int, last: bool) -> None:
    assert parse_bdat(f"{size} LAST" if last else str(size)) == (size, last)


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize(
    "argument",
    ["", "-1", "+1", "0x10", "1_0", "1.0", "٣", "1" * 21, "0" * 21, "LAST", "1LAST", "1 FIRST", "1 LAST LAST",
    "1 LAST ", " 1", "1 ", "1\tLAST", "1 \0"],
)  # fmt: skip
def test_malformed_bdat(argument: str) -> None:
    with pytest.raises(GrammarError):
        parse_bdat(argument)


def test_syntax_of_each_verb() -> None:
    for verb, syntax in SYNTAX.items():
        assert syntax.split(" ")[0] == verb
        assert syntax.isascii()
        assert syntax.isprintable()


# --- what a server answers -----------------------------------------------------------------------

SETTINGS = config(extensions=(*STANDARD, DSN), limits=Limits(message_octets=100_000))


def answer(command: bytes, *, smtputf8: bool = True, settings: ServerConfig = SETTINGS) -> tuple[Driver, int]:
    """The session after EHLO (and MAIL, for a RCPT), and the code of the reply to *command*."""
    driver = Driver(settings)
    driver.say("EHLO client.example")
    if command.upper().startswith(b"RCPT"):
        driver.say("MAIL FROM:<a@b> SMTPUTF8" if smtputf8 else "MAIL FROM:<a@b>")
    before = driver.conn.phase
    (reply,) = codes(driver.feed(command + b"\r\n"))
    code = int(reply[:3])
    if code >= 500:
        assert driver.conn.phase is before
        assert driver.seen(Refused)
    return driver, code


ANSWERS = {
    # CR and LF are also what A13 is about.
    "E1": {501, 553}, "E2": {501}, "E3": {501}, "E6": {501}, "E7": {501}, "E11": {501, 553},
}  # fmt: skip


@pytest.mark.parametrize(("row", "path"), bad_paths())
def test_answer_to_a_bad_path(row: str, path: str) -> None:
    codes = ANSWERS[row] | ({500} if set(path) & set("\r\n") else set())
    tail = b"" if path.isascii() else b" SMTPUTF8"
    assert answer(b"MAIL FROM:<" + path.encode() + b">" + tail)[1] in codes
    assert answer(b"RCPT TO:<" + path.encode() + b">")[1] in codes


@pytest.mark.catalogue("E4", "E5", "E6")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"MAIL FROM:<>", 250), (b"MAIL FROM:<> SIZE=100 BODY=7BIT", 250), (b"RCPT TO:<>", 501),
        (b"RCPT TO:<@a,@b:c@d>", 250),
        (b"MAIL FROM:<@a,@b:c@d>", 250), (b"RCPT TO:<postMASTER>", 250), (b"MAIL FROM:<postmaster>", 501),
    ],
)  # fmt: skip
def test_special_paths(command: bytes, code: int) -> None:
    driver, got = answer(command)
    assert got == code
    for event in driver.events:
        if isinstance(event, MailFrom | RcptTo):
            assert ":" not in str(event.path)


@pytest.mark.catalogue("E9")
@pytest.mark.parametrize(("fits", "over"), [row[1:] for row in PATH_LIMITS], ids=[row[0] for row in PATH_LIMITS])
def test_answer_to_path_limits(fits: str, over: str) -> None:
    tail = b"" if fits.isascii() else b" SMTPUTF8"
    assert answer(b"MAIL FROM:<%b>" % fits.encode() + tail)[1] == 250
    assert answer(b"RCPT TO:<%b>" % fits.encode())[1] == 250
    driver, code = answer(b"MAIL FROM:<%b>" % over.encode() + tail)
    assert (code, driver.out.split(b"\r\n")[-2][:9]) == (501, b"501 5.1.7")
    driver, code = answer(b"RCPT TO:<%b>" % over.encode())
    assert (code, driver.out.split(b"\r\n")[-2][:9]) == (501, b"501 5.1.3")


@pytest.mark.catalogue("E9")
def test_answer_to_host_limits() -> None:
    assert answer(b"EHLO " + b"d" * 63)[1] == 250
    assert answer(b"EHLO " + b"d" * 64)[1] == 501
    assert answer(b"EHLO " + labels(63, 63, 63, 63).encode())[1] == 250
    assert answer(b"EHLO " + labels(63, 63, 63, 61, 1).encode())[1] == 250
    assert answer(b"EHLO " + labels(63, 63, 63, 62, 1).encode())[1] == 501


BAD_UTF8 = [b"\xc3\x28", b"\xc0\xaf", b"\xe2\x82", b"\xed\xa0\x80", b"\xe9", b"\xf4\x90\x80\x80", b"\x80", b"\xff\xfe"]


@pytest.mark.catalogue("E10")
@pytest.mark.parametrize("text", BAD_UTF8)
def test_strict_utf8(text: bytes) -> None:
    for path in (text + b"@b", b"a" + text + b"@b", b"a@" + text, b"a@b" + text + b"c"):
        assert answer(b"MAIL FROM:<%b> SMTPUTF8" % path)[1] == 553
        assert answer(b"RCPT TO:<%b>" % path)[1] == 553


@pytest.mark.catalogue("E10")
def test_utf8_only_where_it_was_asked_for() -> None:
    path = "用户@例え.テスト"
    driver, code = answer(b"MAIL FROM:<%b> SMTPUTF8" % path.encode())
    assert code == 250
    assert str(driver.seen(MailFrom)[0].path) == path
    assert answer(b"MAIL FROM:<%b>" % path.encode())[1] == 553
    assert answer(b"RCPT TO:<%b>" % path.encode())[1] == 250
    assert answer(b"RCPT TO:<%b>" % path.encode(), smtputf8=False)[1] == 553
    without = config(extensions=(SIZE,))
    assert answer(b"MAIL FROM:<%b>" % path.encode(), settings=without)[1] == 553
    assert answer(b"MAIL FROM:<a@b> SMTPUTF8", settings=without)[1] == 555


@pytest.mark.catalogue("E10", "E11")
@pytest.mark.parametrize("path", ["e\u0301@b", "\u212b@b", "ﬁ@b", "\u0430@b", "\u202egro.x@b", "a@\u0430pple.example"])
def test_utf8_is_not_rewritten(path: str) -> None:
    driver, code = answer(b"MAIL FROM:<%b> SMTPUTF8" % path.encode())
    assert code == 250
    assert str(driver.seen(MailFrom)[0].path) == path


@pytest.mark.catalogue("E11")
@pytest.mark.parametrize("point", [0x80, 0x85, 0x9B, 0x9F, 0xFDD0, 0xFFFE, 0x1FFFF, 0x10FFFF])
def test_unfit_code_points(point: int) -> None:
    for path in (f"a{chr(point)}@b", f"a@b{chr(point)}"):
        assert answer(b"MAIL FROM:<%b> SMTPUTF8" % path.encode())[1] in (501, 553)
        assert answer(b"RCPT TO:<%b>" % path.encode())[1] in (501, 553)


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    ("size", "code"),
    [
        ("0", 250), ("100000", 250), ("0" * 14 + "100000", 250), ("100001", 552), (str(2**64 + 10), 552),
        ("9" * 20, 552),
        ("-1", 501), ("+1", 501), ("1_0", 501), ("٣", 501), ("１", 501), ("1" * 21, 501), ("1" * 25, 501),
        ("0" * 21, 501), ("", 501), ("0x10", 501), ("1e3", 501), ("1.0", 501),
    ],
)  # fmt: skip
def test_size(size: str, code: int) -> None:
    command = f"MAIL FROM:<a@b> SIZE={size}".encode() + (b"" if size.isascii() else b" SMTPUTF8")
    assert answer(command)[1] == code


@pytest.mark.catalogue("E13")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"MAIL FROM:<a@b> FOO", 555), (b"MAIL FROM:<a@b> FOO=bar", 555), (b"MAIL FROM:<a@b> SIZE=1 X-Y=Z", 555),
        (b"MAIL FROM:<> REQUIRETLS", 555),
        (b"RCPT TO:<a@b> FOO", 555), (b"RCPT TO:<a@b> SIZE=1", 555), (b"MAIL FROM:<a@b> NOTIFY=NEVER", 555),
        (b"RCPT TO:<a@b> MT-PRIORITY=1", 555),
        (b"MAIL FROM:<a@b> SIZE", 501), (b"MAIL FROM:<a@b> SIZE=1 SIZE=1", 501), (b"MAIL FROM:<a@b>  SIZE=1", 501),
        (b"MAIL FROM:<a@b>SIZE=1", 501),
        (b"MAIL FROM:<a@b> BODY=9BIT", 501), (b"MAIL FROM:<a@b> SMTPUTF8=1", 501), (b"MAIL FROM:<a@b> =", 501),
        (b"MAIL FROM:<a@b> BODY=BINARYMIME", 501), (b"RCPT TO:<a@b> NOTIFY=NEVER,DELAY", 501),
        (b"RCPT TO:<a@b> NOTIFY=", 501),
    ],
)  # fmt: skip
def test_parameters_are_kept_or_refused(command: bytes, code: int) -> None:
    assert answer(command)[1] == code


@pytest.mark.catalogue("E13")
def test_no_parameters_after_helo() -> None:
    driver = Driver(SETTINGS)
    driver.say("HELO client.example")
    assert driver.codes("MAIL FROM:<a@b> SIZE=1", "MAIL FROM:<a@b>") == ["555 5.5.4", "250 2.1.0"]


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize(
    "command",
    [
        b"MAIL FROM:<a@b> ENVID=a+0D+0Ab", b"MAIL FROM:<a@b> ENVID=a+00b", b"MAIL FROM:<a@b> ENVID=+",
        b"MAIL FROM:<a@b> ENVID=+4", b"MAIL FROM:<a@b> ENVID=+0d",
        b"MAIL FROM:<a@b> ENVID=+FF", b"RCPT TO:<a@b> ORCPT=rfc822;a+0D+0Ab",
        b"RCPT TO:<a@b> ORCPT=utf-8;a\\x{0D}\\x{0A}", b"RCPT TO:<a@b> ORCPT=utf-8;\\x{85}",
        b"RCPT TO:<a@b> ORCPT=utf-8;\\x{D800}", b"RCPT TO:<a@b> ORCPT=rfc822", b"RCPT TO:<a@b> ORCPT=;a",
    ],
)  # fmt: skip
def test_xtext_smuggles_nothing(command: bytes) -> None:
    assert answer(command)[1] == 501


# --- time ----------------------------------------------------------------------------------------


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize(
    "pump",
    ["<", "(", '\\"', "@a,", "@a", "a.", "a-", ".", '"', ">", "> ", "A=1 ", "=", " ", "A ", "A", "é", ":", "1", "\\"],
)
def test_parsing_is_linear(pump: str) -> None:
    heads = ["", "FROM:", "FROM:<", "TO:<", "FROM:<@a", 'TO:<"', "FROM:<a@", "FROM:<a@b> ", "FROM: "]
    parsers: list[Callable[[str], object]] = [
        parse_mail, parse_rcpt, without_spaces, with_brackets, split_params, parse_hello, parse_string, parse_bdat,
    ]  # fmt: skip

    def parse(texts: list[str]) -> None:
        for text in texts:
            for each in parsers:
                refused(each, text)

    def make(size: int) -> list[str]:
        return [head + pump * (size // len(pump)) + tail for head in heads for tail in ("", ">", '"@b>')]

    assert_linear(parse, make)


@pytest.mark.catalogue("E8")
@pytest.mark.parametrize("pump", [b"<", b"(", b'\\"', b"@a,"])
@pytest.mark.parametrize("verb", [b"MAIL FROM:<", b"RCPT TO:<"])
def test_long_paths_are_refused(verb: bytes, pump: bytes) -> None:
    assert answer(verb + pump * (480 // len(pump)) + b">")[1] == 501


# --- written -------------------------------------------------------------------------------------


@given(paths, st.lists(st.sampled_from(["SIZE=1", "BODY=8BITMIME", "SMTPUTF8"]), unique=True))
def test_what_is_written_is_read(path: str, params: list[str]) -> None:
    mailbox = Mailbox.parse(path)
    raw = " ".join(params) or None
    assert parse_mail(format_mail(mailbox, params).removeprefix("MAIL ")) == (mailbox, raw)
    assert parse_rcpt(format_rcpt(mailbox, params).removeprefix("RCPT ")) == (mailbox, raw)


def test_the_paths_that_have_no_domain() -> None:
    assert format_mail(NULL_PATH, []) == "MAIL FROM:<>"
    assert format_rcpt(Mailbox("pOSTmaster", ""), []) == "RCPT TO:<pOSTmaster>"
    with pytest.raises(LocalProtocolError):
        format_mail(POSTMASTER, [])
    with pytest.raises(LocalProtocolError):
        format_rcpt(NULL_PATH, [])  # type: ignore[arg-type]


@pytest.mark.catalogue("B5", "B6", "B8")
@pytest.mark.parametrize(
    "path",
    [
        Mailbox("a@b> RCPT TO:<c", "d"), Mailbox("a", "b> SIZE=1"), Mailbox('"a\r\n"', "b"), Mailbox("a", "b\r\n"),
        Mailbox("a", "[127.0.0.1"), Mailbox("a" * 65, "b"), Mailbox("a", "b." * 130 + "c"), Mailbox("", "b"),
        Mailbox("someone", ""), Mailbox("postmaste\u017f", ""), Mailbox("a\x85", "b"), "a@b", None, Domain("b"),
    ],
)  # fmt: skip
def test_what_could_not_be_read_is_not_written(path: Any) -> None:
    with pytest.raises(LocalProtocolError):
        format_path(path)


@pytest.mark.parametrize("param", ["", "A B", "A=", "A=b=c", "A\r\n", "-A", "=b", "A=b "])
def test_params_are_written_as_they_are_read(param: str) -> None:
    with pytest.raises(LocalProtocolError):
        format_mail(NULL_PATH, [param])
    with pytest.raises(LocalProtocolError):
        format_rcpt(Mailbox("a", "b"), ["A", param])


@pytest.mark.parametrize("text", ["", "a\r", "a\nb", "a\0", "a\x7f", "a\x85", "\ud800", "\ufffe"])
def test_a_line_is_one(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        encode_line(text, 512)


@pytest.mark.catalogue("B9")
def test_a_line_has_its_length() -> None:
    assert encode_line("é" * 255, 512) == "é".encode() * 255 + b"\r\n"
    with pytest.raises(LocalProtocolError):
        encode_line("é" * 255 + "a", 512)


@pytest.mark.parametrize("name", ["", "a b", "a\r\nRSET", "[1.2.3.4", "a..b", None])
def test_a_hello_is_of_a_host(name: Any) -> None:
    with pytest.raises(LocalProtocolError):
        format_hello("EHLO", name)


def test_other_commands() -> None:
    assert format_command("ETRN", "@example.org") == "ETRN @example.org"
    assert format_command("NOOP", "") == "NOOP"
    with pytest.raises(LocalProtocolError):
        format_command("NO OP", "")
    assert str(Command("NOOP")) == "NOOP"
    assert str(Command("RCPT", "TO:<a@b>")) == "RCPT TO:<a@b>"
