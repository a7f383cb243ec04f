"""The client of `server_load`: sends what was composed before, and looks at the code of every reply.

A script is what one connection sends. Nothing is measured here, and nothing is missed: a script whose every reply did
not come, or was another than the one that is due, ends the run.
"""

import base64
import contextlib
import functools
import select
import socket
import ssl
from collections.abc import Iterable, Iterator

HOST = "127.0.0.1"
PATIENCE = 60.0
_OUT = select.EPOLLIN | select.EPOLLOUT

Step = tuple[bytes, tuple[bytes, ...]]
"""Octets to send, and the codes of the replies to wait for before the next step."""
Script = Iterator[Step]

GREET: Step = b"", (b"220",)
HELLO: Step = b"EHLO client.example\r\n", (b"250",)
MAIL: Step = b"MAIL FROM:<alice@example.com>\r\n", (b"250",)
RCPT: Step = b"RCPT TO:<bob@example.org>\r\n", (b"250",)
DATA: Step = b"DATA\r\n", (b"354",)
QUIT: Step = b"QUIT\r\n", (b"221",)
STARTTLS: Step = b"STARTTLS\r\n", (b"220",)
AUTH: Step = b"AUTH PLAIN " + base64.b64encode(b"\0user\0password") + b"\r\n", (b"235",)


class Wrong(Exception):
    """A server has not replied as it should."""


def _together(*steps: Step) -> Step:
    return b"".join(octets for octets, _ in steps), tuple(code for _, codes in steps for code in codes)


def lock_step(message: Step, count: int) -> Script:
    """*count* messages, and a round trip for every command."""
    yield from (GREET, HELLO)
    for _ in range(count):
        yield from (MAIL, RCPT, DATA, message)
    yield QUIT


def pipelined(message: Step, count: int) -> Script:
    """*count* messages in as few round trips as RFC 2920 allows: two for each, of which one is shared with the next."""
    group = _together(MAIL, RCPT, DATA)
    both = _together(message, group)
    yield from (GREET, HELLO, group)
    for _ in range(count - 1):
        yield both
    yield _together(message, QUIT)


def secured(message: Step, count: int) -> Script:
    """*count* messages after STARTTLS and AUTH."""
    yield from (GREET, HELLO, STARTTLS, HELLO, AUTH)
    for _ in range(count):
        yield from (MAIL, RCPT, DATA, message)
    yield QUIT


def _message(line: bytes, octets: int) -> Step:
    header = b"From: alice@example.com\r\nTo: bob@example.org\r\nSubject: bench\r\n\r\n"
    return header + line * ((octets - len(header)) // len(line)) + b".\r\n", (b"250",)


@functools.cache
def base64_message(octets: int) -> Step:
    """Lines of 76, as they come in an attachment."""
    return _message(base64.b64encode(bytes(range(57))) + b"\r\n", octets)


@functools.cache
def dots_message(octets: int, line: int) -> Step:
    """Every line, of so many octets in all, begins with a dot, which is doubled."""
    return _message(b"..".ljust(line - 2, b"x") + b"\r\n", octets)


class Due:
    """The replies that a connection waits for."""

    def __init__(self) -> None:
        self._rest = b""
        self._codes: list[bytes] = []

    def expect(self, codes: tuple[bytes, ...]) -> None:
        """Wait for replies of these codes, in this order."""
        self._codes = [*reversed(codes)]

    def hear(self, octets: bytes) -> bool:
        """Take what a server has sent. Whether all has come."""
        *lines, self._rest = (self._rest + octets).split(b"\r\n")
        for line in lines:
            if not self._codes or line[:3] != self._codes[-1]:
                raise Wrong(f"{line!r}, where {self._codes[::-1]} were due")
            if line[3:4] != b"-":
                self._codes.pop()
        if not octets:
            raise Wrong(f"closed, where {self._codes[::-1]} were due")
        return not self._codes


class Talk:
    """One connection, and where it is in its script."""

    def __init__(self, port: int, script: Script) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.writing = False
        self._script, self._due, self._left = script, Due(), memoryview(b"")
        self.advance()

    def advance(self) -> bool:
        """Begin with the next step. Whether there is one."""
        for octets, codes in self._script:
            self._due.expect(codes)
            self._left = memoryview(octets)
            self.write()
            return True
        return False

    def write(self) -> None:
        """Send what goes."""
        while self._left:
            try:
                self._left = self._left[self.socket.send(self._left) :]
            except BlockingIOError:
                break
        self.writing = bool(self._left)

    def read(self) -> bool:
        """Hear what there is, and go on. Whether the script goes on, too."""
        return not self._due.hear(self.socket.recv(65536)) or self.advance()


class Crowd:
    """Connections that are held at once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._talks: dict[int, Talk] = {}
        self._poll = select.epoll()

    def run(self, scripts: Iterable[Script], at_once: int) -> None:
        """Hold a conversation by each of the scripts, so many at once.

        Raises:
            Wrong: a reply was not the one that was due, or none came for a minute.
        """
        waiting = iter(scripts)
        for script in waiting:
            self._begin(script)
            if len(self._talks) == at_once:
                break
        while self._talks:
            ready = self._poll.poll(PATIENCE)
            if not ready:
                raise Wrong(f"{len(self._talks)} connections wait for a reply that does not come")
            for number, happened in ready:
                if not self._go_on(number, happened):
                    self._end(number)
                    for script in waiting:
                        self._begin(script)
                        break

    def _begin(self, script: Script) -> None:
        talk = Talk(self._port, script)
        self._talks[talk.socket.fileno()] = talk
        self._poll.register(talk.socket, _OUT if talk.writing else select.EPOLLIN)

    def _go_on(self, number: int, happened: int) -> bool:
        talk = self._talks[number]
        was_writing = talk.writing
        if happened & select.EPOLLOUT:
            talk.write()
        if happened & ~select.EPOLLOUT and not talk.read():
            return False
        if talk.writing != was_writing:
            self._poll.modify(number, _OUT if talk.writing else select.EPOLLIN)
        return True

    def _end(self, number: int) -> None:
        self._poll.unregister(number)
        self._talks.pop(number).socket.close()

    def close(self) -> None:
        """Drop what is left."""
        for number in [*self._talks]:
            self._end(number)
        self._poll.close()


def drive(port: int, scripts: Iterable[Script], at_once: int) -> None:
    """Hold a conversation by each of the scripts, so many at once."""
    with contextlib.closing(Crowd(port)) as crowd:
        crowd.run(scripts, at_once)


def converse(port: int, script: Script) -> None:
    """Hold one conversation, in which there may be a STARTTLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    due = Due()
    stream = socket.create_connection((HOST, port), PATIENCE)
    try:
        for step in script:
            due.expect(step[1])
            stream.sendall(step[0])
            while not due.hear(stream.recv(65536)):
                pass
            if step is STARTTLS:
                stream = context.wrap_socket(stream)
    finally:
        stream.close()


@contextlib.contextmanager
def idlers(port: int, count: int) -> Iterator[None]:
    """So many connections that have said EHLO and then nothing more."""
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(socket.create_connection((HOST, port), PATIENCE)) for _ in range(count)]
        for octets, codes in (GREET, HELLO):
            for stream in streams:
                stream.sendall(octets)
            for stream in streams:
                due = Due()
                due.expect(codes)
                while not due.hear(stream.recv(4096)):
                    pass
        yield
