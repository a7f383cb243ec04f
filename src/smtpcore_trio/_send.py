"""``smtpcore send``: send a message, and say what became of it."""

import argparse
import contextlib
import getpass
import io
import logging
import os
import socket
import ssl
import sys
import warnings
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import attrs
import trio

from smtpcore import (
    LMTP,
    NULL_PATH,
    POSTMASTER,
    SMTP,
    AddressLiteral,
    Body,
    Cause,
    ClientConfig,
    ClientEvent,
    ClientTimeouts,
    Closed,
    Domain,
    Envelope,
    Fate,
    GrammarError,
    LocalProtocolError,
    Mailbox,
    MailParams,
    Notify,
    Outcome,
    RcptParams,
    Recipient,
    RecipientAnswer,
    Reply,
    Ret,
    Secret,
    Stray,
    safe,
)
from smtpcore.sasl import ClientMechanism, OAuthBearerClient, XOAuth2Client, client_mechanisms

from ._client_errors import Disconnected, NotOffered, Rejected
from ._dialling import dial, dial_unix
from ._message import BLOCK_OCTETS, Message, Unfit, make, scan
from .cli import (
    EX_CONFIG,
    EX_DATAERR,
    EX_INTERRUPTED,
    EX_IOERR,
    EX_NOHOST,
    EX_NOINPUT,
    EX_NOPERM,
    EX_NOUSER,
    EX_OK,
    EX_PROTOCOL,
    EX_SOFTWARE,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    EX_USAGE,
    PASSWORD_VARIABLE,
    Console,
    Parser,
    Unable,
)
from .client import SMTPClient, TlsMode, check_pins, converse
from .tls import client_context
from .transcript import Transcript

logger: Final = logging.getLogger("smtpcore_trio")

PORT: Final = 25
LMTP_PORT: Final = 24
TLS_PORT: Final = 465
SUBMISSION_PORT: Final = 587

# Of a message that takes long enough for somebody to want to see how it goes.
_PROGRESS_OCTETS: Final = 1_048_576
_PROGRESS_SECONDS: Final = 0.1
_BAR: Final = 40

CONNECT_SECONDS: Final = 30.0

_MODES: Final = {"--starttls": TlsMode.REQUIRED, "--tls": TlsMode.IMPLICIT, "--no-tls": TlsMode.NONE}
_TOKENS: Final = {"XOAUTH2": XOAuth2Client, "OAUTHBEARER": OAuthBearerClient}


@attrs.frozen
class Where:
    """A server, and what to do about TLS there. *path* is that of a Unix socket."""

    host: str
    port: int
    path: str | None
    tls: TlsMode

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Where":
        """As the arguments say.

        Raises:
            ValueError: they name no server.
        """
        given: TlsMode | None = _MODES.get(options.mode)
        host, port, path = options.server, 0, None
        if "://" in options.server:
            raise ValueError(f"HOST or HOST:PORT is wanted, not a URL: {options.server!r}")
        if "/" in options.server:
            host, path = "localhost", options.server
        elif options.server.startswith("["):
            host, bracket, rest = options.server[1:].partition("]")
            if not bracket or rest[:1] not in ("", ":"):
                raise ValueError(f"not HOST or HOST:PORT: {options.server!r}")
            port = _port(rest[1:]) if rest else 0
        elif options.server.count(":") == 1:
            host, _, number = options.server.partition(":")
            port = _port(number)
        if not host:
            raise ValueError(f"not HOST or HOST:PORT: {options.server!r}")
        if not port:
            port = TLS_PORT if given is TlsMode.IMPLICIT else LMTP_PORT if options.lmtp else PORT
        if given is None:
            if port == TLS_PORT:
                given = TlsMode.IMPLICIT
            elif port == SUBMISSION_PORT or options.ca or options.pin or (options.auth and not options.cleartext_auth):
                given = TlsMode.REQUIRED
            else:
                given = TlsMode.OPPORTUNISTIC
        return cls(host, port, path, given)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= 65535):
        raise ValueError(f"a port is 1 to 65535, not {text[:80]!r}")
    return int(text)


@attrs.frozen
class Job:
    """What is to be done, all of it known before there is a connection."""

    where: Where
    envelope: Envelope
    message: Message
    context: ssl.SSLContext
    config: ClientConfig
    mechanisms: Sequence[ClientMechanism]
    xclient: dict[str, str | None]
    options: argparse.Namespace


class Watch(Transcript):
    """The transcript; and which recipients were refused as such, by which reply."""

    refused: frozenset[tuple[Recipient, Reply | None]] = frozenset()

    def happened(self, event: ClientEvent) -> None:
        """See `Transcript`."""
        super().happened(event)
        if isinstance(event, RecipientAnswer) and not event.reply.positive:
            self.refused |= {(event.recipient, event.reply)}


def run(options: argparse.Namespace, console: Console) -> int:
    """Send; the exit status.

    Raises:
        Unable: it could not be sent.
        LocalProtocolError: an option's value is wrong.
    """
    errors = Console(sys.stderr)
    with contextlib.ExitStack() as stack:
        job, secrets = _job(options, stack)
        watch = Watch(errors.tell if options.verbose else None, secrets)
        try:
            return trio.run(_run, job, watch, console, errors)
        except KeyboardInterrupt:
            return EX_INTERRUPTED
        except Unable:
            raise
        except Exception:
            logger.exception("an error in this program")
            return EX_SOFTWARE


# --- what the arguments say ----------------------------------------------------------------------------


def _job(options: argparse.Namespace, stack: contextlib.ExitStack) -> tuple[Job, list[Secret]]:
    """All of it, and what nobody is to see; *stack* closes what is open."""
    parser: Parser = options.parser
    try:
        where = Where.of(options)
        xclient = dict(map(_attribute, options.xclient))
        envelope = _envelope(options)
        check_pins(options.pin, where.tls)
        if options.helo is not None:
            (AddressLiteral if options.helo.startswith("[") else Domain).parse(options.helo)
        mechanisms, secrets = _mechanisms(options)
    except ValueError as error:
        parser.error(str(error))
    message = _message(options, envelope, stack)
    envelope = Envelope(envelope.reverse_path, envelope.recipients, _params(options, envelope, message))
    verify = where.tls is not TlsMode.OPPORTUNISTIC and not options.insecure and (options.ca or not options.pin)
    try:
        context = client_context(options.ca, verify=verify)
    except OSError as error:
        raise Unable(f"cannot use {options.ca}: {error.strerror}", EX_CONFIG) from error
    return Job(where, envelope, message, context, _config(options), mechanisms, xclient, options), secrets


def _envelope(options: argparse.Namespace) -> Envelope:
    """The envelope, without what depends on the message."""
    params = _recipient_params(options.dsn_notify)
    sender = NULL_PATH if options.sender in ("", "<>") else _mailbox(options.sender)
    recipients = tuple(Recipient(_mailbox(each), params) for each in options.to)
    return Envelope(sender, recipients)


def _params(options: argparse.Namespace, envelope: Envelope, message: Message) -> MailParams:
    paths = (envelope.reverse_path, *(each.path for each in envelope.recipients))
    return MailParams(
        size=message.size,
        body=Body.EIGHT_BIT_MIME if message.eight_bit else None,
        smtputf8=not all(path.is_ascii for path in paths),
        ret=None if options.dsn_ret is None else Ret(options.dsn_ret.upper()),
        envid=options.dsn_envid,
    )


def _mailbox(text: str) -> Mailbox:
    if text.lower() == "postmaster":
        return POSTMASTER
    try:
        return Mailbox.parse(text)
    except GrammarError as error:
        raise ValueError(f"{text!r}: {error}") from error


def _recipient_params(notify: str | None) -> RcptParams:
    if notify is None:
        return RcptParams()
    try:
        return RcptParams(notify=frozenset(Notify(word.strip().upper()) for word in notify.split(",")))
    except ValueError:
        raise ValueError(f"--dsn-notify is never, or a list of success, failure and delay, not {notify!r}") from None


def _attribute(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--xclient wants NAME=VALUE, not {text!r}")
    return name, None if value == "[UNAVAILABLE]" else value


def _mechanisms(options: argparse.Namespace) -> tuple[list[ClientMechanism], list[Secret]]:
    """What to log in by, and what nobody is to see."""
    if options.auth is None:
        if options.mechanism or options.password_file:
            raise ValueError("--mechanism and --password-file are for --auth")
        return [], []
    password = _password(options)
    wanted = [name.upper() for name in options.mechanism or ()]
    found: list[ClientMechanism] = [*client_mechanisms(options.auth, password, names=wanted or None)]
    found += [make_one(options.auth, password) for name, make_one in _TOKENS.items() if name in wanted]
    if missing := set(wanted) - {each.name for each in found}:
        raise ValueError(f"no mechanism for a password or token: {', '.join(sorted(missing))}")
    return found, [password]


def _password(options: argparse.Namespace) -> Secret:
    path: Path | None = options.password_file
    if path is not None:
        try:
            return Secret(path.read_bytes().partition(b"\n")[0].removesuffix(b"\r"))
        except OSError as error:
            raise Unable(f"cannot read {path}: {error.strerror}", EX_CONFIG) from error
    if PASSWORD_VARIABLE in os.environ:
        return Secret(os.fsencode(os.environ[PASSWORD_VARIABLE]))
    try:
        with warnings.catch_warnings():
            # Where there is no terminal, it would be read from standard input, and shown.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return Secret(getpass.getpass(f"Password of {safe(options.auth)}: "))
    except (getpass.GetPassWarning, EOFError):
        raise ValueError(f"no password: use --password-file, {PASSWORD_VARIABLE} or a terminal") from None


def _message(options: argparse.Namespace, envelope: Envelope, stack: contextlib.ExitStack) -> Message:
    parser: Parser = options.parser
    if options.file is not None and (options.header or options.subject is not None or options.body is not None):
        parser.error("--header, --subject and --body are for a message that is made; there is a FILE")
    name = "standard input" if options.file == "-" else options.file
    try:
        if options.file is None:
            host = options.helo or socket.gethostname()
            file = make(
                envelope, host, subject=options.subject, body=options.body, fields=options.header,
                at=datetime.now(UTC).astimezone(),
            )  # fmt: skip
        elif options.file == "-":
            file = sys.stdin.buffer
        else:
            file = stack.enter_context(io.FileIO(options.file))
        return scan(file, stack)
    except OSError as error:
        raise Unable(f"cannot read {name}: {error.strerror}", EX_NOINPUT) from error
    except Unfit as error:
        if options.file is None:
            parser.error(str(error))
        raise Unable(f"{name}: {error}", EX_DATAERR) from error


def _config(options: argparse.Namespace) -> ClientConfig:
    timeouts = ClientTimeouts()
    if (seconds := options.timeout) is not None:
        timeouts = ClientTimeouts(
            greeting=seconds, command=seconds, mail=seconds, rcpt=seconds, data=seconds, block=seconds, dot=seconds,
            write=seconds, tls=seconds, quit=min(seconds, timeouts.quit),
        )  # fmt: skip
    return ClientConfig(
        timeouts=timeouts,
        cleartext_auth=options.cleartext_auth,
        unverified_auth=options.insecure,
        stray=Stray.NORMALISE,
        prefer_chunking=options.chunking,
        pipelining=not options.no_pipelining,
    )


# --- the session ---------------------------------------------------------------------------------------


async def _run(job: Job, watch: Watch, console: Console, errors: Console) -> int:
    try:
        async with await _connected(job, watch) as client:
            try:
                if job.xclient:
                    await _introduce(job, client)
                if job.mechanisms:
                    await _log_in(job, client)
                return await _send(job, client, watch, console, errors)
            except Unable:
                await client.quit()
                raise
    except Disconnected as lost:
        raise Unable(watch.scrub(_why(lost)), _lost_status(lost.closed)) from lost
    except Unable as unable:
        raise Unable(watch.scrub(str(unable)), unable.status) from unable


async def _connected(job: Job, watch: Watch) -> SMTPClient:
    where, options = job.where, job.options
    seconds = options.timeout or CONNECT_SECONDS
    try:
        if where.path is not None:
            connected = await dial_unix(where.path, seconds)
        else:
            connected = await dial(where.host, where.port, seconds, options.source)
    except socket.gaierror as error:
        status = EX_TEMPFAIL if error.errno == socket.EAI_AGAIN else EX_NOHOST
        raise Unable(f"{safe(where.host)}: {error.strerror}", status) from error
    except OSError as error:
        raise Unable(f"cannot connect to {safe(options.server)}: {_reason(error)}", EX_UNAVAILABLE) from error
    try:
        return await converse(
            connected, options.server_name or where.host, tls=where.tls, context=job.context, hello=options.helo,
            config=job.config, dialect=LMTP if options.lmtp else SMTP, watcher=watch, pinned=options.pin,
        )  # fmt: skip
    except NotOffered as error:
        raise Unable(str(error), EX_UNAVAILABLE) from error
    except Rejected as error:
        raise Unable(str(error), _negative_status(error.reply)) from error


async def _introduce(job: Job, client: SMTPClient) -> None:
    if "XCLIENT" not in client.capabilities:
        raise Unable("XCLIENT is not offered", EX_UNAVAILABLE)
    try:
        await client.xclient(job.xclient)
    except LocalProtocolError as error:
        raise Unable(str(error), EX_USAGE) from error
    except Rejected as error:
        raise Unable(str(error), _negative_status(error.reply)) from error


async def _log_in(job: Job, client: SMTPClient) -> None:
    try:
        await client.authenticate(job.mechanisms)
    except NotOffered as error:
        raise Unable(str(error), EX_NOPERM) from error
    except Rejected as error:
        raise Unable(str(error), EX_TEMPFAIL if error.reply.transient else EX_NOPERM) from error


async def _send(job: Job, client: SMTPClient, watch: Watch, console: Console, errors: Console) -> int:
    """Send the message, in as many transactions as the server wants it in; tell each recipient's fate."""
    done: list[Outcome] = []
    for envelope in client.connection.divide(job.envelope):
        outcomes: Sequence[Outcome] = [Outcome(each, Fate.UNSENT) for each in envelope.recipients]
        progress = Progress(job.message, errors)
        try:
            if client.closed is None:
                outcomes = await client.send(envelope, progress)
        except OSError as error:
            raise Unable(f"the message could not be read to its end: {error.strerror}", EX_IOERR) from error
        except LocalProtocolError as error:
            raise Unable(str(error), EX_DATAERR) from error
        except BaseException:  # interrupted
            if client.transaction is not None:
                outcomes = client.transaction.outcomes
            raise
        finally:
            progress.clear()
            done += outcomes
            for outcome in outcomes:
                console.tell(watch.scrub(_line(outcome)))
    if client.closed is not None:
        errors.tell(f"smtpcore: {watch.scrub(_why(Disconnected(client.closed)))}")
    return max((_fate_status(each, watch) for each in done), key=_ORDER.index)


class Progress(AsyncIterator[bytes]):
    """The octets of a message; a bar shows how many have been taken, if there are many and *console* is a terminal."""

    def __init__(self, message: Message, console: Console) -> None:
        message.file.seek(message.start)
        self._message = message
        self._console = console
        self._shown = message.octets >= _PROGRESS_OCTETS and console.is_terminal
        self._taken = 0
        self._drawn = 0.0

    async def __anext__(self) -> bytes:
        block = await trio.to_thread.run_sync(self._message.file.read, BLOCK_OCTETS)
        if not block:
            raise StopAsyncIteration
        self._taken += len(block)
        if self._shown and trio.current_time() - self._drawn >= _PROGRESS_SECONDS:
            self._drawn = trio.current_time()
            part = self._taken / self._message.octets
            bar = ("#" * int(part * _BAR)).ljust(_BAR, ".")
            self._console.tell(f"\r[{bar}] {part:4.0%} of {self._message.octets:,} octets", end="")
        return block

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._console.tell("\r\x1b[K", end="")


# --- what to say of it -----------------------------------------------------------------------------------

# The worst comes last: it is what the status tells.
_ORDER: Final = (EX_OK, EX_NOUSER, EX_DATAERR, EX_UNAVAILABLE, EX_TEMPFAIL)


def _line(outcome: Outcome) -> str:
    said = "" if outcome.reply is None else f" {safe(str(outcome.reply), 2048)}"
    asked = " (the server was not asked)" if outcome.local else ""
    return f"{outcome.fate.name.lower():<8} <{safe(str(outcome.recipient.path))}>{said}{asked}"


def _fate_status(outcome: Outcome, watch: Watch) -> int:
    if outcome.fate is Fate.ACCEPTED:
        return EX_OK
    if outcome.fate is not Fate.REFUSED or (outcome.reply is not None and outcome.reply.transient):
        return EX_TEMPFAIL
    if outcome.local:
        return EX_DATAERR
    return EX_NOUSER if (outcome.recipient, outcome.reply) in watch.refused else EX_UNAVAILABLE


def _negative_status(reply: Reply) -> int:
    return EX_TEMPFAIL if reply.transient else EX_UNAVAILABLE


def _lost_status(closed: Closed) -> int:
    if closed.violation is not None or closed.cause is Cause.TLS_FAILED:
        return EX_PROTOCOL
    return EX_TEMPFAIL if closed.reply is None else _negative_status(closed.reply)


def _why(lost: Disconnected) -> str:
    return safe(str(lost), 4096)


def _reason(error: OSError) -> str:
    """Why there is no connection: of a host with several addresses, what was wrong with each."""
    causes = error.__cause__.exceptions if isinstance(error.__cause__, ExceptionGroup) else (error.__cause__ or error,)
    return "; ".join(dict.fromkeys(_plain(each) for each in causes))


def _plain(error: BaseException) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return str(error) if number is None else os.strerror(number)
