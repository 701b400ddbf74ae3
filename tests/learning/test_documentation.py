import doctest
import importlib

from tests.conftest import ROOT


def test_learning_page_examples_run_as_written() -> None:
    result = doctest.testfile(str(ROOT / "docs" / "learning.md"), module_relative=False)

    assert result.attempted > 15
    assert result.failed == 0


def test_splitters_examples_run_as_written() -> None:
    module = importlib.import_module("pipeline.learning.splits")

    assert doctest.testmod(module).failed == 0
