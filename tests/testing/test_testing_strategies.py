"""The strategies make what the engine's own parsers take, and all kinds of it."""

import doctest
from typing import Any

import abnf
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from hypothesis.vendor.pretty import pretty

from smtpcore import (
    LMTP,
    NULL_PATH,
    SUBMISSION,
    AddressLiteral,
    Body,
    ClientConfig,
    Connected,
    Dialect,
    Domain,
    Envelope,
    Mailbox,
    MailFrom,
    MailParams,
    Peer,
    RcptParams,
    RcptTo,
    Reply,
    ServerConfig,
)
from smtpcore._commands import format_path, parse_mail, parse_rcpt
from smtpcore._framing import Input, RawReply, ReplyFault, ReplyReader
from smtpcore._value import fields
from smtpcore.extensions import DSN, SMTPUTF8, STANDARD, Extension, Param
from smtpcore.testing import Mishap, ServerDriver, Side, strategies
from smtpcore.testing.strategies import (
    EXTENSIONS,
    HARMS,
    PARAM_VALUES,
    Session,
    SpokenReply,
    Whims,
    address_literals,
    broken_reply_octets,
    client_configs,
    cuts,
    domains,
    envelopes,
    extension_sets,
    faults,
    forward_paths,
    intents,
    local_parts,
    mail_params,
    mailboxes,
    messages,
    piece_sizes,
    policies,
    rcpt_params,
    recipients,
    replies,
    reply_octets,
    reverse_paths,
    server_configs,
    sessions,
)


def some(strategy: st.SearchStrategy[Any], number: int = 150) -> list[Any]:
    """Values of *strategy*, the same in each run."""
    found: list[Any] = []

    @settings(
        max_examples=number,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def test_the_docstring() -> None:
    failed, attempted = doctest.testmod(strategies)
    assert attempted
    assert not failed


# --- addresses -----------------------------------------------------------------------------------


@given(utf8=st.booleans(), data=st.data())
def test_local_parts(utf8: bool, data: st.DataObject) -> None:
    text = data.draw(local_parts(smtputf8=utf8))
    assert abnf.local_part(text)
    assert Mailbox.parse(f"{text}@a.example").local_part == text
    assert utf8 or text.isascii()


@given(utf8=st.booleans(), data=st.data())
def test_domains(utf8: bool, data: st.DataObject) -> None:
    text = data.draw(domains(smtputf8=utf8))
    assert abnf.domain(text)
    assert Domain.parse(text).text == text
    assert utf8 or text.isascii()


@given(text=address_literals())
def test_address_literals(text: str) -> None:
    assert str(AddressLiteral.parse(text)) == text


@given(utf8=st.booleans(), data=st.data())
def test_paths(utf8: bool, data: st.DataObject) -> None:
    mailbox = data.draw(mailboxes(smtputf8=utf8))
    assert abnf.mailbox(str(mailbox))
    assert utf8 or mailbox.is_ascii
    sender = data.draw(reverse_paths(smtputf8=utf8))
    assert parse_mail(f"FROM:<{format_path(sender)}>") == (sender, None)
    recipient = data.draw(forward_paths(smtputf8=utf8))
    assert parse_rcpt(f"TO:<{format_path(recipient)}>") == (recipient, None)


def test_addresses_of_all_kinds() -> None:
    drawn = some(mailboxes(smtputf8=True))
    assert any(each.local_part.startswith('"') for each in drawn)
    assert any("\\" in each.local_part for each in drawn)
    assert any(each.local_part.count(".") for each in drawn)
    assert any(not each.local_part.isascii() for each in drawn)
    assert any(not each.domain.isascii() for each in drawn)
    assert any(len(each.local_part.encode()) == 64 for each in drawn)
    assert any(isinstance(each.host, AddressLiteral) and each.host.address.version == 6 for each in drawn)
    assert any(isinstance(each.host, AddressLiteral) and each.host.address.version == 4 for each in drawn)
    assert {255} <= {len(each) for each in some(domains())}
    assert NULL_PATH in some(reverse_paths(), 50)
    assert any(not each.domain for each in some(forward_paths(), 50))


# --- parameters and envelopes ----------------------------------------------------------------------


def known(verb: str) -> dict[str, Param]:
    # BINARYMIME's BODY has all the values.
    return {param.field: param for each in EXTENSIONS for param in each.params if param.verb == verb}


@pytest.mark.parametrize(
    ("verb", "strategy", "default"),
    [("MAIL", mail_params(EXTENSIONS), MailParams()), ("RCPT", rcpt_params(EXTENSIONS), RcptParams())],
)
@given(data=st.data())
def test_parameters_can_be_written(
    verb: str, strategy: st.SearchStrategy[Any], default: object, data: st.DataObject
) -> None:
    params = data.draw(strategy)
    for name, param in known(verb).items():
        value = getattr(params, name)
        if value != getattr(default, name):
            text = param.encode(value)
            assert param.decode(text.partition("=")[2] or None) == value


def test_parameters_of_all_kinds() -> None:
    mail = some(mail_params(EXTENSIONS), 250)
    for field in fields(MailParams):
        given_values = [getattr(each, field.name) for each in mail if getattr(each, field.name) != field.default]
        assert bool(given_values) == (field.name not in ("smtputf8", "extra")), field.name
    assert {Body.BINARY_MIME} <= {each.body for each in mail}
    rcpt = some(rcpt_params(EXTENSIONS))
    assert any(each.notify for each in rcpt)
    assert any(each.orcpt for each in rcpt)
    assert any(each.rrvs for each in rcpt)


def test_parameters_of_no_extension() -> None:
    assert set(some(mail_params(), 20)) == {MailParams()}
    assert set(some(rcpt_params(), 20)) == {RcptParams()}
    own = Extension("X-OWN", rfc=0, params=(Param("MAIL", "X-OWN", "own"),))
    assert set(some(mail_params([own]), 20)) == {MailParams()}


def taken(config: ServerConfig, envelope: Envelope) -> ServerDriver:
    """What a server says to *envelope*, written by hand."""
    driver = ServerDriver(config)
    driver.say("EHLO client.example")
    mail, rcpt = known("MAIL"), known("RCPT")

    def written(of: dict[str, Param], params: object, default: object) -> str:
        texts = [
            param.encode(getattr(params, name))
            for name, param in of.items()
            if getattr(params, name) != getattr(default, name)
        ]
        return "".join(f" {text}" for text in texts)

    driver.say(f"MAIL FROM:<{envelope.reverse_path}>" + written(mail, envelope.params, MailParams()))
    for each in envelope.recipients:
        driver.say(f"RCPT TO:<{each.path}>" + written(rcpt, each.params, RcptParams()))
    return driver


@given(envelope=envelopes(), config=server_configs(auth_required=False, tls_required=False))
def test_plain_envelopes_are_taken_by_every_server(envelope: Envelope, config: ServerConfig) -> None:
    driver = taken(config, envelope)
    assert driver.conn.envelope == envelope
    assert len(driver.seen(RcptTo)) == len(envelope.recipients) <= 4


@given(data=st.data())
def test_envelopes_for_a_server_are_taken_by_it(data: st.DataObject) -> None:
    config = data.draw(server_configs(auth_required=False, tls_required=False, cleartext_auth=True))
    offered = [each for each in config.extensions if each.keyword != "REQUIRETLS"]  # which is offered in TLS alone
    envelope = data.draw(envelopes(offered, server=config))
    driver = taken(config, envelope)
    assert driver.conn.envelope == envelope
    assert driver.seen(MailFrom)[0].params == envelope.params
    assert len({each.path for each in envelope.recipients}) == len(envelope.recipients)


def test_envelopes_of_all_kinds() -> None:
    drawn = some(envelopes(EXTENSIONS), 150)
    assert any(each.params.smtputf8 and not each.reverse_path.is_ascii for each in drawn)
    assert not any(not each.params.smtputf8 and not each.reverse_path.is_ascii for each in drawn)
    assert {len(each.recipients) for each in drawn} == {1, 2, 3, 4}
    assert not any(each.params.smtputf8 for each in some(envelopes([DSN]), 100))
    assert any(not each.path.is_ascii for each in some(recipients([SMTPUTF8], smtputf8=True), 100))


# --- messages ------------------------------------------------------------------------------------


@given(eight_bit=st.booleans(), data=st.data())
def test_messages(eight_bit: bool, data: st.DataObject) -> None:
    message = data.draw(messages(eight_bit=eight_bit))
    assert eight_bit or message.isascii()
    assert not any(octet in message.replace(b"\r\n", b"") for octet in b"\r\n\0")


@given(message=messages(stray=True))
def test_stray_messages(message: bytes) -> None:
    assert any(octet in message.replace(b"\r\n", b"") for octet in b"\r\n\0")


def test_messages_of_all_kinds() -> None:
    drawn = some(messages(eight_bit=True), 200)
    lines = [line for each in drawn for line in each.split(b"\r\n")]
    assert b"" in drawn
    assert any(not each.isascii() for each in drawn)
    assert {b"", b".", b".."} <= set(lines)
    assert max(map(len, lines)) > 998
    assert {each.endswith(b"\r\n") for each in drawn} == {True, False}
    assert any(octet in each.replace(b"\r\n", b"") for each in some(messages(binary=True)) for octet in b"\r\n\0")


# --- replies and cuts ------------------------------------------------------------------------------


def read(octets: bytes) -> RawReply | ReplyFault | None:
    received = Input(65536)
    received.feed(octets)
    return ReplyReader(received, line_octets=4096, lines=100, octets=65536, lenient=False).next()


@given(reply=replies(), enhanced=st.booleans())
def test_replies(reply: Reply, enhanced: bool) -> None:
    raw = read(reply.encode(enhanced=enhanced))
    assert isinstance(raw, RawReply)
    assert raw.code == reply.code


def test_replies_of_a_class() -> None:
    assert {each.code // 100 for each in some(replies())} == {2, 3, 4, 5}
    assert {each.code // 100 for each in some(replies([4]), 20)} == {4}
    assert {each.status is None for each in some(replies([5]), 50)} == {True, False}


@given(odd=st.booleans(), data=st.data())
def test_reply_octets(odd: bool, data: st.DataObject) -> None:
    spoken: SpokenReply = data.draw(reply_octets(odd=odd))
    raw = read(spoken.octets)
    assert isinstance(raw, RawReply)
    assert (raw.code, raw.lines) == (spoken.code, spoken.lines)
    assert odd or spoken.octets.isascii()


def test_odd_replies() -> None:
    drawn = some(reply_octets(odd=True))
    assert any(each.octets.endswith(b"%d\r\n" % each.code) for each in drawn)
    assert any(not each.octets.isascii() for each in drawn)
    assert {len(each.lines) for each in drawn} == {1, 2, 3, 4, 5}


@given(octets=broken_reply_octets())
def test_broken_replies(octets: bytes) -> None:
    assert isinstance(read(octets), ReplyFault)


@given(octets=st.binary(max_size=40), data=st.data())
def test_cuts(octets: bytes, data: st.DataObject) -> None:
    drawn = data.draw(cuts(octets))
    assert b"".join(drawn) == octets
    assert all(drawn)


def test_cuts_of_all_kinds() -> None:
    assert {len(each) for each in some(cuts(b"abcdef"))} == {1, 2, 3, 4, 5, 6}
    sizes = some(piece_sizes())
    assert {(), (1,)} <= set(sizes)
    assert max(map(len, sizes)) == 8


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [SUBMISSION, LMTP], ids=lambda dialect: dialect.name)
@given(data=st.data())
def test_configs_suit_their_dialect(dialect: Dialect, data: st.DataObject) -> None:
    config = data.draw(server_configs(dialect))
    assert ServerDriver(config, dialect=dialect).seen(Connected)


def test_configs_of_all_kinds() -> None:
    sets = some(extension_sets())
    assert () in sets
    assert {each.keyword for one in sets for each in one} == {each.keyword for each in EXTENSIONS}
    assert some(extension_sets([]), 5) == [()]
    assert {each.hostname for each in some(server_configs(hostname="[192.0.2.1]"), 10)} == {"[192.0.2.1]"}
    assert {each for config in some(server_configs(among=STANDARD), 20) for each in config.extensions} == set(STANDARD)
    client: list[ClientConfig] = some(client_configs(eight_bit=True), 100)
    assert {each.pipelining for each in client} == {True, False}
    assert all(each.eight_bit for each in client)


def test_policies_say_the_same_each_time() -> None:
    question = Connected(Peer("192.0.2.1"))
    for policy in some(policies(go_away=50)):
        assert policy.refuse(question) == policy.refuse(question)
    for no, codes in ((0, set[int]()), (100, {421, 450, 550, 552})):
        told = [Whims(salt, no, go_away=30).refuse(MailFrom(NULL_PATH)) for salt in range(300)]
        assert {reply.code for reply in told if reply is not None} == codes


def test_faults_of_all_kinds() -> None:
    drawn = some(faults(list(Mishap)))
    assert {each.mishap for each in drawn} == set(Mishap)
    assert {each.sender for each in drawn} == set(Side)
    assert all(bool(each.octets) == (each.mishap is Mishap.GARBAGE) for each in drawn)
    assert Mishap.GARBAGE not in {each.mishap for each in some(faults())}
    assert Mishap.GARBAGE not in HARMS


def test_sessions_of_all_kinds() -> None:
    drawn: list[Session] = some(sessions(), 80)
    names = {type(intent).__name__ for each in drawn for intent in each.intents}
    assert names == {"Greet", "Secure", "LogIn", "Send", "Say", "Leave", "Pause"}
    assert {bool(each.faults) for each in drawn} == {True, False}
    assert {each.dialect.name for each in drawn} == {"SMTP", "SUBMISSION", "LMTP"}
    assert not any(each.faults for each in some(sessions(mishaps=()), 20))
    assert len(some(intents(ServerConfig(hostname="a"), most=1), 1)[0]) <= 6


def test_a_session_shows_what_matters() -> None:
    shown = repr(some(sessions(dialects=[LMTP]), 1)[0])
    assert shown.startswith("Session(\n    LMTP\n    offers '")
    assert "ClientLimits(" in shown
    assert "salt=" in shown
    assert pretty(some(sessions(dialects=[LMTP]), 1)[0]) == shown


def test_every_parameter_has_values() -> None:
    assert set(PARAM_VALUES) == {(each.keyword, param.keyword) for each in EXTENSIONS for param in each.params}
