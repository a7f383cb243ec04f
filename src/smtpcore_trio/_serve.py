"""``smtpcore serve``: take any mail, keep it in a Maildir, and send none of it on."""

import argparse
import contextlib
import functools
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final

import attrs
import trio

from smtpcore import STANDARD, AuthFailed, Limits, Secret, ServerConfig, safe
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import LOGIN, PLAIN, Scram, ServerMechanism

from ._capture import CaptureSession
from .admission import Admission
from .certificate import ensure
from .cli import (
    EX_CANTCREAT,
    EX_OK,
    EX_SOFTWARE,
    EX_UNAVAILABLE,
    PASSWORD_VARIABLE,
    Console,
    Unable,
    set_up_logging,
)
from .credentials import Credentials
from .listening import Port, listen_tcp
from .maildir import Maildir
from .observe import BaseObserver, Event, SessionFacts
from .server import Server, serve
from .session import Facts
from .tls import TlsContext
from .workers import WorkerFailed, Workers

USERNAME: Final = "capture"

# On this host one program may well be all the clients that there are.
ADMISSION: Final = Admission(exempt=(IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")))


def run(options: argparse.Namespace, console: Console) -> int:
    """Serve until a signal; the exit status.

    Raises:
        Unable: it cannot start.
        LocalProtocolError: an option's value is wrong.
    """
    limits = Limits(message_octets=options.max_octets)
    # All but what is made on the first start, so that a mistake makes nothing.
    ServerConfig(hostname=options.hostname, limits=limits)
    trio.run(functools.partial(_run, options, limits, console))
    return EX_OK


@attrs.frozen
class Kept:
    """What is in the directory."""

    directory: Path
    maildir: Maildir
    certificate: Path
    key: Path
    credentials: Credentials
    password: Secret | None

    @classmethod
    def open(cls, directory: Path, names: list[str], *, new_password: bool) -> "Kept":
        """Make what is missing. *password* is None where it is not new.

        Raises:
            Unable: it cannot be made or read.
        """
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            maildir = _maildir(directory)
            maildir.create()
            certificate, key = directory / "certificate.pem", directory / "key.pem"
            ensure(certificate, key, names)
            TlsContext.load(certificate, key)
            path = _credentials(directory)
            password = None
            if new_password or not path.exists():
                credentials, password = Credentials.create(USERNAME)
                credentials.save(path)
            else:
                credentials = Credentials.load(path)
        except (OSError, ValueError) as error:
            raise Unable(f"cannot use {directory}: {error}", EX_CANTCREAT) from error
        return cls(directory, maildir, certificate, key, credentials, password)

    def tls_context(self) -> TlsContext:
        """Another context; a port has its own."""
        return TlsContext.load(self.certificate, self.key)


def _maildir(directory: Path) -> Maildir:
    return Maildir(directory / "Maildir")


def _credentials(directory: Path) -> Path:
    return directory / "credentials.json"


@attrs.frozen
class Capture:
    """Makes the sessions. In a worker it is made anew, of what is in the directory."""

    hostname: str
    directory: Path
    credentials: Credentials
    console: Console

    def __call__(self, facts: Facts) -> CaptureSession:
        """The session of one connection."""
        return CaptureSession(facts, self.hostname, _maildir(self.directory), self.credentials, self.console.tell)

    def __reduce__(self) -> tuple[object, ...]:
        return capture_in_worker, (self.hostname, self.directory.absolute())


def capture_in_worker(hostname: str, directory: Path) -> Capture:
    """What this process needs, too."""
    set_up_logging()
    return Capture(hostname, directory, Credentials.load(_credentials(directory)), Console(sys.stdout))


class Logins(BaseObserver):
    """Tells in a line of each login that fails."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def event(self, session: SessionFacts, event: Event) -> None:
        """See `Observer`."""
        if isinstance(event, AuthFailed):
            who = f"user={safe(event.username) if event.username else '-'} peer={session.peer.address or '-'}"
            self._console.tell(f"login failed: {who} mechanism={safe(event.mechanism)}: {event.reply}")

    def __reduce__(self) -> tuple[object, ...]:
        return logins_in_worker, ()


def logins_in_worker() -> Logins:
    """The same in this process."""
    return Logins(Console(sys.stdout))


async def _run(options: argparse.Namespace, limits: Limits, console: Console) -> None:
    async with contextlib.AsyncExitStack() as stack:
        # From here on a signal waits until somebody looks.
        signals = stack.enter_context(trio.open_signal_receiver(*_signals()))
        # Before a password is made that nobody would see.
        doors = await _listen(options, stack)
        names = [options.hostname.strip("[]").removeprefix("IPv6:"), "localhost", "127.0.0.1", "::1"]
        kept = Kept.open(options.directory, list(dict.fromkeys(names)), new_password=options.new_password)
        config = ServerConfig(
            hostname=options.hostname,
            extensions=(*STANDARD, STARTTLS, AUTH),
            mechanisms=_mechanisms(kept.credentials),
            limits=limits,
            tls_required=options.require_tls,
            auth_required=options.require_auth,
        )

        ports = [
            Port(listeners=listeners, config=config, tls_context=kept.tls_context(), implicit_tls=implicit_tls)
            for listeners, implicit_tls in doors
        ]
        capture = Capture(options.hostname, kept.directory, kept.credentials, console)
        start = functools.partial(
            serve, ports, capture, admission=ADMISSION, observer=Logins(console), grace=options.grace,
            workers=options.workers,
        )  # fmt: skip
        try:
            async with trio.open_nursery() as watch:
                async with trio.open_nursery() as nursery:
                    server: Server | Workers = await nursery.start(start)
                    console.tell(_welcome(kept, ports))
                    watch.start_soon(_heed, signals, server, console, watch)
                watch.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if group.split(WorkerFailed)[1] is not None:
                raise
            raise Unable("a worker does not start", EX_SOFTWARE) from group


Door = tuple[tuple[trio.SocketListener, ...], bool]


async def _listen(options: argparse.Namespace, stack: contextlib.AsyncExitStack) -> list[Door]:
    """Listeners, and whether their connections begin with TLS; *stack* closes them.

    Raises:
        Unable: an address cannot be listened on.
    """
    doors: list[Door] = []
    for port, implicit_tls in ((options.port, False), (options.tls_port, True)):
        if port is None:
            continue
        try:
            listeners = await listen_tcp(options.host, port, reuse_port=options.workers is not None)
        except OSError as error:
            why = error.strerror or str(error)
            raise Unable(f"cannot listen on {options.host} port {port}: {why}", EX_UNAVAILABLE) from error
        for listener in listeners:
            await stack.enter_async_context(listener)
        doors.append((listeners, implicit_tls))
    return doors


def _signals() -> list[signal.Signals]:
    """Those to heed: SIGHUP, too, unless whoever has started us does not want that, as nohup(1)."""
    wanted = [signal.SIGINT, signal.SIGTERM]
    return wanted if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*wanted, signal.SIGHUP]


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


async def _heed(signals: AsyncIterator[int], server: Server | Workers, console: Console, nursery: trio.Nursery) -> None:
    grace = None
    had_terminal = _has_terminal()
    async for number in signals:
        # It is also what the system sends when the terminal closes.
        if number == signal.SIGHUP and not (had_terminal and not _has_terminal()):
            nursery.start_soon(_reload, server, console)
            continue
        server.drain(grace)
        if count := server.connections:
            what, them = ("1 connection", "it") if count == 1 else (f"{count} connections", "them")
            console.tell(f"draining {what}; another Ctrl-C cuts {them}")
        grace = 0.0


async def _reload(server: Server | Workers, console: Console) -> None:
    if await server.reload():
        console.tell("the certificate was read again")


def _mechanisms(credentials: Credentials) -> tuple[ServerMechanism, ...]:
    scram = Scram(name="SCRAM-SHA-256", hash_name="sha256", seed=credentials.seed)
    plus = Scram(name="SCRAM-SHA-256-PLUS", hash_name="sha256", seed=credentials.seed)
    return (plus, scram, PLAIN, LOGIN)


def _welcome(kept: Kept, ports: Sequence[Port]) -> str:
    """What is where, and how to try it."""
    password = "PASSWORD" if kept.password is None else kept.password.text()
    lines = ["Mail to these addresses is kept, and goes nowhere else:", ""]
    tries = []
    for port in ports:
        for address in port.addresses:
            lines.append(f"  address      {address}  {'TLS' if port.implicit_tls else 'STARTTLS'}")
            host, _, number = address.rpartition(":")
            reachable = _reachable(host.strip("[]"))
            tries += _tries(kept, reachable, int(number), password, implicit_tls=port.implicit_tls)
    shown = password if kept.password else "as shown when it was made; --new-password makes another"
    lines += [
        f"  messages     {kept.maildir.path}",
        f"  certificate  {kept.certificate}",
        f"  user         {' '.join(kept.credentials.names)}",
        f"  password     {shown}",
        "",
        "To try it:",
        "",
    ]
    return "\n".join([*lines, *(f"  {each}" for each in tries), "", "Ctrl-C ends it.", ""])


def _tries(kept: Kept, host: str, port: int, password: str, *, implicit_tls: bool) -> list[str]:
    """Lines for a shell that send a message."""
    user = kept.credentials.names[0]
    sender, recipient = "alice@example.org", "bob@example.org"
    swaks = [
        "swaks", "--server", host, "--port", str(port), "--tls-on-connect" if implicit_tls else "--tls",
        "--auth", "PLAIN", "--auth-user", user, "--auth-password", password, "--from", sender, "--to", recipient,
    ]  # fmt: skip
    curl = [
        "curl", "--url", f"{'smtps' if implicit_tls else 'smtp'}://{_bracketed(host)}:{port}", "--ssl-reqd",
        "--cacert", str(kept.certificate), "--user", f"{user}:{password}",
        "--mail-from", sender, "--mail-rcpt", recipient, "--upload-file", "-",
    ]  # fmt: skip
    # As it can be called from where this is read: `make run` leaves it out of the path.
    program = ["smtpcore"] if shutil.which("smtpcore") else [sys.executable, "-m", "smtpcore_trio"]
    ours = [
        *program, "send", "--from", sender, "--to", recipient, "--auth", user, "--ca", str(kept.certificate),
        *(["--tls"] if implicit_tls else []), f"{_bracketed(host)}:{port}",
    ]  # fmt: skip
    return [
        f"{PASSWORD_VARIABLE}={shlex.quote(password)} {shlex.join(ours)}",
        shlex.join(swaks),
        r"printf 'Subject: try\r\n\r\nHello\r\n' | " + shlex.join(curl),
    ]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reachable(host: str) -> str:
    """Where to find at home who listens everywhere."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
