"""What every connection has: input, output, and the moves of its deadlines."""

import math

from hypothesis import given, strategies as st

from smtpcore._deadlines import DEADLINES, Deadline
from smtpcore._framing import Input
from smtpcore._link import Link

LENGTHS = {
    Deadline.COMMAND: 300.0,
    Deadline.BODY: 180.0,
    Deadline.WRITE: 60.0,
    Deadline.TLS: 30.0,
    Deadline.SESSION: 3600.0,
}
RATE = 500.0


def link() -> Link:
    return Link(Input(1000), LENGTHS, RATE)


def begun(now: float = 0.0) -> Link:
    """A link that was told of a time."""
    begun = link()
    begun.touch(now)
    return begun


# --- output --------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=5)))
def test_output_is_kept_in_order(pieces: list[bytes]) -> None:
    out = link()
    for piece in pieces:
        out.send(piece)
    assert out.out_octets == sum(map(len, pieces))
    assert out.take() == pieces
    assert out.out_octets == 0
    assert out.take() == []


def test_what_was_taken_stays_as_it_is() -> None:
    out = link()
    out.send(b"a")
    taken = out.take()
    out.send(b"b")
    assert taken == [b"a"]
    assert out.out_octets == 1


# --- deadlines -----------------------------------------------------------------------------------


def test_a_new_link_waits_for_nothing() -> None:
    new = link()
    assert not new.waiting
    assert not new.ended
    assert new.out_octets == 0


def test_session_begins_with_the_first_time() -> None:
    assert link().pending
    new = link()
    assert new.next_deadline() == -math.inf, "a time is wanted at once"
    new.touch(10)
    assert not new.pending
    assert new.next_deadline() == 3610
    new.touch(20)
    assert new.next_deadline() == 3610


def test_session_begins_before_what_overtook_it() -> None:
    new = link()
    new.arm_soon(Deadline.TLS)
    new.touch(10)
    assert new.next_deadline() == 40
    new.disarm(Deadline.TLS)
    assert new.next_deadline() == 3610


def test_armed_soon_is_armed_with_the_next_time() -> None:
    one = begun()
    one.restart(Deadline.COMMAND, 5)
    assert one.next_deadline() == 305
    one.arm_soon(Deadline.BODY)
    assert one.pending
    assert not one.clock.armed(Deadline.COMMAND), "the command came"
    assert one.next_deadline() == -math.inf
    one.touch(100)
    assert one.next_deadline() == 280
    assert not one.pending


def test_disarmed_before_it_began() -> None:
    one = begun()
    one.arm_soon(Deadline.BODY)
    one.disarm(Deadline.TLS)
    assert one.next_deadline() == -math.inf
    one.disarm(Deadline.BODY)
    assert one.next_deadline() == 3600
    one.touch(1)
    assert not one.clock.armed(Deadline.BODY)


def test_disarmed_after_it_began() -> None:
    one = begun()
    one.restart(Deadline.WRITE, 0)
    assert one.next_deadline() == 60
    one.disarm(Deadline.WRITE)
    assert one.next_deadline() == 3600


def test_end_leaves_what_is_to_be_written() -> None:
    one = begun()
    for deadline in DEADLINES:
        one.restart(deadline, 0)
    one.arm_soon(Deadline.TLS)
    one.end()
    assert one.ended
    assert [each for each in Deadline if one.clock.armed(each)] == [Deadline.WRITE]
    one.touch(1)
    assert one.next_deadline() == 60


def test_nothing_begins_after_the_end() -> None:
    one = link()
    one.end()
    one.arm_soon(Deadline.BODY)
    one.touch(1)
    assert one.next_deadline() == math.inf
    assert not one.pending


# --- the pace of a body --------------------------------------------------------------------------


def body(now: float = 0.0) -> Link:
    one = begun(now)
    one.arm_soon(Deadline.BODY)
    one.touch(now)
    return one


def test_a_body_that_keeps_pace_is_given_its_whole_time() -> None:
    one = body()
    for second in range(1, 1000):
        one.body_moved(500, float(second))
        assert one.next_deadline() == second + 180


def test_a_fast_body_gains_no_time_in_advance() -> None:
    one = body()
    one.body_moved(10**9, 1.0)
    assert one.next_deadline() == 181


def test_a_slow_body_gains_what_its_octets_are_worth() -> None:
    one = body(10.0)
    one.body_moved(1, 20.0)
    assert one.next_deadline() == 10 + 1 / RATE + 180
    one.body_moved(499, 150.0)
    assert one.next_deadline() == 10 + 1 + 180


def test_octets_before_count_for_pauses() -> None:
    one = body()
    one.body_moved(50_000, 1.0)  # worth 100 seconds
    one.body_moved(1, 90.0)
    assert one.next_deadline() == 270
    one.body_moved(1, 200.0)
    assert one.next_deadline() == 50_002 / RATE + 180


def test_the_first_octets_come_with_no_credit() -> None:
    one = begun()
    one.body_moved(0, 5.0)
    assert one.next_deadline() == 180


def test_time_that_the_application_takes_does_not_count() -> None:
    one = body()
    one.body_moved(500, 10.0)  # worth one second
    assert one.next_deadline() == 181
    one.resume()
    assert one.pending
    one.touch(50.0)
    assert one.next_deadline() == 221
    one.body_moved(500, 60.0)
    assert one.next_deadline() == 40 + 2 + 180, "the pace is kept from a start that was put off, too"


def test_each_pause_counts_once() -> None:
    one = body()
    one.body_moved(500, 10.0)
    one.resume()
    one.touch(20.0)
    one.touch(30.0)
    assert one.next_deadline() == 191
    one.body_moved(500, 40.0)
    one.resume()
    one.touch(41.0)
    assert one.next_deadline() == 10 + 2 + 180 + 1


def test_a_pause_before_the_first_octets() -> None:
    one = body(10.0)
    one.resume()
    one.touch(15.0)
    assert one.next_deadline() == 195


def test_who_waits_already_is_not_resumed() -> None:
    one = body()
    one.waiting = True
    one.resume()
    assert not one.pending
    one.touch(50.0)
    assert one.next_deadline() == 180


def test_no_body_no_pause() -> None:
    one = begun()
    one.resume()
    one.touch(50.0)
    assert one.next_deadline() == 3600
    assert not one.clock.armed(Deadline.BODY)


def test_each_body_is_paced_from_its_own_start() -> None:
    one = body()
    one.body_moved(10**6, 1.0)
    one.restart(Deadline.BODY, 1000.0)
    one.body_moved(1, 1100.0)
    assert one.next_deadline() == 1000 + 1 / RATE + 180


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 100)), min_size=1))
def test_no_drip_lasts_longer_than_its_rate(moves: list[tuple[int, float]]) -> None:
    one = body()
    now, octets = 0.0, 0
    for count, pause in moves:
        now += pause
        octets += count
        one.body_moved(count, now)
        deadline = min(3600, one.next_deadline())
        assert deadline <= max(octets / RATE, 0) + 180 or deadline == 3600
        assert deadline <= now + 180
