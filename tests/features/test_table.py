import logging

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import ConfigurationError, DataError
from pipeline.features import (
    FeatureRegistry,
    build_features,
    candidate_features,
    require_history,
    update_features,
)
from pipeline.strategy import TradingRules, make_candidates
from tests.features.made_markets import hand_inputs, random_rows


def registry_of(compute, name="toy", **options):
    registry = FeatureRegistry()
    compute.__name__ = name
    registry.feature(family="toy", warmup=options.pop("warmup", 1), description="Toy.", **options)(compute)
    return registry.registered()


def test_table_is_sorted_float_and_missing_before_warm(es):
    inputs = hand_inputs(es, random_rows(8))

    table = build_features(inputs, ["weekday", "log_return_5"])

    assert table.columns.tolist() == ["log_return_5", "weekday"]
    assert set(map(str, table.dtypes)) == {"float64"}
    assert table.index.equals(inputs.sessions)
    assert table["log_return_5"].isna().tolist() == [True] * 5 + [False] * 3


def test_unknown_name_is_an_error(es):
    with pytest.raises(ConfigurationError, match="momentun_5 is not a feature"):
        build_features(hand_inputs(es, random_rows(3)), ["momentun_5"])


def test_infinite_value_names_feature_and_session(es):
    inputs = hand_inputs(es, random_rows(4))
    features = registry_of(lambda inputs: np.array([1.0, 2.0, np.inf, np.inf]), "burst")

    with pytest.raises(DataError, match=r"feature burst is infinite in session 2019-01-04 of ES \(2 sessions\)"):
        build_features(inputs, features=features)


def test_failing_feature_is_named_with_its_sessions(es):
    def compute(inputs):
        raise ZeroDivisionError("by nothing")

    message = "feature broken failed on ES, sessions 2019-01-02 to 2019-01-07: ZeroDivisionError: by nothing"
    with pytest.raises(DataError, match=message):
        build_features(hand_inputs(es, random_rows(4)), features=registry_of(compute, "broken"))


def test_feature_of_another_length_or_index_is_an_error(es):
    inputs = hand_inputs(es, random_rows(4))

    with pytest.raises(DataError, match="feature toy gave values of shape"):
        build_features(inputs, features=registry_of(lambda inputs: np.zeros(3)))
    with pytest.raises(DataError, match="feature toy is not indexed by the sessions"):
        build_features(inputs, features=registry_of(lambda inputs: pd.Series(np.zeros(4), index=inputs.sessions[::-1])))


def test_too_little_history_for_any_feature_says_how_much_is_needed(es):
    inputs = hand_inputs(es, random_rows(4))

    with pytest.raises(
        DataError, match=r"ES has 4 sessions; the features need at least 6 \(log_return_5\) and up to 51"
    ):
        build_features(inputs, ["log_return_5", "log_return_50"])


def test_too_little_history_for_some_features_is_reported(es, caplog):
    inputs = hand_inputs(es, random_rows(8))

    table = build_features(inputs, ["log_return_5", "log_return_50"])

    assert table["log_return_50"].isna().all()
    assert "ES has 8 sessions: 1 of 2 features need more and stay missing (log_return_50 needs 51)" in caplog.text


def test_require_history_says_how_much_is_needed_and_by_which(es):
    inputs = hand_inputs(es, random_rows(8))

    require_history(inputs, ["log_return_5"])
    with pytest.raises(DataError, match=r"ES has 8 sessions; 51 are needed \(log_return_50\)"):
        require_history(inputs, ["log_return_5", "log_return_50"])


def test_feature_whose_input_is_missing_is_absent_and_reported(es, caplog):
    caplog.set_level(logging.INFO)

    table = build_features(hand_inputs(es, random_rows(15)), ["vix_level", "weekday"])

    assert table.columns.tolist() == ["weekday"]
    assert "ES has no vix: feature vix_level is absent, not zero" in caplog.text


def test_update_of_a_table_whose_last_session_changed_is_made_again(es, caplog):
    inputs = hand_inputs(es, random_rows(30))
    features = registry_of(lambda inputs: inputs.history["close"])
    old = build_features(inputs, features=features).iloc[:20]
    old.iloc[-1] += 0.25

    updated = update_features(old, inputs, features=features)

    pd.testing.assert_frame_equal(updated, build_features(inputs, features=features), check_exact=True)
    assert "features of 2019-01-29 have changed; rebuilt" in caplog.text


def test_update_with_other_features_is_made_again(es):
    inputs = hand_inputs(es, random_rows(30))
    features = registry_of(lambda inputs: inputs.history["close"])
    old = build_features(inputs, ["weekday"]).iloc[:20]

    assert update_features(old, inputs, features=features).columns.tolist() == ["toy"]


def test_update_works_out_new_sessions_from_the_recent_ones_only(es):
    seen = []

    def compute(inputs):
        seen.append(len(inputs.sessions))
        return inputs.history["close"]

    inputs = hand_inputs(es, random_rows(150))
    features = registry_of(compute, warmup=20)
    whole = build_features(inputs, features=features)

    updated = update_features(whole.iloc[:-1], inputs, features=features)

    assert updated.equals(whole)
    assert seen == [150, 65]


def test_update_of_inputs_that_begin_later_needs_their_history(es):
    inputs = hand_inputs(es, random_rows(60))
    features = registry_of(lambda inputs: inputs.history["close"], warmup=20)
    whole = build_features(inputs, features=features)

    late = inputs.since(inputs.sessions[30])
    assert update_features(whole.iloc[:50], late, features=features).equals(whole)
    with pytest.raises(DataError, match=r"the inputs hold 10 sessions up to .*; features need 20"):
        update_features(whole.iloc[:40], late, features=features)


def test_update_of_a_table_of_other_sessions_is_an_error(es):
    inputs = hand_inputs(es, random_rows(30))
    features = registry_of(lambda inputs: inputs.history["close"])
    whole = build_features(inputs, features=features)

    with pytest.raises(DataError, match="its sessions are not those of the inputs"):
        update_features(whole, inputs.until(inputs.sessions[20]), features=features)
    with pytest.raises(DataError, match="its sessions are not those of the inputs"):
        update_features(whole.drop(index=whole.index[5]), inputs, features=features)


def test_candidate_features_turn_round_for_shorts(es):
    inputs = hand_inputs(es, random_rows(30))
    names = ["close_to_vah_ticks", "close_to_val_ticks", "log_return_5", "weekday"]
    table = build_features(inputs, names)
    candidates = make_candidates(inputs.history, es, TradingRules.of(min_stop_ticks=1))

    rows = candidate_features(candidates, table)

    assert rows.index.equals(candidates.index)
    assert rows.columns.tolist() == sorted(
        [*names, "candidate_reward_risk", "candidate_stop_ticks", "candidate_target_ticks"]
    )
    long, short = (rows.iloc[at] for at in (-2, -1))
    last = table.iloc[-1]
    assert long[names].tolist() == last[names].tolist()
    assert short["log_return_5"] == -last["log_return_5"]
    assert short["weekday"] == last["weekday"]
    # From each one's own entry and target to the close, to its own side.
    assert short["close_to_val_ticks"] == -last["close_to_vah_ticks"]
    assert short["close_to_vah_ticks"] == -last["close_to_val_ticks"]
    assert long["candidate_target_ticks"] == candidates["target_ticks"].iloc[-2]
    assert long["candidate_reward_risk"] == candidates["target_ticks"].iloc[-2] / candidates["stop_ticks"].iloc[-2]


def test_long_here_is_the_short_of_the_market_upside_down(es):
    rows = random_rows(80)
    turned = [(-opened + 24_000, -low + 24_000, -high + 24_000, -close + 24_000) for opened, high, low, close in rows]
    rules = TradingRules.of(min_stop_ticks=1)
    names = [
        "close_to_vah_atr",
        "close_to_val_atr",
        "close_to_vpoc_ticks",
        "gap_atr",
        "range_position_20",
        "vpoc_slope_ticks",
    ]

    def candidates_of(given, side):
        inputs = hand_inputs(es, given)
        candidates = make_candidates(inputs.history, es, rules)
        return candidate_features(candidates[candidates["side"] == side], build_features(inputs, names))

    # Value areas break ties upwards and VPOCs downwards, so a few sessions differ by a tick or two.
    long, short = candidates_of(rows, 1), candidates_of(turned, -1)
    assert np.nanmedian(np.abs(long.to_numpy() - short.to_numpy()), axis=0).max() <= 2
    pd.testing.assert_series_equal(long["gap_atr"].reset_index(drop=True), short["gap_atr"].reset_index(drop=True))


def test_candidate_of_a_session_without_features_is_an_error(es):
    inputs = hand_inputs(es, random_rows(30))
    candidates = make_candidates(inputs.history, es, TradingRules.of(min_stop_ticks=1))

    with pytest.raises(DataError, match="a candidate was decided on 2019-01-22, which the features don't hold"):
        candidate_features(candidates, build_features(inputs, ["weekday"]).drop(index="2019-01-22"))
    with pytest.raises(DataError, match="feature close_to_val_ticks needs close_to_vah_ticks for shorts"):
        candidate_features(candidates, build_features(inputs, ["close_to_val_ticks"]))
    with pytest.raises(ConfigurationError, match="net is not a feature"):
        candidate_features(candidates, build_features(inputs, ["weekday"]).assign(net=1.0))
