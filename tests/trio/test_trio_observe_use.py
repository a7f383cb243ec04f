"""How much of its limits a session uses, as an observer is told."""

import attrs
import pytest
from observe_play import AUTH_CONFIG, Recorder, base64, observed
from trio_play import MESSAGE

from smtpcore import BodyBegin, Limits, Peer, Refused, Reply, ServerConfig, ServerConnection, Timeouts
from smtpcore_trio.observe import _READ_AT, _READ_AT_END, READ_LIMITS, Observation, SessionFacts

FACTS = SessionFacts("id", Peer("192.0.2.1", 25), "mx")


def test_limits_that_are_read() -> None:
    limits = {field.name for field in attrs.fields(Limits)}
    assert limits - {"auth_octets", "swallowed_octets", "buffered_octets"} == READ_LIMITS
    connection = ServerConnection(AUTH_CONFIG, peer=FACTS.peer)
    assert all(connection.used(name) == 0 for names in _READ_AT.values() for name in names if name != "command_octets")
    assert all(connection.used(name) == 0 for name in _READ_AT_END)


async def test_what_a_session_uses() -> None:
    recorder = Recorder()
    async with observed(recorder, AUTH_CONFIG) as server:
        async with await server.client() as client:
            assert (await client.reply()).startswith("220")
            await client.ask("NOSUCH", "EHLO c.example", "AUTH PLAIN " + base64("\0tim\0x"), "NOOP", "NOOP", "NOOP")
            await client.ask("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "DATA")
            await client.ask(MESSAGE + b".")
            await client.ask("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>")
            await client.send(b"BDAT 2\r\nabBDAT 3\r\ncdeBDAT 0 LAST\r\n")
            for _ in range(3):
                assert (await client.reply()).startswith("250")
            await client.ask("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.org>", "DATA")
            assert (await client.ask(b"a\nb\r\n.")).startswith("554")
            await client.ask("NOOP", "QUIT")
            await client.rest()
        await server.empty()
    assert recorder.most.pop("output_octets")[-1] > 100
    assert recorder.most == {
        "command_octets": [len("MAIL FROM:<a@example.org>\r\n")],
        "recipients": [2],
        "junk_commands": [3],
        "message_octets": [len(MESSAGE)],
        "chunks": [3],
        "discard_octets": [len("a\nb\r\n.\r\n")],
        "transactions": [3],
        "errors": [2],
        "unknown_before_hello": [1],
        "auth_attempts": [1],
    }
    assert recorder.of("refused") == []


async def test_use_is_told_when_there_was_never_more() -> None:
    recorder = Recorder()
    async with observed(recorder) as server, await server.client() as client:
        await client.greet()
        for recipients in (1, 2, 2, 1, 3):
            lines = ["RCPT TO:<b@example.org>"] * recipients
            assert (await client.ask("MAIL FROM:<a@example.org>", *lines, "DATA")).startswith("354")
            await client.ask(b".")
    assert recorder.most["recipients"] == [1, 2, 3]


async def test_a_limit_that_is_hit_is_used_up() -> None:
    recorder = Recorder()
    config = ServerConfig(hostname="mx.example.org", limits=Limits(command_octets=512, errors=1))
    async with observed(recorder, config) as server:
        async with await server.client() as client:
            await client.greet()
            await client.ask(b"NOOP " + b"x" * 600, "NOSUCH")
            await client.rest()
        await server.empty()
    assert recorder.most["command_octets"] == [512]
    assert recorder.most["errors"] == [1, 2]
    assert recorder.of("refused") == ["command_octets", "errors"]


@pytest.mark.parametrize("deadline", [field.name for field in attrs.fields(Timeouts)])
def test_a_deadline_that_has_expired_is_used_up(deadline: str) -> None:
    recorder = Recorder()
    config = ServerConfig(hostname="mx.example.org", timeouts=Timeouts(session=77.5))
    connection = ServerConnection(config, peer=FACTS.peer)
    Observation(recorder, FACTS, connection).expired(deadline)
    assert recorder.most == {deadline: [getattr(config.timeouts, deadline)]}
    assert recorder.of("refused") == [deadline]


@pytest.mark.parametrize(("line", "shown"), [(b"MAIL x", b"MAIL ***"), (b"x", b"***")])
def test_a_line_that_is_hidden_keeps_its_limit(line: bytes, shown: bytes) -> None:
    recorder = Recorder()
    watch = Observation(recorder, FACTS, ServerConnection(AUTH_CONFIG, peer=FACTS.peer))
    reply = Reply(552, "No")
    watch.happened(BodyBegin("DATA"))
    watch.happened(Refused(line, reply, "message_octets"))
    assert recorder.told(Refused) == [Refused(shown, reply, "message_octets")]
    assert recorder.of("refused") == ["message_octets"]
