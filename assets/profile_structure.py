"""What profiles say beyond VPOC and value area: structure, naked VPOCs, composites, developing levels, trades."""

import dagster as dg
import pandas as pd

from assets.declared import of_months, of_symbol
from assets.groups import PROFILES
from assets.partitions import by_symbol, user_errors
from assets.tables import table
from pipeline.datasets import find_trades
from pipeline.home import vpoc_home
from pipeline.made_under import require_same_settings
from pipeline.profiles import composite_profile, naked_at_close, session_structure
from pipeline.profiles import developing_levels as make_developing_levels
from pipeline.profiles import naked_vpocs as find_naked_vpocs
from pipeline.profiles.composites import CompositePeriod
from pipeline.profiles.streaming import trade_options
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["composite_profiles", "developing_levels", "naked_vpocs", "profile_structure", "trade_profiles"]

COMPOSITES: tuple[CompositePeriod, ...] = ("week", "month", "roll")


@dg.asset(**of_symbol(PROFILES, "pandas", "2"))
def profile_structure(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    profile_history: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Each session's nodes, shape, initial balance, single prints, poor extremes and nearby naked VPOCs."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        history = chosen.history
        require_same_settings({"bar_history": bar_history, "profile_history": profile_history}, chosen, dataset)
        rows = history.row_rule(dataset.instrument).options
        structure = session_structure(bar_history, profile_history, dataset.instrument, hours=history.hours, **rows)
        naked = naked_at_close(profile_history, bar_history, dataset.instrument, hours=history.hours, **rows)
    frame = structure.join(naked.drop(columns=[name for name in naked if name in structure]))
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "shapes": table(_shares(frame["shape"])),
            "relations": table(_shares(frame["value_area_relation"].dropna())),
            "last_sessions": table(frame.tail(10).reset_index()),
        },
    )


@dg.asset(**of_symbol(PROFILES, "pandas", "2"))
def naked_vpocs(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    profile_history: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """Each session's VPOC: whether and when it has been traded since, and its age."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        history = chosen.history
        require_same_settings({"bar_history": bar_history, "profile_history": profile_history}, chosen, dataset)
        frame = find_naked_vpocs(
            profile_history,
            bar_history,
            dataset.instrument,
            hours=history.hours,
            **history.row_rule(dataset.instrument).options,
        )
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "states": table(_shares(frame["state"])),
            "naked_now": table(frame[frame["state"] == "naked"].reset_index()),
        },
    )


@dg.asset(**of_symbol(PROFILES, "numba", "2"))
def composite_profiles(
    context: dg.AssetExecutionContext, bar_history: pd.DataFrame, bar_source: BarSource, settings: ResearchSettings
) -> dg.Output[pd.DataFrame]:
    """Profiles of weeks, months and whole contracts, added up from their sessions; none spans a roll."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        history = chosen.history
        require_same_settings({"bar_history": bar_history}, chosen, dataset)
        made = {
            period: composite_profile(
                bar_history,
                dataset.instrument,
                by=period,
                **history.profile(dataset.instrument).options,
            )
            for period in COMPOSITES
        }
    frame = pd.concat(made, names=["period"])
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "latest": table(frame.groupby(level="period", sort=False).tail(3).reset_index()),
        },
    )


@dg.asset(**of_months(PROFILES, "numba", "2"))
def developing_levels(
    context: dg.AssetExecutionContext, bars: PartitionedFrames, bar_source: BarSource, settings: ResearchSettings
) -> dg.Output[dict[str, pd.DataFrame]]:
    """VPOC and value area of the session so far, after every bar: what a trader saw at that moment."""
    made: dict[str, pd.DataFrame] = {}
    for symbol, months in by_symbol(context.partition_keys).items():
        with user_errors():
            instrument = bar_source.dataset(symbol).instrument
            history = settings.load().history
            for key in months.values():
                month_bars = bars[key]
                made[key] = make_developing_levels(month_bars, instrument, **history.profile(instrument).options)
                made[key].attrs["source"] = month_bars.attrs["source"]
                context.add_asset_metadata({"dagster/row_count": len(made[key])}, partition_key=key)
    return dg.Output(made)


@dg.asset(**of_symbol(PROFILES, "numba", "2"))
def trade_profiles(context: dg.AssetExecutionContext, settings: ResearchSettings) -> dg.Output[pd.DataFrame]:
    """Profiles from individual trades, with volume bought, sold and delta; files of any size are streamed."""
    with user_errors():
        instrument, trades = find_trades(context.partition_key, vpoc_home())
        chosen = settings.load()
        options = trade_options(chosen.history.profile(instrument))
        stream = trades.stream(instrument, off_tick=chosen.off_tick, **options)
        frame = stream.result()
    return dg.Output(
        frame,
        metadata={
            "dagster/row_count": len(frame),
            "source": trades.path,
            "rows": dg.MetadataValue.json(frame.attrs),
            "last_sessions": table(frame.tail(10).reset_index()),
        },
    )


def _shares(column: pd.Series) -> pd.DataFrame:
    shares = column.value_counts(normalize=True).sort_index().rename("share")
    return shares.rename_axis(column.name).reset_index()
