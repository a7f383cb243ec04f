"""What mutants of the message on its way in showed that no other test looks at."""

from smtpcore._body import IncomingBody
from smtpcore._framing import Stray
from smtpcore._limits import Limits
from smtpcore._reply import Reply

NO = Reply(550, "No")


def test_before_the_first_octet() -> None:
    for dots in (True, False):
        body = IncomingBody(Limits(), Stray.REJECT, dots=dots)
        assert (body.octets, body.raw, body.chunks, body.left) == (0, 0, 0, 0)
        assert (body.last, body.ended, body.refused, body.abort, body.reply) == (False, False, False, None, None)


def test_what_is_said_at_the_end_of_a_refused_message() -> None:
    body = IncomingBody(Limits(), Stray.REJECT, dots=True)
    body.refuse(NO)
    assert body.data(b"a\r\n.\r\n") == (b"", 0)
    assert (body.ended, body.refused, body.abort, body.reply) == (True, True, None, NO)
