"""The PROXY header, from proxies that are trusted to say whom they speak for."""

from typing import Final

import trio

from smtpcore import Peer
from smtpcore.proxy import ProxyError, ProxyHeader, ProxyParser

from ._transport import SocketTransport
from .admission import within
from .listening import Port

HEADER_SECONDS: Final = 3.0
"""Section 2: "a few seconds", and "at least 3"."""


def is_proxy(port: Port, peer: Peer) -> bool:
    """Whether *peer*, who has connected to *port*, must say for whom."""
    # Only by a Unix socket nobody has an address.
    return port.unix_proxies if peer.address is None else within(peer.address, port.proxies)


async def hear_proxy(transport: SocketTransport) -> ProxyHeader:
    """Read the header with which a connection begins; *transport* goes on behind it.

    Raises:
        ProxyError: there is none, or not in time.
        trio.BrokenResourceError: the connection is lost.
    """
    parser = ProxyParser()
    with trio.move_on_after(HEADER_SECONDS):
        while (header := parser.receive(await transport.receive())) is None:
            pass
        transport.unread(parser.rest)
        return header
    raise ProxyError("the PROXY header took too long")
