"""The order of commands, against an oracle: each edge of the machine's table, and each that is not in it."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from order_machine import DIALECTS, LINES, MALFORMED, SETTINGS, Session, edges_of

from smtpcore import LMTP, SMTP, Dialect, Phase, Wait
from smtpcore._machine import COMMAND_PHASES

EVERYTHING = [
    pytest.param(dialect, phase, verb, id=f"{dialect.name} {phase.name} {verb}")
    for dialect in DIALECTS
    for phase in COMMAND_PHASES
    for verb in LINES
]


def test_every_verb_of_the_table_has_a_line() -> None:
    for dialect in DIALECTS:
        assert {edge.input for edge in edges_of(dialect) if edge.is_verb} <= set(LINES)


def test_every_phase_of_the_table_with_commands_is_tried() -> None:
    for dialect in DIALECTS:
        reads = {source for edge in edges_of(dialect) if edge.is_verb for source in edge.sources}
        assert reads == set(COMMAND_PHASES)


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize("yes", [True, False], ids=["yes", "no"])
@pytest.mark.parametrize(("dialect", "phase", "verb"), EVERYTHING)
def test_command_in_phase(dialect: Dialect, phase: Phase, verb: str, yes: bool) -> None:
    Session(dialect).go(phase).command(verb, yes)


@pytest.mark.catalogue("F1")
@pytest.mark.parametrize(("dialect", "phase", "verb"), [each for each in EVERYTHING if each.values[2] in MALFORMED])
def test_malformed_command_in_phase(dialect: Dialect, phase: Phase, verb: str) -> None:
    Session(dialect).go(phase).malformed(verb)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("yes", [True, False])
def test_what_is_not_a_command(dialect: Dialect, yes: bool) -> None:
    session = Session(dialect).go(Phase.RCPT)
    session.command("DATA", True)
    session.dot(yes)
    session.command("MAIL", True)
    session.command("RCPT", True)
    session.command("DATA", True)
    session.spoil()
    session.command("AUTH", yes)
    session.exchange("*", "", yes)
    session.command("AUTH", yes)
    session.exchange("dGlt", "*", yes)
    session.command("AUTH", yes)
    session.exchange("dGlt", "dGFuc3RhYWZ0YW5zdGFhZg==", yes)
    session.command("AUTH", yes)
    if not yes:
        session.exchange("*", "", yes)
    session.command("STARTTLS", True)
    session.handshake(True)
    session.command("STARTTLS", True)
    session.command(dialect.hello[0], True)
    session.command("STARTTLS", False)
    session.command("AUTH", True)
    session.exchange("*", "", True)


def test_a_failed_handshake_is_the_end() -> None:
    session = Session()
    session.command("STARTTLS", True)
    session.handshake(False)


# --- the same as a walk of any length ---------------------------------------------------------------


class Walk(RuleBasedStateMachine):
    """Commands in any order. A rule for each verb in each phase is put in below, from the machine's table."""

    dialect: Dialect = SMTP

    @initialize()
    def connect(self) -> None:
        self.session = Session(self.dialect)

    def at(self, phase: Phase) -> bool:
        return self.session.phase is phase

    @precondition(lambda self: self.at(Phase.BODY))
    @rule(yes=st.booleans())
    def final_dot(self, yes: bool) -> None:
        self.session.dot(yes)

    @precondition(lambda self: self.at(Phase.BODY))
    @rule()
    def stray_octet(self) -> None:
        self.session.spoil()

    @precondition(lambda self: self.at(Phase.AUTH))
    @rule(name=st.sampled_from(["*", "dGlt"]), password=st.sampled_from(["*", "c2VjcmV0"]), yes=st.booleans())
    def exchange(self, name: str, password: str, yes: bool) -> None:
        self.session.exchange(name, password, yes)

    @precondition(lambda self: self.at(Phase.TLS))
    @rule(succeeds=st.booleans())
    def handshake(self, succeeds: bool) -> None:
        self.session.handshake(succeeds)

    @precondition(lambda self: self.at(Phase.CLOSED))
    @rule()
    def connect_again(self) -> None:
        assert self.session.driver.feed(b"NOOP\r\n") == b""
        self.session = Session(self.dialect)

    @invariant()
    def waits_as_its_phase_demands(self) -> None:
        waits = {Phase.TLS: Wait.TLS, Phase.CLOSED: Wait.CLOSED}
        assert self.session.driver.wait is waits.get(self.session.phase, Wait.DATA)

    @invariant()
    def keeps_its_promises(self) -> None:
        conn = self.session.conn
        if self.session.phase in (Phase.READY, Phase.MAIL, Phase.RCPT, Phase.BODY, Phase.BDAT):
            assert conn.hello is not None
        assert conn.limits is SETTINGS.limits


def _rules(dialect: Dialect) -> Iterator[tuple[str, Callable[..., None]]]:
    def at(phase: Phase) -> Callable[[Walk], bool]:
        return lambda self: self.at(phase)

    def command(verb: str, name: str) -> Callable[..., None]:
        def send(self: Walk, yes: bool) -> None:
            self.session.command(verb, yes)

        send.__name__ = name
        return send

    def malformed(verb: str, name: str) -> Callable[..., None]:
        def send(self: Walk) -> None:
            self.session.malformed(verb)

        send.__name__ = name
        return send

    inputs = {edge.input for edge in edges_of(dialect) if edge.is_verb} | {"BDAT LAST", "TURN", "FOO"}
    for phase in COMMAND_PHASES:
        for verb in sorted(inputs):
            name = f"{verb.replace(' ', '_')}_in_{phase.name}"
            yield name, precondition(at(phase))(rule(yes=st.booleans())(command(verb, name)))
            if verb in MALFORMED:
                name = f"malformed_{name}"
                yield name, precondition(at(phase))(rule()(malformed(verb, name)))


def _walk(dialect: Dialect) -> type[RuleBasedStateMachine]:
    return type(f"Walk{dialect.name}", (Walk,), {"dialect": dialect, **dict(_rules(dialect))})


# A walk has so many steps that more of them find little: the table is tried whole above.
_FEWER = settings(max_examples=max(settings().max_examples // 4, 10), stateful_step_count=60)

TestSmtpOrder = _walk(SMTP).TestCase
TestSmtpOrder.settings = _FEWER
TestLmtpOrder = _walk(LMTP).TestCase
TestLmtpOrder.settings = _FEWER
