"""Envelopes: what was asked for a message."""

from typing import Any

import pytest

from smtpcore._address import NULL_PATH, Mailbox
from smtpcore._envelope import (
    NO_MAIL_PARAMS,
    NO_RCPT_PARAMS,
    Body,
    DeliverBy,
    Envelope,
    MailParams,
    Notify,
    OriginalRecipient,
    RcptParams,
    Recipient,
    RequireRecipientValidSince,
    Ret,
)
from smtpcore._errors import GrammarError
from smtpcore._value import evolve, fields

MAIL: dict[str, Any] = {
    "size": 10,
    "body": Body.BINARY_MIME,
    "smtputf8": True,
    "auth": Mailbox("a", "b"),
    "ret": Ret.HEADERS,
    "envid": "id",
    "priority": -9,
    "hold_for": 60,
    "hold_until": "2026-11-21T12:00:00Z",
    "by": DeliverBy(120, "R", trace=True),
    "requiretls": True,
    "solicit": ("org.example:ADV",),
    "extra": {"x": 1},
}
RCPT: dict[str, Any] = {
    "notify": frozenset({Notify.SUCCESS, Notify.DELAY}),
    "orcpt": OriginalRecipient("rfc822", "a@b"),
    "rrvs": RequireRecipientValidSince("2026-11-21T12:00:00Z", "C"),
    "extra": {"x": 1},
}


def test_words_of_the_rfcs() -> None:
    assert [each.value for each in Body] == ["7BIT", "8BITMIME", "BINARYMIME"]
    assert [each.value for each in Ret] == ["FULL", "HDRS"]
    assert [each.value for each in Notify] == ["NEVER", "SUCCESS", "FAILURE", "DELAY"]


def test_nothing_was_asked() -> None:
    assert MailParams() == NO_MAIL_PARAMS
    assert RcptParams() == NO_RCPT_PARAMS
    for params in (NO_MAIL_PARAMS, NO_RCPT_PARAMS):
        for field in fields(type(params)):
            assert not getattr(params, field.name)


@pytest.mark.parametrize(("kind", "given"), [(MailParams, MAIL), (RcptParams, RCPT)])
def test_each_field_counts(kind: type, given: dict[str, Any]) -> None:
    assert list(given) == [field.name for field in fields(kind)]
    for name, asked in given.items():
        params = kind(**{name: asked})
        assert params == kind(**{name: asked}) == evolve(kind(), **{name: asked})
        assert params != kind()
        assert getattr(params, name) == asked


def test_hash_goes_without_what_cannot_be_hashed() -> None:
    assert len({MailParams(**MAIL), MailParams(**MAIL), MailParams()}) == 2
    assert len({RcptParams(**RCPT), RcptParams(**RCPT), RcptParams()}) == 2
    assert hash(MailParams(extra={"x": 1})) == hash(MailParams())


def test_nothing_extra_is_shared_and_changed() -> None:
    nothing: Any = MailParams().extra
    with pytest.raises(TypeError):
        nothing["x"] = 1


@pytest.mark.parametrize(("kind", "given"), [(MailParams, MAIL), (RcptParams, RCPT)])
def test_repr_shows_what_was_given(kind: type, given: dict[str, Any]) -> None:
    assert repr(kind()) == f"{kind.__name__}()"
    for name, asked in given.items():
        assert repr(kind(**{name: asked})) == f"{kind.__name__}({name}={asked!r})"
    shown = ", ".join(f"{name}={asked!r}" for name, asked in given.items())
    assert repr(kind(**given)) == f"{kind.__name__}({shown})"


def test_envelope() -> None:
    recipient = Recipient(Mailbox("c", "d"))
    envelope = Envelope(NULL_PATH, (recipient,))
    assert recipient.params is NO_RCPT_PARAMS
    assert envelope.params is NO_MAIL_PARAMS
    assert envelope == Envelope(NULL_PATH, (Recipient(Mailbox("c", "D"), RcptParams()),), MailParams())
    assert hash(envelope) == hash(Envelope(NULL_PATH, (Recipient(Mailbox("c", "D")),)))
    assert envelope != Envelope(Mailbox("a", "b"), (recipient,))


def test_envelope_of_text() -> None:
    envelope = Envelope.parse("", ["a@b.example", "c@d.example"], MailParams(size=3))
    assert envelope == Envelope(
        NULL_PATH, (Recipient(Mailbox("a", "b.example")), Recipient(Mailbox("c", "d.example"))), MailParams(size=3)
    )
    assert Envelope.parse("a@b.example", []).reverse_path == Mailbox("a", "b.example")


@pytest.mark.catalogue("B7")
@pytest.mark.parametrize(
    "text",
    [
        "A <a@b.example>",
        "<a@b.example>",
        "a@b.example, c@d.example",
        "a@b.example (A)",
        "a@b.example\r\n",
        " a@b.example",
    ],
)
def test_what_stands_in_a_header_is_no_address(text: str) -> None:
    with pytest.raises(GrammarError):
        Envelope.parse(text, ["a@b.example"])
    with pytest.raises(GrammarError):
        Envelope.parse("a@b.example", [text])


@pytest.mark.parametrize("text", ["bob", "b@c.example\x1b[2J", "x" * 1000])
def test_which_is_no_address(text: str) -> None:
    """It is named, so that a terminal may show it."""
    shown = {"b@c.example\x1b[2J": r"b@c.example\x{1B}[2J", "x" * 1000: "x" * 256 + "..."}.get(text, text)
    for sender, recipients in ((text, []), ("a@b.example", ["c@d.example", text, "e@f.example"])):
        with pytest.raises(GrammarError) as raised:
            Envelope.parse(sender, recipients)
        assert str(raised.value) == f"'{shown}': not a mailbox"


def test_empty_recipient() -> None:
    with pytest.raises(GrammarError, match=r"^'': not a mailbox$"):
        Envelope.parse("", [""])


def test_recipients_are_several() -> None:
    with pytest.raises(GrammarError):
        Envelope.parse("a@b.example", "c@d.example")
