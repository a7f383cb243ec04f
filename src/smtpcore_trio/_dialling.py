"""Sockets that are connected to a server."""

import contextlib
import errno
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_address

import trio

from smtpcore import AddressLiteral, Domain, GrammarError

from .server import plain_address


async def dial(host: str, port: int, seconds: float = 30.0, source_address: str | None = None) -> socket.socket:
    """A socket that is connected to one of the addresses of *host*, from *source_address*.

    Raises:
        OSError: there is none within *seconds*: `TimeoutError`, `socket.gaierror` and others.
    """
    return await _dialled(partial(trio.open_tcp_stream, host, port, local_address=source_address), seconds)


async def dial_unix(path: str, seconds: float = 30.0) -> socket.socket:
    """As `dial`, for a Unix socket."""
    return await _dialled(partial(trio.open_unix_socket, path), seconds)


async def _dialled(open_stream: Callable[[], Awaitable[trio.SocketStream]], seconds: float) -> socket.socket:
    try:
        with trio.fail_after(seconds):
            stream = await open_stream()
    except trio.TooSlowError:
        raise TimeoutError(errno.ETIMEDOUT, f"no connection within {seconds:g} s") from None
    return socket.socket(fileno=stream.socket.detach())


def our_name(connected: socket.socket) -> str:
    """What to call ourselves: this host's name if that is a whole one, else the address that *connected* has here.

    RFC 5321 section 4.1.4: a client that has no domain name "SHOULD send an address literal".
    """
    name = socket.gethostname()
    with contextlib.suppress(GrammarError):
        if "." in name:
            return str(Domain.parse(name))
    address = connected.getsockname()
    if not isinstance(address, tuple):  # a Unix socket
        return "localhost"
    return str(AddressLiteral(ip_address(plain_address(str(address[0])))))
