"""JSON with positions."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import TemplateError
from harness.packer import reader

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)  # of time: the computer may be busy
@given(ANY, st.booleans(), st.sampled_from([None, 0, 2]))
def test_what_json_writes_is_read(value: object, ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=indent)
    assert reader.read(text.encode(), "t.json").plain() == value


def test_values_know_where_they_stand() -> None:
    root = reader.read(b'{\n  "a": [true,\n   {"b\\u00e9": 1.5}]\n}', "t.json")
    entries = root.entries()["a"].data
    assert isinstance(entries, tuple)
    number = entries[1].entries()["bé"]
    assert number.plain() == 1.5
    with pytest.raises(TemplateError, match=r"^t\.json:3:16: no\n   3 \|    \{.*\n     \| {16}\^$"):
        raise number.error("no")
    with pytest.raises(TemplateError, match=r"^t\.json:3:5: no\n") as caught:
        raise number.key_error("no")
    assert (caught.value.file, caught.value.line, caught.value.column) == ("t.json", 3, 5)


@pytest.mark.parametrize(("index", "column"), [(0, 2), (1, 3), (2, 9), (3, 11), (4, 23), (5, 24)])
def test_characters_of_strings_are_found_behind_escapes(index: int, column: int) -> None:
    value = reader.read(rb'"a\u0041\n\ud83d\ude00bc"', "t.json")
    assert value.plain() == "aA\n\U0001f600bc"
    assert value.error_in(index, "").column == column


def test_long_lines_are_cut_around_the_place() -> None:
    text = f'{{"a": "{"x" * 300}", "a": "{"y" * 300}"}}'
    with pytest.raises(TemplateError) as caught:
        reader.read(text.encode(), "t.json")
    _, shown, caret = str(caught.value).split("\n")
    assert len(shown) <= 110
    assert shown[caret.index("^")] == '"'


def test_a_tab_is_one_column_in_the_excerpt() -> None:
    with pytest.raises(TemplateError) as caught:
        reader.read(b'{\n\t"a": tru\n}', "t.json")
    assert str(caught.value).endswith('   2 |  "a": tru\n     |       ^')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file ends where a value should be"),
        ('{"a"', "1:5: the file ends where a colon after 'a' should be"),
        ('{"a":1', "1:7: the '{' of line 1, column 1 is never closed"),
        ('{"a":1,}', "1:7: no comma may stand before '}'"),
        ("[1,]", "1:3: no comma may stand before ']'"),
        ("[1 2]", "1:4: '2' stands where a comma or ']' should be"),
        ("[1}", "1:3: '}' stands where a comma or ']' should be"),
        ("{1: 2}", "1:2: '1' stands where a name in double quotes should be"),
        ("{'a': 2}", '1:2: "\'" stands where a name in double quotes should be; strings stand in'),
        ("[True]", "1:2: 'True' stands where a value should be; it is written true"),
        ("[NaN]", "1:2: 'NaN' stands where a value should be; there is no such number"),
        ("[01]", "1:3: '1' stands where a comma"),
        ("[1.]", "1:3: '.' stands where a comma"),
        ("[+1]", "1:2: '+' stands where a value should be"),
        ("[1e400]", "1:2: this number is too large"),
        ('["\t"]', r'1:3: write "\t" for this character in a string'),
        ('["\\x"]', r"1:3: a string has no escape '\\x'"),
        ('["\\u12"]', r"1:3: a string has no escape '\\u'"),
        ('["a\n"]', "1:2: this string has no end on its line"),
        ('["\\ud800"]', "1:3: half of a surrogate pair is no character"),
        ('{"a": {}, "a": 1}', "1:11: 'a' comes twice, first on line 1"),
        ("{} {}", "1:4: '{' stands where the end of the file should be"),
        ("{} // x", "1:4: '/' stands where the end of the file should be; there are no comments"),
        ("[" * 101, "1:101: nested more than 100 deep"),
    ],
)
def test_what_is_no_json_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        reader.read(text.encode(), "t.json")
    assert str(caught.value).startswith(f"t.json:{message}")


def test_whole_numbers_stay_whole() -> None:
    big = 2**60 + 1
    assert reader.read(str(big).encode(), "t.json").plain() == big
    assert isinstance(reader.read(b"1e3", "t.json").plain(), float)
    assert math.copysign(1, reader.read(b"-0.0", "t.json").plain()) == -1
