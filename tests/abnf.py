"""The grammar of RFC 5321 and RFC 6531, read character by character: slow, and plain to see."""

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"


def is_utf8_non_ascii(c: str) -> bool:
    return c > "\x7f"


def is_atext(c: str) -> bool:
    return c in LETTERS + DIGITS + "!#$%&'*+-/=?^_`{|}~" or is_utf8_non_ascii(c)


def is_let_dig(c: str) -> bool:
    return c in LETTERS + DIGITS or is_utf8_non_ascii(c)


def dot_string(text: str) -> bool:
    return all(atom and all(map(is_atext, atom)) for atom in text.split("."))


def quoted_string(text: str) -> bool:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return False
    inner = iter(text[1:-1])
    for c in inner:
        if c == "\\":
            if not " " <= next(inner, "") <= "~":
                return False
        elif not (c in " !" or "#" <= c <= "[" or "]" <= c <= "~" or is_utf8_non_ascii(c)):
            return False
    return True


def local_part(text: str) -> bool:
    return dot_string(text) or quoted_string(text)


def sub_domain(text: str) -> bool:
    return bool(text) and is_let_dig(text[0]) and is_let_dig(text[-1]) and all(c == "-" or is_let_dig(c) for c in text)


def domain(text: str) -> bool:
    return all(map(sub_domain, text.split(".")))


def address_literal(text: str) -> bool:
    inner = text[1:-1]
    return (
        text[:1] == "["
        and text[1:][-1:] == "]"
        and bool(inner)
        and all("!" <= c <= "Z" or "^" <= c <= "~" for c in inner)
    )


def mailbox(text: str) -> bool:
    ats = [at for at, c in enumerate(text) if c == "@"]
    return any(local_part(text[:at]) and (domain(text[at + 1 :]) or address_literal(text[at + 1 :])) for at in ats)


def esmtp_param(text: str) -> bool:
    keyword, equals, value = text.partition("=")
    if not keyword or keyword[0] == "-" or any(c not in LETTERS + DIGITS + "-" for c in keyword):
        return False
    return not equals or (bool(value) and all(("!" <= c <= "~" and c != "=") or is_utf8_non_ascii(c) for c in value))


def string(text: str) -> bool:
    return bool(text) and not any(c < " " or c == "\x7f" for c in text)


def xtext(text: str) -> bool:
    octets = iter(text)
    for c in octets:
        if c == "+":
            if any(next(octets, "x") not in DIGITS + "ABCDEF" for _ in range(2)):
                return False
        elif not "!" <= c <= "~" or c == "=":
            return False
    return True


def bdat(text: str) -> bool:
    size, _, last = text.partition(" ")
    if not 1 <= len(size) <= 20 or any(c not in DIGITS for c in size):
        return False
    return last.strip(" ").upper() == "LAST" and last[-1:] != " " if size != text else True


def auth(text: str) -> bool:
    mechanism, _, initial = text.partition(" ")
    if not 1 <= len(mechanism) <= 20 or any(c not in LETTERS + DIGITS + "-_" for c in mechanism):
        return False
    initial = initial.lstrip(" ")
    return mechanism == text or (bool(initial) and all("!" <= c <= "~" for c in initial))


def path(text: str) -> bool:
    if text[:1] != "<" or text[1:][-1:] != ">":
        return False
    inner = text[1:-1]
    colons = [at for at, c in enumerate(inner) if c == ":"]
    return mailbox(inner) or any(source_route(inner[:at]) and mailbox(inner[at + 1 :]) for at in colons)


def source_route(text: str) -> bool:
    return all(hop[:1] == "@" and domain(hop[1:]) for hop in text.split(","))


def parameters(text: str) -> bool:
    return not text or (text[0] == " " and string(text[1:]))


def with_path(text: str, start: str, *, others: tuple[str, ...]) -> bool:
    """*start*, a path or one of *others*, and perhaps parameters."""
    if text[: len(start)].upper() != start:
        return False
    rest = text[len(start) :]
    return any(
        (path(rest[: at + 1]) or rest[: at + 1].upper() in others) and parameters(rest[at + 1 :])
        for at, c in enumerate(rest)
        if c == ">"
    )


def mail(text: str) -> bool:
    return with_path(text, "FROM:", others=("<>",))


def rcpt(text: str) -> bool:
    return with_path(text, "TO:", others=("<POSTMASTER>",))
