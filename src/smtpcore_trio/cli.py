"""The command ``smtpcore``.

``smtpcore serve`` takes any mail on a loopback address, keeps it in a Maildir and sends none of it on: a
server to try mail programs against.
"""

import argparse
import contextlib
import functools
import importlib.metadata
import logging
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, TextIO

import attrs
import trio

from smtpcore import STANDARD, Limits, LocalProtocolError, Secret, ServerConfig, safe
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import LOGIN, PLAIN, Scram, ServerMechanism

from ._capture import CaptureSession
from .certificate import ensure
from .credentials import Credentials
from .maildir import Maildir
from .server import Server, serve
from .session import Facts
from .tls import TlsContext

# sysexits.h
EX_OK: Final = 0
EX_UNAVAILABLE: Final = 69
EX_CANTCREAT: Final = 73

USERNAME: Final = "capture"

_EPILOG: Final = """\
exit status:
  0    drained after Ctrl-C or SIGTERM; a second one ends the program without waiting
  2    the arguments are wrong
  69   an address cannot be listened on
  73   the directory, or a file in it, cannot be made or read
"""


class Unable(Exception):
    """The program cannot start: a line for the user, and the exit status."""

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


class Console:
    """Writes lines, and does not mind when nobody reads them any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    def tell(self, text: str) -> None:
        """Write *text* and a line end."""
        if self._stream is None:
            return
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except OSError:
            self._stream = None


class SafeFormatter(logging.Formatter):
    """Log records in which nothing of a peer's can begin a line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Every line but the first is indented."""
        return "\n    ".join(safe(line, 4096) for line in super().format(record).split("\n"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("smtpcore: %(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        limits = Limits(message_octets=options.max_octets)
        # All but what is made on the first start, so that a mistake makes nothing.
        ServerConfig(hostname=options.hostname, limits=limits)
    except LocalProtocolError as error:
        parser.error(str(error))
    try:
        trio.run(functools.partial(_run, options, limits, Console(sys.stdout)))
    except Unable as unable:
        print(f"smtpcore: {unable}", file=sys.stderr)
        return unable.status
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smtpcore", description="SMTP programs over the smtpcore engine.")
    parser.add_argument("--version", action="version", version=f"smtpcore {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser(
        "serve",
        help="take mail and keep it in a Maildir",
        description=(
            "Take any mail, keep it in a Maildir, and send none of it on. "
            "On its first start it makes a certificate and a password, which it prints."
        ),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=_port, default=2525, help="port to listen on, with STARTTLS (%(default)s); 0 for any")
    add("--tls-port", type=_port, metavar="PORT", help="port on which connections begin with TLS (none)")
    add(
        "--directory",
        type=Path,
        metavar="DIR",
        default=_default_directory(),
        help="what is kept is in DIR (%(default)s)",
    )
    add("--hostname", metavar="NAME", default="localhost", help="our name in greetings (%(default)s)")
    add("--max-octets", type=int, metavar="N", default=Limits().message_octets, help="of a message (%(default)s)")
    add("--require-tls", action="store_true", help="take no mail before STARTTLS")
    add("--require-auth", action="store_true", help="take no mail before AUTH")
    add("--new-password", action="store_true", help="make a new password, which replaces the one there is")
    add("--grace", type=_seconds, metavar="SECONDS", default=10.0, help="for draining, at most (%(default)s)")
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("smtpcore")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("not a number of seconds")
    return seconds


def _default_directory() -> Path:
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a path that is not absolute is to be ignored.
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "smtpcore"


@attrs.frozen
class Kept:
    """What is in the directory."""

    directory: Path
    maildir: Maildir
    certificate: Path
    tls_context: TlsContext
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
            maildir = Maildir(directory / "Maildir")
            maildir.create()
            certificate, key = directory / "certificate.pem", directory / "key.pem"
            ensure(certificate, key, names)
            tls_context = TlsContext.load(certificate, key)
            path = directory / "credentials.json"
            password = None
            if new_password or not path.exists():
                credentials, password = Credentials.create(USERNAME)
                credentials.save(path)
            else:
                credentials = Credentials.load(path)
        except (OSError, ValueError) as error:
            raise Unable(f"cannot use {directory}: {error}", EX_CANTCREAT) from error
        return cls(directory, maildir, certificate, tls_context, credentials, password)


async def _run(options: argparse.Namespace, limits: Limits, console: Console) -> None:
    async with contextlib.AsyncExitStack() as stack:
        # From here on a signal waits until somebody looks.
        signals = stack.enter_context(trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM))
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

        def new_session(facts: Facts) -> CaptureSession:
            return CaptureSession(facts, options.hostname, kept.maildir, kept.credentials, console.tell)

        async with trio.open_nursery() as watch:
            servers: list[Server] = []
            async with trio.open_nursery() as nursery:
                for listeners, implicit_tls in doors:
                    start = functools.partial(
                        serve, listeners, new_session, config,
                        tls_context=kept.tls_context, implicit_tls=implicit_tls, grace=options.grace,
                    )  # fmt: skip
                    servers.append(await nursery.start(start))
                console.tell(_welcome(kept, doors))
                watch.start_soon(_drain_on_signal, signals, servers, console)
            watch.cancel_scope.cancel()


Door = tuple[list[trio.SocketListener], bool]


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
            listeners = await trio.open_tcp_listeners(port, host=options.host)
        except OSError as error:
            why = error.strerror or str(error)
            raise Unable(f"cannot listen on {options.host} port {port}: {why}", EX_UNAVAILABLE) from error
        for listener in listeners:
            await stack.enter_async_context(listener)
        doors.append((listeners, implicit_tls))
    return doors


async def _drain_on_signal(signals: AsyncIterator[int], servers: Sequence[Server], console: Console) -> None:
    grace = None
    async for _number in signals:
        for server in servers:
            server.drain(grace)
        if connections := sum(server.connections for server in servers):
            console.tell(f"draining {connections} connections; another Ctrl-C cuts them")
        grace = 0.0


def _mechanisms(credentials: Credentials) -> tuple[ServerMechanism, ...]:
    scram = Scram(name="SCRAM-SHA-256", hash_name="sha256", seed=credentials.seed)
    plus = Scram(name="SCRAM-SHA-256-PLUS", hash_name="sha256", seed=credentials.seed)
    return (plus, scram, PLAIN, LOGIN)


def _welcome(kept: Kept, doors: Sequence[Door]) -> str:
    """What is where, and how to try it."""
    password = "PASSWORD" if kept.password is None else kept.password.text()
    lines = ["Mail to these addresses is kept, and goes nowhere else:", ""]
    tries = []
    for listeners, implicit_tls in doors:
        for listener in listeners:
            host, port = listener.socket.getsockname()[:2]
            lines.append(f"  address      {_bracketed(host)}:{port}  {'TLS' if implicit_tls else 'STARTTLS'}")
            tries += _tries(kept, _reachable(host), port, password, implicit_tls=implicit_tls)
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
    return [shlex.join(swaks), r"printf 'Subject: try\r\n\r\nHello\r\n' | " + shlex.join(curl)]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reachable(host: str) -> str:
    """Where to find at home who listens everywhere."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
