"""What a client says of arguments that are not what they should be, and of TLS that fails."""

import io
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import pytest
from client_play import MESSAGE, envelope, obliging, talking
from trio_play import serving

from smtpcore import STANDARD, ServerConfig
from smtpcore.extensions import STARTTLS
from smtpcore_trio import ClientLogs, Destination, Disconnected, Pool, TlsContext, TlsMode, connect

SECURE = ServerConfig(hostname="mx.example.org", extensions=(*STANDARD, STARTTLS))


class Lines:
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[dict[str, object]] = []

    def bind(self, **_: object) -> "Lines":
        return self

    def info(self, event: str, **values: object) -> None:
        self.said.append({"event": event} | values)

    warning = info


# --- TLS -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [TlsMode.REQUIRED, TlsMode.IMPLICIT])
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "unable to get local issuer certificate"),
        ({"pinned": [bytes(32)]}, "the certificate is none of those that are pinned"),
        ({"context": ..., "server_name": "mx.example.net"}, "Hostname mismatch"),
    ],
)
async def test_why_a_handshake_failed(
    mode: TlsMode, options: dict[str, Any], why: str, tls_context: TlsContext, client_tls: ssl.SSLContext
) -> None:
    """The exception says it, and the line in the log."""
    given: dict[str, Any] = {name: client_tls if value is ... else value for name, value in options.items()}
    lines = Lines()
    async with serving(config=SECURE, tls_context=tls_context, implicit_tls=mode is TlsMode.IMPLICIT) as host:
        number = host.listener.socket.getsockname()[1]
        with pytest.raises(Disconnected, match=f"^the TLS handshake failed: {why}") as lost:
            await connect("127.0.0.1", number, tls=mode, observer=ClientLogs(lines), **given)
    assert lost.value.__cause__ is not None
    [line] = [line for line in lines.said if line["event"] == "connection failed"]
    assert line["reason"] == "tls_failed"
    assert str(line["error"]).startswith(f"Disconnected: the TLS handshake failed: {why}")


async def test_tls_to_who_speaks_none() -> None:
    async with serving() as host:
        number = host.listener.socket.getsockname()[1]
        with pytest.raises(Disconnected, match=r"^the TLS handshake failed: .*wrong version number"):
            await connect("127.0.0.1", number, tls=TlsMode.IMPLICIT)


# --- arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["text", EmailMessage(), None, ["Subject: x\r\n"], bytearray(b"x")])
async def test_what_is_no_message(message: Any) -> None:
    """Nothing is said to the server, and the connection is as good as before."""
    async with talking(obliging()) as (client, script):
        heard = len(script.heard)
        with pytest.raises(TypeError, match="octets, a file or an asynchronous iterator") as raised:
            await client.send(envelope(), message)
        assert ("as_bytes(policy=email.policy.SMTP)" in str(raised.value)) == isinstance(message, EmailMessage)
        assert len(script.heard) == heard
        assert [each.fate.name for each in await client.send(envelope(), MESSAGE)] == ["ACCEPTED", "ACCEPTED"]


async def test_what_is_no_message_for_a_pool() -> None:
    async with serving() as host, Pool() as pool:
        destination = Destination("127.0.0.1", host.listener.socket.getsockname()[1])
        text: Any = "text"
        with pytest.raises(TypeError, match="octets, a file or an asynchronous iterator"):
            await pool.send(destination, envelope(), text)
        assert len(await pool.send(destination, envelope(), io.BytesIO(MESSAGE))) == 2


@pytest.mark.parametrize("where", [("127.0.0.1", 25), "127.0.0.1", None])
async def test_what_is_no_destination(where: Any) -> None:
    async with Pool() as pool:
        with pytest.raises(TypeError, match=r"a Destination, such as Destination\(host, port\), not "):
            await pool.send(where, envelope(), MESSAGE)
        assert pool.connections == 0


@pytest.mark.parametrize("pinned", [bytes(32), "00" * 32, ["00" * 32]])
async def test_what_is_no_list_of_digests(pinned: Any) -> None:
    uses: list[Callable[[], Any]] = [lambda: Destination("mx.example.org", tls=TlsMode.REQUIRED, pinned=pinned)]
    for use in uses:
        with pytest.raises(TypeError, match=r"digests, each of them bytes: pinned=\[digest\]"):
            use()
    with pytest.raises(TypeError, match=r"digests, each of them bytes: pinned=\[digest\]"):
        await connect("127.0.0.1", 9, tls=TlsMode.REQUIRED, pinned=pinned)
