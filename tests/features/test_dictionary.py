from pipeline.features import registered
from pipeline.features.dictionary import feature_dictionary
from tests.conftest import ROOT


def test_committed_dictionary_is_that_of_the_registry():
    page = (ROOT / "docs" / "feature_dictionary.md").read_text(encoding="utf-8")

    assert page == feature_dictionary(), "run: python -m pipeline.features.dictionary > docs/feature_dictionary.md"


def test_dictionary_has_a_row_for_every_feature():
    page = feature_dictionary()

    assert [name for name in registered() if f"| `{name}` |" not in page] == []
