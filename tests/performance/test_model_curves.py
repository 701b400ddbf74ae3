import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from pipeline.errors import ConfigurationError
from pipeline.performance import FEWEST_TRADES, model_summary
from pipeline.performance.model_curves import calibration_curve, threshold_curve
from tests.performance.scored import scored_frame, simulated

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning", "error::FutureWarning")


def test_calibration_curve_bins_hold_every_trade_once_in_order_of_score():
    rows = simulated(615, edge=0.5)
    curve = calibration_curve(rows)
    assert len(curve) == 10
    assert curve["trades"].sum() == 615
    assert curve["trades"].max() - curve["trades"].min() <= 1
    assert (curve["score_high"].to_numpy()[:-1] < curve["score_low"].to_numpy()[1:]).all()
    weighted = (curve["trades"] * curve["share"]).sum()
    assert weighted == pytest.approx(rows["label"].sum())
    assert (curve["trades"] * curve["score"]).sum() == pytest.approx(rows["score"].sum())


def test_calibration_curve_intervals_are_wilsons():
    curve = calibration_curve(simulated(edge=0.5))
    for row in curve.itertuples():
        expected = proportion_confint(round(row.share * row.trades), row.trades, method="wilson")
        assert (row.low, row.high) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("count", "bins"), [(29, 1), (59, 1), (60, 2), (299, 9), (300, 10), (5000, 10)])
def test_calibration_curve_has_no_more_bins_than_hold_thirty_trades_each(count, bins):
    assert len(calibration_curve(simulated(count, edge=0.5))) == bins


def test_calibration_curve_never_parts_equal_scores():
    score = np.repeat([0.2, 0.4, 0.6], [200, 50, 150])
    curve = calibration_curve(scored_frame(score, np.arange(400) % 2))
    assert curve["trades"].tolist() == [200, 50, 150]
    assert curve["score"].tolist() == pytest.approx([0.2, 0.4, 0.6])
    assert calibration_curve(scored_frame(np.full(400, 0.3), np.arange(400) % 2))["trades"].tolist() == [400]


def test_calibration_curve_of_nothing_is_empty_and_of_no_bins_refused():
    assert calibration_curve(simulated(40).iloc[:0]).empty
    with pytest.raises(ConfigurationError, match="bins is 0"):
        calibration_curve(simulated(40), bins=0)


def test_threshold_curve_is_what_taking_every_trade_at_or_above_gives():
    rows = scored_frame([0.2, 0.4, 0.4, 0.9], [0, 1, 0, 1], net=[-100, 300, -50, 20])
    curve = threshold_curve(rows)
    assert curve["threshold"].tolist() == [0.2, 0.4, 0.9]
    assert curve["trades"].tolist() == [4, 3, 1]
    assert curve["net"].tolist() == [170, 270, 20]
    assert curve["precision"].tolist() == pytest.approx([0.5, 2 / 3, 1])
    assert curve["mean_r"].tolist() == pytest.approx([170 / 1000, 270 / 750, 20 / 250])
    assert curve["net_low"].isna().all()


def test_threshold_curve_agrees_with_the_summary_at_the_same_threshold():
    rows = simulated(edge=0.4, threshold=0.4)
    at = threshold_curve(rows).iloc[40]
    table = model_summary(rows.assign(threshold=at["threshold"]))
    assert table.loc["net", "value"] == at["net"]
    assert table.loc["trades_taken", "value"] == at["trades"]
    # Blocks are chosen from other trades there, so the ends differ a little.
    assert (at["net_low"], at["net_high"]) == pytest.approx(tuple(table.loc["net", ["low", "high"]]), rel=0.25)


def test_threshold_curve_has_at_most_a_hundred_and_one_thresholds_and_intervals_from_thirty_trades_on():
    curve = threshold_curve(simulated(1000))
    assert len(curve) == 101
    assert curve["trades"].iloc[0] == 1000
    assert curve["trades"].iloc[-1] == 1
    enough = curve["trades"] >= FEWEST_TRADES
    assert curve.loc[enough, "net_low"].notna().all()
    assert curve.loc[~enough, "net_low"].isna().all()
    assert (curve.loc[enough, "net_low"] <= curve.loc[enough, "net_high"]).all()


def test_threshold_curve_of_nothing_is_empty():
    curve = threshold_curve(simulated(40).iloc[:0])
    assert curve.empty
    assert not math.isnan(len(curve.columns))
