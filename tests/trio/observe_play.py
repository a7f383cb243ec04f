"""A server that is observed, and observers that keep what they hear."""

import socket
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing
from hypothesis import strategies as st
from trio_play import OK, Client, Taker, until

from smtpcore import (
    SMTP,
    Closed,
    Dialect,
    Limits,
    PasswordCheck,
    Peer,
    RcptTo,
    Reply,
    SecretWanted,
    ServerConfig,
    ServerConnection,
    StoredKey,
    TokenCheck,
)
from smtpcore.extensions import AUTH, STANDARD
from smtpcore.sasl import LOGIN, OAUTHBEARER, PLAIN
from smtpcore_trio import Refuse, TlsContext
from smtpcore_trio._conversation import Conversation, ServerPump
from smtpcore_trio._transport import SocketTransport
from smtpcore_trio.observe import NOBODY, Event, Observer, SessionFacts, guarded, new_session_id, observing

PASSWORD = "correct horse battery"
TOKEN = "mF_9.B5f-4.1JqM"
AUTH_CONFIG = ServerConfig(
    hostname="mx.example.org",
    extensions=(*STANDARD, AUTH),
    mechanisms=(PLAIN, LOGIN, OAUTHBEARER),
    cleartext_auth=True,
)


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


class Choosy(Taker):
    """Knows one password and one token, and says no to some."""

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        match check:
            case PasswordCheck():
                return check.password.text() == PASSWORD
            case TokenCheck():
                return check.token.text() == TOKEN
            case _:
                return False

    async def rcpt(self, event: RcptTo) -> Reply | None:
        if str(event.path).startswith("nobody"):
            raise Refuse(Reply(550, "No such user here", "5.1.1"))
        return None

    async def data(self, body: AsyncIterator[bytes]) -> Any:
        envelope = self.facts.envelope
        assert envelope is not None
        sender = str(envelope.reverse_path)
        if sender.startswith("early"):
            return Reply(554, "Not by you", "5.7.1")
        async for _octets in body:
            if sender.startswith("midway"):
                return Reply(554, "Not more of it", "5.7.1")
        return Reply(554, "Not this", "5.6.0") if sender.startswith("late") else OK


class Recorder:
    """Keeps all that it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.most: dict[str, list[float]] = {}  # what each gauge of a session's limit has shown

    def opened(self, session: SessionFacts) -> None:
        self.heard.append(("opened", session))

    def event(self, session: SessionFacts, event: Event) -> None:
        self.heard.append(("event", session, event))

    def said(self, session: SessionFacts, reply: Reply) -> None:
        self.heard.append(("said", session, reply))

    def closed(self, session: SessionFacts, closed: Closed | None) -> None:
        self.heard.append(("closed", session, closed))

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        self.heard.append(("refused", session, limit))

    def gauge(self, limit: str, value: float, session: SessionFacts | None = None) -> None:
        if session is not None:
            self.most.setdefault(limit, []).append(value)
        else:
            self.heard.append(("gauge", limit, value))

    def of(self, kind: str) -> list[Any]:
        return [each[-1] for each in self.heard if each[0] == kind]

    def told(self, *kinds: type) -> list[Any]:
        return [each for each in self.of("event") if isinstance(each, kinds)]


@attrs.frozen
class Observed:
    listener: trio.SocketListener
    living: list[ServerPump]

    async def client(self) -> Client:
        return Client(await trio.testing.open_stream_to_socket_listener(self.listener))

    async def empty(self) -> None:
        """Wait until all sessions are over."""
        await until(lambda: not self.living)


@asynccontextmanager
async def observed(
    observer: Observer = NOBODY,
    config: ServerConfig = AUTH_CONFIG,
    new_session: Callable[[Any], Taker] = Choosy,
    *,
    tls_context: TlsContext | None = None,
    dialect: Dialect = SMTP,
    port: str = "mx",
    buffer: int | None = None,
) -> AsyncIterator[Observed]:
    """Sessions over sockets, with nothing between them and what is tested."""
    living: list[ServerPump] = []
    observer = guarded(observer)

    async def converse(stream: trio.SocketStream) -> None:
        with socket.socket(fileno=stream.socket.detach()) as connected:
            peer = Peer(*connected.getpeername())
            connection = ServerConnection(config, peer=peer, dialect=dialect)
            facts = SessionFacts(new_session_id(), peer, port)
            with observing(observer, facts, connection) as observation:
                pump = ServerPump(connection, SocketTransport(connected), tls_context, observation=observation)
                living.append(pump)
                talk = Conversation(
                    pump,
                    new_session(connection),
                    refusal=None,
                    starttls=lambda: tls_context is not None,
                    auth_delay=0,
                    session_id=facts.session_id,
                    observation=observation,
                )
                try:
                    await talk.run()
                finally:
                    living.remove(pump)

    async def tick() -> None:
        while True:
            await trio.sleep(0.01)
            for pump in living:
                pump.tick(trio.current_time())

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            if buffer is not None:  # of what the system keeps for a peer that does not read
                listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            nursery.start_soon(tick)
            nursery.start_soon(trio.serve_listeners, converse, [listener])
            yield Observed(listener, living)
            nursery.cancel_scope.cancel()


# --- secrets -------------------------------------------------------------------------------------

BODY_SECRET = "the merger is on Friday"
TYPED = "hunter2 typed where a command was wanted"

SECRETS = (
    PASSWORD, base64(PASSWORD), TOKEN, base64(TOKEN), base64(f"\0tim\0{PASSWORD}"), base64(f"\0tim\0{PASSWORD}x"),
    base64(f"n,a=tim,\1auth=Bearer {TOKEN}\1\1"), BODY_SECRET, TYPED,
)  # fmt: skip


async def tell_secrets(new_client: Any) -> None:
    """Say every secret at every place where clients say them."""
    initial = base64(f"\0tim\0{PASSWORD}")
    wrong = base64(f"\0tim\0{PASSWORD}x")
    async with await new_client() as client:
        await client.greet()
        assert (await client.ask(f"AUTH PLAIN {wrong}")).startswith("535")
        assert (await client.ask(TYPED.encode() + b"\xff")).startswith("500")
        assert (await client.ask("EHLO client.example")).startswith("250")
        assert (await client.ask("AUTH LOGIN", base64("tim"))).startswith("334")
        assert (await client.ask(base64(PASSWORD))).startswith("235")
        assert (await client.ask(TYPED.encode() + b"\xff")).startswith("500")
        assert (await client.ask(f"AUTH PLAIN {initial}")).startswith("503")
        assert (await client.ask("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")).startswith("354")
        # A client that does not know of dot-stuffing: what follows the dot it takes for its message.
        await client.send(f"Subject: x\r\n\r\n{BODY_SECRET}\r\n.\r\n{BODY_SECRET}\r\nHELP {BODY_SECRET},\r\n".encode())
        await client.send(f"QUIT {BODY_SECRET}\r\nRSET\r\nMAIL {BODY_SECRET}\r\n".encode())
        # A message about SMTP.
        await client.send(f"MAIL FROM:<a@example.org>\r\n{BODY_SECRET}\r\nQUIT\r\n".encode())
        await client.rest()
    async with await new_client() as client:
        await client.greet()
        bearer = base64(f"n,a=tim,\1auth=Bearer {TOKEN}\1\1")
        # A client that does not look at the replies.
        await client.ask(f"AUTH NONSENSE {bearer}")
        await client.send(f"{bearer}\r\n{initial}\r\n{TYPED}\r\n{TYPED}".encode() + b"\xff\r\n")
        for _ in range(4):
            assert (await client.reply()).startswith("500")
        assert (await client.ask(f"AUTH OAUTHBEARER {bearer}")).startswith("235")
    async with await new_client() as client:
        await client.greet()
        assert (await client.ask("DATA")).startswith("503")
        await client.send(f"{BODY_SECRET}\r\n{BODY_SECRET}\r\n.\r\n".encode())
        for _ in range(3):
            assert (await client.reply()).startswith("500")
        await client.ask("QUIT")
        await client.rest()
    async with await new_client() as client:
        await client.greet()
        await client.send(f"BDAT 5\r\n12345{BODY_SECRET}\r\n".encode())
        assert (await client.reply()).startswith("503")
        assert (await client.reply()).startswith("500")
    async with await new_client() as client:  # a BDAT whose length is wrong
        await client.begin()
        await client.send(b"BDAT 5 LAST\r\n12345")
        assert (await client.reply()).startswith("250")
        assert (await client.ask(BODY_SECRET)).startswith("500")


def shown(text: str) -> list[str]:
    """The secrets that *text* shows."""
    return [each for each in SECRETS if each in text]


# --- a mix of sessions ---------------------------------------------------------------------------

MIX_CONFIG = ServerConfig(
    hostname="mx.example.org",
    extensions=(*STANDARD, AUTH),
    mechanisms=(PLAIN, LOGIN, OAUTHBEARER),
    cleartext_auth=True,
    limits=Limits(junk_commands=2, auth_attempts=2, recipients=100),
)
ACTIONS = (
    "deliver", "early", "late", "midway", "nobody", "in chunks", "many", "unknown", "long line", "noop",
    "right", "wrong",
)  # fmt: skip


@attrs.define
class Tally:
    """What a client has seen, to be found again in what is told."""

    sessions: int = 0
    replies: Counter[str] = attrs.field(factory=Counter)
    messages: int = 0
    octets: int = 0
    rejected: int = 0
    limits: Counter[str] = attrs.field(factory=Counter)
    causes: Counter[str] = attrs.field(factory=Counter)
    authenticated: int = 0
    failed: int = 0


class Actor:
    """Does actions in one session, and keeps the tally."""

    def __init__(self, client: Client, tally: Tally) -> None:
        self.client = client
        self.tally = tally
        self.alive = True

    async def hear(self) -> str:
        reply = await self.client.reply()
        self.tally.replies[f"{reply[0]}xx"] += 1
        self.alive = not reply.startswith("421")
        return reply

    async def ask(self, *lines: str) -> str:
        reply = ""
        for line in lines:
            await self.client.send(line.encode() + b"\r\n")
            reply = await self.hear()
        return reply

    async def act(self, actions: Sequence[str], ending: str) -> None:
        self.tally.sessions += 1
        await self.hear()
        await self.ask("EHLO c.example")
        for action in actions:
            await self.do(action)
            if not self.alive:
                self.tally.causes["limit"] += 1
                return
        if ending == "quit":
            await self.ask("QUIT")
            await self.client.rest()
        self.tally.causes[ending] += 1

    async def do(self, action: str) -> None:
        tally = self.tally
        match action:
            case "noop":
                await self.junk("NOOP")
            case "unknown":
                await self.ask("FROBNICATE")
            case "long line":
                await self.ask("NOOP " + "x" * 3000)
                tally.limits["command_octets"] += 1
            case "right" | "wrong":
                password = PASSWORD if action == "right" else "wrong"
                reply = await self.ask("AUTH PLAIN " + base64(f"\0tim\0{password}"))
                if reply.startswith("421"):
                    tally.limits["auth_attempts"] += 1
                tally.authenticated += reply.startswith("235")
                tally.failed += reply.startswith("535")
            case _:
                await self.transact(action)

    async def junk(self, verb: str) -> None:
        if (await self.ask(verb)).startswith("421"):
            self.tally.limits["junk_commands"] += 1

    async def transact(self, kind: str) -> None:
        tally = self.tally
        await self.ask(f"MAIL FROM:<{kind.replace(' ', '.')}@example.org>")
        if kind == "nobody":
            await self.ask("RCPT TO:<nobody@example.org>")
            tally.rejected += 1
        for number in range(101 if kind == "many" else 1):
            await self.ask(f"RCPT TO:<b{number}@example.org>")
        if kind == "many":
            tally.limits["recipients"] += 1
        if kind == "in chunks":
            await self.client.send(b"BDAT 3\r\nabcBDAT 2 LAST\r\nde")
            replies = [await self.hear(), await self.hear()]
            assert replies[1].startswith("250")
            tally.octets += 5
            tally.messages += 1
        elif (await self.ask("DATA")).startswith("354"):
            reply = await self.ask("Subject: x\r\n\r\nbody\r\n.")
            tally.octets += len(b"Subject: x\r\n\r\nbody\r\n")
            tally.messages += reply.startswith("250")
            tally.rejected += kind == "midway"
        else:
            tally.rejected += 1
            await self.junk("RSET")


def mixes() -> st.SearchStrategy[list[tuple[list[str], str]]]:
    """What each of some sessions at once does, and how it ends."""
    actions = st.lists(st.sampled_from(ACTIONS), max_size=6)
    return st.lists(st.tuples(actions, st.sampled_from(["quit", "eof"])), min_size=1, max_size=4)


async def run_mix(server: Observed, mix: list[tuple[list[str], str]]) -> Tally:
    tally = Tally()

    async def one(actions: list[str], ending: str) -> None:
        async with await server.client() as client:
            await Actor(client, tally).act(actions, ending)

    async with trio.open_nursery() as nursery:
        for actions, ending in mix:
            nursery.start_soon(one, actions, ending)
    await server.empty()
    return tally
