"""One AUTH exchange: base64, cancelling, and turns between client, mechanism and application (RFC 4954)."""

import binascii
from typing import Any

from ._events import Identity, PasswordCheck, SecretWanted, TlsInfo, TokenCheck
from ._reply import Reply
from ._value import value
from .sasl import BadAnswer, Challenge, ServerMechanism


@value
class Outcome:
    """The end of an exchange: an identity, or the name of the stock reply, or of the limit, that says why not."""

    identity: Identity | None
    reply: str = ""
    limit: str = ""


def challenge_line(challenge: Challenge) -> bytes:
    """The 334 reply that carries *challenge*."""
    return b"334 " + binascii.b2a_base64(challenge.octets, newline=False) + b"\r\n"


Step = Challenge | PasswordCheck | SecretWanted | TokenCheck | Outcome

_SUCCESS = "authenticated"
_FAILED = "auth_failed"
_MALFORMED = "malformed_auth"


class AuthExchange:
    """A mechanism at work. Every method runs it to its next step."""

    def __init__(self, mechanism: ServerMechanism, tls: TlsInfo | None) -> None:
        self.name = mechanism.name
        self.username: str | None = None
        self.acceptance: Reply | None = None  # what the application wants said of success
        self.rejection: Reply | None = None  # and of failure
        self._takes_initial = mechanism.initial
        self._generator = mechanism.start(tls)

    def begin(self, initial: str | None) -> Step:
        """The AUTH command came, perhaps with an initial response."""
        if initial is None:
            return self.resume(None)
        # RFC 4954 4: "=" stands for an empty initial response; a mechanism that speaks second takes none.
        if not self._takes_initial:
            return Outcome(None, _MALFORMED)
        step = self.resume(None)
        return self.answer(b"" if initial == "=" else initial.encode()) if isinstance(step, Challenge) else step

    def answer(self, line: bytes) -> Step:
        """A line of the client's, in base64."""
        # RFC 4954 4: "If the client wishes to cancel the authentication exchange, it issues a line with a single '*'".
        if line == b"*":
            return Outcome(None, "auth_cancelled")
        try:
            octets = binascii.a2b_base64(line, strict_mode=True)
        except ValueError:
            return Outcome(None, _MALFORMED)
        return self.resume(octets)

    def resume(self, sent: Any) -> Step:
        """Send the mechanism what it waits for."""
        try:
            step = self._generator.send(sent)
        except StopIteration as stop:
            return Outcome(stop.value, _SUCCESS if stop.value is not None else _FAILED)
        except BadAnswer:
            return Outcome(None, _MALFORMED)
        if not isinstance(step, Challenge):
            self.username = step.username
        return step
