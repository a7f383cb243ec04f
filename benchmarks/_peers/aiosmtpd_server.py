"""``python aiosmtpd_server.py LOOP [CERTIFICATE]``: aiosmtpd on loopback, until a signal. It prints its port.

LOOP is ``asyncio`` or ``uvloop``. With a certificate it offers STARTTLS and AUTH.
"""

import asyncio
import functools
import importlib
import logging
import ssl
import sys
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER = LoginPassword(b"user", b"password")


class Taking:
    """Takes every message, and forgets it."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """The message is there in one piece."""
        return "250 2.0.0 Taken"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == USER, handled=False)


async def main(certificate: str | None) -> None:
    options: dict[str, Any] = {}
    if certificate is not None:
        options["tls_context"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        options["tls_context"].load_cert_chain(certificate)
        options.update(authenticator=authenticate, auth_required=True)
    make = functools.partial(SMTP, Taking(), hostname="mx.example.org", data_size_limit=1 << 30, **options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: make(loop=loop), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


logging.getLogger("mail.log").setLevel(logging.ERROR)  # it warns at every AUTH of what it does itself
if sys.argv[1] == "uvloop":
    importlib.import_module("uvloop").install()
asyncio.run(main(sys.argv[2] if len(sys.argv) > 2 else None))
