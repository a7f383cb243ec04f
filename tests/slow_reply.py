"""How replies are framed, octet by octet: slow, and plain to see."""

import re

from smtpcore._framing import RawReply, ReplyFault

LINE = re.compile(rb"([2-5][0-5][0-9])(?:([ -])([^\r\n\0]*))?(?:\r\n|\n)")


class SlowReader:
    """What `ReplyReader` must do, as a machine that looks at one octet at a time.

    ``found`` are the replies, and the fault that ends them, once all is ``over``.
    """

    def __init__(self, line_octets: int, lines: int, octets: int, *, lenient: bool) -> None:
        self.found: list[RawReply | ReplyFault] = []
        self._line_octets = line_octets
        self._lines = lines
        self._octets = octets
        self._end = b"\n" if lenient else b"\r\n"
        self._line = b""
        self._reply: list[re.Match[bytes]] = []

    @property
    def over(self) -> bool:
        return bool(self.found) and isinstance(self.found[-1], ReplyFault)

    def feed(self, octets: bytes) -> None:
        for octet in octets:
            if self.over:
                return
            self._line += bytes([octet])
            if len(self._line) > self._line_octets:
                self.found.append(ReplyFault.LINE_TOO_LONG)
            elif self._line.endswith(self._end):
                line, self._line = self._line, b""
                self._ended(line)

    def _ended(self, line: bytes) -> None:
        match = LINE.fullmatch(line)
        if match is None:
            self.found.append(ReplyFault.MALFORMED)
            return
        self._reply.append(match)
        if match[1] != self._reply[0][1]:
            self.found.append(ReplyFault.MIXED_CODES)
        elif len(self._reply) > self._lines:
            self.found.append(ReplyFault.TOO_MANY_LINES)
        elif sum(len(each[0]) for each in self._reply) > self._octets:
            self.found.append(ReplyFault.TOO_LONG)
        elif match[2] != b"-":
            texts = tuple(each[3] or b"" for each in self._reply)
            self.found.append(RawReply(int(match[1]), texts, match[2] is None))
            self._reply = []
