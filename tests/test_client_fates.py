"""Whatever a server replies to the parts of a transaction, in any combination: what becomes of each recipient.

The oracle is written from the RFCs and not from the engine. It asks for replies as the server would give them, so
every combination that makes a difference is tried, and none twice.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from _client_wire import (
    EOF,
    ScriptedServer,
    begun,
    closing,
    converse,
    dones,
    envelope,
    fates,
    start,
)

from smtpcore import (
    LMTP,
    SMTP,
    Answer,
    BodyWanted,
    ClientConfig,
    ClientLimits,
    Closed,
    Dialect,
    LocalProtocolError,
    MessageAnswer,
    RecipientAnswer,
    SenderAnswer,
    Violation,
)

YES = {"MAIL": 250, "RCPT": 250, "DATA": 354, "BDAT": 250, "END": 250}
TO = ("x@y.example", "y@y.example", "z@z.example")


class Expected(NamedTuple):
    """What should come of it.

    Args:
        reset: whether RSET has to come before another transaction.
    """

    fates: list[str]
    closed: bool = False
    reset: bool = False
    violation: bool = False


class MoreWanted(Exception):
    """The server is to give a reply that is not in the script."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


Next = Callable[[str], int]
Oracle = Callable[[Next], Expected]


class Ended(Exception):
    """The connection is gone; the reply that says so, if there is one."""


class Case:
    """One way to send a message, and what an onlooker says of it."""

    def __init__(self, dialect: Dialect, *, pipelined: bool, chunks: int, recipients: int) -> None:
        self.dialect = dialect
        self.pipelined = pipelined
        self.chunks = chunks  # by BDAT, but for LAST; -1 for DATA
        self.recipients = recipients

    def __repr__(self) -> str:
        how = "DATA" if self.chunks < 0 else f"BDAT{self.chunks}"
        return f"{self.dialect.name}-{'group' if self.pipelined else 'single'}-{how}-{self.recipients}"

    def expected(self, reply: Next) -> Expected:
        self.fates: list[str | None] = [None] * self.recipients
        self.accepted: list[int] = []
        self.reset = False
        self.handed_out = False  # the end of the message
        try:
            self._transaction(reply)
        except Ended as ended:
            violation = ended.args == ("violation",)
            reason = "" if violation else "".join(f" {code}" for code in ended.args)
            for index, fate in enumerate(self.fates):
                if fate is None:
                    unknown = self.handed_out and index in self.accepted
                    self.fates[index] = "UNKNOWN" if unknown else f"UNSENT{reason}"
            return Expected([str(fate) for fate in self.fates], closed=True, violation=violation)
        return Expected([str(fate) for fate in self.fates], reset=self.reset)

    def _refuse(self, code: int, *indexes: int) -> None:
        for index in indexes or range(self.recipients):
            self.fates[index] = self.fates[index] or f"REFUSED {code}"

    @staticmethod
    def _alive(code: int) -> None:
        """See whether the connection is."""
        if code == EOF:
            raise Ended
        if code == 421:
            raise Ended(421)

    def _transaction(self, reply: Next) -> None:
        mail = reply("MAIL")
        if mail != 250:
            if mail != EOF:
                self._refuse(mail)
            self._alive(mail)
            if not self.pipelined:
                return
        for index in range(self.recipients):
            rcpt = reply("RCPT")
            if rcpt == 250:
                self.accepted.append(index)
            elif rcpt != EOF:
                self._refuse(rcpt, index)
            self._alive(rcpt)
        if mail != 250:
            self.reset = bool(self.accepted)  # who knows for whom the server would take a message now
        elif not self.accepted:
            self.reset = True  # MAIL was accepted
        useless = mail != 250 or not self.accepted
        if self.chunks < 0:
            if useless and not self.pipelined:
                return  # DATA has not been said
            data = reply("DATA")
            if data != 354:
                if not useless:
                    self._refuse_rest(data)
                self._alive(data)
                self.reset = self.reset or mail == 250
                return
            if useless:
                # What would an empty message be sent to, or how many replies come?
                if self.accepted or self.dialect is LMTP:
                    raise Ended("violation")
                self._alive(reply("END"))
                self.reset = False  # the server's transaction has come to its end
                return
        elif useless or self._chunks(reply):
            return
        self._verdict(reply)

    def _refuse_rest(self, code: int) -> None:
        if code != EOF:
            self._refuse(code)

    def _chunks(self, reply: Next) -> bool:
        """Whether one was refused, and all that was sent has its reply."""
        # LMTP: the number of replies to LAST is not sure until the other chunks are taken.
        together = self.pipelined and self.dialect is SMTP
        self.handed_out = together
        refused = False
        for _ in range(self.chunks):
            code = reply("BDAT")
            if code not in (250, EOF) and not refused:
                self._refuse(code)
                refused = True
            self._alive(code)
            if refused and not self.pipelined:
                break
        self.reset = refused
        if refused and together:
            last = reply("END")
            self._alive(last)
            if last == 250:
                for index in self.accepted:
                    self.fates[index] = None
                raise Ended("violation")
        return refused

    def _verdict(self, reply: Next) -> None:
        self.handed_out = True
        if self.dialect is SMTP:
            end = reply("END")
            if end == 250:
                for index in self.accepted:
                    self.fates[index] = "ACCEPTED 250"
            else:
                self._refuse_rest(end)
            self._alive(end)
            return
        for index in self.accepted:
            end = reply("END")
            if end == 250:
                self.fates[index] = "ACCEPTED 250"
            elif end != EOF:
                self._refuse(end, index)
            self._alive(end)


def scripts(
    oracle: Oracle, script: tuple[tuple[str, int], ...] = ()
) -> Iterator[tuple[dict[str, list[int]], Expected]]:
    """All replies that make a difference, and what comes of them."""
    left = deque(script)

    def reply(kind: str) -> int:
        if not left:
            raise MoreWanted(kind)
        said, code = left.popleft()
        assert said == kind
        return code

    try:
        expected = oracle(reply)
    except MoreWanted as more:
        for code in (YES[more.kind], 451, 554, 421, EOF):
            yield from scripts(oracle, (*script, (more.kind, code)))
        return
    assert not left
    by_kind: dict[str, list[int]] = {}
    for kind, code in script:
        by_kind.setdefault(kind, []).append(code)
    yield by_kind, expected


CASES = [
    Case(dialect, pipelined=pipelined, chunks=chunks, recipients=recipients)
    for dialect in (SMTP, LMTP)
    for pipelined in (False, True)
    for chunks, recipients in ((-1, 2), (0, 2), (2, 1))
]
CASES += [Case(LMTP, pipelined=True, chunks=2, recipients=2), Case(SMTP, pipelined=True, chunks=-1, recipients=3)]
MESSAGE = b"0123456789abcdef"


@pytest.mark.catalogue("F13", "H16", "B12")
@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_every_combination_of_replies(case: Case, cut: int | None) -> None:
    count = 0
    for script, expected in scripts(case.expected):
        count += 1
        try:
            hold(case, script, expected, cut)
        except AssertionError as error:
            raise AssertionError(f"{script} should have come to {expected}") from error
    assert count > 20


def hold(case: Case, script: dict[str, list[int]], expected: Expected, cut: int | None) -> None:
    offered = ["PIPELINING"] * case.pipelined + ["CHUNKING"] * (case.chunks >= 0)
    octets = len(MESSAGE) // case.chunks if case.chunks > 0 else 100
    config = ClientConfig(prefer_chunking=True, limits=ClientLimits(chunk_octets=octets))
    driver = begun(*offered, config=config, dialect=case.dialect)
    server = ScriptedServer(offered, dialect=case.dialect, script=script)
    message = b"" if case.chunks == 0 else MESSAGE
    transaction = start(driver, envelope("a@b.example", *TO[: case.recipients]), message, sizes=(octets,))
    assert driver.conn.data_to_send(0.0) == []
    converse(driver, server, cut)

    assert fates(transaction) == expected.fates
    assert transaction.done
    assert dones(driver) == [transaction]
    assert server.unsaid == 0
    answers = driver.seen(SenderAnswer, RecipientAnswer, MessageAnswer)
    for answer in answers:
        assert answer.transaction is transaction
        assert answer.reply.text == answer.command.verb
    wanted = driver.seen(BodyWanted)
    # The application is asked for a message where that can still be sent, and for nothing else.
    took = script.get("END", []) or script.get("BDAT", [])
    lone_dot = script["MAIL"] != [250] or 250 not in script.get("RCPT", [])
    assert len(wanted) == (bool(took) and not lone_dot)
    if expected.closed:
        closed = closing(driver)
        assert (closed.violation is Violation.WRONG_REPLY) == expected.violation
        with pytest.raises(LocalProtocolError):
            driver.conn.send(envelope())
        return
    assert not driver.seen(Closed)
    assert driver.conn.awaits_intent
    # Nothing is left of it: another message goes through, with RSET before it if there has to be.
    driver.events.clear()
    server.lines.clear()
    again = start(driver, envelope("again@b.example", "w@w.example"))
    converse(driver, server, cut)
    assert fates(again) == ["ACCEPTED 250"]
    assert server.lines[: 1 + expected.reset] == ["RSET"] * expected.reset + ["MAIL FROM:<again@b.example>"]
    assert server.messages[-1] == b"Hi\r\n"
    assert [answer.command.verb for answer in driver.seen(Answer)] == ["RSET"] * expected.reset
    # And a third needs none.
    server.lines.clear()
    start(driver)
    converse(driver, server, cut)
    assert server.lines[0] == "MAIL FROM:<a@b.example>"
    driver.conn.quit()
    driver.pump()
    converse(driver, server, cut)
    assert closing(driver).violation is None
