"""The command ``smtpcore``: its arguments, and what its parts have in common.

``smtpcore serve`` takes any mail on a loopback address, keeps it in a Maildir and sends none of it on: a
server to try mail programs against. ``smtpcore send`` sends a message: a client to try mail servers with.

Nothing that has to be installed besides the engine is imported here, so that the command can say what is missing.
"""

import argparse
import importlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NoReturn, TextIO

from smtpcore import Limits, LocalProtocolError, safe

from ._missing import EXTRAS, PROGRAM_EXTRA, is_missing

# sysexits.h
EX_OK: Final = 0
EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_NOINPUT: Final = 66
EX_NOUSER: Final = 67
EX_NOHOST: Final = 68
EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_CANTCREAT: Final = 73
EX_IOERR: Final = 74
EX_TEMPFAIL: Final = 75
EX_PROTOCOL: Final = 76
EX_NOPERM: Final = 77
EX_CONFIG: Final = 78
EX_INTERRUPTED: Final = 130

PASSWORD_VARIABLE: Final = "SMTPCORE_PASSWORD"

_SERVE_EPILOG: Final = """\
SIGHUP: the certificate is read again from DIR. Where it cannot be, that is told, and what there was stays. When the
terminal closes, the program ends as by Ctrl-C.

exit status:
  0    drained after Ctrl-C or SIGTERM; a second one ends the program without waiting
  64   the arguments are wrong
  69   an address cannot be listened on
  70   a worker does not start
  73   the directory, or a file in it, cannot be made or read
"""

_SEND_EPILOG: Final = """\
TLS: port 465 begins with it (as with --tls). On port 587, and with --auth or --ca, STARTTLS is demanded (as with
--starttls). Elsewhere STARTTLS is used where it is offered, whatever the certificate is. What is demanded is
verified, unless --insecure is given.

The password for --auth is read from --password-file, from the environment variable SMTPCORE_PASSWORD, or from
the terminal; it is never an argument. For XOAUTH2 and OAUTHBEARER it is the token.

Each recipient has a line on standard output: accepted, refused, unsent (certainly not taken; try again) or
unknown (the connection was lost after the end of the message; it may have been taken).

exit status, the first that holds:
  75   for some recipient: not now (4xx), unsent or unknown; or the connection was lost before, or not now
  69   the message was refused, or the server cannot be reached, greets nobody or does not offer STARTTLS
  65   the message, or an address, needs what the server does not offer; or a message cannot hold it
  67   some recipient was refused
  64   the arguments are wrong
  66   FILE cannot be read
  68   there is no such host
  70   an error in this program
  74   FILE could not be read to its end
  76   the server breaks the protocol, or TLS failed
  77   the server does not let us log in
  78   the file of --ca or --password-file cannot be used
  130  interrupted
  0    the message was accepted for every recipient
"""


class Unable(Exception):
    """The program cannot do it: a line for the user, and the exit status."""

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


class Console:
    """Writes lines, and does not mind when nobody reads them any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at it."""
        return self._stream is not None and self._stream.isatty()

    def tell(self, text: str, end: str = "\n") -> None:
        """Write *text* and a line end."""
        if self._stream is None:
            return
        encoding = self._stream.encoding or "utf-8"
        try:
            self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + end)
            self._stream.flush()
        except OSError:
            self._stream = None


class SafeFormatter(logging.Formatter):
    """Log records in which nothing of a peer's can begin a line or drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Every line but the first is indented."""
        return "\n    ".join(safe(line, 4096) for line in super().format(record).split("\n"))


def set_up_logging() -> None:
    """Let records go to standard error, safe ones."""
    handler = logging.StreamHandler()
    handler.setFormatter(SafeFormatter("smtpcore: %(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


class Parser(argparse.ArgumentParser):
    """A parser that ends the program with the status of sysexits when the arguments are wrong."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong."""
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: error: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit status."""
    options, unknown = _parser().parse_known_args(arguments)
    command: Parser = options.parser
    if unknown:
        command.error(f"unrecognized arguments: {' '.join(unknown)}")
    set_up_logging()
    try:
        part = importlib.import_module(options.module, __package__)
        status: int = part.run(options, Console(sys.stdout))
    except ModuleNotFoundError as missing:
        if missing.name not in EXTRAS:
            raise
        print(f"smtpcore: {is_missing(missing.name, PROGRAM_EXTRA)}", file=sys.stderr)
        return EX_UNAVAILABLE
    except LocalProtocolError as error:
        command.error(str(error))
    except Unable as unable:
        print(f"smtpcore: {unable}", file=sys.stderr)
        return unable.status
    return status


def _parser() -> Parser:
    parser = Parser(prog="smtpcore", description="SMTP programs over the smtpcore engine.")
    parser.add_argument("--version", action="version", version=f"smtpcore {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_serve(
        commands.add_parser(
            "serve",
            help="take mail and keep it in a Maildir",
            description=(
                "Take any mail, keep it in a Maildir, and send none of it on. "
                "On its first start it makes a certificate and a password, which it prints."
            ),
            epilog=_SERVE_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    _add_send(
        commands.add_parser(
            "send",
            help="send a message",
            description="Send a message from a file, or one that is made for the purpose.",
            epilog=_SEND_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return parser


def _add_serve(parser: Parser) -> None:
    parser.set_defaults(parser=parser, module="._serve")
    add = parser.add_argument
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
    add("--max-octets", type=_octets, metavar="N", default=Limits().message_octets, help="of a message (%(default)s)")
    add("--require-tls", action="store_true", help="take no mail before STARTTLS")
    add("--require-auth", action="store_true", help="take no mail before AUTH")
    add("--new-password", action="store_true", help="make a new password, which replaces the one there is")
    add("--grace", type=_seconds, metavar="SECONDS", default=10.0, help="for draining, at most (%(default)s)")
    add("--workers", type=_count, metavar="N", help="so many processes serve (this one does)")


def _add_send(parser: Parser) -> None:
    parser.set_defaults(parser=parser, module="._send")
    parser.add_argument(
        "server", metavar="HOST[:PORT]", help="where to; or the path of a Unix socket. Port 25, or as the options say"
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="the message, with LF or CRLF line ends; - is standard input"
    )

    add = parser.add_argument_group("envelope").add_argument
    add("--from", dest="sender", required=True, metavar="ADDR", help="the reverse-path; <> for none")
    add("--to", action="append", required=True, metavar="ADDR", help="a recipient; may be repeated")
    add("--dsn-notify", metavar="WHEN", help="never, or a list of success, failure and delay")
    add("--dsn-ret", choices=("full", "hdrs"), help="how much of the message a notification returns")
    add("--dsn-envid", metavar="ID", help="the envelope's name in notifications")

    add = parser.add_argument_group("message, where there is no FILE").add_argument
    add("--subject", metavar="TEXT", help="(one that tells the time)")
    add("--body", metavar="TEXT", help="(one line)")
    add("--header", action="append", default=[], metavar="'NAME: VALUE'", help="a field, in place of ours of that name")

    group = parser.add_argument_group("TLS")
    mode = group.add_mutually_exclusive_group()
    for option, text in (
        ("--starttls", "demand STARTTLS"),
        ("--tls", "begin with TLS (port 465)"),
        ("--no-tls", "stay in the clear"),
    ):
        mode.add_argument(option, dest="mode", action="store_const", const=option, help=text)
    add = group.add_argument
    add("--ca", type=Path, metavar="FILE", help="certificates to trust, in place of the system's")
    add("--server-name", metavar="NAME", help="whose certificate is wanted (HOST)")
    add(
        "--pin",
        action="append",
        default=[],
        type=_digest,
        metavar="SHA256",
        help="the certificate's digest, or its public key's: no other is taken, and nothing else asked without --ca; "
        "may be repeated",
    )
    add("--insecure", action="store_true", help="do not verify the certificate: anybody may read what is sent")

    add = parser.add_argument_group("authentication").add_argument
    add("--auth", metavar="USER", help="log in")
    add("--password-file", type=Path, metavar="FILE", help="the password is its first line")
    add("--mechanism", action="append", metavar="NAME", help="use no other; may be repeated (the strongest offered)")
    add("--cleartext-auth", action="store_true", help="also without TLS: anybody on the way may read the password")

    add = parser.add_argument_group("session").add_argument
    add("--lmtp", action="store_true", help="speak LMTP (port 24)")
    add("--helo", metavar="NAME", help="our name in EHLO (that of this host, or its address)")
    add("--source", type=_address, metavar="ADDRESS", help="of this host's, to connect from")
    add("--xclient", action="append", default=[], metavar="NAME=VALUE", help="for whom we speak; may be repeated")
    add("--chunking", action="store_true", help="prefer BDAT to DATA")
    add("--no-pipelining", action="store_true", help="await each reply")
    add("--timeout", type=_wait, metavar="SECONDS", help="for each step (those of RFC 5321)")
    add("-v", "--verbose", action="store_true", help="tell on standard error what is said, but for secrets")


def _version() -> str:
    try:
        return importlib.metadata.version("smtpcore")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _whole(text: str) -> int:
    """A number without a sign; -1 where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1


def _port(text: str) -> int:
    port = _whole(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535, not {text!r}")
    return port


def _count(text: str) -> int:
    count = _whole(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"1 at least, not {text!r}")
    return count


def _octets(text: str) -> int:
    octets = _whole(text)
    if octets < 0:
        raise argparse.ArgumentTypeError(f"not a number of octets: {text!r}")
    return octets


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return seconds


def _wait(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError("nothing is done in no time")
    return seconds


def _digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise argparse.ArgumentTypeError(f"not 64 hexadecimal digits: {text!r}")
    return digest


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"not an IP address: {text!r}") from None


def _default_directory() -> Path:
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG base directory specification: a path that is not absolute is to be ignored.
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "smtpcore"
