"""The profile family as assets: the same tables that the functions give."""

import dagster as dg
import pandas as pd
import pytest

from jobs.chain import run_chain
from pipeline.datasets import FileSource, TradeSource, find_dataset, remember_source
from pipeline.definitions import defs
from pipeline.home import Home
from pipeline.profiles import (
    composite_profile,
    developing_levels,
    naked_at_close,
    naked_vpocs,
    session_profiles,
    session_structure,
    trade_profiles,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def bars(home: Home) -> pd.DataFrame:
    return find_dataset("ES-SIM", home).read().frame.drop(columns=["source_file", "source_line"])


def stored(home: Home, asset: str, key: str = "ES-SIM") -> pd.DataFrame:
    return pd.read_parquet(home.assets / asset / f"{key}.parquet")


def test_family_of_a_symbol_is_what_the_functions_give(home: Home, bars: pd.DataFrame) -> None:
    run_chain(defs, "ES-SIM", home, lambda event: None)

    es = find_dataset("ES-SIM", home).instrument
    profiles = session_profiles(bars, es)
    structure = session_structure(bars, profiles, es)
    naked = naked_at_close(profiles, bars, es)
    shown = stored(home, "profile_structure")
    pd.testing.assert_frame_equal(shown[list(structure)], structure)
    beside = [name for name in naked if name not in structure]
    pd.testing.assert_frame_equal(shown[beside], naked[beside])
    pd.testing.assert_frame_equal(stored(home, "naked_vpocs"), naked_vpocs(profiles, bars, es))
    for period in ("week", "month", "roll"):
        made = stored(home, "composite_profiles").loc[period]
        pd.testing.assert_frame_equal(made, composite_profile(bars, es, by=period))


def test_developing_levels_of_a_month_end_in_its_session_profiles(
    home: Home, instance: dg.DagsterInstance, bars: pd.DataFrame
) -> None:
    selection = [dg.AssetKey("bars"), dg.AssetKey("quarantine"), dg.AssetKey("developing_levels")]
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key="2021-05|ES-SIM", asset_selection=selection
    )

    assert result.success
    es = find_dataset("ES-SIM", home).instrument
    path = home.assets / "developing_levels" / "ES-SIM" / "2021-05.parquet"
    developed = pd.read_parquet(path)
    own = pd.read_parquet(home.assets / "bars" / "ES-SIM" / "2021-05.parquet")
    pd.testing.assert_frame_equal(developed, developing_levels(own, es))
    last = developed.groupby("session")[["vpoc", "val", "vah", "volume"]].last()
    pd.testing.assert_frame_equal(
        last, session_profiles(own, es)[["vpoc", "val", "vah", "volume"]], check_index_type=False
    )


def test_trade_profiles_stream_the_source_of_trades(home: Home, instance: dg.DagsterInstance) -> None:
    times = pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:30Z", "2024-03-05 14:31Z"])
    trades = pd.DataFrame(
        {"timestamp": times, "price": [5100.0, 5100.25, 5100.25], "volume": [3, 2, 4], "side": ["buy", "sell", "buy"]}
    )
    trades.to_parquet(home.root / "trades.parquet")
    remember_source(
        home, "ES", FileSource(path="absent.parquet", trades=TradeSource(path=str(home.root / "trades.parquet")))
    )
    job = defs.resolve_implicit_global_asset_job_def()

    result = job.execute_in_process(
        instance=instance, partition_key="ES", asset_selection=[dg.AssetKey("trade_profiles")]
    )

    assert result.success
    expected = trade_profiles(trades, find_dataset("ES", home).instrument)
    pd.testing.assert_frame_equal(stored(home, "trade_profiles", "ES"), expected)


def test_trade_profiles_without_a_source_of_trades_say_how_to_give_one(
    home: Home, instance: dg.DagsterInstance
) -> None:
    job = defs.resolve_implicit_global_asset_job_def()

    result = job.execute_in_process(
        instance=instance,
        partition_key="ES-SIM",
        asset_selection=[dg.AssetKey("trade_profiles")],
        raise_on_error=False,
    )

    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "add 'trades: {path: FILE}' to its entry in" in failure.step_failure_data.user_failure_data.description
