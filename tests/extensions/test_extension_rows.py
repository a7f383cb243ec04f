"""What holds of every extension that is shipped: its row, its place among the others, and its parameters' laws."""

import pkgutil
from collections import Counter
from typing import Any

import pytest
from _dialogue import PEER, TLS, codes, config
from extension_play import ALL, FRONT, NEEDS_MORE, connect, offers, session, with_needs
from hypothesis import given, strategies as st

import smtpcore.extensions
from smtpcore import (
    SUBMISSION,
    Body,
    DeliverBy,
    Domain,
    Extension,
    GrammarError,
    Limits,
    LocalProtocolError,
    Mailbox,
    MailFrom,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    RequireRecipientValidSince,
    Ret,
    ServerConfig,
)
from smtpcore._grammar import match_esmtp_param
from smtpcore._machine import CORE, rows
from smtpcore._value import fields
from smtpcore.extensions import STANDARD, Param
from smtpcore.sasl import PLAIN
from smtpcore.testing.strategies import PARAM_VALUES

# By hand, from IANA's registry "SMTP Service Extensions": keyword, RFC, file, parameters, verbs.
ROWS = [
    ("PIPELINING", 2920, "pipelining", "", ""),
    ("SIZE", 1870, "size", "MAIL SIZE", ""),
    ("8BITMIME", 6152, "mime8bit", "MAIL BODY", ""),
    ("ENHANCEDSTATUSCODES", 2034, "enhanced", "", ""),
    ("SMTPUTF8", 6531, "smtputf8", "MAIL SMTPUTF8", ""),
    ("CHUNKING", 3030, "chunking", "", "BDAT"),
    ("BINARYMIME", 3030, "binarymime", "MAIL BODY", ""),
    ("STARTTLS", 3207, "starttls", "", "STARTTLS"),
    ("AUTH", 4954, "auth", "MAIL AUTH", "AUTH"),
    ("DSN", 3461, "dsn", "MAIL RET, MAIL ENVID, RCPT NOTIFY, RCPT ORCPT", ""),
    ("LIMITS", 9422, "limits", "", ""),
    ("REQUIRETLS", 8689, "requiretls", "MAIL REQUIRETLS", ""),
    ("RRVS", 7293, "rrvs", "RCPT RRVS", ""),
    ("MT-PRIORITY", 6710, "mt_priority", "MAIL MT-PRIORITY", ""),
    ("ETRN", 1985, "etrn", "", "ETRN"),
    ("FUTURERELEASE", 4865, "future_release", "MAIL HOLDFOR, MAIL HOLDUNTIL", ""),
    ("DELIVERBY", 2852, "deliver_by", "MAIL BY", ""),
    ("NO-SOLICITING", 3865, "no_soliciting", "MAIL SOLICIT", ""),
    ("XCLIENT", 0, "xclient", "", "XCLIENT"),
    ("XFORWARD", 0, "xforward", "", "XFORWARD"),
]
PARAMS = [(extension, param) for extension in ALL for param in extension.params]
VERBS = [(extension, verb.edge.input) for extension in ALL for verb in extension.verbs if verb.edge.is_verb]


def name(value: object) -> str | None:
    return getattr(value, "keyword", None)


def greeted(*extensions: Extension, **more: Any) -> Any:
    for extension in extensions:
        more = NEEDS_MORE.get(extension.keyword, {}) | more
    return session(*extensions, tls=TLS, peer=FRONT, **more)


# --- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("extension", "row"), list(zip(ALL, ROWS, strict=True)), ids=name)
def test_row(extension: Extension, row: tuple[str, int, str, str, str]) -> None:
    keyword, rfc, _, params, verbs = row
    assert (extension.keyword, extension.rfc) == (keyword, rfc)
    assert ", ".join(f"{param.verb} {param.keyword}" for param in extension.params) == params
    assert ", ".join(verb.edge.input for verb in extension.verbs if verb.edge.is_verb) == verbs


def test_each_file_has_a_row() -> None:
    files = {module.name for module in pkgutil.iter_modules(smtpcore.extensions.__path__)}
    assert {file for _, _, file, _, _ in ROWS} == {file for file in files if not file.startswith("_")}


def test_all_that_is_exported_has_a_row() -> None:
    exported = {getattr(smtpcore.extensions, each) for each in smtpcore.extensions.__all__ if each != "STANDARD"}
    constants = {each.keyword for each in exported if isinstance(each, Extension)}
    made = {"DELIVERBY", "FUTURERELEASE", "NO-SOLICITING", "XCLIENT", "XFORWARD"}
    assert constants | made == {keyword for keyword, *_ in ROWS}


def test_standard_needs_nothing_of_the_application() -> None:
    assert set(STANDARD) < set(ALL)
    assert all(not verb.edge.gates or verb.edge.input == "BDAT" for each in STANDARD for verb in each.verbs)
    assert ServerConfig(hostname="mx.example.org").extensions == STANDARD


# --- no two collide ----------------------------------------------------------------------------------


def test_keywords_differ() -> None:
    assert max(Counter(extension.keyword for extension in ALL).values()) == 1


def test_parameters_differ() -> None:
    # BINARYMIME adds a value to the parameter of 8BITMIME, and needs it.
    counted = Counter((param.verb, param.keyword) for _, param in PARAMS)
    assert [each for each, times in counted.items() if times > 1] == [("MAIL", "BODY")]
    assert Counter(param.field for _, param in PARAMS).most_common(2) == [("body", 2), ("size", 1)]


def test_parameters_fill_all_fields() -> None:
    for verb, kind in (("MAIL", MailParams), ("RCPT", RcptParams)):
        filled = {param.field for _, param in PARAMS if param.verb == verb}
        assert filled == {field.name for field in fields(kind)} - {"extra"}


def test_verbs_differ_from_each_other_and_from_those_of_smtp() -> None:
    rows((*CORE, *(verb.edge for extension in ALL for verb in extension.verbs)))


@pytest.mark.parametrize("extension", ALL, ids=name)
def test_names_are_of_the_grammar(extension: Extension) -> None:
    # RFC 5321 4.1.1.1: ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
    for keyword in (extension.keyword, *(param.keyword for param in extension.params)):
        assert match_esmtp_param(keyword) is not None
        assert keyword == keyword.upper()


# --- offered, or not --------------------------------------------------------------------------------


def test_all_at_once() -> None:
    keywords = [extension.keyword for extension in ALL]
    clear = connect(
        *(each for each in ALL if each.keyword != "ENHANCEDSTATUSCODES"),
        mechanisms=(PLAIN,),
        cleartext_auth=True,
        peer=FRONT,
    )
    assert {line.split(" ")[0] for line in offers(clear)} == {*keywords} - {"REQUIRETLS", "ENHANCEDSTATUSCODES"}
    config(extensions=ALL, mechanisms=(PLAIN,)).plan(SUBMISSION)


@pytest.mark.parametrize("extension", ALL, ids=name)
def test_offer_fits_a_line(extension: Extension) -> None:
    # RFC 5321 4.1.1.1: ehlo-line = ehlo-keyword *( SP ehlo-param ), ehlo-param = 1*(%d33-126)
    extensions = [each for each in with_needs(extension) if each.keyword != "ENHANCEDSTATUSCODES"]
    tls = None if extension.keyword == "STARTTLS" else TLS
    lines = offers(connect(*extensions, tls=tls, peer=FRONT, **NEEDS_MORE.get(extension.keyword, {})))
    assert [line.split(" ")[0] for line in lines] == [each.keyword for each in extensions]
    assert all(line.isascii() and "  " not in line and len(line) <= 506 for line in lines)


@pytest.mark.parametrize("extension", [each for each in ALL if each.needs], ids=name)
def test_not_without_what_it_needs(extension: Extension) -> None:
    for missing in extension.needs:
        kept = tuple(each for each in with_needs(extension) if each.keyword != missing)
        with pytest.raises(LocalProtocolError, match=missing):
            config(extensions=kept)


def valid(param: Param) -> str:
    return param.keyword if param.codec is None else f"{param.keyword}={VALID[param.keyword]}"


VALID = {
    "SIZE": "10", "BODY": "8BITMIME", "AUTH": "<>", "RET": "FULL", "ENVID": "a", "NOTIFY": "NEVER", "ORCPT": "rfc822;a",
    "RRVS": "2014-04-03T23:01:00Z", "MT-PRIORITY": "-9", "HOLDFOR": "1", "HOLDUNTIL": "2026-01-01T00:00:00Z",
    "BY": "60;R", "SOLICIT": "org.example:ADV",
}  # fmt: skip
TO = {"MAIL": "MAIL FROM:<a@b.example>", "RCPT": "RCPT TO:<c@d.example>"}


def said(driver: Any, param: Param, parameters: str) -> str:
    """The code of the reply to MAIL or RCPT with *parameters*."""
    if param.verb == "RCPT":
        driver.say("MAIL FROM:<a@b.example>")
    (code,) = driver.codes(f"{TO[param.verb]} {parameters}")
    return str(code)


@pytest.mark.catalogue("E13")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
def test_parameter_where_it_is_offered_and_where_not(extension: Extension, param: Param) -> None:
    extensions = with_needs(extension)
    assert said(greeted(*extensions), param, valid(param)).startswith("250")
    assert said(session(tls=TLS), param, valid(param)) == "555 5.5.4"
    unextended = connect(*extensions, tls=TLS, peer=FRONT, **NEEDS_MORE.get(extension.keyword, {}))
    unextended.say("HELO client.example")
    assert said(unextended, param, valid(param)) == "555 5.5.4"


@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
def test_parameter_in_any_case_but_once(extension: Extension, param: Param) -> None:
    keyword, separator, value = valid(param).partition("=")
    mixed = keyword[:1].lower() + keyword[1:] + separator + value
    assert said(greeted(*with_needs(extension)), param, mixed).startswith("250")
    assert said(greeted(*with_needs(extension)), param, f"{valid(param)} {mixed}") == "501 5.5.4"


@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
def test_parameter_on_the_other_command(extension: Extension, param: Param) -> None:
    other = Param("RCPT" if param.verb == "MAIL" else "MAIL", param.keyword, param.field)
    assert said(greeted(*with_needs(extension)), other, valid(param)) == "555 5.5.4"


@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
def test_value_missing_or_superfluous(extension: Extension, param: Param) -> None:
    bad = f"{param.keyword}=1" if param.codec is None else param.keyword
    assert said(greeted(*with_needs(extension)), param, bad) == "501 5.5.4"
    assert said(greeted(*with_needs(extension)), param, f"{param.keyword}=") == "501 5.5.4"


@pytest.mark.parametrize(("extension", "verb"), VERBS, ids=name)
def test_verb_where_it_is_not_enabled(extension: Extension, verb: str) -> None:
    assert session().codes(f"{verb} 0")[0] == "502 5.5.1"


@pytest.mark.parametrize(("extension", "verb"), VERBS, ids=name)
def test_verb_in_a_transaction(extension: Extension, verb: str) -> None:
    driver = greeted(*with_needs(extension))
    driver.say("MAIL FROM:<a@b.example>")
    assert driver.codes(f"{verb} 0") == ["503 5.5.1"]


# --- parameters are read as they are written ------------------------------------------------------


def test_there_are_values_of_every_parameter() -> None:
    assert set(PARAM_VALUES) == {(extension.keyword, param.keyword) for extension, param in PARAMS}


@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
@given(data=st.data())
def test_what_is_written_is_read(extension: Extension, param: Param, data: st.DataObject) -> None:
    value = data.draw(PARAM_VALUES[extension.keyword, param.keyword])
    text = param.encode(value)
    assert text.isascii()
    assert match_esmtp_param(text) is not None
    keyword, separator, raw = text.partition("=")
    assert keyword == param.keyword
    assert param.decode(raw if separator else None) == value


EDGES = '0123456789;:+-,.TZNRC\\x{}=<>@"[] ADV\r\n\0\u00e9\u0661\u017f\u0131\ud800\uffff\U0010ffff'
texts = (
    st.text(max_size=40)
    | st.text(EDGES, max_size=40)
    | st.builds(
        lambda valid, at, text: valid[:at] + text + valid[at + 1 :],
        st.sampled_from([*VALID.values(), "utf-8;a\\x{E9}@b", "2014-04-03T23:01:00.5+01:00;C", "-1;NT", "a@b.example"]),
        st.integers(0, 30),
        st.text(EDGES, max_size=3),
    )
)


@pytest.mark.catalogue("B5", "B8", "E14")
@pytest.mark.parametrize(("extension", "param"), [each for each in PARAMS if each[1].codec], ids=name)
@given(text=texts)
def test_what_is_read_can_be_written(extension: Extension, param: Param, text: str) -> None:
    try:
        value = param.decode(text)
    except GrammarError:
        return
    written = param.encode(value)
    assert match_esmtp_param(written) is not None
    assert param.decode(written.partition("=")[2]) == value


INEXPRESSIBLE: dict[tuple[str, str], list[Any]] = {
    ("SIZE", "SIZE"): [-1, 10**20],
    ("8BITMIME", "BODY"): [Body.BINARY_MIME],
    ("BINARYMIME", "BODY"): [Ret.FULL],
    ("SMTPUTF8", "SMTPUTF8"): [False, "1"],
    ("AUTH", "AUTH"): [Mailbox("a\r\nb", "c"), Mailbox("postmaster", ""), Mailbox("é", "example.org"), Domain("a")],
    ("DSN", "RET"): [Notify.NEVER],
    ("DSN", "ENVID"): ["", "a\r\nb", "é", "=" * 34, "a" * 101],
    ("DSN", "NOTIFY"): [frozenset(), frozenset({Notify.NEVER, Notify.DELAY})],
    ("DSN", "ORCPT"): [
        OriginalRecipient("", "a"), OriginalRecipient("a b", "a"), OriginalRecipient("a=b", "a"),
        OriginalRecipient("rfc822", "é"), OriginalRecipient("rfc822", "a\r\nb"),
        OriginalRecipient("rfc822", "a" * 494),
        OriginalRecipient("utf-8", ""), OriginalRecipient("utf-8", "a\r\nb"), OriginalRecipient("utf-8", "\x7f"),
        OriginalRecipient("utf-8", "\ud800"), OriginalRecipient("utf-8", "\u0085"),
        OriginalRecipient("utf-8", "é" * 83),
    ],
    ("REQUIRETLS", "REQUIRETLS"): [False],
    ("RRVS", "RRVS"): [
        RequireRecipientValidSince("yesterday", "C"), RequireRecipientValidSince("2014-04-03T23:01:00.5Z", "C"),
    ],
    ("MT-PRIORITY", "MT-PRIORITY"): [-10, 10],
    ("FUTURERELEASE", "HOLDFOR"): [0, -1, 1_000_000_000],
    ("FUTURERELEASE", "HOLDUNTIL"): ["", "tomorrow", "2026-02-30T00:00:00Z"],
    ("DELIVERBY", "BY"): [
        DeliverBy(0, "R", False), DeliverBy(-1, "R", True), DeliverBy(1_000_000_000, "N", False),
        DeliverBy(-1_000_000_000, "N", False),
    ],
    ("NO-SOLICITING", "SOLICIT"): [
        (), ("",), ("a,b",), ("a b",), ("1",), ("é",), ("a" * 1001,), ("a" * 500, "b" * 500),
    ],
}  # fmt: skip


@pytest.mark.catalogue("B5", "B8")
@pytest.mark.parametrize(("extension", "param"), PARAMS, ids=name)
def test_what_could_not_be_read_is_not_written(extension: Extension, param: Param) -> None:
    for value in INEXPRESSIBLE[extension.keyword, param.keyword]:
        with pytest.raises(GrammarError):
            param.encode(value)


# --- what an application is asked ----------------------------------------------------------------


def test_an_extension_of_your_own() -> None:
    own = Extension("X-OWN", rfc=0, params=(Param("MAIL", "X-OWN", "own"),), offer=lambda facts: "a b")
    driver = connect(own)
    assert offers(driver) == ["X-OWN a b"]
    assert codes(driver.say("MAIL FROM:<a@b.example> X-OWN")) == ["250 2.1.0"]
    assert driver.seen(MailFrom)[0].params.extra == {"own": True}


def test_an_extension_looks_at_the_session() -> None:
    own = Extension(
        "X-FACTS",
        rfc=0,
        offer=lambda facts: f"{facts.peer.address} {facts.tls is not None} {facts.limits.recipients} {facts.identity}",
    )
    assert offers(connect(own, limits=Limits(recipients=100))) == [f"X-FACTS {PEER.address} False 100 None"]
