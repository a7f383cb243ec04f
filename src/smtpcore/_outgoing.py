"""The message that a client is sending: checked, encoded, and gathered to chunks."""

from ._errors import LocalProtocolError
from ._framing import DotEncoder, PlainEncoder, Stray


class OutgoingBody:
    """One message on its way out, by DATA or by BDAT.

    Args:
        stray: what to do with a bare CR or a bare LF.
        chunking: by BDAT.
        binary: BODY=BINARYMIME: any octets, as they are.
        eight_bit: octets beyond ASCII are permitted.
        chunk_octets: how many to gather to a chunk.
    """

    __slots__ = ("_chunk_octets", "_eight_bit", "_encoder", "_held", "chunking", "held_octets", "unanswered")

    def __init__(self, stray: Stray, *, chunking: bool, binary: bool, eight_bit: bool, chunk_octets: int) -> None:
        self._encoder: DotEncoder | PlainEncoder | None
        if not chunking:
            self._encoder = DotEncoder(stray)
        else:
            self._encoder = None if binary else PlainEncoder(stray)
        self._eight_bit = eight_bit or binary
        self._chunk_octets = chunk_octets
        self._held: list[bytes] = []
        self.chunking = chunking
        self.held_octets = 0
        self.unanswered = 0  # chunks

    @property
    def full(self) -> bool:
        """Whether a chunk is held that must wait for the reply to one before it."""
        return self.held_octets >= self._chunk_octets

    def give(self, octets: bytes) -> bytes:
        """Take content; what of it is to be sent at once, which is nothing in a chunk.

        Raises:
            LocalProtocolError: it holds what the policy or the declared BODY forbids, or is not bytes.
                Nothing was taken.
        """
        if not isinstance(octets, bytes):  # a buffer that is used again would change what is to be sent
            raise LocalProtocolError(f"a message is given as bytes, not as {type(octets).__name__}")
        # RFC 6152 3: content beyond ASCII is for a server that was told BODY=8BITMIME.
        if not self._eight_bit and not octets.isascii():
            raise LocalProtocolError("octets beyond ASCII need BODY=8BITMIME, or eight_bit in the config")
        if self._encoder is not None:
            octets = self._encoder.feed(octets)
        if not self.chunking:
            return octets
        self._hold(octets)
        return b""

    def finish(self) -> bytes:
        """No more content comes; what is to be sent at once.

        Raises:
            LocalProtocolError: it ends with a bare CR, which the policy forbids.
        """
        octets = b"" if self._encoder is None else self._encoder.finish()
        if not self.chunking:
            return octets
        self._hold(octets)
        return b""

    def _hold(self, octets: bytes) -> None:
        if octets:
            self._held.append(octets)
            self.held_octets += len(octets)

    def drop(self) -> None:
        """Forget what is held: it will not be sent, and an application may keep its `Transaction` for long."""
        self._held, self.held_octets = [], 0

    def chunk(self, *, last: bool) -> tuple[str, list[bytes]]:
        """What is held, as a chunk: the argument of BDAT, and the octets behind it."""
        held, self._held = self._held, []
        size, self.held_octets = self.held_octets, 0
        # RFC 3030 2: bdat-cmd = "BDAT" SP chunk-size [ SP end-marker ] CR LF
        return f"{size} LAST" if last else str(size), held
