"""Time from which external values are known: the day after, or the time they prove."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.audit import audit
from tests.audit.planted import CLEAN, PLANTED


@pytest.fixture
def features() -> dict:
    return {"vix_before": CLEAN.registered()["vix_before"], "vix_same_day": PLANTED.registered()["vix_same_day"]}


def _checks(report) -> set[tuple[str, str]]:
    return {(finding.feature, finding.check) for finding in report.findings}


def test_value_known_before_the_close_may_be_used_the_same_day(market: tuple, vix: pd.DataFrame, features) -> None:
    noon = vix.assign(known_at=vix["timestamp"].dt.tz_localize("UTC") + pd.Timedelta("17h"))

    assert audit(*market, features=features, vix=noon, cutoffs=4).findings == ()


def test_value_known_after_the_close_may_not(market: tuple, vix: pd.DataFrame, features) -> None:
    evening = vix.assign(known_at=vix["timestamp"].dt.tz_localize("UTC") + pd.Timedelta("23h"))

    report = audit(*market, features=features, vix=evening, cutoffs=4)

    assert _checks(report) == {("vix_same_day", "external"), ("vix_same_day", "truncation")}


def test_feature_that_hides_its_external_series_is_found(market: tuple, vix: pd.DataFrame, features) -> None:
    hidden = {"vix_same_day": replace(features["vix_same_day"], needs=())}

    assert ("vix_same_day", "external") in _checks(audit(*market, features=hidden, vix=vix, cutoffs=4))


def test_series_by_any_name_is_checked(market: tuple, vix: pd.DataFrame) -> None:
    leak = PLANTED.registered()["vix_same_day"]

    def other(inputs) -> pd.Series:
        frame = inputs.external["fear"]
        series = pd.Series(np.log(frame["close"].to_numpy()), index=pd.DatetimeIndex(frame["timestamp"]))
        return series.reindex(inputs.sessions, method="ffill", limit=10)

    feature = replace(leak, name="other", mirror="other", compute_with=other, needs=())
    report = audit(*market, features={"other": feature}, external={"fear": vix}, cutoffs=4)

    assert report.findings[0].likely_cause.startswith("fear of ")
    assert report.findings[0].feature == "other"
