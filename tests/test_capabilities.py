from typing import Any

import pytest
from hypothesis import given, strategies as st
from linearity import assert_linear

from smtpcore import Extension, GrammarError, SMTPError
from smtpcore._capabilities import NO_CAPABILITIES, Capabilities, TooManyCapabilities, parse_capabilities
from smtpcore._events import Oddity
from smtpcore._reply import safe
from smtpcore.extensions import ALL, AUTH, CHUNKING, DSN, LIMITS, PIPELINING, SIZE, SMTPUTF8, STARTTLS, deliver_by


def parse(*lines: str, known: tuple[Extension, ...] = ALL, most: int = 100) -> tuple[Capabilities, tuple[Oddity, ...]]:
    return parse_capabilities(("mx.example.org greets you", *lines), known, most)


def heard(*lines: str) -> Capabilities:
    """What is heard of a reply that has nothing odd."""
    capabilities, oddities = parse(*lines)
    assert oddities == ()
    return capabilities


# --- RFC 5321's grammar -------------------------------------------------------------------------


def test_reply() -> None:
    capabilities = heard("8BITMIME", "SIZE 52428800", "DSN", "HELP", "X-OWN a  b", "AUTH PLAIN LOGIN")
    assert capabilities.host == "mx.example.org"
    assert capabilities.keywords == {
        "8BITMIME": "", "SIZE": "52428800", "DSN": "", "HELP": "", "X-OWN": "a  b", "AUTH": "PLAIN LOGIN",
    }  # fmt: skip
    assert capabilities.heard == {"8BITMIME": "", "SIZE": 52428800, "DSN": "", "AUTH": ("PLAIN", "LOGIN")}


@pytest.mark.parametrize(
    ("lines", "host"),
    [((), ""), (("",), ""), (("  ",), ""), (("mx.example",), "mx.example"), ((" [192.0.2.1] Hi!",), "[192.0.2.1]")],
)
def test_host(lines: tuple[str, ...], host: str) -> None:
    assert parse_capabilities(lines, ALL, 0) == (Capabilities(host, {}, {}), ())


def test_offered() -> None:
    capabilities = heard("SIZE", "X-OWN", "DELIVERBY 60")
    for offered in ("SIZE", "X-OWN", SIZE, Extension("X-OWN", rfc=0), deliver_by()):
        assert offered in capabilities
    for missing in ("DSN", DSN, "size", "", None, 7, Extension("X-OTHER", rfc=0)):
        assert missing not in capabilities


def test_value_of_an_extension() -> None:
    capabilities = heard("SIZE 10", "DELIVERBY 60", "X-OWN a", "PIPELINING")
    assert capabilities.of(SIZE) == 10
    assert capabilities.of(deliver_by(5)) == 60
    assert capabilities.of(PIPELINING) == ""
    assert capabilities.of(DSN) is None
    assert capabilities.of(Extension("X-OWN", rfc=0)) is None


def test_of_extensions_that_are_not_known_the_keyword_is_kept() -> None:
    capabilities, _ = parse("SIZE 10", "AUTH PLAIN", "CHUNKING", known=(CHUNKING,))
    assert capabilities.keywords == {"SIZE": "10", "AUTH": "PLAIN", "CHUNKING": ""}
    assert capabilities.heard == {"CHUNKING": ""}
    assert "SIZE" in capabilities
    assert (capabilities.size, capabilities.mechanisms) == (None, ())


def test_an_extension_of_your_own() -> None:
    own = Extension("X-OWN", rfc=0, hear=lambda text: text.split(","))
    capabilities, _ = parse("X-OWN a,b", known=(own,))
    assert capabilities.of(own) == ["a", "b"]


@pytest.mark.parametrize(("line", "size"), [("SIZE 10", 10), ("SIZE 0", None), ("SIZE", None), ("DSN", None)])
def test_size(line: str, size: int | None) -> None:
    assert heard(line).size == size


def test_mechanisms() -> None:
    assert heard("AUTH SCRAM-SHA-256 PLAIN").mechanisms == ("SCRAM-SHA-256", "PLAIN")
    assert heard("AUTH").mechanisms == heard().mechanisms == ()


def test_limits() -> None:
    capabilities = heard("LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=2")
    assert capabilities.of(LIMITS) == {"MAILMAX": 5, "RCPTMAX": 20, "RCPTDOMAINMAX": 2}
    assert (capabilities.transactions_most, capabilities.recipients_most, capabilities.domains_most) == (5, 20, 2)
    for none in (heard("LIMITS"), heard()):
        assert (none.transactions_most, none.recipients_most, none.domains_most) == (None, None, None)


def test_nothing() -> None:
    assert Capabilities("", {}, {}) == NO_CAPABILITIES
    assert "SIZE" not in NO_CAPABILITIES
    assert (NO_CAPABILITIES.size, NO_CAPABILITIES.mechanisms, NO_CAPABILITIES.recipients_most) == (None, (), None)
    shared: Any = NO_CAPABILITIES.keywords
    with pytest.raises(TypeError):
        shared["SIZE"] = ""


def test_value_class() -> None:
    first, second = heard("SIZE 10", "LIMITS RCPTMAX=5"), heard("LIMITS RCPTMAX=5", "SIZE 10")
    assert first == second
    assert hash(first) == hash(second)
    assert first != heard("SIZE 11", "LIMITS RCPTMAX=5")


# --- what servers make of it ---------------------------------------------------------------------


@pytest.mark.parametrize("line", ["size 10", "Size  10", "sIzE 10 "])
def test_lower_case(line: str) -> None:
    capabilities, oddities = parse(line)
    assert capabilities.keywords == {"SIZE": "10"}
    assert capabilities.size == 10
    assert oddities == (Oddity.LOWER_CASE,)


@pytest.mark.parametrize(
    ("lines", "mechanisms", "oddities"),
    [
        (("AUTH=LOGIN PLAIN",), ("LOGIN", "PLAIN"), (Oddity.AUTH_EQUALS,)),
        (("AUTH=LOGIN",), ("LOGIN",), (Oddity.AUTH_EQUALS,)),
        (("AUTH=",), (), (Oddity.AUTH_EQUALS,)),
        (("AUTH= LOGIN",), ("LOGIN",), (Oddity.AUTH_EQUALS,)),
        (("auth=login",), ("LOGIN",), (Oddity.AUTH_EQUALS,)),
        (("AUTH PLAIN", "AUTH=LOGIN PLAIN"), ("PLAIN", "LOGIN"), (Oddity.AUTH_EQUALS,)),
        (("AUTH=LOGIN PLAIN", "AUTH CRAM-MD5"), ("LOGIN", "PLAIN", "CRAM-MD5"), (Oddity.AUTH_EQUALS,)),
        (("AUTH PLAIN", "DSN", "AUTH LOGIN PLAIN"), ("PLAIN", "LOGIN"), (Oddity.REPEATED_KEYWORD,)),
        (("AUTH", "auth LOGIN"), ("LOGIN",), (Oddity.LOWER_CASE, Oddity.REPEATED_KEYWORD)),
    ],
)
def test_auth(lines: tuple[str, ...], mechanisms: tuple[str, ...], oddities: tuple[Oddity, ...]) -> None:
    capabilities, odd = parse(*lines)
    assert capabilities.mechanisms == mechanisms
    assert AUTH in capabilities
    assert odd == oddities


def test_auth_as_sent() -> None:
    capabilities, _ = parse("AUTH PLAIN  x.y", "AUTH=LOGIN plain", "AUTH")
    assert capabilities.keywords["AUTH"] == "PLAIN  x.y LOGIN plain"


def test_repeated_keyword() -> None:
    capabilities, oddities = parse("SIZE 10", "X-OWN a", "SIZE 20", "x-own b")
    assert capabilities.keywords == {"SIZE": "10", "X-OWN": "a"}
    assert capabilities.size == 10
    assert oddities == (Oddity.REPEATED_KEYWORD, Oddity.LOWER_CASE)


# U+017F is S to str.upper, and U+0131 I.
@pytest.mark.parametrize(
    "line",
    ["", "  ", "-SIZE 10", "SIZE=10", "X_OWN", "\u017fIZE 10", "S\u0131ZE 10", "\ufeffSIZE 10", "\u00a0SIZE 10",
     "SIZE\u00a010", "SIZE\\x{09}10", "=AUTH PLAIN", "XAUTH=PLAIN", "\u00e9t\u00e9", "\uff33\uff29\uff3a\uff25",
     "250-SIZE,10"],
)  # fmt: skip
def test_line_that_is_none(line: str) -> None:
    capabilities, oddities = parse(line, "DSN")
    assert capabilities.keywords == {"DSN": ""}
    assert oddities == (Oddity.BAD_KEYWORD,)


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize(
    "text", ["ten", "-1", "+1", "1_0", "1e3", "0x10", "10 20", "9" * 21, "9" * 4096, "\u0661", "\uff11", "\u00b2"]
)
def test_value_that_cannot_be_read(text: str) -> None:
    capabilities, oddities = parse(f"SIZE {text}", "DSN")
    assert capabilities.keywords == {"SIZE": text, "DSN": ""}
    assert capabilities.heard == {"DSN": ""}
    assert SIZE in capabilities
    assert capabilities.size is None
    assert oddities == (Oddity.BAD_VALUE,)


def test_parameters_where_there_should_be_none() -> None:
    # RFC 6531 3.1 (3): "MUST ignore any parameters if they appear for this keyword"
    capabilities = heard("SMTPUTF8 1", "STARTTLS now")
    assert capabilities.of(SMTPUTF8) == ""
    assert STARTTLS in capabilities


def test_each_oddity_is_told_once() -> None:
    _, oddities = parse(*["size x", "", "AUTH=PLAIN"] * 20)
    assert oddities == (
        Oddity.LOWER_CASE, Oddity.BAD_KEYWORD, Oddity.AUTH_EQUALS, Oddity.REPEATED_KEYWORD, Oddity.BAD_VALUE,
    )  # fmt: skip


def test_fault_of_your_own_is_not_hidden() -> None:
    def hear(text: str) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        parse("X-OWN", known=(Extension("X-OWN", rfc=0, hear=hear),))


# --- hostile servers -----------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["X-{}", "", "SIZE", "AUTH PLAIN", "AUTH="])
def test_too_many(line: str) -> None:
    lines = [line.format(number) for number in range(100)]
    parse(*lines)
    with pytest.raises(TooManyCapabilities, match="100"):
        parse(*lines, "DSN")
    assert issubclass(TooManyCapabilities, SMTPError)
    assert not issubclass(TooManyCapabilities, GrammarError)


PIECES = (
    *(each.keyword for each in ALL), "AUTH=", "=", " ", "  ", "0", "9" * 30, "-", "_", "PLAIN", "RCPTMAX=",
    "MAILMAX=5", ",", "1 2030-01-01T00:00:00Z", "+00:00", "a.b:c", "\u017f", "\u0131", "\u0661", "\uff11", "\u00e9",
    "\U0001f600", "\\x{0D}",
)  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=8).map("".join)


@given(lines=st.lists(hostile, max_size=30), most=st.integers(0, 30))
def test_nothing_but_too_many(lines: list[str], most: int) -> None:
    shown = [safe(line, 65536) for line in lines]
    try:
        capabilities, oddities = parse_capabilities(shown, ALL, most)
    except TooManyCapabilities:
        assert len(lines) > most + 1
        return
    assert len(capabilities.keywords) <= most
    assert set(capabilities.heard) <= set(capabilities.keywords)
    assert all(keyword.isascii() and keyword == keyword.upper() for keyword in capabilities.keywords)
    assert len(set(oddities)) == len(oddities)
    hash(capabilities)
    assert capabilities.size is None or 0 < capabilities.size < 10**20
    assert all(most is None or 0 < most < 10**6 for most in (capabilities.recipients_most, capabilities.domains_most))
    assert all(name == name.upper() and name.isascii() for name in capabilities.mechanisms)


FLOODS = {
    "keywords": lambda n: [f"X-{number} {'a' * 4000}" for number in range(n)],
    "mechanisms": lambda n: [f"AUTH {f'M{number} ' * 800}" for number in range(n)],
    "mechanisms by equals": lambda n: [f"AUTH={'A' * 4000}"] * n,
    "keyword": lambda n: ["X" * 4000 + "\u00e9"] * n,
    "blanks": lambda n: [" " * 4000 + "\u00e9"] * n,
    "UTF-8": lambda n: ["SIZE " + "\u0661" * 4000, "\U0001f600" * 4000] * n,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_linear(flood: str) -> None:
    assert_linear(lambda lines: parse_capabilities(lines, ALL, 1 << 20), FLOODS[flood], size=60, largest=1 << 10)


@pytest.mark.parametrize("flood", FLOODS)
def test_ten_thousand(flood: str) -> None:
    lines = FLOODS[flood](10_000)
    with pytest.raises(TooManyCapabilities):
        parse_capabilities(lines, ALL, 100)


@pytest.mark.parametrize("extension", ALL, ids=lambda each: str(each.keyword))
@pytest.mark.parametrize("piece", ["0", "9", "RCPTMAX=1 ", "A ", "a,", " ", "=", "1 2030-", "\u0661", "1:", "-", "."])
def test_each_is_linear(extension: Extension, piece: str) -> None:
    assert_linear(
        lambda line: parse_capabilities(("", line), (extension,), 1),
        lambda n: f"{extension.keyword} {piece * n}!",
        largest=1 << 15,
    )
