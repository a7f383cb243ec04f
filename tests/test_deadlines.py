"""Deadlines: the table, and the clockwork."""

import math

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from smtpcore._deadlines import CLIENT_DEADLINES, DEADLINES, Clockwork, Deadline
from smtpcore._limits import ClientTimeouts, Timeouts
from smtpcore._reply import Replies
from smtpcore._value import fields

deadlines = st.sampled_from(Deadline)
times = st.integers(-3, 3).map(float) | st.floats(allow_nan=False)


# --- the table -----------------------------------------------------------------------------------


def test_a_row_for_each_deadline() -> None:
    assert {*DEADLINES, *CLIENT_DEADLINES} == set(Deadline)
    for deadline, row in DEADLINES.items():
        assert row.deadline is deadline
        assert row.armed
        assert row.moved


def test_a_length_for_each_deadline() -> None:
    assert {each.value for each in DEADLINES} == {field.name for field in fields(Timeouts)} - {"min_body_rate"}
    assert {each.value for each in CLIENT_DEADLINES} == {field.name for field in fields(ClientTimeouts)}


@pytest.mark.parametrize("deadline", DEADLINES, ids=lambda deadline: deadline.value)
def test_expiry(deadline: Deadline) -> None:
    row = DEADLINES[deadline]
    # A peer that takes no octets, or shakes hands, takes no reply either.
    assert (row.reply is None) == (deadline in (Deadline.WRITE, Deadline.TLS))
    assert row.peer_only == (deadline in (Deadline.COMMAND, Deadline.BODY))
    if row.reply is not None:
        reply = getattr(Replies(), row.reply)
        assert (reply.code, str(reply.status)) == (421, "4.4.2")


def test_a_client_says_nothing_at_expiry() -> None:
    for deadline, row in CLIENT_DEADLINES.items():
        assert row.deadline is deadline
        assert row.armed
        assert row.moved
        assert row.reply is None


def test_deadlines_are_keys() -> None:
    assert len({hash(each) for each in Deadline}) == len(Deadline)
    assert {each: each.value for each in Deadline}[Deadline("body")] == "body"


# --- the clockwork -------------------------------------------------------------------------------


def test_nothing_is_armed() -> None:
    clock = Clockwork()
    assert clock.next() == math.inf
    assert clock.expired(1e300) == []
    assert not any(map(clock.armed, Deadline))


def test_earliest_is_next() -> None:
    clock = Clockwork()
    clock.arm(Deadline.SESSION, 100)
    clock.arm(Deadline.COMMAND, 30)
    assert clock.next() == 30
    clock.arm(Deadline.BODY, 20)
    assert clock.next() == 20
    clock.arm(Deadline.BODY, 200)
    assert clock.next() == 30
    assert clock.at(Deadline.BODY) == 200
    clock.disarm(Deadline.COMMAND, Deadline.WRITE)
    assert clock.next() == 100
    clock.disarm(*Deadline)
    assert clock.next() == math.inf


def test_a_deadline_expires_at_its_time() -> None:
    clock = Clockwork()
    clock.arm(Deadline.WRITE, 10)
    assert clock.expired(math.nextafter(10, 0)) == []
    assert clock.expired(10) == [Deadline.WRITE]
    assert clock.expired(11) == [Deadline.WRITE], "it stays armed until it is disarmed"


class ClockworkAgainstADict(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = Clockwork()
        self.model: dict[Deadline, float] = {}

    @rule(deadline=deadlines, at=times)
    def arm(self, deadline: Deadline, at: float) -> None:
        self.clock.arm(deadline, at)
        self.model[deadline] = at

    @rule(gone=st.lists(deadlines, max_size=3))
    def disarm(self, gone: list[Deadline]) -> None:
        self.clock.disarm(*gone)
        for deadline in gone:
            self.model.pop(deadline, None)

    @rule()
    def next(self) -> None:
        assert self.clock.next() == min(self.model.values(), default=math.inf)

    @rule(now=st.floats(allow_nan=False, allow_infinity=False))
    def expired(self, now: float) -> None:
        assert self.clock.expired(now) == [each for each in Deadline if each in self.model and self.model[each] <= now]

    @invariant()
    def armed(self) -> None:
        assert [each for each in Deadline if self.clock.armed(each)] == [
            each for each in Deadline if each in self.model
        ]


TestClockwork = ClockworkAgainstADict.TestCase
TestClockwork.settings = settings(max_examples=50, stateful_step_count=20)
