"""Hypothesis state machines: random walks through sessions, for configs of your own.

>>> from smtpcore import ServerConfig
>>> from smtpcore.testing.machines import order_machine, pair_machine
>>> config = ServerConfig(hostname="mx.example.org")
>>> TestOrder = order_machine(config).TestCase
>>> TestPair = pair_machine(config).TestCase
"""

from collections.abc import Callable, Iterator
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .._client_config import ClientConfig
from .._config import ServerConfig
from .._dialect import SMTP, Dialect
from .._errors import LocalProtocolError
from .._events import Wait
from .._machine import COMMAND_PHASES, Phase
from ._client_driver import CLIENT_CONFIG
from ._intents import Greet, HangUp, Intent, Leave, LogIn, Pause, Say, Secure
from ._mail import piece_sizes
from ._order import Expected, Given, expect
from ._order_session import LINES, MALFORMED, OrderSession, lifted
from ._pair import ConnectionPair, Fault, Mishap, Policy, Side
from ._server_driver import CONFIG
from ._sessions import HARMS, USERS, policies, sendings

__all__ = [
    "LINES",
    "MALFORMED",
    "Expected",
    "Given",
    "OrderMachine",
    "OrderSession",
    "PairMachine",
    "expect",
    "lifted",
    "order_machine",
    "pair_machine",
]


class OrderMachine(RuleBasedStateMachine):
    """Commands in any order, each held against an oracle; made for a config by `order_machine`."""

    config: ServerConfig = CONFIG
    dialect: Dialect = SMTP

    @initialize()
    def connect(self) -> None:
        """A client connects."""
        self.session = OrderSession(self.config, self.dialect)

    def at(self, phase: Phase) -> bool:
        """Whether the session stands at *phase*."""
        return self.session.phase is phase

    @precondition(lambda self: self.at(Phase.BODY))
    @rule(yes=st.booleans())
    def final_dot(self, yes: bool) -> None:
        """The message ends."""
        self.session.dot(yes)

    @precondition(lambda self: self.at(Phase.BODY))
    @rule()
    def stray_octet(self) -> None:
        """The message ends, and holds what none may hold."""
        self.session.spoil()

    @precondition(lambda self: self.at(Phase.AUTH))
    @rule(name=st.sampled_from(["*", "dGlt"]), password=st.sampled_from(["*", "c2VjcmV0"]), yes=st.booleans())
    def exchange(self, name: str, password: str, yes: bool) -> None:
        """The client answers the challenges."""
        self.session.exchange(name, password, yes)

    @precondition(lambda self: self.at(Phase.TLS))
    @rule(succeeds=st.booleans())
    def handshake(self, succeeds: bool) -> None:
        """The handshake ends."""
        self.session.handshake(succeeds)

    @precondition(lambda self: self.at(Phase.CLOSED))
    @rule()
    def connect_again(self) -> None:
        """What comes after the end counts for nothing; another client connects."""
        assert self.session.driver.feed(b"NOOP\r\n") == b""
        self.connect()

    @invariant()
    def waits_as_its_phase_demands(self) -> None:
        """The engine waits for what its phase says."""
        waits = {Phase.TLS: Wait.TLS, Phase.CLOSED: Wait.CLOSED}
        assert self.session.driver.wait is waits.get(self.session.phase, Wait.DATA)

    @invariant()
    def has_been_greeted(self) -> None:
        """No transaction without EHLO, HELO or LHLO."""
        if self.session.phase in (Phase.READY, Phase.MAIL, Phase.RCPT, Phase.BODY, Phase.BDAT):
            assert self.session.conn.hello is not None


def order_machine(config: ServerConfig = CONFIG, dialect: Dialect = SMTP) -> type[OrderMachine]:
    """A machine that says every verb in every phase, well-formed and malformed, to a server with *config*.

    What comes of it is held against an oracle that was written from the RFCs. Limits, mechanisms, and the
    demand for TLS or AUTH are no matter of order, and are replaced as `lifted` does.
    """
    rules = dict(_rules(OrderSession(config, dialect)))
    return type(f"OrderMachine{dialect.name}", (OrderMachine,), {"config": config, "dialect": dialect, **rules})


def _rules(session: OrderSession) -> Iterator[tuple[str, Callable[..., None]]]:
    """A rule for each verb in each phase."""

    def at(phase: Phase) -> Callable[[OrderMachine], bool]:
        return lambda self: self.at(phase)

    def command(verb: str, name: str) -> Callable[..., None]:
        def send(self: OrderMachine, yes: bool) -> None:
            self.session.command(verb, yes)

        send.__name__ = name
        return send

    def malformed(verb: str, name: str) -> Callable[..., None]:
        def send(self: OrderMachine) -> None:
            self.session.malformed(verb)

        send.__name__ = name
        return send

    reached = [phase for phase in COMMAND_PHASES if phase is not Phase.BDAT or "BDAT" not in session.missing]
    inputs = {edge.input for edge in session.edges if edge.is_verb} & set(LINES)
    for phase in reached:
        for verb in sorted(inputs | session.missing | {"BDAT LAST", "TURN", "FOO"}):
            name = f"{verb.replace(' ', '_')}_in_{phase.name}"
            yield name, precondition(at(phase))(rule(yes=st.booleans())(command(verb, name)))
            if verb in MALFORMED:
                name = f"malformed_{name}"
                yield name, precondition(at(phase))(rule()(malformed(verb, name)))


_WORDS: Final[list[Intent]] = [
    Greet(), Secure(), Say("RSET"), Say("NOOP"), Say("VRFY", "tim"), Say("HELP"), Say("ETRN", "a.example"),
    Pause(100.0),
]  # fmt: skip


class PairMachine(RuleBasedStateMachine):
    """A client that does anything at any time, a server that says anything, and a link that fails anywhere.

    At the end of each session the two ends must agree on every message. Made for configs by `pair_machine`.
    """

    server: ServerConfig = CONFIG
    client: ClientConfig = CLIENT_CONFIG
    dialect: Dialect = SMTP

    @initialize(policy=policies(go_away=5), server_sizes=piece_sizes(), client_sizes=piece_sizes(), tls=st.booleans())
    def connect(self, policy: Policy, server_sizes: tuple[int, ...], client_sizes: tuple[int, ...], tls: bool) -> None:
        """The client connects."""
        self.pair = ConnectionPair(
            self.server,
            self.client,
            dialect=self.dialect,
            policy=policy,
            server_sizes=server_sizes,
            client_sizes=client_sizes,
            tls=tls,
        )
        self.pair.run()

    def do(self, intent: Intent) -> None:
        """Do *intent*, if it is possible; where it is not, nothing may have changed."""
        before = len(self.pair.client_end.events), self.pair.octets(Side.CLIENT)
        try:
            self.pair.do(intent)
        except LocalProtocolError:
            assert before == (len(self.pair.client_end.events), self.pair.octets(Side.CLIENT))

    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        """A message; after EHLO or LHLO, mostly."""
        conn = self.pair.client_end.conn
        if conn.phase is Phase.HELLO and data.draw(st.integers(0, 9)):
            self.do(Greet())
        self.do(data.draw(sendings(self.server, stray=True)))

    @rule(data=st.data(), most=st.integers(2, 3))
    def send_more(self, data: st.DataObject, most: int) -> None:
        """Several messages."""
        for _ in range(most):
            self.send(data)

    @rule(what=st.sampled_from(_WORDS))
    def say(self, what: Intent) -> None:
        """Another command, or nothing for some time."""
        self.do(what)

    @rule(name=st.sampled_from(sorted(USERS)), right=st.booleans())
    def log_in(self, name: str, right: bool) -> None:
        """AUTH."""
        self.do(LogIn(name, USERS[name] if right else "wrong"))

    @rule(sender=st.sampled_from(Side), octets=st.integers(0, 500), mishap=st.sampled_from(HARMS))
    def fault(self, sender: Side, octets: int, mishap: Mishap) -> None:
        """Something happens to the link, in some octets from now."""
        self.pair.add_fault(Fault(sender, self.pair.arrived(sender) + octets, mishap))
        self.pair.run()

    @rule(intent=st.sampled_from([Leave(), HangUp(), Pause(400.0)]))
    def leave(self, intent: Intent) -> None:
        """QUIT, or the end without QUIT, or a pause that the server does not put up with."""
        self.do(intent)

    @precondition(lambda self: self.pair.closed)
    @rule(policy=policies(), sizes=piece_sizes())
    def connect_again(self, policy: Policy, sizes: tuple[int, ...]) -> None:
        """Another session, after the last was looked at."""
        self.agree()
        self.connect(policy, sizes, sizes, False)

    def agree(self) -> None:
        """Both ends agree on what became of each message."""
        disagreements = self.pair.disagreements()
        assert not disagreements, "\n".join([*disagreements, self.pair.transcript()])

    def teardown(self) -> None:
        """Let the session come to its end, and look at it."""
        if hasattr(self, "pair"):
            self.pair.play()
            self.agree()


def pair_machine(
    server: ServerConfig = CONFIG, client: ClientConfig = CLIENT_CONFIG, dialect: Dialect = SMTP
) -> type[PairMachine]:
    """A machine that walks through sessions between a server and a client with these configs."""
    return type("PairMachine", (PairMachine,), {"server": server, "client": client, "dialect": dialect})
