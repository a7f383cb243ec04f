import enum
from typing import Any

import pytest
from _dialogue import PEER, Driver

from smtpcore import Body, Extension, GrammarError, MailParams
from smtpcore.extensions import Codec, Param, Verb, choice, decimal, integer, xtext
from smtpcore.extensions._extension import unmet_body, words


class Fruit(enum.Enum):
    FIG = "FIG"
    KIWI = "KIWIS"


FACTS = Driver().conn
TEXT = Codec(str, str)


def test_defaults_of_an_extension() -> None:
    bare = Extension("X-BARE", rfc=0)
    assert bare.offer(FACTS) == ""
    assert (bare.params, bare.verbs, bare.needs, bare.check_mail, bare.check_rcpt) == ((), (), (), None, None)


def test_defaults_of_a_verb() -> None:
    verb = Verb(FACTS._plan.edges[0], "X-BARE")
    assert verb.unavailable(FACTS) is None
    assert verb.parse("") is None
    with pytest.raises(GrammarError):
        verb.parse("a")
    assert verb.ok == "ok"


def test_a_connection_is_what_an_extension_looks_at() -> None:
    assert FACTS.peer == PEER
    assert (FACTS.tls, FACTS.identity, FACTS.mechanisms, FACTS.tls_before_auth) == (None, None, (), True)
    assert FACTS.replies.ok.code == 250
    assert FACTS.limits.recipients == 1000


# --- Param -----------------------------------------------------------------------------------------


def test_parameter_without_a_value() -> None:
    param = Param("MAIL", "X-A", "a")
    assert param.decode(None) is True
    assert param.encode(True) == "X-A"
    for text in ("", "1", "True"):
        with pytest.raises(GrammarError, match="no value"):
            param.decode(text)
    for value in (False, None, ""):
        with pytest.raises(GrammarError):
            param.encode(value)


def test_parameter_with_a_value() -> None:
    param = Param("MAIL", "X-A", "a", TEXT)
    assert param.decode("b") == "b"
    assert param.encode("b") == "X-A=b"
    for text in (None, ""):
        with pytest.raises(GrammarError, match="needs a value"):
            param.decode(text)


@pytest.mark.catalogue("B5", "B8")
@pytest.mark.parametrize("value", ["", " ", "a b", "a=b", "a\r\nRSET", "a\n", "\0", "a\x7f"])
def test_no_codec_can_bring_a_second_parameter_or_command(value: str) -> None:
    with pytest.raises(GrammarError):
        Param("MAIL", "X-A", "a", TEXT).encode(value)


def test_what_is_read_as_something_else_is_not_written() -> None:
    with pytest.raises(GrammarError):
        Param("MAIL", "X-A", "a", Codec(int, str)).encode("1")


# --- codecs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("999", 999)])
def test_decimal(text: str, number: int) -> None:
    assert decimal(3).decode(text) == number


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("text", ["1000", "", "-1", "+1", " 1", "1_0", "0x1", "1.0", "\u0661", "\u00b2", "\uff11"])
def test_not_decimal(text: str) -> None:
    with pytest.raises(GrammarError):
        decimal(3).decode(text)


@pytest.mark.parametrize(("text", "number"), [("-9", -9), ("-1", -1), ("0", 0), ("5", 5), ("12", 12)])
def test_integer(text: str, number: int) -> None:
    assert integer(-9, 12).decode(text) == number


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("text", ["-10", "13", "100", "", "-", "--1", "+1", "-0", "00", "01", "1_0", " 1", "\u0661"])
def test_not_integer(text: str) -> None:
    with pytest.raises(GrammarError):
        integer(-9, 12).decode(text)


@pytest.mark.parametrize(("text", "fruit"), [("FIG", Fruit.FIG), ("fig", Fruit.FIG), ("kIwIs", Fruit.KIWI)])
def test_choice(text: str, fruit: Fruit) -> None:
    assert choice(Fruit).decode(text) is fruit
    assert choice(Fruit).encode(fruit) == text.upper()


# U+0131 is I, and U+017F S, to str.upper.
@pytest.mark.catalogue("E11")
@pytest.mark.parametrize("text", ["", "KIWI", "FIG ", "F\u0131G", "KIWI\u017f", "\ufb01g"])
def test_not_a_choice(text: str) -> None:
    with pytest.raises(GrammarError, match="FIG, KIWIS"):
        choice(Fruit).decode(text)


@pytest.mark.parametrize(
    ("text", "decoded"), [("a", "a"), ("+2B+3D", "+="), ("a+20b", "a b"), ("+41", "A"), ("12345", "12345")]
)
def test_xtext(text: str, decoded: str) -> None:
    assert xtext(6).decode(text) == decoded


@pytest.mark.catalogue("E14")
@pytest.mark.parametrize("text", ["1234567", "+41+41+4", "+2b", "+4", "a=b", "a b", "+0D+0A", "+00", "+7F", "+E9", "é"])
def test_not_xtext(text: str) -> None:
    with pytest.raises(GrammarError):
        xtext(8 if text.startswith("+41") else 6).decode(text)


@pytest.mark.parametrize("value", ["1234567", "+=", "é", "a\n"])
def test_not_expressible_as_xtext(value: Any) -> None:
    with pytest.raises(GrammarError):
        Param("MAIL", "X-A", "a", xtext(5)).encode(value)


# --- what a client hears and asks -------------------------------------------------------------------


def test_a_client_hears_text_and_refuses_nothing_by_default() -> None:
    bare = Extension("X-BARE", rfc=0)
    assert bare.hear("a b") == "a b"
    assert bare.refuse("a b", MailParams(size=1)) is None


def test_a_parameter_that_is_not_offered_is_left_out_by_default() -> None:
    assert Param("MAIL", "X-A", "a", TEXT).unmet("b") is None


@pytest.mark.parametrize(
    ("text", "found"), [("", ()), ("  ", ()), ("a", ("a",)), (" a  b ", ("a", "b")), ("a\u00a0b\tc", ("a\u00a0b\tc",))]
)
def test_words(text: str, found: tuple[str, ...]) -> None:
    assert words(text) == found


@pytest.mark.parametrize(
    ("body", "shown"),
    [(Body.SEVEN_BIT, None), (Body.EIGHT_BIT_MIME, "BODY=8BITMIME"), (Body.BINARY_MIME, "BODY=BINARYMIME")],
)
def test_body_that_is_not_offered(body: Body, shown: str | None) -> None:
    reply = unmet_body(body)
    if shown is None:
        assert reply is None
    else:
        assert reply is not None
        assert (reply.code, str(reply.status)) == (554, "5.6.3")
        assert shown in reply.text
