"""Configs: what goes together, and what the engine makes of it."""

from typing import Any

import pytest
from _dialogue import HOSTNAME, TLS, Driver, config

from smtpcore import (
    LMTP,
    SMTP,
    SUBMISSION,
    Body,
    Domain,
    EarlyInput,
    Edge,
    Extended,
    Extension,
    GrammarError,
    LocalProtocolError,
    MailFrom,
    MailParams,
    Phase,
    RcptTo,
    Refused,
    Reply,
    ServerConfig,
)
from smtpcore._config import FOREIGN_VERBS, KNOWN_VERBS, UnknownParameter, decode_params
from smtpcore._value import evolve
from smtpcore.extensions import (
    AUTH,
    BINARYMIME,
    CHUNKING,
    DSN,
    EIGHTBITMIME,
    ENHANCEDSTATUSCODES,
    ETRN,
    PIPELINING,
    SIZE,
    STANDARD,
    Codec,
    Param,
    Verb,
)
from smtpcore.sasl import LOGIN, PLAIN


@pytest.mark.parametrize(
    "hostname", ["mx.example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "xn--exmple-cua.org"]
)
def test_hostname(hostname: str) -> None:
    assert Driver(ServerConfig(hostname=hostname)).out == f"220 {hostname} ESMTP ready\r\n".encode()


@pytest.mark.parametrize(
    "hostname", ["", "under_score", "a b", "a\r\nb", "[1.2.3]", "x" * 300, "a..b", "mx.example.org."]
)
def test_hostname_that_is_none(hostname: str) -> None:
    with pytest.raises(LocalProtocolError, match="hostname"):
        ServerConfig(hostname=hostname)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"extensions": (SIZE, PIPELINING, SIZE)}, "twice"),
        ({"extensions": (BINARYMIME,)}, "needs"),
        ({"extensions": (BINARYMIME, CHUNKING)}, "BINARYMIME needs 8BITMIME"),
        ({"extensions": (BINARYMIME, EIGHTBITMIME)}, "BINARYMIME needs CHUNKING"),
        ({"extensions": (AUTH,)}, "AUTH and mechanisms"),
        ({"mechanisms": (PLAIN,)}, "AUTH and mechanisms"),
        ({"auth_required": True}, "auth_required needs AUTH"),
    ],
)
def test_parts_that_do_not_go_together(parts: dict[str, Any], why: str) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        config(**parts)


@pytest.mark.parametrize(
    ("dialect", "extensions", "why"),
    [
        (LMTP, (PIPELINING,), "LMTP needs ENHANCEDSTATUSCODES"),
        (LMTP, (ENHANCEDSTATUSCODES,), "LMTP needs PIPELINING"),
        (SUBMISSION, STANDARD, "SUBMISSION needs AUTH"),
    ],
)
def test_what_a_dialect_demands(dialect: Any, extensions: tuple[Extension, ...], why: str) -> None:
    settings = config(extensions=extensions)
    with pytest.raises(LocalProtocolError, match=why):
        settings.plan(dialect)
    with pytest.raises(LocalProtocolError, match=why):
        Driver(settings, dialect=dialect)
    Driver(settings, dialect=SMTP)


def test_two_extensions_with_one_verb() -> None:
    again = evolve(ETRN, keyword="X-ETRN", verbs=(Verb(Edge((Phase.READY,), "ETRN", Phase.HELLO), "ETRN"),))
    with pytest.raises(LocalProtocolError):
        Driver(config(extensions=(ETRN, again)))


def test_an_extension_takes_no_core_verb() -> None:
    greedy = Extension("X-RSET", rfc=0, verbs=(Verb(Edge((Phase.READY,), "RSET"), "RSET"),))
    with pytest.raises(LocalProtocolError):
        Driver(config(extensions=(greedy,)))


def test_a_plan_is_made_once() -> None:
    settings = config()
    assert settings.plan() is settings.plan(SMTP)
    assert settings.plan(LMTP) is settings.plan(LMTP)
    assert settings.plan(LMTP) is not settings.plan(SMTP)
    assert settings == config()
    assert settings != config(verify=True)


def test_the_default_offers_what_the_engine_keeps_by_itself() -> None:
    assert Driver(config()).say("EHLO client.example").decode().split("\r\n")[1:-1] == [
        "250-PIPELINING", "250-SIZE 52428800", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250-SMTPUTF8",
        "250 CHUNKING",
    ]  # fmt: skip


def test_early_input_of_config_and_dialect() -> None:
    assert config().plan(SMTP).early_input is EarlyInput.REJECT
    assert config().plan(LMTP).early_input is EarlyInput.REPORT
    assert config(early_input=EarlyInput.REPORT).plan(SMTP).early_input is EarlyInput.REPORT
    assert config(early_input=EarlyInput.REJECT).plan(LMTP).early_input is EarlyInput.REJECT


def test_verbs() -> None:
    assert {"EHLO", "LHLO", "BDAT", "STARTTLS", "AUTH", "TURN", "SEND", "XCLIENT", "ETRN"} <= KNOWN_VERBS
    assert not KNOWN_VERBS & FOREIGN_VERBS
    assert all(verb.isupper() for verb in KNOWN_VERBS | FOREIGN_VERBS)


# --- parameters -----------------------------------------------------------------------------------------

TAG = Extension("X-TAGS", rfc=0, params=(Param("MAIL", "X-TAG", "tag"),))
KNOWN = {param.keyword: (param, each.keyword) for each in (SIZE, EIGHTBITMIME, TAG) for param in each.params}
ALL = {"SIZE", "8BITMIME", "X-TAGS"}


def test_parameters_are_decoded() -> None:
    params = decode_params("size=5 BODY=8bitmime X-TAG", KNOWN, ALL, MailParams)
    assert (params.size, params.body, dict(params.extra)) == (5, Body.EIGHT_BIT_MIME, {"tag": True})


@pytest.mark.parametrize(
    "text", ["SIZE=x", "SIZE", "X-TAG=1", "SIZE=1 SIZE=2", "", " ", "SIZE=1 ", "SIZE=1  BODY=7BIT", "=", "-A=1"]
)
def test_malformed_parameters(text: str) -> None:
    with pytest.raises(GrammarError):
        decode_params(text, KNOWN, ALL, MailParams)


@pytest.mark.parametrize(("text", "keyword"), [("X", "X"), ("BODY=7BIT x-y=2", "X-Y"), ("size=1", "SIZE")])
def test_unknown_parameters(text: str, keyword: str) -> None:
    with pytest.raises(UnknownParameter, match=keyword):
        decode_params(text, KNOWN, ALL - {"SIZE"}, MailParams)


# --- an extension of one's own --------------------------------------------------------------------------


def _colour(text: str) -> str:
    if text not in ("red", "green"):
        raise GrammarError("no colour")
    return text


def _no_green(facts: Any, params: Any) -> Reply | None:
    return Reply(550, "Not green", "5.7.1") if params.extra.get("colour") == "green" else None


COLOUR = Extension(
    "X-COLOUR",
    rfc=0,
    params=(
        Param("MAIL", "X-COLOUR", "colour", Codec(_colour, str)),
        Param("RCPT", "X-COLOUR", "colour", Codec(_colour, str)),
    ),
    verbs=(
        Verb(
            Edge((Phase.READY, Phase.RCPT), "XPAINT", note="question Extended"),
            "XPAINT colour",
            _colour,
            lambda facts: "not_implemented" if facts.tls is None else None,
            "queueing_started",
        ),
    ),
    offer=lambda facts: None if facts.tls is None else "red green",
    check_mail=_no_green,
    check_rcpt=_no_green,
)


def test_an_extension_of_one_s_own() -> None:
    driver = Driver(config(extensions=(COLOUR,)), tls=TLS)
    assert driver.say("EHLO client.example") == f"250-{HOSTNAME}\r\n250 X-COLOUR red green\r\n".encode()
    assert driver.say("XPAINT red", "XPAINT blue", "xpaint green", "HELP XPAINT").decode().split("\r\n")[:-1] == [
        "250 Queuing started", "501 Syntax: XPAINT colour", "250 Queuing started", "214 XPAINT colour",
    ]  # fmt: skip
    assert driver.seen(Extended) == [Extended("XPAINT", "red"), Extended("XPAINT", "green")]
    assert driver.codes("MAIL FROM:<> X-COLOUR=blue", "MAIL FROM:<> X-COLOUR=green", "MAIL FROM:<> X-COLOUR=red") == [
        "501", "550", "250",
    ]  # fmt: skip
    assert driver.codes("XPAINT red") == ["503"]
    assert driver.codes("RCPT TO:<a@b> X-COLOUR=green", "RCPT TO:<a@b> X-COLOUR=red", "XPAINT red") == [
        "550",
        "250",
        "250",
    ]
    assert driver.seen(MailFrom)[0].params.extra == {"colour": "red"}
    assert driver.seen(RcptTo)[0].params.extra == {"colour": "red"}


def test_an_extension_that_is_not_offered_now() -> None:
    driver = Driver(config(extensions=(COLOUR,)))
    assert driver.say("EHLO client.example") == f"250 {HOSTNAME}\r\n".encode()
    assert driver.codes("XPAINT red", "MAIL FROM:<> X-COLOUR=red") == ["502", "555"]
    assert len(driver.seen(Refused)) == 2


def test_parameters_of_one_verb_are_not_the_other_s() -> None:
    driver = Driver(config(extensions=(DSN,)))
    driver.say("EHLO client.example")
    assert driver.codes("MAIL FROM:<> NOTIFY=NEVER", "MAIL FROM:<> RET=FULL", "RCPT TO:<a@b> RET=FULL") == [
        "555",
        "250",
        "555",
    ]


# --- mechanisms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "home"), [({"mechanisms": ("PLAIN",)}, "sasl"), ({"extensions": ("STARTTLS",)}, "extensions")]
)
def test_names_are_no_parts(parts: dict[str, Any], home: str) -> None:
    with pytest.raises(TypeError, match=f"is a name; what it names is in smtpcore.{home}"):
        config(**parts)


def test_two_mechanisms_of_one_name() -> None:
    with pytest.raises(LocalProtocolError):
        config(extensions=(AUTH,), mechanisms=(PLAIN, LOGIN, PLAIN))


def test_hosts_are_domains() -> None:
    driver = Driver(config())
    driver.say("EHLO client.example")
    assert driver.conn.hello is not None
    assert driver.conn.hello.host == Domain("client.example")
