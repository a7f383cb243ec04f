"""Both ends of a session over a fake link, in fake time: nothing is left to chance, all is written down.

Theory of operation. The link is two pipes. What one end sends lies in its pipe until the link brings a
piece of it to the other end, where a `Fault` may happen at any octet. Both ends are pumped and pieces
are brought, turn by turn, until nothing moves; only then does time pass, up to the next deadline of
either end. So a session takes the same course each time, and every one of them comes to an end.
"""

import enum
import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

import attrs

from .._client_config import ClientConfig
from .._client_events import ClientEvent
from .._config import ServerConfig
from .._dialect import SMTP, Dialect
from .._envelope import Envelope, Recipient
from .._errors import LocalProtocolError
from .._events import (
    BodyAborted,
    BodyBegin,
    BodyChunk,
    BodyEnd,
    PasswordCheck,
    Peer,
    Question,
    SecretWanted,
    ServerEvent,
    TlsInfo,
    TokenCheck,
    Wait,
)
from .._reply import Reply
from .._secret import Secret
from .._server import ServerConnection
from .._value import settings, value
from ..sasl import SCRAM_SHA_1, SCRAM_SHA_256, StoredKey, scram_key
from ._agreement import Taken, disagreements
from ._client_driver import CLIENT_CONFIG, CLIENT_TLS, ClientDriver
from ._intents import Intent, Leave, Pause, Say, Send
from ._server_driver import CONFIG, PEER, QUESTIONS, TLS, ServerDriver


class Side(enum.Enum):
    """One end of the link."""

    CLIENT = "client"
    SERVER = "server"


class Mishap(enum.Enum):
    """What may happen to a link."""

    EOF = "the one pipe ends; the other goes on"
    CUT = "both pipes end, and what is in them is lost"
    STALL = "nothing more arrives by the one pipe, and nobody is told"
    DROP = "nothing more arrives by either pipe, and nobody is told"
    JAM = "nothing more can be sent into the one pipe"
    GARBAGE = "octets arrive that nobody sent"


@final
@value
class Fault:
    """A mishap to the link.

    Args:
        sender: whose octets are counted: the fault happens to the pipe that this side sends into.
        after: how many of them arrive before it.
        octets: of GARBAGE.
    """

    sender: Side
    after: int
    mishap: Mishap = Mishap.CUT
    octets: bytes = b""


class EndlessSession(AssertionError):
    """A session that took more steps than it may."""


def _accept(_question: Question) -> Reply | None:
    return None


def _take(_envelope: Envelope, _message: bytes, _recipient: Recipient | None) -> Reply | None:
    return None


@settings
class Policy:
    """What the server's application says.

    Args:
        refuse: is asked about each question but those of credentials and of the verdict; a reply is the
            refusal, None accepts.
        verdict: is asked about each message, in LMTP for each recipient, else once, with None; a reply is
            the refusal, None accepts.
        users: names and their passwords; the password is the token, too. Who shows a certificate needs
            only be named, and whoever is anonymous is welcome.
    """

    refuse: Callable[[Question], Reply | None] = _accept
    verdict: Callable[[Envelope, bytes, Recipient | None], Reply | None] = _take
    users: Mapping[str, str] = attrs.field(factory=dict)

    def stored(self, question: SecretWanted) -> StoredKey | None:
        """What is kept of a password; nothing for who would act as another."""
        password = self.users.get(question.username)
        if password is None or question.authzid not in (None, question.username):
            return None
        name = question.mechanism.removesuffix("-PLUS")
        for scram in (SCRAM_SHA_1, SCRAM_SHA_256):
            if scram.name == name:
                return scram_key(Secret(password), salt=b"salt of a test", iterations=4096, hash_name=scram.hash_name)
        return StoredKey(password=Secret(password))

    def vouches(self, question: PasswordCheck | TokenCheck) -> bool:
        """Whether a credential is good; not for who would act as another."""
        if question.authzid not in (None, "", question.username):
            return False
        if question.mechanism == "ANONYMOUS":
            return True
        password = self.users.get(question.username)
        if question.mechanism == "EXTERNAL":
            return password is not None
        shown = question.password if isinstance(question, PasswordCheck) else question.token
        return password is not None and shown == Secret(password)


YES: Final = Policy()
"""Everything is accepted; there are no users."""


@final
@value
class Entry:
    """One line of the log.

    Args:
        what: octets that arrived from *side*, its event, its intent, or a remark about its pipe.
    """

    at: float
    side: Side
    what: bytes | ServerEvent | ClientEvent | Intent | str


_NO: Final = Reply(535, "Authentication credentials invalid", "5.7.8")


class _Pipe:
    """What one end sends, on its way."""

    def __init__(self, sender: Side, sizes: Sequence[int], faults: Sequence[Fault]) -> None:
        self.sender = sender
        self.sizes = tuple(sizes) or (math.inf,)
        self.faults: deque[Fault] = deque()
        for fault in faults:
            if fault.sender is sender:
                self.add(fault)
        self.octets = b""
        self.arrived = 0
        self.pieces = 0
        self.ended = False  # its end is in it, behind the octets
        self.told = False  # the end has arrived
        self.dead = False  # nothing arrives any more
        self.jammed = False

    def add(self, fault: Fault) -> None:
        """Let *fault* happen."""
        self.faults = deque(sorted((*self.faults, fault), key=lambda each: each.after))

    def put(self, octets: bytes) -> bool:
        """Take *octets* from the sender; whether they left it."""
        if not (self.ended or self.dead):
            self.octets += octets
        return not self.jammed

    def take(self) -> bytes:
        """The next piece, not beyond the next fault."""
        size = min(self.sizes[self.pieces % len(self.sizes)], len(self.octets))
        if self.faults:
            size = min(size, self.faults[0].after - self.arrived)
        piece, self.octets = self.octets[: int(size)], self.octets[int(size) :]
        self.pieces += 1
        self.arrived += len(piece)
        return piece

    def due(self) -> Fault | None:
        """The fault that happens now."""
        if self.faults and self.faults[0].after <= self.arrived and not self.dead:
            return self.faults.popleft()
        return None

    def end(self, *, lost: bool = False) -> None:
        """The sender has closed, or the link was cut."""
        if lost:
            self.octets = b""
        self.ended = True

    def kill(self) -> None:
        """From now on nothing arrives."""
        self.octets = b""
        self.dead = True


class _ServerEnd(ServerDriver):
    """The server and its application."""

    def __init__(self, pair: "ConnectionPair", config: ServerConfig, dialect: Dialect, peer: Peer, tls: bool) -> None:
        self._pair = pair
        self._verb = ""
        self._message: list[bytes] = []
        super().__init__(
            config, dialect=dialect, peer=peer, tls=pair.server_tls if tls else None, answer=self._answer, start=False
        )

    def note(self, event: ServerEvent) -> None:
        self._pair._note(Side.SERVER, event)
        super().note(event)

    def transmit(self, octets: bytes) -> bool:
        super().transmit(octets)
        return self._pair._to_client.put(octets)

    def _answer(self, conn: ServerConnection, event: ServerEvent) -> None:
        policy = self._pair.policy
        match event:
            case BodyChunk():
                self._message.append(event.data)
            case BodyAborted():
                self._message.clear()
            case BodyEnd():
                self._settle(conn, event)
            case SecretWanted():
                conn.provide(event, policy.stored(event))
            case PasswordCheck() | TokenCheck():
                if policy.vouches(event):
                    conn.accept(event)
                else:
                    conn.reject(event, _NO)
            case _ if isinstance(event, QUESTIONS):
                refusal = policy.refuse(event)
                if refusal is not None:
                    conn.reject(event, refusal)
                else:
                    conn.accept(event)
                    if isinstance(event, BodyBegin):
                        self._verb = event.verb
                        self._message.clear()

    def _settle(self, conn: ServerConnection, question: BodyEnd) -> None:
        envelope = conn.envelope
        assert envelope is not None
        message = b"".join(self._message)
        self._message.clear()
        if self._pair.dialect.per_recipient:
            verdicts = [self._pair.policy.verdict(envelope, message, each) for each in envelope.recipients]
            conn.settle(question, [conn.replies.accepted if no is None else no for no in verdicts])
        else:
            verdicts = [self._pair.policy.verdict(envelope, message, None)] * len(envelope.recipients)
            if verdicts[0] is None:
                conn.accept(question)
            else:
                conn.reject(question, verdicts[0])
        self._pair.taken.append(Taken(envelope, self._verb, message, tuple(no is None for no in verdicts)))


class _ClientEnd(ClientDriver):
    """The client and its application."""

    def __init__(self, pair: "ConnectionPair", config: ClientConfig, dialect: Dialect, tls: bool) -> None:
        self._pair = pair
        super().__init__(config, dialect=dialect, tls=pair.client_tls if tls else None, start=False)

    def note(self, event: ClientEvent) -> None:
        self._pair._note(Side.CLIENT, event)
        super().note(event)

    def transmit(self, octets: bytes) -> bool:
        super().transmit(octets)
        return self._pair._to_server.put(octets)

    def given(self) -> None:
        self._pair._go_ahead()


class ConnectionPair:
    """A client and a server that talk to each other, without a network.

    Args:
        server, client: the configs of the two ends.
        policy: what the server's application says.
        server_tls, client_tls: what the handshake comes to at each end; None for a failure there.
        tls: begin with TLS, without STARTTLS.
        server_sizes, client_sizes: of the pieces in which what that side sends arrives, over and over;
            by default all at once.
        faults: what happens to the link.
        ahead: go on with the next intent as soon as a message has been given, where the client permits that,
            and not only when its verdict has come.
        most_steps: events and pieces in all, for a session that does not end by itself.
    """

    def __init__(
        self,
        server: ServerConfig = CONFIG,
        client: ClientConfig = CLIENT_CONFIG,
        *,
        dialect: Dialect = SMTP,
        policy: Policy = YES,
        peer: Peer = PEER,
        server_tls: TlsInfo | None = TLS,
        client_tls: TlsInfo | None = CLIENT_TLS,
        tls: bool = False,
        server_sizes: Sequence[int] = (),
        client_sizes: Sequence[int] = (),
        faults: Sequence[Fault] = (),
        ahead: bool = False,
        most_steps: int = 100_000,
    ) -> None:
        self.dialect = dialect
        self.policy = policy
        self.server_tls = server_tls
        self.client_tls = client_tls
        self.now = 0.0
        self.log: list[Entry] = []
        self.taken: list[Taken] = []
        self._ahead = ahead
        self._steps_left = most_steps
        self._intents: deque[Intent] = deque()
        self._to_server = _Pipe(Side.CLIENT, client_sizes, faults)
        self._to_client = _Pipe(Side.SERVER, server_sizes, faults)
        self.server_end = _ServerEnd(self, server, dialect, peer, tls)
        self.client_end = _ClientEnd(self, client, dialect, tls)

    # --- what a test asks ----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether both ends are done with the connection."""
        return self.server_end.wait is Wait.CLOSED and self.client_end.wait is Wait.CLOSED

    def arrived(self, sender: Side) -> int:
        """How many octets of *sender*'s have arrived at the other end."""
        return (self._to_server if sender is Side.CLIENT else self._to_client).arrived

    def octets(self, sender: Side) -> bytes:
        """All octets that *sender* has sent, whether they arrived or not."""
        return self.client_end.out if sender is Side.CLIENT else self.server_end.out

    def disagreements(self) -> list[str]:
        """Where the two ends differ about a message, when the session is over; nothing, if they do as they promise.

        A client that says ACCEPTED means that the server's application took the message for that recipient, octet
        for octet; REFUSED and UNSENT, that it did not. The recipients of an envelope need to differ.
        """
        return disagreements(self.client_end, self.taken)

    def transcript(self) -> str:
        """The log, for people; pieces that follow each other as one."""
        lines = []
        for (at, side, octets), entries in itertools.groupby(self.log, lambda e: (e.at, e.side, type(e.what) is bytes)):
            told = [entry.what for entry in entries]
            told = [b"".join(each for each in told if isinstance(each, bytes))] if octets else told
            lines += [f"{at:8.1f} {side.value} {each if isinstance(each, str) else repr(each)}" for each in told]
        return "\n".join(lines)

    # --- what a test does ------------------------------------------------------------------------------

    def play(self, *intents: Intent) -> "ConnectionPair":
        """Let the client do *intents*, each when the last is done with, then hang up; to the end of both sides.

        An intent that is not possible when its turn comes is left out, and the log says so.

        Raises:
            EndlessSession: it took more than ``most_steps``, or nothing moves and no deadline runs.
        """
        self._intents.extend(intents)
        client = self.client_end
        while True:
            self.run()
            if self.closed:
                return self
            if client.wait is not Wait.INTENT or client.giving:
                self._pass_time()
            elif not self._intents:
                client.conn.close()
            elif isinstance(intent := self._intents.popleft(), Pause):
                self._log(Side.CLIENT, intent)
                self.wait(intent.seconds)
            else:
                self._do(intent)

    def do(self, intent: Intent) -> None:
        """Let the client do *intent*, and let come of it what can without time passing.

        Raises:
            LocalProtocolError: it is not possible now.
        """
        self._log(Side.CLIENT, intent)
        if isinstance(intent, Pause):
            self.wait(intent.seconds)
        else:
            self.client_end.do(intent)
            self.run()

    def wait(self, seconds: float) -> None:
        """Let time pass; deadlines take effect, each at its own time."""
        until = self.now + seconds
        self.run()
        while (at := self._next_deadline()) <= until:
            self._set_time(at)
            self.run()
        self._set_time(until)
        self.run()

    def add_fault(self, fault: Fault) -> None:
        """Let *fault* happen, too."""
        pipe = self._to_server if fault.sender is Side.CLIENT else self._to_client
        pipe.add(fault)

    def run(self) -> None:
        """Let everything happen that can without time passing.

        Raises:
            EndlessSession: it took more than ``most_steps``.
        """
        moved = True
        while moved:
            self._step()
            self.server_end.pump()
            self.client_end.pump()
            self._hang_up()
            moved = self._bring(self._to_server, self.server_end) | self._bring(self._to_client, self.client_end)
            moved = moved or self._shake_hands()

    # --- the link --------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        """Who has closed, ends its pipe; and nobody reads the other."""
        for end, out, into in (
            (self.server_end, self._to_client, self._to_server),
            (self.client_end, self._to_server, self._to_client),
        ):
            if end.wait is Wait.CLOSED and not out.ended:
                out.end()
                into.kill()

    def _bring(self, pipe: _Pipe, reader: ServerDriver | ClientDriver) -> bool:
        """Bring a piece of what is in *pipe*, and let happen what is due; whether anything did."""
        fault = pipe.due()
        if fault is not None:
            self._happen(fault, pipe, reader)
            return True
        if pipe.dead or pipe.told or reader.wait is Wait.CLOSED:
            return False
        if pipe.octets and reader.wait is Wait.TLS:
            # What is no handshake fails it.
            pipe.kill()
            self._log(pipe.sender, "octets instead of a handshake")
            reader.fail_handshake()
            return True
        if pipe.octets and reader.conn.wants_data:
            piece = pipe.take()
            self._log(pipe.sender, piece)
            reader.conn.receive_data(piece, self.now)
            return True
        if pipe.ended and not pipe.octets:
            pipe.told = True
            self._log(pipe.sender, "end of the stream")
            reader.conn.receive_data(b"", self.now)
            return True
        return False

    def _happen(self, fault: Fault, pipe: _Pipe, reader: ServerDriver | ClientDriver) -> None:
        self._log(pipe.sender, f"{fault.mishap.name} after {pipe.arrived}: {fault.mishap.value}")
        pipes = (self._to_server, self._to_client)
        match fault.mishap:
            case Mishap.EOF:
                pipe.end(lost=True)
            case Mishap.CUT:
                for each in pipes:
                    each.end(lost=True)
            case Mishap.STALL:
                pipe.kill()
            case Mishap.DROP:
                for each in pipes:
                    each.kill()
            case Mishap.JAM:
                pipe.kill()
                pipe.jammed = True
            case _:  # GARBAGE
                pipe.octets = fault.octets + pipe.octets

    def _shake_hands(self) -> bool:
        """Let the handshake happen that both ends wait for; whether there was one."""
        if any(pipe.dead or pipe.ended for pipe in (self._to_server, self._to_client)):
            return False
        if self.server_end.wait is not Wait.TLS or self.client_end.wait is not Wait.TLS:
            return False
        for end, info, side in (
            (self.server_end, self.server_tls, Side.SERVER),
            (self.client_end, self.client_tls, Side.CLIENT),
        ):
            self._log(side, "the handshake failed" if info is None else "the handshake is done")
            if info is None:
                end.fail_handshake()
            else:
                end.handshake(info)
        return True

    # --- time and intents ------------------------------------------------------------------------------

    def _next_deadline(self) -> float:
        return min(self.server_end.conn.next_deadline(), self.client_end.conn.next_deadline())

    def _pass_time(self) -> None:
        at = self._next_deadline()
        if at == math.inf:
            raise EndlessSession("nothing moves and no deadline runs:\n" + self.transcript())
        self._set_time(at)

    def _set_time(self, now: float) -> None:
        self.now = max(self.now, now)
        for end in (self.server_end, self.client_end):
            end.at(self.now)

    def _do(self, intent: Intent) -> None:
        self._log(Side.CLIENT, intent)
        try:
            self.client_end.do(intent)
        except LocalProtocolError as error:
            self._log(Side.CLIENT, f"not possible: {error}")

    def _go_ahead(self) -> None:
        """A message was given whole, and its verdict is to come."""
        if not self._ahead or not self._intents:
            return
        intent = self._intents[0]
        if isinstance(intent, Send | Leave) or intent == Say("RSET"):
            try:
                self.client_end.do(intent)
            except LocalProtocolError:
                return  # it will be done when its turn comes
            self._log(Side.CLIENT, self._intents.popleft())

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise EndlessSession("too many steps; the last:\n" + "\n".join(self.transcript().split("\n")[-50:]))

    def _note(self, side: Side, event: ServerEvent | ClientEvent) -> None:
        self._step()
        self._log(side, event)

    def _log(self, side: Side, what: bytes | ServerEvent | ClientEvent | Intent | str) -> None:
        self.log.append(Entry(self.now, side, what))
