import doctest

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("page", ["fills.md", "desk.md"])
def test_pages_examples_run_as_written(page: str) -> None:
    result = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)

    assert result.attempted > 5
    assert result.failed == 0
