"""The order of commands, against an oracle: each edge of the machine's table, and each that is not in it."""

import pytest
from _dialogue import config
from hypothesis import settings

from smtpcore import LMTP, SMTP, SUBMISSION, Dialect, Phase
from smtpcore._machine import COMMAND_PHASES
from smtpcore.extensions import AUTH, ETRN, STANDARD, STARTTLS, xclient, xforward
from smtpcore.sasl import LOGIN
from smtpcore.testing.machines import LINES, MALFORMED, OrderSession, order_machine

DIALECTS = (SMTP, SUBMISSION, LMTP)
SETTINGS = config(
    extensions=(*STANDARD, STARTTLS, AUTH, ETRN, xclient(lambda peer: True), xforward(lambda peer: True)),
    mechanisms=(LOGIN,),
)
EVERYTHING = [
    pytest.param(dialect, phase, verb, id=f"{dialect.name} {phase.name} {verb}")
    for dialect in DIALECTS
    for phase in COMMAND_PHASES
    for verb in LINES
]


def session(dialect: Dialect = SMTP) -> OrderSession:
    return OrderSession(SETTINGS, dialect)


def test_every_verb_of_the_table_has_a_line() -> None:
    for dialect in DIALECTS:
        assert {edge.input for edge in session(dialect).edges if edge.is_verb} <= set(LINES)


def test_every_phase_of_the_table_with_commands_is_tried() -> None:
    for dialect in DIALECTS:
        reads = {source for edge in session(dialect).edges if edge.is_verb for source in edge.sources}
        assert reads == set(COMMAND_PHASES)


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize("yes", [True, False], ids=["yes", "no"])
@pytest.mark.parametrize(("dialect", "phase", "verb"), EVERYTHING)
def test_command_in_phase(dialect: Dialect, phase: Phase, verb: str, yes: bool) -> None:
    session(dialect).go(phase).command(verb, yes)


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize(("dialect", "phase", "verb"), [each for each in EVERYTHING if each.values[2] in MALFORMED])
def test_malformed_command_in_phase(dialect: Dialect, phase: Phase, verb: str) -> None:
    session(dialect).go(phase).malformed(verb)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("yes", [True, False])
def test_what_is_not_a_command(dialect: Dialect, yes: bool) -> None:
    held = session(dialect).go(Phase.RCPT)
    held.command("DATA", True)
    held.dot(yes)
    held.command("MAIL", True)
    held.command("RCPT", True)
    held.command("DATA", True)
    held.spoil()
    held.command("AUTH", yes)
    held.exchange("*", "", yes)
    held.command("AUTH", yes)
    held.exchange("dGlt", "*", yes)
    held.command("AUTH", yes)
    held.exchange("dGlt", "dGFuc3RhYWZ0YW5zdGFhZg==", yes)
    held.command("AUTH", yes)
    if not yes:
        held.exchange("*", "", yes)
    held.command("STARTTLS", True)
    held.handshake(True)
    held.command("STARTTLS", True)
    held.command(dialect.hello[0], True)
    held.command("STARTTLS", False)
    held.command("AUTH", True)
    held.exchange("*", "", True)


def test_a_failed_handshake_is_the_end() -> None:
    held = session()
    held.command("STARTTLS", True)
    held.handshake(False)


# --- the same as a walk of any length ---------------------------------------------------------------

# A walk has so many steps that more of them find little: the table is tried whole above.
_FEWER = settings(max_examples=max(settings().max_examples // 4, 10), stateful_step_count=60)

TestSmtpOrder = order_machine(SETTINGS, SMTP).TestCase
TestSmtpOrder.settings = _FEWER
TestLmtpOrder = order_machine(SETTINGS, LMTP).TestCase
TestLmtpOrder.settings = _FEWER
