"""Strategies for whole sessions: configs, what the client does, what the server says, what happens to the link."""

import zlib
from collections.abc import Collection, Sequence
from typing import Any, Final, final

from hypothesis import strategies as st

from .._client_config import ClientConfig
from .._config import ServerConfig
from .._dialect import LMTP, SMTP, SUBMISSION, Dialect, EarlyInput
from .._envelope import Body, Envelope, Recipient
from .._events import BodyBegin, Connected, Hello, Question, StartTls
from .._framing import Stray
from .._limits import ClientLimits, Limits
from .._reply import Reply
from .._value import evolve, fields, settings, value
from ..extensions import (
    ALL,
    AUTH,
    STARTTLS,
    Extension,
    deliver_by,
    future_release,
    no_soliciting,
    xclient,
    xforward,
)
from ..sasl import CRAM_MD5, LOGIN, PLAIN, SCRAM_SHA_256
from ._client_driver import CLIENT_CONFIG
from ._intents import Greet, Intent, Leave, LogIn, Pause, Say, Secure, Send
from ._mail import envelopes, messages, piece_sizes
from ._pair import ConnectionPair, Fault, Mishap, Policy, Side
from ._server_driver import CONFIG, HOSTNAME

USERS: Final = {"tim": "tanstaaftanstaaf", "jane": "secret"}

_MADE: Final = {
    each.keyword: each
    for each in (
        future_release(86400, "2030-01-01T00:00:00Z"),
        deliver_by(60),
        no_soliciting("net.example:ADV"),
        xclient(lambda peer: True),
        xforward(lambda peer: True),
    )
}
EXTENSIONS: Final = tuple(_MADE.get(each.keyword, each) for each in ALL)
"""All that there are, those that are made with parameters made for a test."""
MECHANISMS: Final = (PLAIN, LOGIN, CRAM_MD5)
"""Some that need no time; SCRAM takes its time by design."""
ALL_MECHANISMS: Final = (SCRAM_SHA_256, *MECHANISMS)


def extension_sets(
    among: Collection[Extension] = EXTENSIONS, *, dialect: Dialect = SMTP
) -> st.SearchStrategy[tuple[Extension, ...]]:
    """Any subset of *among*, with those that its members need, and those that *dialect* demands."""

    def complete(chosen: Sequence[bool]) -> tuple[Extension, ...]:
        wanted = {*dialect.mandatory, *(each.keyword for each, yes in zip(among, chosen, strict=True) if yes)}
        wanted.update(needed for each in among if each.keyword in wanted for needed in each.needs)
        return tuple(each for each in among if each.keyword in wanted)

    return st.tuples(*[st.booleans()] * len(among)).map(complete)


@st.composite
def server_configs(
    draw: st.DrawFn, /, dialect: Dialect = SMTP, *, among: Collection[Extension] = EXTENSIONS, **fixed: Any
) -> ServerConfig:
    """Configs of a server, with any extensions.

    Args:
        among: the extensions that may be offered; they need to hold those that *dialect* demands.
        fixed: settings of `ServerConfig` that are not to be drawn.
    """
    extensions = draw(extension_sets(among, dialect=dialect))
    drawn: dict[str, Any] = {
        "hostname": HOSTNAME,
        "extensions": extensions,
        "cleartext_auth": draw(st.integers(0, 3)) > 0,
        "tls_required": STARTTLS in extensions and draw(st.integers(0, 9)) == 0,
        "verify": draw(st.booleans()),
        "stray": draw(st.sampled_from(Stray)),
        "early_input": draw(st.sampled_from([None, EarlyInput.REPORT])),
        "limits": Limits(errors=1000, recipients=draw(st.sampled_from([100, 1000]))),
    }
    if AUTH in extensions:
        drawn["mechanisms"] = draw(st.lists(st.sampled_from(MECHANISMS), min_size=1, unique=True).map(tuple))
        drawn["auth_required"] = draw(st.sampled_from([False, False, False, None, True]))
    return ServerConfig(**drawn | fixed)


@st.composite
def client_configs(draw: st.DrawFn, /, **fixed: Any) -> ClientConfig:
    """Configs of a client that keeps to no more than it must.

    Args:
        fixed: settings of `ClientConfig` that are not to be drawn.
    """
    drawn: dict[str, Any] = {
        "cleartext_auth": draw(st.integers(0, 3)) > 0,
        "unverified_auth": draw(st.booleans()),
        "stray": draw(st.sampled_from([Stray.REJECT, Stray.NORMALISE])),
        "pipelining": draw(st.integers(0, 3)) > 0,
        "prefer_chunking": draw(st.booleans()),
        "limits": ClientLimits(
            pipelined_octets=draw(st.sampled_from([512, 16384])),
            chunk_octets=draw(st.sampled_from([1, 7, 100, 262_144])),
            unanswered_chunks=draw(st.sampled_from([1, 2, 4])),
        ),
    }
    return ClientConfig(**drawn | fixed)


# --- what the server says ------------------------------------------------------------------------

_NO: Final = (Reply(550, "No", "5.7.1"), Reply(450, "Not now", "4.2.0"), Reply(552, "Too much", "5.2.2"))
_GO_AWAY: Final = Reply(421, "Go away", "4.7.0")


@final
@value
class Whims:
    """An application that decides by what it is asked, and by nothing else: so it says the same each time.

    Args:
        salt: another whim for each number.
        no: how many questions in a hundred are answered with no.
        verdicts: how many verdicts in a hundred are.
        go_away: how many of a hundred noes are 421.
    """

    salt: int
    no: int = 20
    verdicts: int = 20
    go_away: int = 0

    def refuse(self, question: Question) -> Reply | None:
        """The refusal of a question, if it is refused; a client that is refused at the door says little."""
        if isinstance(question, Connected | Hello | StartTls) and self._draw((question, "twice"), 10):
            return None
        return self._say(question.verb if isinstance(question, BodyBegin) else question, self.no)

    def verdict(self, envelope: Envelope, message: bytes, recipient: Recipient | None) -> Reply | None:
        """The refusal of a message, if it is refused."""
        return self._say((message, recipient), self.verdicts)

    def _say(self, what: object, no: int) -> Reply | None:
        if self._draw(what, 100) >= no:
            return None
        return _GO_AWAY if self._draw((what, "how"), 100) < self.go_away else _NO[self._draw((what, "which"), 3)]

    def _draw(self, what: object, most: int) -> int:
        return zlib.crc32(repr((self.salt, what)).encode()) % most


def policies(*, go_away: int = 0) -> st.SearchStrategy[Policy]:
    """What a server's application may say: yes to all, no to all, and anything between.

    Args:
        go_away: how many of a hundred refusals are 421.
    """
    percents = st.sampled_from([0, 0, 0, 0, 0, 0, 10, 30, 60, 100])
    whims = st.builds(Whims, st.integers(0, 10_000), percents, percents, st.just(go_away))
    return whims.map(lambda each: Policy(refuse=each.refuse, verdict=each.verdict, users=USERS))


# --- what happens to the link --------------------------------------------------------------------

HARMS: Final = tuple(each for each in Mishap if each is not Mishap.GARBAGE)
"""What may happen to a link whose octets nobody changes."""


@st.composite
def faults(
    draw: st.DrawFn, mishaps: Sequence[Mishap] = HARMS, *, sender: Side | None = None, most_octets: int = 1000
) -> Fault:
    """Mishaps at any octet of either direction, or of *sender*'s."""
    mishap = draw(st.sampled_from(mishaps))
    return Fault(
        draw(st.sampled_from(Side)) if sender is None else sender,
        draw(st.integers(0, most_octets)),
        mishap,
        draw(_GARBAGE) if mishap is Mishap.GARBAGE else b"",
    )


_GARBAGE: Final = st.sampled_from(
    [b"\r\n", b"\0", b"250 Ok\r\n", b"421 Bye\r\n", b"RSET\r\n", b"\r\n.\r\n", b"\xff", b"x"]
)


# --- what the client does ------------------------------------------------------------------------


@st.composite
def sendings(draw: st.DrawFn, server: ServerConfig, *, stray: bool = False) -> Send:
    """A message to send, that suits its envelope; with *stray*, now and then one with stray octets."""
    envelope = draw(envelopes(server.extensions, server=server))
    body = envelope.params.body
    message = draw(
        messages(
            eight_bit=body is Body.EIGHT_BIT_MIME,
            binary=body is Body.BINARY_MIME,
            stray=stray and draw(st.integers(0, 5)) == 0,
        )
    )
    abandon = draw(st.integers(0, len(message))) if draw(st.integers(0, 19)) == 0 else None
    return Send(envelope, message, draw(piece_sizes()), abandon)


_words: st.SearchStrategy[Intent] = st.sampled_from(
    [
        Say("RSET"), Say("NOOP"), Say("NOOP", "x"), Say("VRFY", "tim"), Say("EXPN", "list"), Say("HELP"), Greet(),
        Pause(1.0), Pause(400.0), Say("ETRN", "example.org"), Say("FOO", "bar"), LogIn("jane", "wrong"),
    ]
)  # fmt: skip


@st.composite
def intents(draw: st.DrawFn, server: ServerConfig, *, most: int = 5, stray: bool = False) -> list[Intent]:
    """What a client may do in a session: it greets, goes over to TLS and logs in, or not; sends; and leaves, or not."""
    plan: list[Intent] = [Greet()]
    if draw(st.booleans()):
        plan += [Secure(), Greet()]
    if draw(st.integers(0, 3)):
        name = draw(st.sampled_from(sorted(USERS)))
        plan.append(LogIn(name, USERS[name]))
    sending: st.SearchStrategy[Intent] = sendings(server, stray=stray)
    plan += draw(st.lists(sending | sending | sending | _words, min_size=min(2, most), max_size=most))
    if draw(st.integers(0, 3)):
        plan.append(Leave())
    return plan


def _changed(of: object, stock: object) -> str:
    """The settings that are not those of *stock*, but for those that are long."""
    changed = [
        f"{field.name}={getattr(of, field.name)!r}"
        for field in fields(type(of))
        if field.name not in ("extensions", "mechanisms", "limits") and field.repr
        if getattr(of, field.name) != getattr(stock, field.name)
    ]
    return ", ".join(changed)


@final
@settings
class Session:
    """All that a session between the two ends depends on. Made by `sessions`, and printed when it fails."""

    dialect: Dialect
    server: ServerConfig
    client: ClientConfig
    policy: Policy
    intents: Sequence[Intent]
    server_sizes: Sequence[int] = ()
    client_sizes: Sequence[int] = ()
    faults: Sequence[Fault] = ()
    tls: bool = False
    ahead: bool = False

    def __repr__(self) -> str:
        offers = " ".join(each.keyword for each in self.server.extensions)
        by = " ".join(each.name for each in self.server.mechanisms)
        told = [f"{self.dialect.name}", f"offers {offers!r} {by}", *map(repr, self.intents)]
        told.append(f"server {_changed(self.server, CONFIG)}, Limits({_changed(self.server.limits, CONFIG.limits)})")
        stock = CLIENT_CONFIG
        told.append(
            f"client {_changed(self.client, stock)}, ClientLimits({_changed(self.client.limits, stock.limits)})"
        )
        told += [
            f"{name} {getattr(self, name)!r}" for name in ("server_sizes", "client_sizes", "faults", "tls", "ahead")
        ]
        return "Session(\n    " + "\n    ".join([*told, repr(self.policy)]) + "\n)"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))  # Hypothesis would show the fields of all fields

    def pair(self) -> ConnectionPair:
        """The two ends, not yet at work."""
        return ConnectionPair(
            self.server,
            self.client,
            dialect=self.dialect,
            policy=self.policy,
            server_sizes=self.server_sizes,
            client_sizes=self.client_sizes,
            faults=self.faults,
            tls=self.tls,
            ahead=self.ahead,
        )

    def play(self) -> ConnectionPair:
        """Hold it, to its end."""
        return self.pair().play(*self.intents)


@st.composite
def sessions(
    draw: st.DrawFn,
    *,
    dialects: Sequence[Dialect] = (SMTP, SUBMISSION, LMTP),
    mishaps: Sequence[Mishap] = HARMS,
    stray: bool = False,
    go_away: int = 5,
) -> Session:
    """Whole sessions: any dialect and extensions, any answers, any cut; often with a fault, often without.

    Args:
        mishaps: what may happen to the link.
        stray: now and then the client's application gives a message with stray octets.
        go_away: how many of a hundred refusals are 421.
    """
    dialect = draw(st.sampled_from(dialects))
    server = draw(server_configs(dialect))
    session = Session(
        dialect=dialect,
        server=server,
        client=draw(client_configs()),
        policy=draw(policies(go_away=go_away)),
        intents=draw(intents(server, stray=stray)),
        server_sizes=draw(piece_sizes()),
        client_sizes=draw(piece_sizes()),
        tls=draw(st.integers(0, 3)) == 0,
        ahead=draw(st.booleans()),
    )
    if not mishaps or draw(st.booleans()):
        return session
    # So that it happens within the session, see how long that is.
    whole = session.play()
    drawn = [
        draw(faults(mishaps, sender=sender, most_octets=whole.arrived(sender)))
        for sender in draw(st.sampled_from([[Side.CLIENT], [Side.SERVER], [Side.CLIENT, Side.SERVER]]))
    ]
    return evolve(session, faults=drawn)
