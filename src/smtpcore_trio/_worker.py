"""A worker of `Workers`: what it is told, how it is spoken with, and what it does.

Theory of operation. What `serve` was asked for is pickled while the worker is being spawned, so what may only then be
pickled, such as the queues of `multiprocessing`, may be in it. With it come sockets, of which those with
SO_REUSEPORT do not listen until the worker can accept.

Between the two processes there is a pair of sockets. Over it go orders, counts and answers, a line of JSON each; and
its end is what a worker sees of the death of the process that has started it.
"""

import contextlib
import functools
import io
import json
import math
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

import attrs
import trio

from smtpcore import Secret, ServerConfig
from smtpcore.extensions import Extension

from .admission import Admission
from .listening import BACKLOG, Port
from .observe import NOBODY, Observer
from .session import Facts, Session
from .tls import TlsContext

# Those of a terminal are for all that run there; the process that has started us says what they mean.
NOT_FOR_WORKERS: Final = (signal.SIGINT, signal.SIGHUP)

# How often a worker tells of its connections.
_REPORT_SECONDS: Final = 0.5

_READ_OCTETS: Final = 4096


class Unsendable(TypeError):
    """An argument of `serve` cannot be sent to workers.

    Args:
        argument: its name, such as ``new_session`` or ``ports[0].config``.
        why: what `pickle` says.
    """

    def __init__(self, argument: str, why: Exception) -> None:
        super().__init__(f"{argument} cannot be sent to workers: {why}")
        self.argument = argument


# --- what a worker is told ----------------------------------------------------------------------------


@attrs.frozen
class Order:
    """What `serve` was asked for."""

    serve: Callable[..., Awaitable[None]]
    ports: Sequence[Port]
    new_session: Callable[[Facts], Session]
    admission: Admission
    observer: Observer
    grace: float
    auth_delay: float

    def share(self, workers: int) -> Admission:
        """The admission of one of *workers*."""
        return attrs.evolve(
            self.admission,
            connections=math.ceil(self.admission.connections / workers),
            handshakes=math.ceil(self.admission.handshakes / workers),
        )


@attrs.frozen
class Task:
    """An `Order` as a worker gets it.

    Args:
        ports: of each the arguments, but for its listeners.
        options: of `serve`.
    """

    serve: Callable[..., Awaitable[None]]
    ports: list[dict[str, Any]]
    options: dict[str, Any]


class Letter:
    """A `Task` on its way: what is made of its pickle is the task."""

    def __init__(self, order: Order, workers: int) -> None:
        sent = [field.name for field in attrs.fields(Port) if field.init and field.name != "listeners"]
        self._task = Task(
            order.serve,
            [{name: getattr(port, name) for name in sent} for port in order.ports],
            {
                "new_session": order.new_session,
                "admission": order.share(workers),
                "observer": order.observer,
                "grace": order.grace,
                "auth_delay": order.auth_delay,
            },
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle it, which is only while a process is being started: what may only then be pickled is let.

        Raises:
            Unsendable: something in it cannot be.
        """
        try:
            return ForkingPickler.loads, (_pickled(self._task),)
        except Exception:
            for name, part in self._parts():
                try:
                    _pickled(part)
                except Exception as error:
                    raise Unsendable(name, error) from error
            raise

    def _parts(self) -> list[tuple[str, object]]:
        of_ports = [
            (f"ports[{number}].{name}", part)
            for number, port in enumerate(self._task.ports)
            for name, part in port.items()
        ]
        return [*self._task.options.items(), *of_ports]


class _Pickler(ForkingPickler):
    """Pickles what the engine's values hold, too: functions without a name, and secrets, for the pipe to a worker."""

    def reducer_override(self, it: Any) -> Any:
        if isinstance(it, Secret):
            return Secret, (it.reveal(),)
        if isinstance(it, ServerConfig):
            # Not what the engine has made of it.
            kind: Any = type(it)
            given = {field.name: getattr(it, field.name) for field in attrs.fields(kind) if field.init}
            return functools.partial(kind, **given), ()
        if (isinstance(it, Extension) or it is NOBODY) and (home := _home(it)) is not None:
            return _at, home
        return NotImplemented


def _pickled(what: object) -> bytes:
    written = io.BytesIO()
    _Pickler(written, -1).dump(what)
    return written.getvalue()


def _home(it: object) -> tuple[str, str] | None:
    """The module in which *it* is, and its name there."""
    for module in ("smtpcore.extensions", "smtpcore_trio.observe", *sys.modules):
        for name, value in list(vars(sys.modules[module]).items()):
            if value is it:
                return module, name
    return None


def _at(module: str, name: str) -> object:
    __import__(module)
    return getattr(sys.modules[module], name)


# --- between the processes ----------------------------------------------------------------------------

Message = dict[str, Any]


class Channel:
    """One end of what is between the processes. What is told is not waited for; whoever has gone need not hear it."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._read = b""

    def tell(self, **message: object) -> None:
        """Send a message."""
        with contextlib.suppress(OSError):
            self._end.send(json.dumps(message).encode() + b"\n")

    async def hear(self) -> Message | None:
        """The next message; None when the other end has gone."""
        while b"\n" not in self._read:
            await trio.lowlevel.wait_readable(self._end)
            try:
                received = self._end.recv(_READ_OCTETS)
            except ConnectionError:
                return None
            if not received:
                return None
            self._read += received
        line, _, self._read = self._read.partition(b"\n")
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        """Close this end."""
        self._end.close()


async def reload_certificates(ports: Sequence[Port]) -> list[str]:
    """Have every TLS context read its files again; what went wrong. Those of which something did are as they were."""
    errors: list[str] = []
    of: dict[TlsContext, list[str]] = {}
    for port in ports:
        if port.tls_context is not None:
            of.setdefault(port.tls_context, []).append(port.name)
    for context, names in of.items():
        try:
            await trio.to_thread.run_sync(context.reload)
        except (OSError, ValueError) as error:
            errors.append(f"that of {', '.join(names)}: {error}")
    return errors


# --- in a worker --------------------------------------------------------------------------------------


def main(task: Task, sockets: list[list[socket.socket]], end: socket.socket) -> None:
    """Be a worker."""
    for number in NOT_FOR_WORKERS:
        signal.signal(number, signal.SIG_IGN)
    # They were kept from us until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_WORKERS)
    trio.run(work, task, sockets, end)


async def work(task: Task, sockets: list[list[socket.socket]], end: socket.socket) -> None:
    """Serve until told to drain, by the other *end* or by SIGTERM, or until that end has gone.

    Args:
        task: what is to be done.
        sockets: those of each port, which need not listen yet.
        end: of a pair.
    """
    ports = [
        Port(listeners=tuple(_listening(each) for each in of_port), **given)
        for of_port, given in zip(sockets, task.ports, strict=True)
    ]
    channel = Channel(end)
    end.set_inheritable(False)
    try:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async with trio.open_nursery() as watch:
                async with trio.open_nursery() as nursery:
                    server = await nursery.start(functools.partial(task.serve, ports, **task.options))
                    watch.start_soon(_report, server, channel)
                    watch.start_soon(_obey, server, channel)
                    watch.start_soon(_drain_on_signal, server, signals)
                watch.cancel_scope.cancel()
        channel.tell(**_counts(server))
    finally:
        channel.close()


def _listening(given: socket.socket) -> trio.SocketListener:
    given.set_inheritable(False)
    if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        given.listen(BACKLOG)
    return trio.SocketListener(trio.socket.from_stdlib_socket(given))


def _counts(server: Any) -> dict[str, int]:
    return {"connections": server.connections, "handshakes": server.handshakes, "cut": server.cut}


async def _report(server: Any, channel: Channel) -> None:
    told: dict[str, int] = {}
    while True:
        if (counts := _counts(server)) != told:
            channel.tell(**counts)
            told = counts
        await trio.sleep(_REPORT_SECONDS)


async def _obey(server: Any, channel: Channel) -> None:
    while (order := await channel.hear()) is not None:
        if "drain" in order:
            server.drain(order["drain"])
        else:
            channel.tell(errors=await reload_certificates(server.ports))
    server.drain()


async def _drain_on_signal(server: Any, signals: Any) -> None:
    async for _number in signals:
        server.drain()
