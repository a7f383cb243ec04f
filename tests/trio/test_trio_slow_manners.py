"""Clients that do not wait for their turn, or speak another protocol, over real sockets: what each policy does."""

import re
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from load_play import client_hello
from trio_play import CONFIG, Client, Taker, deliver, serving, until

from smtpcore import LMTP, SMTP, STANDARD, SUBMISSION, Deviation, Dialect, EarlyInput, Peer, ServerConfig
from smtpcore._value import evolve
from smtpcore.extensions import AUTH
from smtpcore.sasl import PLAIN
from smtpcore_trio import TlsContext
from smtpcore_trio.observe import BaseObserver, SessionFacts

EARLY = re.compile(rb"554 (5\.5\.0 )?Input sent before the reply that it depends on, closing connection\r\n")
FOREIGN = b"421 4.7.0 mx.example.org This is an SMTP server, closing connection\r\n"
MESSAGE = b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nforged\r\n.\r\n"
SUBMITTING = ServerConfig(
    hostname="mx.example.org",
    extensions=(*STANDARD, AUTH),
    mechanisms=(PLAIN,),
    cleartext_auth=True,
    auth_required=False,
)


class Noting(BaseObserver):
    """Keeps the deviations, and whom TLS was refused to."""

    def __init__(self) -> None:
        self.deviations: list[object] = []
        self.refusals: list[str] = []

    def event(self, session: SessionFacts, event: Any) -> None:
        if isinstance(event, Deviation):
            self.deviations.append(event.what)

    def refused(self, limit: str, peer: Peer, session: SessionFacts | None = None) -> None:
        self.refusals.append(limit)


class Waiting(Taker):
    """Greets nobody before the client has said something."""

    go: trio.Event

    async def connected(self, peer: Peer) -> None:
        await self.go.wait()


# A dialect has a policy of its own where the config states none.
POLICIES = [
    pytest.param(SMTP, None, False, id="smtp"),
    pytest.param(SMTP, EarlyInput.REJECT, False, id="smtp-reject"),
    pytest.param(SMTP, EarlyInput.REPORT, True, id="smtp-report"),
    pytest.param(SUBMISSION, None, True, id="submission"),
    pytest.param(SUBMISSION, EarlyInput.REJECT, False, id="submission-reject"),
    pytest.param(LMTP, None, True, id="lmtp"),
    pytest.param(LMTP, EarlyInput.REJECT, False, id="lmtp-reject"),
]


async def serve_early(
    dialect: Dialect, policy: EarlyInput | None, talk: Callable[[Client, trio.Event], Any]
) -> tuple[bytes, Any, list[object]]:
    """What a client hears that *talk* speaks for, its session, and the deviations."""
    noting = Noting()
    Waiting.go = trio.Event()
    config = evolve(SUBMITTING if dialect is SUBMISSION else CONFIG, early_input=policy)
    async with serving(Waiting, config, dialect=dialect, observer=noting) as host, await host.client() as client:
        await talk(client, Waiting.go)
        heard = await client.rest()
        return heard, host.sessions[0], noting.deviations


@pytest.mark.catalogue("F10")
@pytest.mark.parametrize(("dialect", "policy", "served"), POLICIES)
async def test_before_the_banner(dialect: Dialect, policy: EarlyInput | None, served: bool) -> None:
    async def talk(client: Client, go: trio.Event) -> None:
        await client.send(f"{dialect.hello[0]} client.example\r\nQUIT\r\n".encode())
        await trio.sleep(0.05)  # nothing tells that it has arrived
        go.set()

    heard, session, deviations = await serve_early(dialect, policy, talk)
    if served:
        assert heard.startswith(b"220 ")
        assert heard.splitlines()[-1].startswith(b"221 ")
        assert deviations[0] == "early input"
    else:
        assert EARLY.fullmatch(heard)
    assert ("hello" in session.said) is served


@pytest.mark.catalogue("F10")
@pytest.mark.parametrize(("dialect", "policy", "served"), POLICIES)
async def test_behind_hello(dialect: Dialect, policy: EarlyInput | None, served: bool) -> None:
    """PIPELINING is offered by the reply to EHLO, and not known before it."""

    async def talk(client: Client, go: trio.Event) -> None:
        go.set()
        assert (await client.reply()).startswith("220 ")
        await client.send(f"{dialect.hello[0]} client.example\r\nNOOP\r\nQUIT\r\n".encode())

    heard, session, deviations = await serve_early(dialect, policy, talk)
    if served:
        assert heard.splitlines()[-1].startswith(b"221 ")
        assert deviations == ["early input"]
    else:
        assert EARLY.fullmatch(heard)
    assert ("hello" in session.said) is served


@pytest.mark.catalogue("A16", "F10")
@pytest.mark.parametrize(("dialect", "policy", "served"), POLICIES)
async def test_message_before_354(dialect: Dialect, policy: EarlyInput | None, served: bool) -> None:
    """Whatever the policy, none of its lines is a command."""

    async def talk(client: Client, go: trio.Event) -> None:
        go.set()
        assert (await client.reply()).startswith("220 ")
        await client.ask(f"{dialect.hello[0]} client.example")
        await client.send(MESSAGE.replace(b"forged", b"VRFY forged") + b"QUIT\r\n")

    heard, session, _ = await serve_early(dialect, policy, talk)
    codes = [line[:3] for line in heard.splitlines()]
    assert codes == ([b"250", b"250", b"354", b"250", b"221"] if served else [b"250", b"250", b"554"])
    assert session.messages == ([b"VRFY forged\r\n"] if served else [])


@pytest.mark.catalogue("A15")
@pytest.mark.parametrize("policy", [None, *EarlyInput])
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_http_with_commands_in_its_body(method: str, policy: EarlyInput | None) -> None:
    """A browser can be made to send it; it is over at its first line."""
    config = evolve(CONFIG, early_input=policy)
    request = f"{method} / HTTP/1.1\r\nHost: mx.example.org\r\nContent-Length: 1000\r\n\r\n".encode()
    async with serving(config=config) as host:
        async with await host.client() as client:
            assert (await client.reply()).startswith("220 ")
            await client.send(request + b"EHLO client.example\r\n" + MESSAGE)
            assert await client.rest() == FOREIGN
        await host.empty()
        assert host.sessions[0].said == ["connected"]


@pytest.mark.catalogue("A15")
@pytest.mark.parametrize("policy", [None, *EarlyInput])
async def test_tls_to_a_port_in_the_clear(policy: EarlyInput | None, client_tls: ssl.SSLContext) -> None:
    config = evolve(CONFIG, early_input=policy)
    async with serving(config=config) as host:
        async with await host.client() as client:
            assert (await client.reply()).startswith("220 ")
            await client.send(client_hello() + b"\r\n" + MESSAGE)
            assert await client.rest() == FOREIGN
        # One that waits for no banner is an early talker before it is anything else.
        async with await host.client() as client:
            with pytest.raises(trio.BrokenResourceError) as failed:
                await client.start_tls(client_tls)
            assert isinstance(failed.value.__cause__, ssl.SSLError)
        await host.empty()
        assert {said for session in host.sessions for said in session.said} == {"connected"}


@pytest.mark.catalogue("A15")
async def test_smtp_to_a_port_that_begins_with_tls(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    """It hears an alert at most, no session is made for it, and it holds no room."""
    async with serving(tls_context=tls_context, implicit_tls=True) as host:
        async with await host.client() as client:
            await client.send(b"EHLO client.example\r\n" + MESSAGE)
            assert (await client.rest())[:1] in (b"", b"\x15")
        await host.empty()
        assert host.sessions == []
        assert host.server.handshakes == 0
        async with await host.client() as client:
            await client.start_tls(client_tls)
            assert (await deliver(client)).startswith("250 ")


async def test_policy_of_each_port() -> None:
    """None of it takes anything from a client that waits."""
    for policy in EarlyInput:
        async with serving(config=evolve(CONFIG, early_input=policy)) as host, await host.client() as client:
            assert (await deliver(client)).startswith("250 ")
            await client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
            assert [(await client.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
            assert (await client.ask("x\r\n.")).startswith("250 ")
            await until(partial(len, host.sessions[0].messages))
