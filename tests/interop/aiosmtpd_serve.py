"""``python aiosmtpd_serve.py OPTIONS``: aiosmtpd on loopback, until its standard input ends.

OPTIONS is JSON: {certificate, key, user, password, refused} with certificate and key as names of files. It
prints JSON lines: {port, tls_port}, then each message.
"""

import asyncio
import base64
import functools
import json
import ssl
import sys
from typing import Any
from weakref import WeakKeyDictionary

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def split(options: list[str]) -> dict[str, str]:
    return {keyword: text for keyword, _, text in (each.partition("=") for each in options)}


class Handler:
    def __init__(self, options: dict[str, str]) -> None:
        self.options = options
        self.recipients: WeakKeyDictionary[Envelope, list[tuple[str, dict[str, str]]]] = WeakKeyDictionary()

    def authenticator(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = LoginPassword(self.options["user"].encode(), self.options["password"].encode())
        return AuthResult(success=data == right, handled=False, auth_data=self.options["user"])

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address == self.options["refused"]:
            return "550 5.1.1 Unknown"
        envelope.rcpt_tos.append(address)
        self.recipients.setdefault(envelope, []).append((address, split(rcpt_options)))
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        octets = envelope.original_content
        assert octets is not None
        say(
            {
                "sender": envelope.mail_from,
                "params": split(envelope.mail_options),
                "recipients": self.recipients[envelope],
                "user": session.auth_data or "",
                "tls": session.ssl is not None or server.tls_context is None,
                "octets": base64.b64encode(octets).decode(),
            }
        )
        return "250 2.0.0 Taken"


async def main(options: dict[str, str]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options["certificate"], options["key"])
    handler = Handler(options)
    make = functools.partial(
        SMTP, handler, hostname="localhost", enable_SMTPUTF8=True, authenticator=handler.authenticator
    )
    loop = asyncio.get_running_loop()
    clear = await loop.create_server(lambda: make(loop=loop, tls_context=context), "127.0.0.1", 0)
    tls = await loop.create_server(lambda: make(loop=loop, auth_require_tls=False), "127.0.0.1", 0, ssl=context)
    port, tls_port = (each.sockets[0].getsockname()[1] for each in (clear, tls))
    say({"port": port, "tls_port": tls_port})
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main(json.loads(sys.argv[1])))
