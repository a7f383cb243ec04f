"""A server and slow clients, each in a process of its own, and what the system says of a process.

What clients do by themselves must not slow down those whose time is taken, nor count as the server's memory. Run as
a program this is the server (``serve``) or the slow clients (``slow``), with a JSON object of options.
"""

import contextlib
import heapq
import json
import os
import resource
import selectors
import socket
import ssl
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import trio

from smtpcore import STANDARD, Reply, ServerConfig
from smtpcore.extensions import AUTH, STARTTLS, Extension
from smtpcore.sasl import PLAIN
from smtpcore_trio import Admission, BaseSession, Facts, Port, Server, TlsContext, listen_tcp, serve

HERE: Final = "127.0.0.1"
SECONDS: Final = 20.0
"""For anything that another process is to do."""
BLOCK: Final = (b"x" * 76 + b"\r\n") * 840
"""Of a message; a little less than one read."""
LINE_ENDS: Final = b"\r\n.\r\n"


def addresses() -> dict[str, Any]:
    """So that one address may do what a test does."""
    return {"per_address": None, "rate": None, "handshakes_per_address": None}


@contextmanager
def enough_descriptors(count: int) -> Iterator[None]:
    """See that this process, and those that it starts, may have *count* file descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise AssertionError(
            f"this needs {count} file descriptors, and the hard limit is {hard}: raise it (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- processes ----------------------------------------------------------------------------------------


class Process:
    """One that answers each line of ours with one of JSON, and ends when we have no more to say."""

    def __init__(self, what: str, options: Mapping[str, Any]) -> None:
        command = [sys.executable, __file__, what, json.dumps(options)]
        environment = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ.get("PATH", "")}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        )
        self.proc = Path("/proc") / str(self._process.pid)
        self.first: Any = None
        """What it said when it was ready."""

    def __enter__(self) -> Self:
        try:
            self.first = self.hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def hear(self) -> Any:
        """What it says next."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process has ended"
        return json.loads(line)

    def ask(self, question: str) -> Any:
        """What it says to *question*."""
        assert self._process.stdin is not None
        self._process.stdin.write(question + "\n")
        return self.hear()

    def until(self, question: str, answer: object) -> None:
        """Ask *question* until the answer is *answer*."""
        end = time.monotonic() + SECONDS
        while (heard := self.ask(question)) != answer:
            assert time.monotonic() < end, f"{question}: {heard}, not {answer}"
            time.sleep(0.01)

    def kib(self, field: str) -> int:
        """``VmRSS``, what memory it takes now; ``VmHWM``, the most that it took at any time."""
        (line,) = (each for each in (self.proc / "status").read_text().splitlines() if each.startswith(field + ":"))
        return int(line.split()[1])

    def cpu(self) -> float:
        """Seconds of processor time that it took."""
        fields = (self.proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class ServerProcess(Process):
    """A server that takes messages and drops them.

    Args:
        admission: of `Admission`, what is not as in `addresses`.
        certificate: the files, for STARTTLS and for a port that begins with TLS.
        descriptors: the limit of the process.
        pause: seconds that it thinks about each piece of a message.
    """

    def __init__(
        self,
        *,
        admission: Mapping[str, Any] | None = None,
        certificate: Sequence[Path] = (),
        descriptors: int | None = None,
        pause: float = 0.0,
    ) -> None:
        options = {
            "admission": {**addresses(), **(admission or {})},
            "certificate": [str(each) for each in certificate],
            "descriptors": descriptors,
            "pause": pause,
        }
        super().__init__("serve", options)

    def port(self, name: str = "smtp") -> int:
        """In the clear; ``smtps`` begins with TLS."""
        return int(self.first[name])


class SlowClients(Process):
    """Many clients that have come as far as *stage*, and do next to nothing there.

    Every other one says an octet *rate* times a second; the others are silent. None ends what it has begun.
    """

    def __init__(self, port: int, stage: str, count: int, rate: float = 4.0) -> None:
        super().__init__("slow", {"port": port, "stage": stage, "count": count, "rate": rate})


# --- memory -------------------------------------------------------------------------------------------


@contextmanager
def tracing() -> Iterator[Callable[[], int]]:
    """What Python allocates meanwhile: the most at any time, above what there was at first."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# --- what is said to a server -------------------------------------------------------------------------


class Blocking:
    """A client that waits for each reply, and for nothing else.

    Args:
        port: of the server.
        address: of the client.
        receive_buffer: that of its socket, which the kernel makes somewhat larger.
    """

    def __init__(self, port: int, address: str = HERE, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(SECONDS)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((address, 0))
        self.socket.connect((HERE, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0
        """Octets of messages."""
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def reply(self) -> str:
        """The next one; the end of the stream is an empty one."""
        while not ended(self._heard):
            octets = self.socket.recv(65536)
            if not octets:
                break
            self._heard += octets
        reply, self._heard = self._heard.decode(), b""
        return reply

    def say(self, line: str) -> str:
        """The reply to *line*."""
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def ask(self, *lines: str) -> str:
        """The reply to the last of *lines*; one that says no is an error."""
        reply = ""
        for line in lines:
            reply = self.say(line)
            assert reply[:1] in ("2", "3"), (line, reply)
        return reply

    def begin_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_hostname="mx.example.org")

    def begin(self) -> None:
        """As far as RCPT."""
        self.ask("EHLO client.example", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>")

    def send(self, octets: int, *, chunked: bool = False) -> str:
        """A message of so many, whole blocks; the reply."""
        blocks = octets // len(BLOCK)
        if chunked:
            self.socket.sendall(f"BDAT {blocks * len(BLOCK)} LAST\r\n".encode())
        else:
            self.ask("DATA")
        for _ in range(blocks):
            self.socket.sendall(BLOCK)
            self.sent += len(BLOCK)
        if not chunked:
            self.socket.sendall(b".\r\n")
        return self.reply()


def ended(octets: bytes) -> bool:
    """Whether a reply is whole."""
    return octets.endswith(b"\n") and octets.splitlines()[-1][3:4] == b" "


def whole_session(port: int, how: str, context: ssl.SSLContext | None) -> None:
    """Connect, send a message, say goodbye; by STARTTLS or TLS where *how* says so."""
    with Blocking(port) as client:
        if context is not None and how == "tls":
            client.begin_tls(context)
        assert client.reply().startswith("220 ")
        if context is not None and how == "starttls":
            client.ask("EHLO client.example", "STARTTLS")
            client.begin_tls(context)
        client.begin()
        client.ask("DATA", "Subject: x\r\n\r\nbody\r\n.", "QUIT")


def times_as_long(slow: Callable[[], None], quick: Callable[[], None], times: int) -> float:
    """How many times as long *slow* takes as *quick*: by the median, or by the nineth tenth if that is more.

    They take turns, so that whatever else the machine does hits both.
    """
    seconds: dict[Callable[[], None], list[float]] = {slow: [], quick: []}
    for _ in range(times):
        for run, of_run in seconds.items():
            start = time.perf_counter()
            run()
            of_run.append(time.perf_counter() - start)
    median = statistics.median(seconds[slow]) / statistics.median(seconds[quick])
    tenth = statistics.quantiles(seconds[slow], n=10)[-1] / statistics.quantiles(seconds[quick], n=10)[-1]
    return max(median, tenth)


# --- the server ---------------------------------------------------------------------------------------


class Sink(BaseSession):
    """Takes every message, and keeps nothing; knows no password.

    Args:
        pause: seconds that it thinks about each piece.
    """

    def __init__(self, facts: Facts, pause: float = 0.0) -> None:
        super().__init__(facts)
        self.pause = pause

    async def data(self, body: AsyncIterator[bytes]) -> Reply:
        octets = 0
        async for chunk in body:
            octets += len(chunk)
            if self.pause:
                await trio.sleep(self.pause)
        return Reply(250, f"{octets} octets", "2.0.0")


def config_of(*extensions: Extension) -> ServerConfig:
    """With AUTH in the clear."""
    return ServerConfig(
        hostname="mx.example.org",
        extensions=(*STANDARD, AUTH, *extensions),
        mechanisms=(PLAIN,),
        cleartext_auth=True,
    )


async def run_server(options: dict[str, Any]) -> None:
    if options["descriptors"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"], options["descriptors"]))
    files = [Path(each) for each in options["certificate"]]
    doors: dict[str, dict[str, Any]]
    if files:
        of_port = {"config": config_of(STARTTLS), "tls_context": TlsContext.load(*files)}
        doors = {"smtp": of_port, "smtps": {**of_port, "implicit_tls": True}}
    else:
        doors = {"smtp": {"config": config_of()}}
    ports = [Port(listeners=await listen_tcp(HERE, 0), name=name, **settings) for name, settings in doors.items()]
    admission = Admission(**options["admission"])

    def new_session(facts: Facts) -> Sink:
        return Sink(facts, options["pause"])

    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve, ports, new_session, admission=admission))
        told: object = {port.name: int(port.addresses[0].rpartition(":")[2]) for port in ports}
        while True:
            print(json.dumps(told), flush=True)
            question = await trio.to_thread.run_sync(sys.stdin.readline)
            if not question:
                break
            told = getattr(server, question.strip())
        server.drain(0)


# --- slow clients -------------------------------------------------------------------------------------

HELLO: Final = (b"EHLO client.example\r\n",)
TO_DATA: Final = (*HELLO, b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n")


def client_hello() -> bytes:
    """A TLS handshake's first message, but for its end."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="mx.example.org")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()[:-1]


def stages() -> dict[str, tuple[tuple[bytes, ...], bytes]]:
    """Lines that are said first, each when the one before was answered; octets that are said one by one then."""
    return {
        "idle": (HELLO, b""),
        "command": (HELLO, b"MAIL FROM:<" + b"a" * 2000),
        "body": ((*TO_DATA, b"DATA\r\n"), b"x\r\n..\r\n" * 300),
        "chunk": ((*TO_DATA, b"RSET\r\n", *TO_DATA[1:]), b"BDAT 100000\r\n" + b"x" * 2000),
        "tls": ((), client_hello()),
        "starttls": ((*HELLO, b"STARTTLS\r\n"), client_hello()),
        "sasl": ((*HELLO, b"AUTH PLAIN\r\n"), b"A" * 2000),
    }


class Slow:
    """One of them."""

    def __init__(self, port: int, lines: Sequence[bytes], drops: bytes, *, banner: bool) -> None:
        self.lines = list(lines)
        self.drops = list(drops)
        self.awaited = len(lines) + banner
        self.heard = b""
        self.gone = ""
        self.socket = socket.create_connection((HERE, port), SECONDS)
        self.socket.setblocking(False)

    def readable(self) -> None:
        try:
            octets = self.socket.recv(4096)
        except OSError:
            octets = b""
        self.heard += octets
        if not octets or (ended(self.heard) and self.heard[:1] in b"45"):
            # The code of the last reply tells why it had to go.
            self.gone = self.heard[:3].decode("ascii", "replace") or "silence"
        elif self.awaited and ended(self.heard):
            self.awaited -= 1
            self.heard = b""
            if self.lines:
                self.socket.send(self.lines.pop(0))

    def drip(self) -> None:
        if not self.gone and self.drops:
            with contextlib.suppress(OSError):
                self.socket.send(bytes([self.drops.pop(0)]))


def run_slow(port: int, stage: str, count: int, rate: float) -> None:
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    lines, drops = stages()[stage]
    clients = []
    for _ in range(count):
        client = Slow(port, lines, drops, banner=stage != "tls")
        clients.append(client)
        selector.register(client.socket, selectors.EVENT_READ, client)
    due: list[tuple[float, int]] = []
    told = False
    while True:
        if not told and not any(client.awaited and not client.gone for client in clients):
            told = True
            print(sum(not client.gone for client in clients), flush=True)
            start = time.monotonic()
            for number, client in enumerate(clients):
                client.drip()
                if drops and number % 2:
                    heapq.heappush(due, (start + number / count / rate, number))
        for key, _ in selector.select(max(due[0][0] - time.monotonic(), 0.0) if due else None):
            if key.data is not None:
                key.data.readable()
                if key.data.gone:
                    selector.unregister(key.fileobj)
            elif sys.stdin.readline():
                print(json.dumps(Counter(client.gone or "there" for client in clients)), flush=True)
            else:
                return
        while due and due[0][0] <= time.monotonic():
            at, number = heapq.heappop(due)
            clients[number].drip()
            heapq.heappush(due, (at + 1 / rate, number))


if __name__ == "__main__":
    _what, _options = sys.argv[1], json.loads(sys.argv[2])
    if _what == "serve":
        trio.run(run_server, _options)
    else:
        run_slow(**_options)
