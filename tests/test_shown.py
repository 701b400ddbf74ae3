"""Untrusted text reaches no terminal raw."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

    assert once.isprintable() or " " in once or "\xa0" in once or any(each.isspace() for each in once)
    assert "\x1b" not in once
    assert shown(once) == once
    once.encode("utf-8")


def test_shown_text_of_several_lines_keeps_line_breaks_only() -> None:
    assert shown("a\nb\x1bc", lines=True) == "a\nb\\x1bc"
