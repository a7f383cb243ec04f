import pytest
from extension_play import MAIL_OK, MAIL_SYNTAX, connect, find, mail, offers

from smtpcore import GrammarError
from smtpcore.extensions import MT_PRIORITY, mt_priority


def test_offer() -> None:
    assert offers(connect(MT_PRIORITY)) == ["MT-PRIORITY"]


# RFC 6710 7: priority-profile = 1*20(ALPHA / DIGIT / "-" / "_" / ".")
@pytest.mark.parametrize("profile", ["MIXER", "STANAG4406", "a-b_c.0", "a" * 20])
def test_offer_of_a_policy(profile: str) -> None:
    assert offers(connect(mt_priority(profile))) == [f"MT-PRIORITY {profile}"]


@pytest.mark.parametrize("profile", ["a" * 21, "a b", "a\n", "a=b", "é"])
def test_not_a_policy(profile: str) -> None:
    with pytest.raises(GrammarError, match="policy"):
        mt_priority(profile)


@pytest.mark.parametrize("priority", range(-9, 10))
def test_value(priority: int) -> None:
    said, params = mail(f"MT-PRIORITY={priority}", MT_PRIORITY)
    assert said == MAIL_OK
    assert params is not None
    assert params.priority == priority
    assert find("MAIL", "MT-PRIORITY").encode(priority) == f"MT-PRIORITY={priority}"


@pytest.mark.catalogue("E12")
@pytest.mark.parametrize("value", ["-10", "10", "-0", "00", "+1", "01", "-", "1.0", "high"])
def test_not_a_value(value: str) -> None:
    assert mail(f"MT-PRIORITY={value}", MT_PRIORITY) == (MAIL_SYNTAX, None)


@pytest.mark.parametrize("text", ["", "MIXER", "a-b_c.0", "a" * 20])
def test_hear(text: str) -> None:
    assert MT_PRIORITY.hear(text) == text


@pytest.mark.parametrize("text", ["a" * 21, "MIXER NSEP", "a=b", "\u00e9"])
def test_not_heard(text: str) -> None:
    with pytest.raises(GrammarError):
        MT_PRIORITY.hear(text)
