"""Secrets in what a run shows: none, in whatever form and however it comes."""

from __future__ import annotations

import base64
import html
import itertools
import json
import os
import re
import shlex
import subprocess
import urllib.parse
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.events import Dispatcher, Event, Notice, Output
from harness.masking import MaskedStream, Masker
from harness.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECRET = 'it\'s a "s3cr3t" & <ünsafe>/$x\\y\tz'
KEY = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2E+/x\nshort\nlast line here\n-----END KEY-----\n"


def masker(*secrets: str) -> Masker:
    made = Masker()
    for secret in secrets:
        assert made.hide(secret) is None
    return made


def in_base64(text: str, around: str = "ab") -> str:
    """As the program wraps it, somewhere in a longer text."""
    return base64.encodebytes(f"{around}{text}{around}".encode()).decode()


def go_json(literal: str) -> str:
    """As it may stand in HTML."""
    return re.sub("[&<>]", lambda m: f"\\u{ord(m[0]):04x}", literal)


def upper(literal: str) -> str:
    return re.sub(r"\\u[0-9a-f]{4}", lambda m: rf"\u{m[0][2:].upper()}", literal)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "shell": shlex.quote,
    "shell in shell": lambda s: shlex.join(["sh", "-c", shlex.join(["echo", s])]),
    "shell's own": lambda s: s.replace("'", "'\\''"),
    "json": json.dumps,
    "json of a text around it": lambda s: json.dumps({"a": [f"it's {s} \\"]}),
    "json in UTF-8": lambda s: json.dumps(s, ensure_ascii=False),
    "json in json": lambda s: json.dumps({"body": json.dumps({"a": s})}),
    "json in HTML": lambda s: go_json(json.dumps(s)),
    "json as Go writes it": lambda s: go_json(json.dumps(s, ensure_ascii=False)),
    "json with upper-case digits": lambda s: upper(json.dumps(s)),
    "json in HTML with upper-case digits": lambda s: upper(go_json(json.dumps(s))),
    "json as an argument": lambda s: shlex.quote(json.dumps({"p": s})),
    "json in UTF-8 as an argument": lambda s: shlex.quote(json.dumps({"p": s}, ensure_ascii=False)),
    "ascii": ascii,
    "ascii with both quotes": lambda s: ascii(f"'{s}\""),
    "repr": repr,
    "repr in repr": lambda s: repr([repr(s)]),
    "repr with both quotes": lambda s: repr(f"'{s}\""),
    "repr of bytes": lambda s: repr(f"'{s}\"".encode()),
    "URL": urllib.parse.quote,
    "URL's component": lambda s: urllib.parse.quote(s, safe=""),
    "URL's form": urllib.parse.quote_plus,
    "html": html.escape,
    "html's own quotes": lambda s: html.escape(s, quote=False),
    **{
        f"html with {double} and {single}": lambda s, d=double, q=single: (  # type: ignore[misc]  # mypy infers no types of defaults
            html.escape(s, quote=False).replace('"', d).replace("'", q)
        )
        for double, single in [("&#34;", "&#39;"), ("&#34;", "&#x27;"), ("&quot;", "&#39;")]
    },
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 behind one": lambda s: base64.b64encode(f"x{s}y".encode()).decode(),
    "base64 behind two": lambda s: base64.b64encode(f"xx{s}yy".encode()).decode(),
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(f"xx{s}".encode()).decode(),
    "base64 in lines": lambda s: in_base64(s, "a" * 50),
}


def core(form: str, secret: str) -> str:
    """What of a form nobody may see: of base64, what is the same whatever stands around it."""
    if not form.startswith("base64"):
        return FORMS[form](secret).strip("'\"")
    before = {"base64": 0, "base64 behind one": 1}.get(form, 2)
    around = [
        base64.b64encode(bit * before + secret.encode() + bit * 2) for bit in (b"\0", b"\xff")
    ]
    same = "".join(chr(a) for a, b in zip(*around, strict=True) if a == b)
    return same.translate(str.maketrans("+/", "-_")) if form == "base64 for URLs" else same


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_any_form_is_masked(form: str) -> None:
    text = f"before {FORMS[form](SECRET)} behind"
    masked = masker(SECRET).text(text)
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" behind")
    assert "s3cr3t" not in masked
    assert core(form, SECRET) not in "".join(masked.split())


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("secret", ["it's $s3cr3t x", 'it\'s "s3cr3t", é~?', "é\t's3cr3t'"])
def test_a_shells_printf_and_trace(locale: str, secret: str) -> None:
    script = 'set -x; : "$1"; printf "%q\\n" "$1"'
    ran = subprocess.run(
        ["bash", "-c", script, "bash", secret],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": locale},
    )
    masked = masker(secret).data(ran.stdout + ran.stderr)
    assert b"s3cr3t" in ran.stdout
    assert b"s3cr3t" not in masked


def test_each_line_of_a_secret_is_masked_and_short_ones_with_the_rest() -> None:
    known = masker(KEY)
    assert known.text(f"x {KEY.strip()} y") == "x *** y"
    assert known.text("E  last line here") == "E  ***"
    assert known.text("short") == "short"
    assert known.text("AAAAB3NzaC1yc2E%2B%2Fx") == "***"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1", "has fewer than 6 characters"),
        (" root \n", "has fewer than 6 characters"),
        ("Password", "is a common word"),
    ],
)
def test_what_is_short_or_common_is_told_once_and_not_masked(text: str, told: str) -> None:
    known = Masker()
    assert known.hide(Secret(text)) == told
    assert known.hide(text) is None
    assert known.text("1 root Password") == "1 root Password"
    assert Masker().hide("") is None


def test_secrets_that_overlap_leave_nothing() -> None:
    known = masker("abcdefgh", "efghijkl", "abcdef")
    assert known.text("-abcdefghijkl-") == "-***-"
    stream = MaskedStream(known)
    pieces = [stream.feed(bytes([byte])) for byte in b"-abcdefghijkl-abcdefg-"]
    assert b"".join([*pieces, stream.flush()]) == b"-***-***g-"


def test_a_stream_holds_back_only_what_may_be_half_a_secret() -> None:
    stream = MaskedStream(masker("s3cr3t-token"))
    assert stream.feed(b"one line\nand s") == b"one line\nand "
    assert stream.feed(b"3cr3t") == b""
    assert stream.feed(b"ly\n") == b"s3cr3tly\n"
    assert stream.feed(b"s3cr3t-token s3") == b"*** "
    assert stream.flush() == b"s3"


def test_a_shortened_secret_is_masked_too() -> None:
    known = masker("0123456789abcdefghij")
    for shown in ("'token 0123456...'", "...efghij'", "- bcdefghij", "E     + bcdefghij x"):
        masked = known.shortened(shown)
        assert "***" in masked
        assert "3456" not in masked
        assert "efghij" not in masked
    assert known.shortened("a bcdefghij") == "a bcdefghij", "nothing was left out here"


def test_values_are_masked_however_deep() -> None:
    known = masker("s3cr3t-token")
    value = {"s3cr3t-token": [Secret("x"), b"s3cr3t-token", ("a", 1, None)]}
    assert known.value(value) == {"***": ["***", b"***", ["a", 1, None]]}


def test_readers_of_events_see_no_secret_and_know_whose_event_it_is() -> None:
    seen: list[Event] = []
    dispatcher = Dispatcher()
    dispatcher.subscribe(seen.append)
    dispatcher.masker.hide("web.qemu")
    dispatcher.emit(Notice("web.qemu", "of web.qemu"))
    with dispatcher.output("web.qemu") as take:
        take("stdout", b"a web.")
        take("stderr", b"web.")
        take("stdout", b"qemu")
    assert seen == [
        Notice("web.qemu", "of ***"),
        Output("web.qemu", "stdout", b"a "),
        Output("web.qemu", "stdout", b"***"),
        Output("web.qemu", "stderr", b"web."),
    ]


letters = st.characters(exclude_categories=["Cs"], exclude_characters="*")
secrets = st.text(letters, min_size=6, max_size=60).filter(lambda s: Masker().hide(s) is None)


@settings(deadline=None)  # of time: the computer may be busy
@given(
    secret=secrets.map(str.strip).filter(lambda s: len(s) >= 6),
    other=secrets,
    form=st.sampled_from(list(FORMS)),
    around=st.tuples(st.text(letters, max_size=20), st.text(letters, max_size=20)),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_nobody_finds_a_secret(
    secret: str, other: str, form: str, around: tuple[str, str], cuts: Sequence[int]
) -> None:
    text = around[0] + FORMS[form](secret) + other + around[1]
    known, data = masker(secret, other), text.encode()
    whole = known.data(data)
    assert b"***" in whole
    for hidden in (secret, other, core(form, secret)):
        assume(hidden not in around[0] + "***" + around[1])
        assert hidden not in whole.decode()
        assert not form.startswith("base64") or hidden not in "".join(whole.decode().split())
    stream = MaskedStream(known)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [stream.feed(data[a:b]) for a, b in itertools.pairwise(ends)]
    assert b"".join([*pieces, stream.flush()]) == whole, "however it is split"
