"""Findings as plain values, also those that earlier releases stored."""

from pipeline.market.evidence import Finding


def test_finding_through_plain_values_is_the_same() -> None:
    finding = Finding("label", "warning", "give --label close")

    assert finding.to_dict() == {"kind": "label", "severity": "warning", "message": "give --label close"}
    assert Finding.from_dict(finding.to_dict()) == finding


def test_finding_of_an_earlier_release_is_read_from_said() -> None:
    stored = {"kind": "label", "severity": "warning", "said": "give --label close"}

    assert Finding.from_dict(stored) == Finding("label", "warning", "give --label close")
