"""The examples in docstrings and in docs/profiles.md print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "profiles.md"


@pytest.mark.parametrize(
    "module",
    [
        "pictures.letters",
        "pictures.text",
        *(f"profiles.{name}" for name in ("brackets", "histogram", "rows", "sessions", "value_area")),
    ],
)
def test_docstring_examples_print_what_they_say(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"pipeline.{module}"))

    assert (result.failed, result.attempted > 0) == (0, True)


def test_document_examples_print_what_they_say() -> None:
    result = doctest.testfile(str(DOCUMENT), module_relative=False)

    assert (result.failed, result.attempted > 0) == (0, True)
