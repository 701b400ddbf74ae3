"""Every planted way to see the future is caught, by name, with a cause that helps; the clean ones beside it are not."""

import pytest

from pipeline.audit import AuditReport, Finding, audit
from pipeline.errors import ConfigurationError, DataError
from tests.audit.planted import CLEAN, PLANTED

CAUGHT = [
    ("centred_mean", "truncation", "a centred window of about 5 sessions"),
    ("centred_loose", "truncation", "a centred window of about 7 sessions"),
    ("shifted_back", "truncation", "shift(-1)"),
    ("z_score", "truncation", "mean and deviation (a z-score) of the whole sample"),
    ("filled_back", "truncation", "filled from later ones (bfill"),
    ("vix_same_day", "external", "used on the very day it is dated"),
    ("vix_same_day", "truncation", "used on the very day it is dated"),
    ("vix_future_dated", "external", "dated after the session"),
    ("outcome", "separation", "nearly a function of"),
    ("outcome", "truncation", "made from the label"),
    ("days_to_roll", "truncation", "the contract's last bar or its roll in the data"),
    ("winsorised", "truncation", "clipped at quantiles of the whole sample"),
    ("min_max", "truncation", "minimum and maximum of the whole sample"),
    ("next_gap", "truncation", "the next session's open"),
    ("unfinished_frame", "truncation", "a bar or frame that is not over at the session's close"),
    ("weekday_code", "truncation", "target encoding"),
    ("whole_rank", "truncation", "a statistic of the whole sample"),
    ("endless_average", "warmup", "a recursive average that begins where the data begins"),
    ("running_total", "warmup", "a cumulative sum"),
    ("short_warmup", "warmup", "longer than its warm-up of 5 sessions: about 10"),
    ("roll_step", "rolls", "spans the roll"),
    ("roll_window", "rolls", "spans the roll"),
    ("infinite", "values", "division by zero"),
    ("never", "values", "never defined on this data"),
    ("broken", "values", "raises"),
]


def _of(report: AuditReport, feature: str, check: str) -> Finding:
    return next(found for found in report.findings if (found.feature, found.check) == (feature, check))


@pytest.mark.parametrize(("feature", "check", "cause"), CAUGHT, ids=[f"{name}-{check}" for name, check, _ in CAUGHT])
def test_planted_leak_is_caught_with_name_and_cause(
    planted_report: AuditReport, feature: str, check: str, cause: str
) -> None:
    assert cause in _of(planted_report, feature, check).likely_cause


def test_every_planted_feature_is_found_and_no_clean_one(planted_report: AuditReport) -> None:
    assert {finding.feature for finding in planted_report.findings} == set(PLANTED.registered())
    assert not planted_report.passed


def test_finding_of_shifted_feature_names_first_row_and_both_values(market: tuple, planted_report: AuditReport) -> None:
    finding = _of(planted_report, "shifted_back", "truncation")

    assert finding.row in {str(session.date()) for session in planted_report.cutoffs}
    assert finding.expected != finding.expected  # not known then
    assert finding.got > 0


def test_infinite_feature_says_how_often_and_when(planted_report: AuditReport) -> None:
    finding = _of(planted_report, "infinite", "values")

    assert finding.row == "2019-01-03"
    assert finding.got == "infinite in 337 sessions, last on 2020-08-17"


def test_column_never_there_is_a_warning_only(market: tuple) -> None:
    bars, es = market
    report = audit(bars.iloc[:5000], es, features={"never": PLANTED.registered()["never"]}, cutoffs=1)

    assert [finding.severity for finding in report.findings] == ["warning"]
    assert report.passed


def test_feature_without_its_input_is_skipped_and_reported(market: tuple) -> None:
    bars, es = market
    report = audit(bars.iloc[:9000], es, features=CLEAN.registered(), cutoffs=2)

    assert report.passed
    assert report.skipped["vix_before"] == "needs vix, which is missing"
    assert "vix_before" not in report.judged


def test_table_and_dict_hold_every_finding(planted_report: AuditReport) -> None:
    table, document = planted_report.table(), planted_report.to_dict()

    assert list(table.columns) == ["severity", "check", "feature", "row", "expected", "got", "likely_cause"]
    assert len(table) == len(planted_report.findings) == len(document["findings"])
    assert document["passed"] is False
    assert table["severity"].tolist() == sorted(table["severity"])  # errors first


def test_cutoffs_are_drawn_by_the_seed(market: tuple) -> None:
    features = {"weekday_of_session": CLEAN.registered()["weekday_of_session"]}
    bars, es = market
    one, same, other = (
        audit(bars.iloc[:5000], es, features=features, cutoffs=2, seed=seed).cutoffs for seed in (1, 1, 2)
    )

    assert one == same != other


def test_cutoffs_lie_where_look_ahead_hides(planted_report: AuditReport) -> None:
    days = {str(session.date()) for session in planted_report.cutoffs}

    # Day after a half day, before the roll of December, end and beginning of quarters, the last session but one.
    assert days >= {"2019-07-04", "2019-12-11", "2019-12-31", "2020-07-01", "2020-08-14"}


def test_progress_counts_up_to_its_total(market: tuple) -> None:
    told: list[tuple[int, int, str]] = []
    features = {"known_return": CLEAN.registered()["known_return"]}
    bars, es = market
    audit(bars.iloc[:5000], es, features=features, cutoffs=2, progress=lambda *step: told.append(step))

    assert [done for done, _, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total, _ in told} == {len(told)}


@pytest.mark.parametrize("cutoffs", [0, -1, 2.5, True])
def test_impossible_cutoffs_are_wrong_use(market: tuple, cutoffs: object) -> None:
    with pytest.raises(ConfigurationError, match="cutoffs is"):
        audit(*market, cutoffs=cutoffs)


def test_too_few_sessions_say_how_many_are_needed(market: tuple) -> None:
    bars, instrument = market

    with pytest.raises(DataError, match="ES has 2 sessions with volume; an audit needs 3"):
        audit(bars[bars["timestamp"] < "2019-01-03T22:00Z"], instrument)
