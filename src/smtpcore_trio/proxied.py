"""The PROXY header, from proxies that are trusted to say whom they speak for."""

from typing import Final

import trio

from smtpcore.proxy import ProxyError, ProxyHeader, ProxyParser

from ._transport import SocketTransport

HEADER_SECONDS: Final = 3.0
"""Section 2: "a few seconds", and "at least 3"."""


class ProxiedTransport(SocketTransport):
    """The socket of a connection that begins with a PROXY header. Use it after `header`."""

    __slots__ = ("_rest",)

    _rest: bytes

    async def header(self) -> ProxyHeader:
        """Read the header.

        Raises:
            ProxyError: there is none, or not in time.
            trio.BrokenResourceError: the connection is lost.
        """
        parser = ProxyParser()
        with trio.move_on_after(HEADER_SECONDS):
            while (header := parser.receive(await super().receive())) is None:
                pass
            self._rest = parser.rest
            return header
        raise ProxyError("the PROXY header took too long")

    async def receive(self) -> bytes:
        """See `Transport`."""
        if rest := self._rest:
            self._rest = b""
            await trio.lowlevel.checkpoint()
            return rest
        return await super().receive()
