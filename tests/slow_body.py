"""How a message is framed, octet by octet: slow, and plain to see."""

from smtpcore._framing import Stray

END = b"\r\n.\r\n"


class SlowDecoder:
    """What `BodyDecoder` must do, as a machine that looks at one octet at a time.

    ``content`` is what is certain, ``left`` the octets behind the end, None where there was none.
    """

    def __init__(self, stray: Stray, *, dots: bool) -> None:
        self.content = bytearray()
        self.left: bytearray | None = None
        self.stray_found = False
        self._policy = stray
        self._dots = dots
        self._skip = 2 if dots else 0  # octets of the CR LF of the DATA line
        self._pending = b"\r\n" if dots else b""  # what may be the beginning of the end, or of a line end

    def feed(self, octets: bytes) -> None:
        for octet in octets:
            self._octet(bytes([octet]))

    def finish(self) -> None:
        """The last chunk of BDAT has ended."""
        self._flush()

    def _octet(self, octet: bytes) -> None:
        if self.left is not None:
            self.left += octet
            return
        pending = self._pending + octet
        if self._dots and END.startswith(pending):
            self._pending = pending
            if pending == END:
                self._pending = b"\r\n"
                self._flush()
                self.left = bytearray()
            return
        if not self._dots and pending == b"\r\n":
            self._pending = b""
            self._emit(pending)
            return
        self._flush()
        if octet == b"\r" and (self._dots or self._policy is not Stray.KEEP):
            self._pending = octet
        elif octet in b"\r\n\0":
            self._stray(octet)
        else:
            self._emit(octet)

    def _flush(self) -> None:
        """The pending octets are neither an end nor a line end, but for a CR LF at their beginning."""
        pending, self._pending = self._pending, b""
        if pending.startswith(b"\r\n"):
            self._emit(b"\r\n")
            pending = pending[2:].removeprefix(b".")
        if pending:
            self._stray(pending)

    def _stray(self, octet: bytes) -> None:
        if self._policy is Stray.KEEP:
            self._emit(octet)
        elif self._policy is Stray.REJECT or octet == b"\0":
            self.stray_found = True
        else:
            self._emit(b"\r\n")

    def _emit(self, octets: bytes) -> None:
        skipped = min(self._skip, len(octets))
        self._skip -= skipped
        if not self.stray_found:
            self.content += octets[skipped:]
