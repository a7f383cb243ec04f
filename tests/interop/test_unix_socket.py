"""A pool that delivers to Dovecot by the Unix socket of its LMTP."""

import trio
from interop_servers import RECIPIENTS, REFUSED, SENDER, Dovecot

from smtpcore import LMTP, Envelope, Fate
from smtpcore_trio import Destination, Pool, TlsMode

MESSAGE = b"Subject: by a socket\r\n\r\nHello.\r\n"


def test_dovecot(dovecot: Dovecot) -> None:
    path = dovecot.directory / "run" / "lmtp"
    assert path.is_socket()
    envelope = Envelope.parse(SENDER, [*RECIPIENTS, REFUSED])
    taken = len(dovecot.taken())

    async def deliver() -> None:
        destination = Destination(str(path), dialect=LMTP, tls=TlsMode.NONE)
        with trio.fail_after(30):
            async with Pool() as pool:
                for _ in range(2):
                    outcomes = await pool.send(destination, envelope, MESSAGE)
                    assert [each.fate for each in outcomes] == [Fate.ACCEPTED, Fate.ACCEPTED, Fate.REFUSED]
                assert pool.connections == 1

    trio.run(deliver)
    assert len(dovecot.taken()) == taken + 4
