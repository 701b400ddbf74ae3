"""Every registered feature, new ones included: cut off or begun later, the same to the last bit (contract §4)."""

import numpy as np
import pandas as pd
import pytest

from pipeline.features import build_features, history_needed, registered, update_features
from tests.features.made_markets import full_inputs

SESSIONS = 410
# Cut off within a quarter, at its first and last sessions, at and after a roll.
CUTS = (345, 371, 372, 390)
STARTS = (7, 45, 66)


@pytest.fixture(scope="module")
def inputs(es):
    return full_inputs(es, SESSIONS)


@pytest.fixture(scope="module")
def table(inputs):
    return build_features(inputs)


@pytest.fixture(scope="module")
def cut_tables(inputs):
    return [build_features(inputs.until(inputs.sessions[cut])) for cut in CUTS]


@pytest.fixture(scope="module")
def late_tables(inputs):
    return [build_features(inputs.since(inputs.sessions[start])) for start in STARTS]


def test_market_of_this_test_has_rolls_and_every_input(inputs, table):
    assert int(inputs.rolled.sum()) >= 7
    assert table.columns.tolist() == list(registered())


@pytest.mark.parametrize("name", registered())
def test_feature_has_values_once_warm(table, inputs, name):
    needed = history_needed(inputs)[name]

    assert table[name].iloc[needed - 1 :].notna().any()
    assert table[name].iloc[: needed - 1].isna().all()


@pytest.mark.parametrize("name", registered())
def test_feature_of_data_cut_off_is_the_same_to_the_bit(table, cut_tables, name):
    for cut in cut_tables:
        assert bits(cut[name]).equals(bits(table[name].loc[cut.index]))


@pytest.mark.parametrize("name", registered())
def test_feature_of_data_that_starts_later_is_the_same_once_warm(table, late_tables, inputs, name):
    needed = history_needed(inputs)[name]
    for late in late_tables:
        warm = late[name].iloc[needed - 1 :]
        assert len(warm) > 0
        assert bits(warm).equals(bits(table[name].loc[warm.index]))


@pytest.mark.parametrize("new", [1, 3, 70])
def test_updated_table_is_that_of_a_whole_build_to_the_bit(table, inputs, new):
    updated = update_features(table.iloc[:-new], inputs)

    pd.testing.assert_frame_equal(updated, table, check_exact=True)


def bits(values: pd.Series) -> pd.Series:
    """Floats as integers, so that −0.0 is not 0.0; every NaN alike."""
    array = np.where(values.isna(), np.nan, values.to_numpy(np.float64))
    return pd.Series(array.view(np.int64), index=values.index)
