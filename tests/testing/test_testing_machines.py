"""The state machines, for configs of all kinds, and that they find what is wrong."""

import doctest

import pytest
from hypothesis import Phase as HypothesisPhase, settings
from hypothesis.stateful import run_state_machine_as_test

from smtpcore import LMTP, SMTP, SUBMISSION, Dialect, Phase, Reply, ServerConfig, ServerConnection, Stray
from smtpcore._framing import DotEncoder
from smtpcore._machine import COMMAND_PHASES
from smtpcore.extensions import AUTH, ENHANCEDSTATUSCODES, PIPELINING, STANDARD, STARTTLS
from smtpcore.sasl import PLAIN
from smtpcore.testing import machines
from smtpcore.testing.machines import (
    LINES,
    MALFORMED,
    Given,
    OrderSession,
    expect,
    lifted,
    order_machine,
    pair_machine,
)
from smtpcore.testing.strategies import EXTENSIONS, MECHANISMS

FEW = settings(max_examples=10, stateful_step_count=20, database=None)

# As soon as something is found, no smaller example is looked for.
FIRST = settings(FEW, max_examples=200, phases=[HypothesisPhase.generate], report_multiple_bugs=False)

BARE = ServerConfig(hostname="mx.example.org", extensions=())
FULL = ServerConfig(
    hostname="mx.example.org", extensions=EXTENSIONS, mechanisms=MECHANISMS, cleartext_auth=True, auth_required=False
)
LMTP_ONLY = ServerConfig(hostname="mx.example.org", extensions=(PIPELINING, ENHANCEDSTATUSCODES))


def test_the_docstring() -> None:
    failed, attempted = doctest.testmod(machines)
    assert attempted
    assert not failed


def test_what_is_lifted() -> None:
    config = ServerConfig(
        hostname="a",
        extensions=(*STANDARD, STARTTLS, AUTH),
        mechanisms=(PLAIN,),
        tls_required=True,
        auth_required=True,
        stray=Stray.KEEP,
    )
    session = OrderSession(config).go(Phase.BDAT)
    session.command("BDAT LAST", True)
    session.command("MAIL", True)
    assert not lifted(BARE).mechanisms


@pytest.mark.parametrize(
    ("config", "dialect"), [(BARE, SMTP), (FULL, SUBMISSION), (LMTP_ONLY, LMTP)], ids=["bare", "full", "LMTP"]
)
def test_order(config: ServerConfig, dialect: Dialect) -> None:
    run_state_machine_as_test(order_machine(config, dialect), settings=FEW)


def test_every_verb_in_every_phase() -> None:
    for phase in COMMAND_PHASES:
        for verb in LINES:
            for yes in (True, False):
                OrderSession(FULL).go(phase).command(verb, yes)
        for verb in MALFORMED:
            OrderSession(FULL).go(phase).malformed(verb)


def test_what_is_no_command() -> None:
    machine = order_machine(FULL)()
    machine.connect()
    session = machine.session.go(Phase.RCPT)
    for end in (lambda: machine.final_dot(True), lambda: machine.final_dot(False), machine.stray_octet):
        session.command("DATA", True)
        end()
        session.command("MAIL", True)
        session.command("RCPT", True)
    session.command("RSET", True)
    for name, password, yes in (("*", "", True), ("dGlt", "*", True), ("dGlt", "c2VjcmV0", False)):
        session.command("AUTH", True)
        machine.exchange(name, password, yes)
    session.command("AUTH", True)
    machine.exchange("dGlt", "c2VjcmV0", True)
    session.command("AUTH", True)
    session.command("STARTTLS", True)
    machine.handshake(True)
    session.command("STARTTLS", False)
    session.command("QUIT", True)
    machine.connect_again()
    machine.session.command("STARTTLS", True)
    machine.handshake(False)
    machine.connect_again()
    machine.waits_as_its_phase_demands()
    machine.has_been_greeted()


def test_a_machine_that_did_not_begin() -> None:
    pair_machine(BARE)().teardown()


@pytest.mark.parametrize(("config", "dialect"), [(BARE, SMTP), (LMTP_ONLY, LMTP)], ids=["bare", "LMTP"])
def test_verbs_that_are_missing(config: ServerConfig, dialect: Dialect) -> None:
    for phase in (Phase.HELLO, Phase.READY, Phase.MAIL, Phase.RCPT):
        for verb in LINES:
            if verb != "QUIT":
                OrderSession(config, dialect).go(phase).command(verb, True)
    assert expect("READY", "AUTH", True, Given(missing=frozenset({"AUTH"}))).code == 502


def test_order_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerConnection, "_refuse", lambda self, reply, error=True: self._say(Reply(250, "Ok")))
    with pytest.raises(AssertionError, match=r"is demanded|to malformed"):
        run_state_machine_as_test(order_machine(BARE), settings=FIRST)


@pytest.mark.parametrize(
    ("config", "dialect"), [(BARE, SMTP), (FULL, SUBMISSION), (LMTP_ONLY, LMTP)], ids=["bare", "full", "LMTP"]
)
def test_pair(config: ServerConfig, dialect: Dialect) -> None:
    run_state_machine_as_test(pair_machine(config, dialect=dialect), settings=FEW)


def test_ends_that_disagree_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # A client that sends more than it was given.
    monkeypatch.setattr(DotEncoder, "finish", lambda self: b"x\r\n.\r\n")
    with pytest.raises(AssertionError, match="nobody sent"):
        run_state_machine_as_test(pair_machine(BARE), settings=FIRST)
