"""``python smtpcore_server.py [CERTIFICATE]``: `serve` on loopback, until SIGTERM. It prints its port.

All is at its default but for what counts the clients of one address: here all are. With a certificate it offers
STARTTLS and AUTH. With PROFILE in the environment it prints at its end where its time went.
"""

import cProfile
import os
import pstats
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from smtpcore import PasswordCheck, Reply, SecretWanted, ServerConfig, StoredKey, TokenCheck
from smtpcore.extensions import AUTH, STANDARD, STARTTLS
from smtpcore.sasl import PLAIN
from smtpcore_trio import Admission, BaseSession, Port, TlsContext, listen_tcp, serve

TAKEN = Reply(250, "Taken", "2.0.0")


class Taking(BaseSession):
    """Takes every message, and forgets it."""

    async def authenticate(self, check: PasswordCheck | SecretWanted | TokenCheck) -> StoredKey | bool:
        """Know one user."""
        return isinstance(check, PasswordCheck) and check.username == "user" and check.password.reveal() == b"password"

    async def data(self, body: AsyncIterator[bytes]) -> Reply:
        """Read it to its end."""
        async for _ in body:
            pass
        return TAKEN


async def main() -> None:
    plain, secure = ServerConfig(hostname="mx.example.org"), None
    if len(sys.argv) > 1:
        secure = TlsContext.load(Path(sys.argv[1]))
        plain = ServerConfig(
            hostname="mx.example.org", extensions=(*STANDARD, STARTTLS, AUTH), mechanisms=(PLAIN,), auth_required=True
        )
    port = Port(listeners=await listen_tcp("127.0.0.1", 0), config=plain, tls_context=secure)
    everybody = Admission(connections=5000, per_address=None, rate=None, handshakes_per_address=None)
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(lambda **started: serve([port], Taking, admission=everybody, **started))
            print(port.addresses[0].rpartition(":")[2], flush=True)
            async for _ in signals:
                server.drain(0.0)
                break


if "PROFILE" in os.environ:
    with cProfile.Profile() as profile:
        trio.run(main)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(60)
else:
    trio.run(main)
