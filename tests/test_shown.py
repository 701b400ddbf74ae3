"""Untrusted text reaches no terminal raw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.shown import shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Settle", "Settle"),
        ("Größe 数量 €", "Größe 数量 €"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\ud800", "\\ud800"),
        ("caf\udce9.csv", "caf\\xe9.csv"),
        ("\U000e0001", "\\U000e0001"),
        ("one\u2028two\x85", "one\\u2028two\\x85"),
    ],
)
def test_text_with_hidden_characters_shows_them_as_escapes(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.text())
def test_shown_text_is_printable_and_stays_as_it_is(text: str) -> None:
    once = shown(text)

    assert all(each.isprintable() or each.isspace() for each in once)
    assert not set(once) & set("\x1b\r\n\t\x85\u2028\u202e")
    assert shown(once) == once
    once.encode("utf-8")


def test_error_with_untrusted_text_shows_it_escaped() -> None:
    assert str(DataError("column 'a\x1b[31mX' is missing")) == "column 'a\\x1b[31mX' is missing"


def test_shown_text_of_several_lines_keeps_line_breaks_only() -> None:
    assert shown("a\nb\x1bc", lines=True) == "a\nb\\x1bc"
