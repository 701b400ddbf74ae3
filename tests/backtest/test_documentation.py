import doctest

from tests.conftest import ROOT


def test_fills_page_examples_run_as_written() -> None:
    result = doctest.testfile(str(ROOT / "docs" / "fills.md"), module_relative=False)

    assert result.attempted > 5
    assert result.failed == 0
