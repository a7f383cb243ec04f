"""The message that a server is receiving: decoded, counted, bounded, whatever becomes of it."""

from ._events import Abort
from ._framing import BodyDecoder, Stray
from ._limits import Limits
from ._reply import Reply


class IncomingBody:
    """One message on its way in, by DATA or by BDAT.

    Once it is refused, by a limit, a stray octet or the application, nothing more comes out of it;
    its octets are consumed to its real end all the same, since what they mean does not depend on
    whether they are wanted.
    """

    __slots__ = ("_decoder", "_limits", "abort", "chunks", "ended", "last", "left", "octets", "raw", "refused", "reply")

    def __init__(self, limits: Limits, stray: Stray, *, dots: bool) -> None:
        self._decoder = BodyDecoder(stray, dots=dots)
        self._limits = limits
        self.refused = False
        self.abort: Abort | None = None
        self.reply: Reply | None = None  # what the application wants said at the end
        self.octets = 0
        self.raw = 0
        self.chunks = 0
        self.left = 0
        self.last = False
        self.ended = False

    def refuse(self, reply: Reply) -> None:
        """Take no more of the message, and say *reply* at its end."""
        self.refused = True
        self.reply = reply

    def _abort(self, reason: Abort) -> None:
        self.refused = True
        self.abort = reason

    @property
    def limit(self) -> str:
        """The name of the limit that it is over, if it is."""
        if self.abort is not Abort.TOO_BIG:
            return ""
        return "chunks" if self.chunks > self._limits.chunks else "message_octets"

    @property
    def overflown(self) -> bool:
        """Whether more of a refused message came than is worth consuming."""
        return self.refused and self.raw > self._limits.discard_octets

    def data(self, data: bytes) -> tuple[bytes, int]:
        """Octets after DATA: their content, and how many lie behind the end (-1: no end)."""
        content, rest = self._decoder.feed(data)
        self.raw += len(data) if rest < 0 else len(data) - rest
        self.ended = rest >= 0
        return self._bounded(content), rest

    def begin_chunk(self, size: int, last: bool) -> bool:
        """A BDAT line came; False where the message becomes too big by it."""
        self.chunks += 1
        self.left = size
        self.last = last
        fits = self.octets + size <= self._limits.message_octets and self.chunks <= self._limits.chunks
        if not fits and self.abort is None:
            self._abort(Abort.TOO_BIG)
        return fits

    def chunk(self, data: bytes) -> bytes:
        """Octets of the chunk, no more than are left of it: their content."""
        self.left -= len(data)
        self.raw += len(data)
        content = self._decoder.feed(data)[0] if data else b""
        if self.last and self.left == 0:
            self.ended = True
            content += self._decoder.finish()
        return self._bounded(content)

    def _bounded(self, content: bytes) -> bytes:
        if self.refused:
            return b""
        room = self._limits.message_octets - self.octets
        if len(content) > room:
            self._abort(Abort.TOO_BIG)
            content = content[:room]
        elif self._decoder.stray_found:
            self._abort(Abort.STRAY_OCTETS)
        self.octets += len(content)
        return content
