"""Where a server listens: `Port`, and the listeners for it."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from smtpcore import SMTP, Dialect, ServerConfig

from .tls import TlsContext

Network = IPv4Network | IPv6Network
AnyNetwork = Network | IPv4Address | IPv6Address | str
"""A network, or what `ipaddress.ip_network` makes one of."""

BACKLOG: Final = 1024
"""Connections that the system holds for us until we accept them; it may allow fewer."""


def networks(given: Iterable[AnyNetwork] | AnyNetwork) -> tuple[Network, ...]:
    """What is in *given*, which may be one alone.

    Raises:
        ValueError: it is none, or has bits of a host.
    """
    # One network is an iterable, too: of its addresses.
    if isinstance(given, IPv4Network | IPv6Network | IPv4Address | IPv6Address | str):
        given = [given]
    return tuple(ip_network(each) for each in given)


def _is_tls_context(_port: "Port", _attribute: object, given: Any) -> None:
    if given is not None and not isinstance(given, TlsContext):
        raise TypeError(f"tls_context is a TlsContext, such as TlsContext.load makes, not {type(given).__name__}")


def _addresses(port: "Port") -> tuple[str, ...]:
    return tuple(address_of(listener) for listener in port.listeners)


def _first_address(port: "Port") -> str:
    return next(iter(port.addresses), "")


@attrs.frozen(kw_only=True)
class Port:
    """One way into a server.

    Args:
        listeners: such as `listen_tcp`, `listen_unix` and `listen_inherited` return; `serve` closes them.
        config: of every connection that comes in here.
        dialect: SMTP, SUBMISSION or LMTP.
        tls_context: for STARTTLS, if the config has it, or for *implicit_tls*. Session tickets are good wherever
            the same context is; give each port its own.
        implicit_tls: every connection begins with TLS (RFC 8314 section 3).
        proxies: networks or addresses, also as text, where a PROXY header comes first. From there it is demanded; from
            elsewhere it is no command.
        unix_proxies: the same of whoever connects by a Unix socket, and so has no address.
        name: for logs and metrics; by default the first address.

    Raises:
        ValueError: there is no listener, or no Unix socket for *unix_proxies*; TLS is wanted, and there is no context
            for it, or there is one that nothing uses; nobody may send without AUTH, and nobody is offered it.
        TypeError: *tls_context* is no `TlsContext`.
        LocalProtocolError: the config does not suit the dialect.
    """

    listeners: tuple[trio.SocketListener, ...]
    config: ServerConfig
    dialect: Dialect = SMTP
    tls_context: TlsContext | None = attrs.field(default=None, validator=_is_tls_context)
    implicit_tls: bool = False
    proxies: tuple[Network, ...] = attrs.field(default=(), converter=networks)
    unix_proxies: bool = False
    addresses: tuple[str, ...] = attrs.field(default=attrs.Factory(_addresses, takes_self=True), init=False)
    """Those of the listeners: ``192.0.2.1:25``, ``[2001:db8::1]:25``, or a path."""
    name: str = attrs.field(default=attrs.Factory(_first_address, takes_self=True))

    def __attrs_post_init__(self) -> None:
        if not self.listeners:
            raise ValueError("a port needs a listener")
        if self.unix_proxies and not any(each.socket.family == socket.AF_UNIX for each in self.listeners):
            raise ValueError("unix_proxies needs a Unix socket")
        tls = self.implicit_tls or any(each.keyword == "STARTTLS" for each in self.config.extensions)
        if tls and self.tls_context is None:
            raise ValueError("TLS needs a tls_context")
        if self.tls_context is not None and not tls:
            raise ValueError("tls_context is never used: put STARTTLS into config.extensions, or say implicit_tls=True")
        self.config.plan(self.dialect)
        required = self.config.auth_required
        if (
            (self.dialect.auth_required if required is None else required)
            and not (tls or self.config.cleartext_auth)
            and not (self.proxies or self.unix_proxies)  # by which a client's TLS may be told of
        ):
            raise ValueError(
                "nobody can log in here: AUTH wants TLS; add STARTTLS, implicit_tls or cleartext_auth=True"
            )


def address_of(listener: trio.SocketListener) -> str:
    """Where to reach *listener*."""
    name = listener.socket.getsockname()
    if not isinstance(name, tuple):
        return os.fsdecode(name)
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def listen_tcp(
    host: str | None, port: int, *, backlog: int = BACKLOG, reuse_port: bool = False
) -> tuple[trio.SocketListener, ...]:
    """Listen on every address of *host*, IPv4 and IPv6 each by a socket of its own.

    Args:
        host: a name or an address; None for all addresses of this host.
        port: 0 for one that is free; `Port.addresses` tells it.
        reuse_port: let others of our user listen there, too, once we do (SO_REUSEPORT): the workers of `serve`, to
            which the system then deals out the connections.

    Raises:
        OSError: an address cannot be listened on.
    """
    listeners = tuple(await trio.open_tcp_listeners(port, host=host, backlog=backlog))
    if not reuse_port:
        return listeners
    # To have the option from the beginning would be to share the port with whoever has had it before.
    with contextlib.ExitStack() as stack:
        for listener in listeners:
            stack.callback(listener.socket.close)
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        with contextlib.ExitStack() as made:
            reusing = [made.enter_context(another(listener.socket)) for listener in listeners]
            for each in reusing:
                each.listen(backlog)
            made.pop_all()
    return tuple(trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in reusing)


def reuses_port(listener: trio.SocketListener) -> bool:
    """Whether there can be `another` for its address."""
    of_ip = listener.socket.family in (socket.AF_INET, socket.AF_INET6)
    return of_ip and bool(listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def another(like: socket.socket | trio.socket.SocketType) -> socket.socket:
    """A socket for the same address as *like*, which does not listen yet.

    Raises:
        OSError: it cannot be made.
    """
    made = socket.socket(like.family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if made.family == socket.AF_INET6:
            only = like.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        made.bind(like.getsockname())
    except BaseException:
        made.close()
        raise
    return made


def waiting(listener: trio.SocketListener) -> Iterator[socket.socket]:
    """The connections that wait to be accepted, which the system would drop with *listener*."""
    with contextlib.suppress(OSError), socket.socket(fileno=listener.socket.dup().detach()) as queue:
        queue.setblocking(False)
        for _ in range(BACKLOG):
            yield queue.accept()[0]


def listen_unix(
    path: str | os.PathLike[str], mode: int = 0o660, *, backlog: int = BACKLOG
) -> tuple[trio.SocketListener, ...]:
    """Listen on a Unix socket.

    It takes the place of a socket that nobody listens on any more. The file stays when the server ends.

    Args:
        path: of about 100 octets at most.
        mode: of the file; whoever may write to it may connect.

    Raises:
        OSError: it cannot be made, or there is something else at *path*, such as a socket that somebody listens on.
    """
    path = Path(path)
    with contextlib.ExitStack() as stack, _naming(path):
        _vacate(path)
        made = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        made.bind(os.fspath(path))
        stack.callback(path.unlink, missing_ok=True)
        # Nobody can connect before `listen`.
        path.chmod(mode)
        made.listen(backlog)
        stack.pop_all()
    return (trio.SocketListener(trio.socket.from_stdlib_socket(made)),)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name *path* in errors of its socket, as those of files do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from None
        raise


def _vacate(path: Path) -> None:
    """Remove a socket that nobody listens on."""
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.setblocking(False)  # for one whose backlog is full
        try:
            knock.connect(os.fspath(path))
        except ConnectionRefusedError:
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()


def listen_inherited(descriptor: int) -> tuple[trio.SocketListener, ...]:
    """Listen on a socket that another program has opened for us, such as an init system.

    Args:
        descriptor: belongs to the listener from then on, and is not passed on to other programs.

    Raises:
        OSError: it is no socket.
        ValueError: it is none that listens for streams.
    """
    inherited = socket.socket(fileno=descriptor)
    try:
        inherited.set_inheritable(False)
        return (trio.SocketListener(trio.socket.from_stdlib_socket(inherited)),)
    except BaseException:
        inherited.detach()
        raise
