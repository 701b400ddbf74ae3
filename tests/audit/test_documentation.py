import doctest

from tests.conftest import ROOT


def test_audit_page_examples_run_as_written() -> None:
    result = doctest.testfile(str(ROOT / "docs" / "audit.md"), module_relative=False)

    assert result.attempted > 15
    assert result.failed == 0
