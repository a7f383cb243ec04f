"""`ClientConnection`: the client's side of an SMTP, submission or LMTP session, without I/O.

Theory of operation. The application says what it wants by *intents* (`hello`, `send`, `quit`), and each
is checked against the table of edges (`CLIENT` in `_machine`) before a single octet of it is made. Octets
and time come in by the methods that take them; `next_event` parses just enough to say one thing. The
server is not trusted: whatever it says is an event, and what it must not say ends the connection with a
`Violation`, after every recipient of every message was told its fate.
"""

import binascii
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from ._capabilities import NO_CAPABILITIES, Capabilities, TooManyCapabilities, parse_capabilities
from ._client_config import ClientConfig
from ._client_events import Answer, AuthDone, ClientEvent, HelloDone
from ._commands import Command, format_command, format_hello
from ._deadlines import Deadline
from ._dialect import SMTP, Dialect
from ._dialling import EDGES, HANDLERS, Awaited
from ._errors import GrammarError, LocalProtocolError
from ._events import Cause, Deviation, TlsInfo, Violation, Wait
from ._machine import Phase
from ._reply import Reply
from ._sending import Sending
from .extensions import AUTH, CHUNKING, PIPELINING, STARTTLS
from .extensions.xclient import encode_xclient
from .sasl import BadChallenge, ClientExchange, ClientMechanism, Strength

# RFC 4954 4: "If the client ... initial response ... would cause the AUTH command to exceed this length, the client
# MUST NOT use the initial response parameter"; the length is that of RFC 5321 4.5.3.1.4.
AUTH_LINE_OCTETS: Final = 512

_CLOSED: Final = Phase.CLOSED
_TLS: Final = Phase.TLS
_CHUNK: Final = Phase.CHUNK
_WRITE: Final = Deadline.WRITE
_BLOCK: Final = Deadline.BLOCK
_MESSAGE_PHASES: Final = (Phase.BODY, Phase.CHUNK, Phase.EOM)
_WAIT_DATA: Final = Wait.DATA
_WAIT_INTENT: Final = Wait.INTENT


class ClientConnection(Sending):
    """One session with one server.

    Args:
        config: how to behave.
        tls: of a connection that began with TLS (RFC 8314); None in the clear.
        dialect: SMTP or SUBMISSION, which are the same to a client, or LMTP.

    Feed it with `receive_data`, ask `next_event`, say what to do where it says `Wait.INTENT`, send what
    `data_to_send` returns, and call `handle_timeout` at `next_deadline`.
    """

    __slots__ = ()

    def __init__(
        self, config: ClientConfig | None = None, *, tls: TlsInfo | None = None, dialect: Dialect = SMTP
    ) -> None:
        super().__init__(_STOCK if config is None else config, tls, dialect)

    # --- in ----------------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Feed what was read; ``b""`` is the end of the stream.

        Raises:
            LocalProtocolError: octets after the end, or instead of a TLS handshake.
        """
        link, received = self._link, self._in
        if link.pending:
            link.touch(now)
        if self._phase is _CLOSED:
            return
        if not data:
            received.eof = self._unread = True
            return
        if received.eof:
            raise LocalProtocolError("octets after the end of the stream")
        if self._phase is _TLS:
            raise LocalProtocolError("octets during the TLS handshake are for the TLS layer")
        received.feed(data)
        self._received += len(data)
        self._time = now
        self._unread = True

    def handle_timeout(self, now: float) -> None:
        """Say that it is *now*; what has expired ends the connection. Calling it too early does nothing."""
        link = self._link
        if link.pending:
            link.touch(now)
        for deadline in link.clock.expired(now):
            if self._unread and deadline is self._waited:
                link.restart(deadline, now)  # the reply may be here: a slow application does not make the server late
            else:
                self._close(Cause.TIMED_OUT, deadline.value)
                break

    def tls_started(self, info: TlsInfo) -> None:
        """The handshake that `Wait.TLS` asked for is done. What the server said before is forgotten: say `hello`.

        Raises:
            LocalProtocolError: no handshake was asked for.
        """
        self._handshaken()
        self._link.disarm(Deadline.TLS)
        # RFC 3207 4.2: "The client MUST discard any knowledge obtained from the server, such as the list of SMTP
        # service extensions, which was not obtained from the TLS negotiation itself."
        self._tls = info
        self._forget()
        self._pass("handshake")

    def tls_failed(self) -> None:
        """The handshake failed; there is no way back to the clear.

        Raises:
            LocalProtocolError: no handshake was asked for.
        """
        self._handshaken()
        self._close(Cause.TLS_FAILED)

    def _handshaken(self) -> None:
        if self._phase is not _TLS or self._events:
            raise LocalProtocolError("no TLS handshake was asked for")

    def _forget(self) -> None:
        self._greeted = None
        self._learn(NO_CAPABILITIES)
        self._pipelining = False
        self._authenticated = False

    def _learn(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._mail_most = capabilities.transactions_most

    # --- out ---------------------------------------------------------------------------------------

    def data_to_send(self, now: float) -> list[bytes]:
        """All octets to send, which are taken by this call; after sending them call `data_sent`.

        Call it before every wait: the server's time to answer begins here, and a reply that was received
        before its command was taken is a violation.
        """
        link = self._link
        if link.pending:
            link.touch(now)
        if self._issued:
            self._handed_out(now)
        if not link.out:
            return []
        if self._writing is None:  # who takes some octets slowly does not earn more time
            writing = self._writing = _BLOCK if self._phase in _MESSAGE_PHASES else _WRITE
            link.clock.arm(writing, now + self._lengths[writing])
        return link.take()

    def data_sent(self, now: float) -> None:
        """What `data_to_send` returned has left."""
        link = self._link
        if link.pending:
            link.touch(now)
        writing = self._writing
        if writing is not None:
            self._writing = None
            link.clock.times.pop(writing, None)
            link.clock.stale = True

    def next_deadline(self) -> float:
        """When to call `handle_timeout`; ``math.inf`` for never."""
        return self._link.next_deadline()

    def next_event(self) -> ClientEvent | Wait:
        """The next thing that happened, or what to do before something can.

        Never raises, whatever the server sent.
        """
        events = self._events
        while True:
            if events:
                return events.popleft()
            phase = self._phase
            if phase is _CLOSED:
                return Wait.CLOSED
            if phase is _TLS:
                return Wait.TLS
            received = self._in
            if received.pos < len(received.data) and self._read():
                continue
            if received.eof:
                self._ended()
                continue
            self._unread = False
            if phase is _CHUNK and self._transactions[-1].wants_body:
                self._await_no_more()
                return _WAIT_INTENT
            if self._heard_some:
                self._await(self._time)
            return _WAIT_DATA if self._expected or self._issued else _WAIT_INTENT

    def _ended(self) -> None:
        """The server has closed its side, and all that it said was read."""
        quitting = bool(self._expected) and self._expected[0].edge.input == "QUIT"
        self._close(Cause.QUIT if quitting else Cause.EOF)

    # --- intents -----------------------------------------------------------------------------------

    def hello(self, name: str) -> Command:
        """EHLO, or LHLO in LMTP; where a 5xx refuses EHLO, HELO follows by itself. `HelloDone` tells the end.

        Args:
            name: our own domain, or an address literal (RFC 5321 section 4.1.4).

        Raises:
            LocalProtocolError: it is neither, or this is not the moment.
        """
        verb = self._dialect.hello[0]
        edge = self._intend(verb)
        text = format_hello(verb, name)
        if not name.isascii():
            raise LocalProtocolError(f"a domain goes in A-labels here: {name!r}")  # RFC 6531 3.7.1
        self._name = name
        return self._say(edge, text)

    def start_tls(self) -> Command:
        """STARTTLS (RFC 3207). `Answer` tells the reply; `Wait.TLS` follows one that is positive.

        Raises:
            LocalProtocolError: it is not offered, TLS is active, or this is not the moment.
        """
        edge = self._intend("STARTTLS")
        if self._tls is not None:
            raise LocalProtocolError("TLS is active")
        if STARTTLS not in self._capabilities:
            raise LocalProtocolError("STARTTLS is not offered")
        return self._say(edge, "STARTTLS", clean=True)

    def choose(self, mechanisms: Sequence[ClientMechanism]) -> ClientMechanism | None:
        """The strongest of *mechanisms* that the server offers and the config permits now; None where there is none."""
        able = [each for each in mechanisms if self._bar(each) is None]
        return max(able, key=_strength, default=None)

    def authenticate(self, mechanism: ClientMechanism) -> Command:
        """AUTH (RFC 4954). `AuthDone` tells the end.

        Raises:
            LocalProtocolError: the server does not offer *mechanism*, the config forbids it here, or this is
                not the moment.
        """
        edge = self._intend("AUTH")
        barred = self._bar(mechanism)
        if barred is not None:
            raise LocalProtocolError(f"{mechanism.name}: {barred}")
        generator = mechanism.start(self._tls)
        initial = next(generator)
        name = mechanism.name  # is as the server offers it, which `AUTH.hear` has read
        text = f"AUTH {name}"
        self._exchange = exchange = _Exchange(mechanism.name, generator)
        if initial is not None:
            encoded = _base64(initial) or "="  # RFC 4954 4: "=" stands for an initial response without octets
            if len(text) + len(encoded) + len(" \r\n") <= AUTH_LINE_OCTETS:
                text += f" {encoded}"
            else:
                exchange.withheld = initial
        shown = Command("AUTH", f"{name} ***" if initial is not None else name)
        # RFC 4954 4: AUTH "is not permitted during a mail transaction".
        return self._say(edge, text, shown, clean=True)

    def _bar(self, mechanism: ClientMechanism) -> str | None:
        """Why *mechanism* may not be used now; None where it may."""
        config, tls = self._config, self._tls
        if self._authenticated:
            # RFC 4954 4: "After an AUTH command has been successfully completed, no more AUTH commands may be issued".
            return "already authenticated"
        if tls is None and not config.cleartext_auth:
            return "no TLS, and the config does not say cleartext_auth"
        if mechanism.strength < config.auth_floor:
            return "weaker than auth_floor"
        if tls is not None and mechanism.strength is Strength.REVEALED and not (tls.verified or config.unverified_auth):
            return "the certificate was not verified, and the config does not say unverified_auth"
        if mechanism.name not in self._capabilities.mechanisms:
            return "not offered"
        return None if mechanism.available(tls) else "not available on this connection"

    def reset(self) -> Command:
        """RSET. With PIPELINING it may be said while a verdict is awaited.

        Raises:
            LocalProtocolError: this is not the moment.
        """
        return self._say(self._intend("RSET", group=True), "RSET")

    def noop(self) -> Command:
        """NOOP.

        Raises:
            LocalProtocolError: this is not the moment.
        """
        return self._say(self._intend("NOOP"), "NOOP")

    def help(self, topic: str = "") -> Command:
        """HELP.

        Raises:
            LocalProtocolError: *topic* is no text for a command, or this is not the moment.
        """
        edge = self._intend("HELP")
        if not topic.isascii():
            raise LocalProtocolError("HELP on what is not ASCII")
        return self._say(edge, format_command("HELP", topic))

    def verify(self, text: str) -> Command:
        """VRFY (RFC 5321 section 4.1.1.6).

        Raises:
            LocalProtocolError: *text* is no text for a command, or this is not the moment.
        """
        return self._ask("VRFY", text)

    def expand(self, text: str) -> Command:
        """EXPN (RFC 5321 section 4.1.1.7).

        Raises:
            LocalProtocolError: *text* is no text for a command, or this is not the moment.
        """
        return self._ask("EXPN", text)

    def _ask(self, verb: str, text: str) -> Command:
        edge = self._intend(verb)
        if not text or not text.isascii():
            raise LocalProtocolError(f"{verb} of nothing, or of what is not ASCII")
        return self._say(edge, format_command(verb, text))

    def xclient(self, attributes: Mapping[str, str | None]) -> Command:
        """XCLIENT: say whom this connection speaks for; None says that it is not known. Say `hello` after it.

        Raises:
            LocalProtocolError: it is not offered, an attribute is none, or this is not the moment.
        """
        edge = self._intend("XCLIENT")
        if "XCLIENT" not in self._capabilities:
            raise LocalProtocolError("XCLIENT is not offered")
        try:
            argument = encode_xclient(attributes)
        except GrammarError as error:
            raise LocalProtocolError(f"not XCLIENT attributes: {error}") from error
        return self._say(edge, f"XCLIENT {argument}", clean=True)

    def command(self, verb: str, argument: str = "") -> Command:
        """A verb that an extension adds and that changes nothing here, such as ETRN or XFORWARD.

        Raises:
            LocalProtocolError: *verb* has a method of its own or is no verb, *argument* is no text for a
                command, or this is not the moment.
        """
        edge = self._intend("other")
        verb = verb.upper()
        if verb in EDGES or verb in _NOT_OTHER:
            raise LocalProtocolError(f"{verb} is not for this method")
        if not argument.isascii():
            raise LocalProtocolError("an argument beyond ASCII")
        return self._say(edge, format_command(verb, argument))

    def quit(self) -> Command:
        """QUIT. `Closed` follows. With PIPELINING it may be said while a verdict is awaited.

        Raises:
            LocalProtocolError: this is not the moment.
        """
        return self._say(self._intend("QUIT", group=True), "QUIT")

    def close(self) -> None:
        """End the session at once, without QUIT. Ask `next_event` after it, for the fates of messages under way."""
        self._close(Cause.ABORTED)

    # --- replies -----------------------------------------------------------------------------------

    def _on_hello(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        command = awaited.command
        if command.verb == "EHLO" and reply.permanent:
            # RFC 5321 3.2: if the server does not know EHLO, "the client should fall back and send HELO".
            self._say(EDGES["HELO"], format_hello("HELO", self._name))
            return
        if not ok:
            self._tell(HelloDone(command, reply, NO_CAPABILITIES))
            return
        self._learn(NO_CAPABILITIES)
        if command.verb != "HELO":
            try:
                capabilities, oddities = parse_capabilities(
                    reply.lines(), self._config.extensions, self._limits.capabilities
                )
            except TooManyCapabilities:
                self._violated(Violation.TOO_MANY_CAPABILITIES, "capabilities")
                return
            self._learn(capabilities)
            for oddity in oddities:
                self._tell(Deviation(oddity))
        self._pipelining = self._config.pipelining and PIPELINING.keyword in self._capabilities.heard
        self._greeted = command
        self._dirty = False
        self._go(awaited.edge.ok)
        self._tell(HelloDone(command, reply, self._capabilities))

    def _on_starttls(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        if ok and len(self._in):
            # RFC 3207 4.2 and 6: what stands in the clear behind the 220 must not be taken for what comes through TLS.
            self._violated(Violation.OCTETS_BEFORE_TLS, f"{len(self._in)} octets")
            return
        self._tell(Answer(awaited.command, reply))
        if ok:
            self._go(awaited.edge.ok)
            self._link.arm_soon(Deadline.TLS)

    def _on_auth(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        exchange = self._exchange
        if ok and exchange is None:
            self._violated(Violation.WRONG_REPLY, f"{reply.code} to a cancelled AUTH", reply)
        elif reply.code == 334:
            self._pass("challenge")
            answer = exchange.answer(reply.text)
            if answer is None or len(answer) > self._limits.auth_octets:
                # RFC 4954 4: "If the client wishes to cancel the authentication exchange, it issues a line with a
                # single "*"".
                answer = b"*\r\n"
                self._exchange = None
            self._todo.append(Awaited(EDGES["exchange"], awaited.command, answer))
        elif ok and not exchange.succeeded():
            self._violated(Violation.UNPROVEN, "235 before the server has proved who it is", reply)
        else:
            self._exchange = None
            self._authenticated = ok
            self._pass("exchange")
            self._tell(AuthDone(awaited.command, reply, awaited.command.argument.partition(" ")[0]))

    def _on_xclient(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        if ok:
            self._forget()
            self._go(awaited.edge.ok)
        self._tell(Answer(awaited.command, reply))

    def _on_other(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        self._tell(Answer(awaited.command, reply))

    def _on_quit(self, awaited: Awaited, reply: Reply, ok: bool) -> None:
        self._tell(Answer(awaited.command, reply))
        self._close(Cause.QUIT, reply=reply)


class _Exchange:
    """A mechanism at work."""

    __slots__ = ("_generator", "name", "withheld")

    def __init__(self, name: str, generator: ClientExchange) -> None:
        self.name = name
        self._generator = generator
        self.withheld: bytes | None = None  # the initial response that was too long for the command

    def answer(self, challenge: str) -> bytes | None:
        """The line to answer *challenge* with; None cancels."""
        if self.withheld is not None:
            answer, self.withheld = self.withheld, None
            return f"{_base64(answer)}\r\n".encode()
        with suppress(ValueError, BadChallenge, StopIteration):
            octets = binascii.a2b_base64(challenge, strict_mode=True)
            response = self._generator.send(octets)
            if response is not None:
                return f"{_base64(response)}\r\n".encode()
        self.close()
        return None

    def succeeded(self) -> bool:
        """Whether the mechanism, too, holds that the exchange may end with success now."""
        if self.withheld is not None:
            return False
        try:
            self._generator.send(None)
        except StopIteration:
            return True
        except BadChallenge:
            pass
        return False

    def close(self) -> None:
        """Forget the credential."""
        self._generator.close()


def _base64(octets: bytes) -> str:
    return binascii.b2a_base64(octets, newline=False).decode()


def _strength(mechanism: ClientMechanism) -> Strength:
    return mechanism.strength


_STOCK: Final = ClientConfig()
# RFC 5321 appendix F: those that are retired change who sends, or what RCPT means.
_NOT_OTHER: Final = frozenset(
    {"TURN", "ATRN", "SEND", "SOML", "SAML"}
    | {verb.edge.input for each in (AUTH, CHUNKING, STARTTLS) for verb in each.verbs if verb.edge.is_verb}
)

HANDLERS.update(
    {
        "EHLO": ClientConnection._on_hello,
        "HELO": ClientConnection._on_hello,
        "LHLO": ClientConnection._on_hello,
        "STARTTLS": ClientConnection._on_starttls,
        "AUTH": ClientConnection._on_auth,
        "exchange": ClientConnection._on_auth,
        "XCLIENT": ClientConnection._on_xclient,
        "NOOP": ClientConnection._on_other,
        "HELP": ClientConnection._on_other,
        "VRFY": ClientConnection._on_other,
        "EXPN": ClientConnection._on_other,
        "other": ClientConnection._on_other,
        "QUIT": ClientConnection._on_quit,
    }
)
