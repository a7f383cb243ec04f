"""What is said on a client's connection, for somebody to read: without secrets, and without the message."""

from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Final

from smtpcore import AuthDone, BodyWanted, ClientEvent, Closed, Deviation, Secret, TlsInfo, TransactionDone, safe

_SHOWN: Final = 2048

# What is shorter is in too much that is none of it.
_SECRET_CHARACTERS: Final = 4

HIDDEN: Final = "***"


class Transcript:
    """A `Watcher` that writes lines: ``->`` what we say, ``<-`` what we hear, with ``~`` where TLS hides both.

    The initial response to AUTH and all that we say until its end is ``***``, and so is each of these, and each of
    *secrets*, wherever the server repeats it. Of a message its octets are counted.

    Args:
        tell: takes each line; None for nobody.
        secrets: such as a password.
    """

    def __init__(self, tell: Callable[[str], None] | None, secrets: Iterable[Secret] = ()) -> None:
        self._tell = tell
        self._hidden: list[str] = []
        for secret in secrets:
            self._hide(secret.reveal())
            self._hide(b64encode(secret.reveal()))
        self._signs = (" ->", "<- ")
        self._authenticating = False
        self._in_message = False
        self._octets = 0  # of the message, not told of yet
        self._rest = b""  # of a line that has not ended

    def scrub(self, text: str) -> str:
        """*text*, without anything that is secret."""
        for hidden in self._hidden:
            text = text.replace(hidden, HIDDEN)
        return text

    def sent(self, octets: bytes) -> None:
        """See `Watcher`."""
        if self._in_message:
            self._octets += len(octets)
            return
        for line in octets.split(b"\r\n")[:-1]:
            self._line(self._signs[0], self._redacted(line))

    def received(self, octets: bytes) -> None:
        """See `Watcher`."""
        self._tell_octets()
        *lines, self._rest = (self._rest + octets).split(b"\n")
        if not octets and self._rest:
            lines, self._rest = [self._rest], b""
        for line in lines:
            self._line(self._signs[1], safe(line.removesuffix(b"\r"), _SHOWN))

    def secured(self, info: TlsInfo) -> None:
        """See `Watcher`."""
        self._signs = (" ~>", "<~ ")
        verified = "verified" if info.verified else "not verified"
        self._line("===", f"{info.version} {info.cipher}, the certificate is {verified}")

    def happened(self, event: ClientEvent) -> None:
        """See `Watcher`."""
        match event:
            case BodyWanted():
                self._in_message = True
            case TransactionDone():
                self._tell_octets()
                self._in_message = False
            case AuthDone():
                self._authenticating = False
            case Deviation():
                self._line("***", event.what if isinstance(event.what, str) else event.what.value)
            case Closed():
                self._line("===", "closed: " + (event.violation or event.cause).value)
            case _:
                pass

    def _redacted(self, line: bytes) -> str:
        if self._authenticating:
            self._hide(line)
            return HIDDEN
        verb, _, argument = line.partition(b" ")
        if verb.upper() != b"AUTH":
            return safe(line, _SHOWN)
        self._authenticating = True
        mechanism, _, initial = argument.partition(b" ")
        self._hide(initial)
        return f"AUTH {safe(mechanism)}{f' {HIDDEN}' if initial else ''}"

    def _hide(self, octets: bytes) -> None:
        text = safe(octets, len(octets))
        if len(text) >= _SECRET_CHARACTERS and text not in self._hidden:
            self._hidden.append(text)
            self._hidden.sort(key=len, reverse=True)  # one may be part of another

    def _tell_octets(self) -> None:
        if self._octets:
            self._line(self._signs[0], f"({self._octets} octets of the message)")
        self._octets = 0

    def _line(self, sign: str, text: str) -> None:
        if self._tell is not None:
            self._tell(f"{sign} {self.scrub(text)}")
