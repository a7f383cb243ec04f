"""Names, passwords and tokens, good and bad, for the clients."""

from hypothesis import strategies as st

from smtpcore._errors import GrammarError
from smtpcore.sasl import saslprep
from smtpcore.sasl._mechanism import MAX_NAME_OCTETS, MAX_SECRET_OCTETS

MAX_NAME, MAX_SECRET = MAX_NAME_OCTETS, MAX_SECRET_OCTETS


def _prepares(text: str) -> bool:
    try:
        return bool(saslprep(text))
    except GrammarError:
        return False


# What every server can accept
TEXT = st.one_of(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=20),
    st.text(st.sampled_from("a =,\u00aa\u00ad\u00b5\u2168\u00a0\u0221\U0001f642"), min_size=1, max_size=10),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=10),
    st.sampled_from(["=" * MAX_NAME, "," * MAX_NAME, "é" * (MAX_NAME // 2)]),
).filter(_prepares)
TOKEN = st.from_regex("[A-Za-z0-9._~+/-]{1,40}={0,2}", fullmatch=True) | st.just("x" * MAX_SECRET)

NO_NAMES = [
    "", "\u00ad", "tim\0", "no\r\nbody", "tim\n", "tim\x01", "tim\x7f", "tim\x85", "\u202etim", "\ud800",
    "\u0627\u0031", "x" * (MAX_NAME + 1), "é" * (MAX_NAME // 2 + 1),
]  # fmt: skip
# "hunter2" is what may not show up anywhere
NO_PASSWORDS = [
    b"", "\u00ad".encode(), b"hunter2\n", b"hunter2\0", b"\0hunter2", b"hunter2\r\nQUIT", b"hunter2\xff",
    "hunter2\u202e".encode(), b"hunter2" * (MAX_SECRET // 7 + 1), "\u00e9hunter2".encode() * 65,
]  # fmt: skip
# SASLprep makes no stored string of characters that Unicode 3.2 does not know
NO_STORED_PASSWORDS = ["\u0221", "hunter2\U0001f642"]
NO_TOKENS = [
    b"", b"=", b"a=b", b"a b", b"a\n", b"a\r\nb", b"a\0", b"a\x01", b"a,b", b"\xff", "é".encode(), b"a:b",
    b"x" * (MAX_SECRET + 1),
]  # fmt: skip
