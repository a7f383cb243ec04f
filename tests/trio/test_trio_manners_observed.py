"""What an operator sees: of proxies without a header, logins, recipients and the session of a message."""

import importlib
import inspect
import io
import json
import ssl
import types
import typing
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
import trio
from observe_play import PASSWORD, Choosy, Recorder
from prometheus_client import CollectorRegistry
from trio_play import CONFIG, MESSAGE, serving, until

import smtpcore_trio
from smtpcore import STANDARD
from smtpcore._value import evolve
from smtpcore.extensions import AUTH, STARTTLS
from smtpcore.sasl import PLAIN
from smtpcore_trio import Denied, Logs, Metrics, Rejected as OfClient, Several, TlsContext, observe

SECURE = evolve(CONFIG, extensions=(*STANDARD, STARTTLS, AUTH), mechanisms=(PLAIN,))


def credentials(password: str) -> str:
    return "AUTH PLAIN " + b64encode(f"\0tim\0{password}".encode()).decode()


def logging_to(file: io.StringIO) -> Logs:
    return Logs(
        structlog.wrap_logger(
            structlog.PrintLogger(file),
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(0),
        )
    )


@pytest.mark.parametrize("sent", [b"EHLO client.example\r\n", b""])
async def test_proxy_without_a_header(sent: bytes) -> None:
    """The server is useless to its clients then: somebody should see it."""
    registry, recorder, file = CollectorRegistry(), Recorder(), io.StringIO()
    observer = Several(Metrics(registry), recorder, logging_to(file))
    async with serving(proxies="127.0.0.1", observer=observer) as host, await host.client() as client:
        await client.send(sent)
        if not sent:
            await client.transport.send_eof()
        assert await client.rest() == b""
        await host.empty()
    assert [each for each in recorder.heard if each[0] == "refused"] == [("refused", None, "proxy")]
    (line,) = [json.loads(line) for line in file.getvalue().splitlines()]
    assert line == {"event": "no PROXY header", "peer": "127.0.0.1", "level": "warning"}
    assert registry.get_sample_value("smtp_proxy_failures_total") == 1


async def test_handshake_that_fails(tls_context: TlsContext) -> None:
    """Of a client that does not trust us nobody would know else."""
    registry, recorder, file = CollectorRegistry(), Recorder(), io.StringIO()
    options: dict[str, Any] = {"tls_context": tls_context, "implicit_tls": True}
    async with (
        serving(observer=Several(Metrics(registry), recorder, logging_to(file)), **options) as host,
        await host.client() as client,
    ):
        with pytest.raises(trio.BrokenResourceError):
            await client.start_tls(ssl.create_default_context())
        await client.transport.aclose()
        await host.empty()
        assert host.sessions == []
    assert [each for each in recorder.heard if each[0] == "refused"] == [("refused", None, "tls_failed")]
    assert json.loads(file.getvalue()) == {"event": "no TLS", "peer": "127.0.0.1", "level": "info"}
    assert registry.get_sample_value("smtp_tls_failures_total") == 1


async def test_session_of_a_message(tls_context: TlsContext, client_tls: ssl.SSLContext) -> None:
    registry, file = CollectorRegistry(), io.StringIO()
    options: dict[str, Any] = {"observer": Several(Metrics(registry), logging_to(file)), "tls_context": tls_context}
    async with serving(Choosy, SECURE, name="mx", auth_delay=0, **options) as host:
        async with await host.client() as client:
            await client.greet()
            assert (await client.ask("STARTTLS")).startswith("220")
            await client.start_tls(client_tls)
            await client.ask("EHLO other.example", credentials("wrong"), credentials(PASSWORD))
            await client.ask("MAIL FROM:<late@example.org>", "RCPT TO:<nobody@example.org>", "RCPT TO:<b@example.org>")
            await client.ask("DATA")
            await client.ask(MESSAGE + b".")
        await host.empty()
        await until(lambda: "session closed" in file.getvalue())
    lines = [json.loads(line) for line in file.getvalue().splitlines()]
    (message,) = [line for line in lines if line["event"] == "message"]
    assert (message["helo"], message["username"]) == ("other.example", "tim")
    assert message["tls"].startswith("TLSv1.")
    (refused,) = [line for line in lines if line["event"] == "refused"]
    assert refused["command"] == "RCPT TO:<nobody@example.org>"

    def counted(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"smtp_{name}_total", {"port": "mx", **labels})

    assert (counted("recipients"), counted("recipients_refused")) == (2, 1)
    assert [counted("auth", mechanism="PLAIN", result=result) for result in ("failed", "succeeded")] == [1, 1]
    assert counted("sessions_closed", cause="eof") == counted("sessions_opened") == 1


# --- names ----------------------------------------------------------------------------------------------

# What only `serve`, `connect` and their like call.
INNER = {"Server.__init__", "Workers.__init__", "SMTPClient.__init__", "shake_hands"}
PUBLIC = ("smtpcore", "smtpcore.sasl", "smtpcore.extensions", "smtpcore_trio")


def parts(hint: Any) -> Iterator[type]:
    """The classes in a type."""
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
        yield hint
    else:
        for each in (typing.get_origin(hint), *typing.get_args(hint)):
            for one in each if isinstance(each, list) else [each]:
                if one is not None:
                    yield from parts(one) if one is not hint else ()


def signatures() -> Iterator[tuple[str, Any]]:
    """What the public names of the adapter are made with, hold, take and give."""
    for name in smtpcore_trio.__all__:
        named = getattr(smtpcore_trio, name)
        yield name, named
        if isinstance(named, type):
            for key, member in vars(named).items():
                inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(inner) and (key == "__init__" or not key.startswith("_")):
                    yield f"{name}.{key}", inner


def test_types_of_public_signatures_are_public() -> None:
    public = {getattr(module, name) for module in map(importlib.import_module, PUBLIC) for name in module.__all__
              if isinstance(getattr(module, name), type)}  # fmt: skip
    hidden = set()
    for name, named in signatures():
        if name in INNER or name.rpartition(".")[2] in INNER or not isinstance(named, type | types.FunctionType):
            continue
        for key, hint in typing.get_type_hints(named).items():
            if not key.startswith("_"):
                ours = [each for each in parts(hint) if each.__module__.startswith("smtpcore")]
                hidden |= {(name, each.__name__) for each in ours if each not in public}
    assert hidden == set()


def test_two_things_have_two_names() -> None:
    """A `Rejected` is an exception of a client's; what an observer hears of is `Denied`."""
    assert issubclass(OfClient, Exception)
    assert Denied is observe.Denied
    assert not hasattr(observe, "Rejected")
