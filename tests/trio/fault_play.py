"""Clients that go away at any octet, what is cancelled at any step, and whether anything is left of either."""

import enum
import gc
import os
import re
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import attrs
import trio
import trio.testing
from observe_play import AUTH_CONFIG, PASSWORD
from trio_play import Taker, until

from smtpcore import PasswordCheck, SecretWanted, ServerConfig, StoredKey, TokenCheck
from smtpcore.extensions import STARTTLS as OFFER_STARTTLS
from smtpcore_trio._timed import client_hub

# --- what clients say ---------------------------------------------------------------------------------

Line = tuple[bytes, str]
"""Octets, and what has happened when all of them have come: a method of the session, "whole" for a message, "quit"."""


@attrs.frozen
class Group:
    """What a client sends at once, before it waits for so many replies, and then perhaps shakes hands."""

    lines: tuple[Line, ...]
    replies: int
    shakes_hands: bool = False


def one(line: bytes, method: str = "", *, shakes_hands: bool = False) -> Group:
    return Group(((line, method),), 1, shakes_hands)


CONTENT: Final = b"Subject: %05d\r\n\r\n..one\r\n\r\n.. and two\r\nlast\r\n"
EHLO: Final = one(b"EHLO c.example\r\n", "hello")
QUIT: Final = one(b"QUIT\r\n", "quit")
LOGIN: Final = (
    one(b"AUTH PLAIN\r\n"),
    one(b"AHRpbQBjb3JyZWN0IGhvcnNlIGJhdHRlcnk=\r\n", "authenticate"),  # tim, correct horse battery
)
STARTTLS: Final = (EHLO, one(b"STARTTLS\r\n", shakes_hands=True))


def by_data(number: int) -> tuple[Group, ...]:
    envelope = ((b"MAIL FROM:<a@b.c>\r\n", "mail"), (b"RCPT TO:<d@e.f>\r\n", "rcpt"), (b"DATA\r\n", "data"))
    return Group(envelope, 3), Group(((CONTENT % number + b".\r\n", "whole"),), 1), QUIT


def by_chunks(number: int) -> tuple[Group, ...]:
    """All in one group."""
    content = message(number)
    first, last = content[:20], content[20:]
    lines = (
        (b"MAIL FROM:<a@b.c>\r\n", "mail"),
        (b"RCPT TO:<d@e.f>\r\n", "rcpt"),
        (b"BDAT %d\r\n" % len(first), "data"),
        (first, ""),
        (b"BDAT 0\r\n", ""),
        (b"BDAT %d LAST\r\n" % len(last), ""),
        (last, "whole"),
        (b"QUIT\r\n", "quit"),
    )
    return (Group(lines, 6),)


def slowly(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The same, each line by itself, and a message in several pieces."""
    found: list[Group] = []
    for group in groups:
        for octets, method in group.lines:
            pieces = octets.splitlines(keepends=True) if method == "whole" else [octets]
            found += [Group(((piece, ""),), 0) for piece in pieces[:-1]]
            unanswered = re.fullmatch(rb"BDAT [1-9][0-9]*( LAST)?\r\n", octets)
            found.append(Group(((pieces[-1], method),), 0 if unanswered else 1, group.shakes_hands))
    return tuple(found)


def message(number: int) -> bytes:
    """What the session gets."""
    return (CONTENT % number).replace(b"\r\n..", b"\r\n.")


def size(groups: Sequence[Group]) -> int:
    return sum(len(octets) for group in groups for octets, _ in group.lines)


# --- to whom they say it -----------------------------------------------------------------------------

TLS_CONFIG: Final = ServerConfig(
    hostname="mx.example.org",
    extensions=(*AUTH_CONFIG.extensions, OFFER_STARTTLS),
    mechanisms=AUTH_CONFIG.mechanisms,
    cleartext_auth=True,
)


class Knower(Taker):
    """Knows a password."""

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        self.said.append("authenticate")
        return isinstance(check, PasswordCheck) and check.password.text() == PASSWORD


# --- clients that go away -----------------------------------------------------------------------------


class Drop(enum.Enum):
    """How a connection ends."""

    CLOSE = "close(2), with what was not read: FIN, and RST for what comes then"
    FIN = "shutdown(2), and reading on to the end"
    RST = "close(2) with SO_LINGER 0"


class Cut(Exception):
    """All is sent that may be sent."""


_final_lines: Final = re.compile(rb"^[2-5][0-9][0-9] [^\r\n]*\r\n", re.MULTILINE).findall
RESET: Final = b"\1\0\0\0\0\0\0\0"


class Wire:
    """A client's end of a connection.

    Args:
        connected: the socket.
        plain: so many octets it may send, counted before TLS.
        raw: so many, counted on the wire.
    """

    def __init__(self, connected: trio.socket.SocketType, plain: int | None = None, raw: int | None = None) -> None:
        self.socket = connected
        self.plain = plain
        self.raw = raw
        self.sent = 0
        self.asked: Counter[str] = Counter()
        self.heard = b""
        self._answered = 0
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    async def say(self, group: Group) -> None:
        if 0 in (self.plain, self.raw):
            raise Cut
        octets = b""
        ends: list[tuple[int, str]] = []
        for line, method in group.lines:
            part = line[: self.plain]
            if self.plain is not None:
                self.plain -= len(part)
            octets += self._sealed(part)
            if part == line:
                ends.append((len(octets), method))
        sent = await self._send(octets)
        self.asked.update(method for end, method in ends if end <= sent)
        if 0 in (self.plain, self.raw):
            raise Cut

    async def hear(self, replies: int) -> None:
        """Wait for so many replies more."""
        self._answered += replies
        while len(_final_lines(self.heard)) < self._answered:
            if not await self._receive():
                raise EOFError(self.heard)

    async def shake_hands(self, context: ssl.SSLContext) -> None:
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="mx.example.org")
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            await self._send(self._outgoing.read())
            if self.raw == 0:
                raise Cut
            if not done:
                if not (octets := await self.socket.recv(65536)):
                    raise EOFError
                self._incoming.write(octets)
        self._tls = tls
        self._read_tls()  # the server may have said something behind it

    async def drop(self, how: Drop) -> None:
        match how:
            case Drop.FIN:
                self.socket.shutdown(socket.SHUT_WR)
                while await self._receive():
                    pass
            case Drop.RST:
                # It takes away what the server has not read yet.
                await trio.testing.wait_all_tasks_blocked(0.001)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            case Drop.CLOSE:
                pass
        self.socket.close()

    def _sealed(self, octets: bytes) -> bytes:
        """In a record of their own, where there is TLS."""
        if self._tls is None or not octets:
            return octets
        self._tls.write(octets)
        return self._outgoing.read()

    async def _send(self, octets: bytes) -> int:
        rest = memoryview(octets[: self.raw])
        if self.raw is not None:
            self.raw -= len(rest)
        whole = len(rest)
        self.sent += whole
        while rest:
            rest = rest[await self.socket.send(rest) :]
        return whole

    async def _receive(self) -> bool:
        octets = await self.socket.recv(65536)
        if self._tls is None:
            self.heard += octets
        elif octets:
            self._incoming.write(octets)
            self._read_tls()
        return octets != b""

    def _read_tls(self) -> None:
        assert self._tls is not None
        try:
            while piece := self._tls.read(65536):
                self.heard += piece
        except ssl.SSLError:  # no more for now; or what the server says of a cut
            pass


Address = tuple[str, int]


async def play(
    address: Address,
    groups: Sequence[Group],
    how: Drop,
    *,
    plain: int | None = None,
    raw: int | None = None,
    context: ssl.SSLContext | None = None,
    implicit: bool = False,
) -> Wire:
    """A session that ends after so many octets, or with the last of *groups*."""
    with trio.socket.socket() as connected:
        await connected.connect(address)
        wire = Wire(connected, plain, raw)
        try:
            if implicit:
                assert context is not None
                await wire.shake_hands(context)
            await wire.hear(1)
            for group in groups:
                await wire.say(group)
                await wire.hear(group.replies)
                if not group.replies:
                    await trio.testing.wait_all_tasks_blocked(0.001)
                if group.shakes_hands:
                    assert context is not None
                    await wire.shake_hands(context)
        except Cut:
            pass
        await wire.drop(how)
        return wire


async def together(plays: Sequence[Callable[[], Awaitable[Wire]]], at_once: int = 32) -> list[Wire]:
    """All of them, some at a time, in their order."""
    wires: dict[int, Wire] = {}
    limiter = trio.CapacityLimiter(at_once)

    async def run(number: int) -> None:
        async with limiter:
            wires[number] = await plays[number]()

    async with trio.open_nursery() as nursery:
        for number in range(len(plays)):
            nursery.start_soon(run, number)
    return [wires[number] for number in range(len(plays))]


# --- what is left -------------------------------------------------------------------------------------


def descriptors() -> set[str]:
    """The file descriptors of this process, and what they are."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(name + " " + os.readlink("/proc/self/fd/" + name))
        except FileNotFoundError:  # the one by which they were listed
            continue
    return found


def tasks() -> Counter[str]:
    """The tasks of this run of Trio. The one that keeps the deadlines of all clients may stay for the next."""
    names: Counter[str] = Counter()
    root = trio.lowlevel.current_root_task()
    left = [] if root is None else [root]
    while left:
        task = left.pop()
        left += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        names[task.name] += not task.name.endswith("_Keeper._run")
    return +names


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """When it ends there are the same tasks as before, and the same file descriptors."""
    client_hub()  # which stays, for all clients
    before = descriptors(), tasks()
    yield
    gc.collect(1)  # which complains of a socket that nobody has closed
    try:
        await until(lambda: (descriptors(), tasks()) == before)
    except TimeoutError:
        added = descriptors() - before[0], tasks() - before[1]
        raise AssertionError(f"left: {added}, of {before}") from None


# --- cancelling at any step ---------------------------------------------------------------------------


class AtStep(trio.abc.Instrument):
    """Does something when a task, or one below it, waits for the nth time, whatever it waits for.

    Args:
        root: whether a task is the one, or None for the task that makes this.
        step: which step; None for never.
        act: what to do.
    """

    def __init__(
        self, step: int | None, act: Callable[[], object], root: Callable[[trio.lowlevel.Task], bool] | None = None
    ) -> None:
        me = trio.lowlevel.current_task()
        self.steps = 0
        self.acted = False
        self._due = False
        self._step = step
        self._act = act
        self._root = root or (lambda task: task is me)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio, where a task begins to wait, or ends."""
        above: trio.lowlevel.Task | None = task
        while above is not None and not self._root(above):
            above = None if above.parent_nursery is None else above.parent_nursery.parent_task
        if above is None:
            return
        self.steps += 1
        self._due = self._due or self.steps == self._step

    def after_io_wait(self, timeout: float) -> None:
        """Called by Trio before any task runs that has something to run for; a task runs once between two calls."""
        if self._due and not self.acted:
            self.acted = True
            self._act()

    def __enter__(self) -> Self:
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.remove_instrument(self)


def of_sessions(task: trio.lowlevel.Task) -> bool:
    """Whether *task* serves one connection."""
    return task.name.endswith("Server._serve_one")


async def at_each_step(run: Callable[[int], Awaitable[bool]], most: int = 400) -> int:
    """Run for the 1st step, the 2nd, and so on, until there are no more; how many there were.

    Args:
        run: gets the number of the step; whether it came so far.
        most: more are an error.
    """
    for step in range(1, most):
        if not await run(step):
            return step - 1
    raise AssertionError(f"no end within {most} steps")
