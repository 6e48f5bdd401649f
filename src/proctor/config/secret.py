"""Values that no face may show: a wrapper that hides them, a net that takes them out of texts."""

from __future__ import annotations

import html
import json
import re

from collections.abc import Iterable
from typing import Final, NoReturn
from urllib.parse import quote, quote_plus, unquote

MASK: Final = "***"
LONG: Final = 8
"""A value whose name says nothing is taken for a secret only from this length on."""
SHORT: Final = 4
"""Secrets shorter than this are taken out only where they stand alone: "a" is in every word."""

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][\w.+-]*://)(?:(?P<who>.*)@)?(?P<rest>.*)", re.DOTALL)
_CREDENTIALS: Final = re.compile(r"(?P<before>[A-Za-z][\w.+-]*://[^\s:/@]*:)[^\s@]*@")
# What may be seen of a URL's query; whatever a driver invents tomorrow is hidden until then.
_PLAIN: Final = frozenset(
    {
        *("application_name", "cache", "charset", "connect_timeout", "dbname", "host", "hostaddr"),
        *("keepalives", "mode", "port", "sslmode", "target_session_attrs", "timeout", "uri"),
        "user",
    }
)
_PRIVATE: Final = re.compile(
    r"passw|passphrase|secret|token|credential|api_?key|(?:^|_)(?:auth|dsn|key|pass|sig|signature)$",
    re.IGNORECASE,
)


_RAW: Final = "surrogateescape"
_HEX: Final = re.compile(r"%[0-9A-F]{2}")
_UNICODE: Final = (("&<>", "04x"), ("&<>'", "04x"), ("+&<>'\"`", "04X"))
"""What Go, Jinja and .NET write by their code in JSON, and with which digits."""
_TEMPLATES: Final = {ord(mark): f"&#x{ord(mark):X};" for mark in "/=`"}


def looks_private(name: str) -> bool:
    """Whether a variable or parameter of this name probably holds a secret."""
    return _PRIVATE.search(name) is not None


class Secret:
    """A text that only `reveal()` gives away; printing it shows `shown`.

    Not a dataclass, so that nothing turns it into a dict; and it cannot be pickled: secrets do
    not travel between processes, names do.
    """

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, shown: str = MASK) -> None:
        """Hide a value behind what may be shown of it."""
        self._value = value
        self._shown = shown

    def reveal(self) -> str:
        """The text itself, for the driver that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"Secret({self._shown!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not travel between processes: pass its name instead")


def mask_url(url: str) -> str:
    """The URL as people may see it: no password, no unknown query value, no fragment."""
    found = _URL.fullmatch(url)
    if not found:
        return MASK
    rest, _, fragment = found["rest"].partition("#")
    address, _, query = rest.partition("?")
    who = ""
    if found["who"] is not None:
        user, colon, _ = found["who"].partition(":")
        # A web address carries a token where a database has its user.
        who = f"{MASK if found['scheme'].startswith('http') else user}{colon and ':' + MASK}@"
    pairs = [pair.partition("=") for pair in query.split("&")] if query else []
    shown = "&".join(f"{k}{eq}{v if k in _PLAIN or not v else MASK}" for k, eq, v in pairs)
    tail = (f"?{shown}" if query else "") + (f"#{MASK}" if fragment else "")
    return f"{found['scheme']}{who}{address}{tail}"


def secrets_of_url(url: str) -> set[str]:
    """What must not be seen of a URL: password, token, private query values, and all in one."""
    found = _URL.fullmatch(url)
    if not found:
        return {url}
    user, _, password = (found["who"] or "").partition(":")
    rest, _, fragment = found["rest"].partition("#")
    pairs = [pair.partition("=") for pair in rest.partition("?")[2].split("&")]
    private = (v for k, _, v in pairs if looks_private(k) or (k not in _PLAIN and len(v) >= LONG))
    secrets = {password, fragment, *private}
    if found["scheme"].startswith("http"):
        secrets.add(user)
    secrets.discard("")
    return secrets | {url} if secrets else secrets


class Redactor:
    """Takes a fixed set of secrets out of any text, in every spelling that a face might use."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Prepare one pattern; the longest secret first, so that no part of one is left over."""
        spellings = {spelling for secret in secrets for spelling in _spellings(secret)} - {""}
        ordered = sorted(spellings, key=lambda s: (-len(s), s))
        self._pattern = re.compile("|".join(map(_exactly, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        """The text without them, and without the password of any other URL in it."""
        if self._pattern is not None:
            text = self._pattern.sub(MASK, text)
        return _CREDENTIALS.sub(rf"\g<before>{MASK}@", text)

    def __repr__(self) -> str:
        return "Redactor()"


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets; to do it often, keep a Redactor."""
    return Redactor(secrets)(text)


def _spellings(secret: str) -> set[str]:
    """As it is, decoded, and as URLs, JSON, HTML and Python would print it.

    A service that repeats what it was sent spells it its own way: small hex digits, PHP's
    slashes, the plus of .NET and the & of Go in JSON, the slashes of templates in HTML.
    """
    forms = set()
    for plain in {secret, unquote(secret)}:
        # Bytes of the environment that are no UTF-8 are surrogates here.
        coded = {quote(plain, errors=_RAW), quote(plain, safe="", errors=_RAW)}
        coded.add(quote_plus(plain, errors=_RAW))
        forms |= {plain, *coded, *(_HEX.sub(lambda x: x[0].lower(), one) for one in coded)}
        written = {json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1]}
        forms |= written | {one.replace("/", r"\/") for one in written}
        for marks, digits in _UNICODE:
            named = {ord(mark): rf"\u{ord(mark):{digits}}" for mark in marks}
            bare = {one.replace(r"\"", '"') for one in written} if '"' in marks else written
            forms |= {one.translate(named) for one in bare}
        forms |= {html.escape(plain), html.escape(plain, quote=False)}
        forms.add(html.escape(plain).translate(_TEMPLATES).replace("&#x27;", "&#39;"))
        forms |= {repr(plain)[1:-1], ascii(plain)[1:-1]}
    return forms


def _exactly(spelling: str) -> str:
    pattern = re.escape(spelling)
    return rf"(?<![^\W_]){pattern}(?![^\W_])" if len(spelling) < SHORT else pattern


__all__ = [
    "LONG",
    "MASK",
    "Redactor",
    "Secret",
    "looks_private",
    "mask_url",
    "redact",
    "secrets_of_url",
]
