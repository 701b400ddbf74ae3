"""The examples of trades, composites, developing levels and streaming print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("module", ["composites", "developing", "streaming", "trades"])
def test_docstring_examples_print_what_they_say(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"pipeline.profiles.{module}"))

    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize("name", ["composites.md", "trades.md"])
def test_document_examples_print_what_they_say(name: str) -> None:
    result = doctest.testfile(str(DOCS / name), module_relative=False)

    assert (result.failed, result.attempted > 0) == (0, True)
