"""The forms in which one text turns up in another: quoted, escaped, encoded."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL_SAFE = ("", "/", "!'()*", "/:?#[]@!$&'()*+,;=")
"""What one or the other leaves as it is when it quotes for URLs."""
_HTML_QUOTES = (
    *[('"', "'"), ("&quot;", "'"), ("&quot;", "&#x27;"), ("&quot;", "&#39;"), ("&quot;", "&#039;")],
    *[("&quot;", "&apos;"), ("&#34;", "&#39;"), ("&#34;", "&#x27;"), ("&#x22;", "&#x27;")],
)
"""How one or the other writes both of them."""


def raw(text: str) -> bytes:
    """In UTF-8; of what came in as bytes that are none, those bytes."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # half a character of UTF-16
        return text.encode(errors="surrogatepass")


def spelled(text: str) -> set[bytes]:
    """As it is, and as shells, JSON, Python, URLs and HTML write it."""
    # What is in a literal may be in another: a request in a request, an error in an error; and
    # a request is an argument of a command.
    literals = {*_in_literals(text)}
    quoted = {text, *_in_shell(text), *literals, *_in_html(text)}
    forms = {
        *quoted,
        *(form for each in quoted for form in _in_literals(each)),
        *(form for each in literals for form in _in_shell(each)),
        *_in_urls(text),
    }
    return {raw(form) for form in forms}


def encoded(text: str) -> set[bytes]:
    """As it reads inside longer base64, wherever it begins there; unpadded.

    Of a character that tells of the text's neighbours too, nothing is known: it is left out.
    """
    data = raw(text)
    forms = {base64.b64encode(data).rstrip(b"=")}
    for before in range(3):
        whole = base64.b64encode(bytes(before) + data)
        forms.add(whole[-(-8 * before // 6) : 8 * (before + len(data)) // 6])
    return forms | {form.translate(bytes.maketrans(b"+/", b"-_")) for form in forms}


def _in_shell(text: str) -> Iterator[str]:
    once = shlex.quote(f" {text}")[2:-1]
    yield once
    yield shlex.quote(f" {once}")[2:-1]  # a command in a command
    yield text.replace("'", "'\\''")  # as dash, bash and zsh trace
    yield re.sub(r'(["$`\\])', r"\\\1", text)
    # printf %q, as the shell and its locale have it
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text, flags=re.ASCII)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
    yield re.sub(r"([^\w@%+=:./~-])", r"\\\1", text)
    yield re.sub(r"[^\0-\x7f]", _octal, repr(f'"{text}')[2:-1])


def _in_literals(text: str) -> Iterator[str]:
    for literal in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield literal.replace("/", "\\/")
        # Go's, and others', may stand in HTML.
        for each in (literal, re.sub("[&<>\u2028\u2029]", _utf16, literal)):
            yield each
            yield re.sub(r"\\u[0-9a-f]{4}", lambda m: rf"\u{m[0][2:].upper()}", each)
    # Which quotes Python escapes depends on what else is in the string.
    for literal in (repr(f'"{text}'), ascii(f'"{text}'), repr(b'"' + raw(text))[1:]):
        yield literal[2:-1]
        yield literal[2:-1].replace("\\'", "'")


def _in_html(text: str) -> Iterator[str]:
    for double, single in _HTML_QUOTES:
        yield html.escape(text, quote=False).replace('"', double).replace("'", single)


def _utf16(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _octal(match: re.Match[str]) -> str:
    return "".join(f"\\{byte:03o}" for byte in raw(match[0]))


def _in_urls(text: str) -> Iterator[str]:
    for safe in _URL_SAFE:
        quoted = urllib.parse.quote(raw(text), safe=safe)
        for form in (quoted, quoted.replace("%20", "+")):
            yield form
            yield re.sub("%..", lambda m: m[0].lower(), form)
