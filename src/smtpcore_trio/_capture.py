"""The program's sessions: whatever mail comes is stored in a Maildir, and goes nowhere."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final

from smtpcore import Envelope, PasswordCheck, Reply, SecretWanted, StoredKey, TokenCheck, safe

from .credentials import Credentials
from .maildir import Maildir, new_identifier, refusal
from .session import BaseSession, Facts, Refuse
from .trace import received, return_path

logger: Final = logging.getLogger("smtpcore_trio")

# Recipients that a line names.
_NAMED: Final = 10


class CaptureSession(BaseSession):
    """Stores each message before saying yes to it, then tells of it in one line.

    Args:
        facts: of the connection.
        by: our name, for the Received field.
        maildir: where messages go.
        credentials: who may authenticate.
        tell: takes the line.
    """

    def __init__(
        self, facts: Facts, by: str, maildir: Maildir, credentials: Credentials, tell: Callable[[str], None]
    ) -> None:
        super().__init__(facts)
        self._by = by
        self._maildir = maildir
        self._credentials = credentials
        self._tell = tell

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        """Ask the credentials."""
        return await self._credentials.answer(check)

    async def data(self, body: AsyncIterator[bytes]) -> Reply:
        """Store the message."""
        facts = self.facts
        envelope, hello = facts.envelope, facts.hello
        assert envelope is not None
        assert hello is not None
        identifier = new_identifier()
        prefix = return_path(envelope) + received(
            by=self._by, identifier=identifier, envelope=envelope, peer=facts.peer, hello=hello,
            tls=facts.tls, identity=facts.identity, at=datetime.now(UTC).astimezone(),
        )  # fmt: skip
        octets = 0
        try:
            async with self._maildir.receive(identifier, prefix) as writer:
                async for chunk in body:
                    octets += len(chunk)
                    await writer.write(chunk)
                await writer.commit()
        except OSError as error:
            logger.error("the session %s could not store a message: %s", facts.session_id, safe(str(error)))
            raise Refuse(refusal(error)) from error
        self._tell(line(identifier, envelope, octets, facts))
        return Reply(250, f"Ok: stored as {identifier}", "2.0.0")


def line(identifier: str, envelope: Envelope, octets: int, facts: Facts) -> str:
    """One line about a message, in which nothing of the peer's can do harm."""
    named = ",".join(f"<{safe(str(each.path))}>" for each in envelope.recipients[:_NAMED])
    more = len(envelope.recipients) - _NAMED
    tls = facts.tls.version if facts.tls is not None else "no"
    user = safe(facts.identity.username) if facts.identity is not None else "-"
    return (
        f"{identifier} from=<{safe(str(envelope.reverse_path))}> to={named}{f' and {more} more' if more > 0 else ''}"
        f" octets={octets} tls={tls} user={user} peer={facts.peer.address or '-'}"
    )
