"""Any sequence of what a caller may do, beside a dictionary."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings, strategies as st
from spool_play import files, get, listed, put

from smtpcore import STANDARD, Envelope
from smtpcore.testing.strategies import envelopes
from smtpcore_trio.relay.spool import (
    Alert,
    Entry,
    NoSuchMessage,
    RecipientState,
    SpoolSettings,
    Status,
    open_spool,
)

SETTINGS = SpoolSettings(inline_octets=40, page=2, batch=3, checkpoint_octets=2_000, threads=2, reserve_octets=0)
MEMORY = Path("/dev/shm")

CONTENT = st.one_of(st.binary(max_size=60), st.integers(0, 300_000).map(lambda size: b"x" * size))
STATES = st.builds(
    RecipientState,
    index=st.just(0),
    status=st.sampled_from(Status),
    due=st.floats(allow_nan=False),
    attempts=st.integers(0, 1 << 40),
    reply=st.text(st.characters(), max_size=20),
    remote=st.text(st.characters(), max_size=5),
)
WHICH = st.integers(0, 3)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("commit"), st.lists(st.tuples(CONTENT, envelopes(STANDARD), st.binary(max_size=9)), max_size=3)
        ),
        st.tuples(st.just("record"), WHICH, WHICH, STATES),
        st.tuples(st.just("drop"), WHICH),
        st.tuples(st.just("discard"), CONTENT),
        st.tuples(st.just("reopen")),
        st.tuples(st.just("scan")),
    ),
    max_size=12,
)


@attrs.define
class Kept:
    entry: Entry
    octets: bytes
    states: list[RecipientState]


def no_alert(alert: Alert) -> None:
    pytest.fail(str(alert))


class Model:
    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def pick(self, which: int) -> str:
        return sorted(self.kept)[which] if which < len(self.kept) else "0" * 13

    async def play(self, path: Path, steps: Sequence[Sequence[Any]]) -> None:
        remaining = list(steps)
        while True:
            async with open_spool(path, settings=SETTINGS, alert=no_alert) as spool:
                await self.check(spool)
                while remaining and (step := remaining.pop(0))[0] != "reopen":
                    await getattr(self, step[0])(spool, *step[1:])
                if not remaining:
                    await self.check(spool)
                    break
        large = {each for each, kept in self.kept.items() if kept.entry.octets > 40}
        assert {Path(each).name for each in files(path)} == large

    async def check(self, spool: Any) -> None:
        found = await listed(spool)
        assert list(found) == sorted(self.kept)
        for identifier, (entry, states) in found.items():
            kept = self.kept[identifier]
            assert (entry, list(states)) == (kept.entry, kept.states)
            assert await get(spool, identifier) == kept.octets

    async def commit(self, spool: Any, messages: Sequence[tuple[bytes, Envelope, bytes]]) -> None:
        async def one(content: bytes, envelope: Envelope, prefix: bytes) -> None:
            entry = await put(spool, content, envelope, prefix)
            count = len(envelope.recipients)
            states = [RecipientState(index=index, due=1e9) for index in range(count)]
            assert entry.id not in self.kept
            self.kept[entry.id] = Kept(entry, prefix + content, states)

        async with trio.open_nursery() as nursery:
            for message in messages:
                nursery.start_soon(one, *message)

    async def record(self, spool: Any, which: int, index: int, state: RecipientState) -> None:
        identifier = self.pick(which)
        state = attrs.evolve(state, index=index)
        kept = self.kept.get(identifier)
        if kept is None:
            with pytest.raises(NoSuchMessage):
                await spool.record(identifier, [state])
        elif index >= len(kept.states):
            with pytest.raises(ValueError, match="recipients"):
                await spool.record(identifier, [state])
        else:
            await spool.record(identifier, [state])
            kept.states[index] = state

    async def drop(self, spool: Any, which: int) -> None:
        identifier = self.pick(which)
        with contextlib.ExitStack() as stack:
            if self.kept.pop(identifier, None) is None:
                stack.enter_context(pytest.raises(NoSuchMessage))
            await spool.drop(identifier)

    async def discard(self, spool: Any, content: bytes) -> None:
        async with spool.writer() as writer:
            await writer.write(content)

    async def scan(self, spool: Any) -> None:
        for identifier in sorted(self.kept):
            after = [entry.id async for entry, _ in spool.scan(identifier)]
            assert after == sorted(each for each in self.kept if each > identifier)


@settings(max_examples=60)
@given(STEPS)
def test_spool_is_a_dictionary(steps: Sequence[Sequence[Any]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        trio.run(Model().play, Path(made), steps)
