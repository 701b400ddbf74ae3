"""Volume profiles by session."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pandas as pd

from assets.declared import of_months
from assets.groups import PROFILES
from assets.partitions import by_symbol, user_errors
from assets.tables import table
from pipeline.datasets import Dataset
from pipeline.made_under import made_under
from pipeline.market import Instrument, label_sessions
from pipeline.pictures import profile_png
from pipeline.pictures.png_files import picture_markdown
from pipeline.research import make_profiles
from pipeline.strategy import HistorySettings
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["volume_profiles"]

LAST_SESSIONS = 10


@dg.asset(
    **of_months(PROFILES, "numba", "2"),
    check_specs=[
        dg.AssetCheckSpec(
            "profile_mass",
            asset="volume_profiles",
            blocking=True,
            description="each profile holds exactly its session's volume, in whole volume steps (or TPOs)",
        )
    ],
)
def volume_profiles(
    context: dg.AssetExecutionContext, bars: PartitionedFrames, bar_source: BarSource, settings: ResearchSettings
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Point of control (VPOC), value area, range and volume (or TPOs) of each session."""
    made: dict[str, pd.DataFrame] = {}
    off: list[str] = []
    for symbol, months in by_symbol(context.partition_keys).items():
        with user_errors():
            dataset = bar_source.dataset(symbol)
            chosen = settings.load()
            instrument, history = dataset.instrument, chosen.history
            under = made_under("volume_profiles", chosen, dataset)
            for key in months.values():
                month_bars = bars[key]
                profiles = make_profiles(month_bars, instrument, history)
                off += _wrong_mass(month_bars, profiles, instrument, history)
                profiles.attrs |= {**under, "source": month_bars.attrs["source"]}
                made[key] = profiles
            latest = _latest({key: made[key] for key in months.values()}, bars, dataset, history)
            for key in months.values():
                # The page shows one of the months, whichever was stored last, so that all of them carry the picture.
                own = {"dagster/row_count": len(made[key]), "sessions": len(made[key]), **_span(made[key])}
                context.add_asset_metadata({**own, **latest}, "volume_profiles", partition_key=key)
    yield dg.Output(made)
    yield dg.AssetCheckResult(check_name="profile_mass", passed=not off, metadata={"sessions_off": ", ".join(off[:50])})


def _span(profiles: pd.DataFrame) -> dict[str, str]:
    """The first and the last session of a month."""
    if profiles.empty:
        return {"first": "no sessions with volume in this month"}
    return {name: f"{profiles.index[place]:%Y-%m-%d}" for name, place in (("first", 0), ("last", -1))}


def _latest(
    made: Mapping[str, pd.DataFrame], bars: PartitionedFrames, dataset: Dataset, history: HistorySettings
) -> dict[str, Any]:
    """The last sessions of a run's months as a table, and the last of all as a picture."""
    months = [key for key, profiles in made.items() if len(profiles)]
    if not months:
        return {}
    profiles = pd.concat([made[key] for key in months[-2:]])
    rule = history.row_rule(dataset.instrument)
    counted = "TPOs" if rule.by_time else "volume"
    last = profiles.iloc[-1]
    title = f"{dataset.title} {profiles.index[-1]:%Y-%m-%d} {history.hours}: {counted} {last['volume']:,.10g}"
    picture = profile_png(
        # The month before, where it is in the run, gives the composite and the naked VPOCs their past.
        pd.concat([bars[key] for key in months[-2:]], ignore_index=True),
        dataset.instrument,
        title=title,
        **history.profile(dataset.instrument).options,
    )
    return {
        "last_session": dg.MetadataValue.md(picture_markdown(picture, title)),
        "last_sessions": table(profiles.tail(LAST_SESSIONS).reset_index()),
    }


def _wrong_mass(
    bars: pd.DataFrame, profiles: pd.DataFrame, instrument: Instrument, history: HistorySettings
) -> list[str]:
    # Summed in another way than the profiles were: by pandas, from the bars, in whole steps or TPOs.
    labels = label_sessions(bars["timestamp"], instrument)
    inside = labels.mask(history.hours)
    rule = history.row_rule(instrument)
    rows = pd.DataFrame({"session": labels.sessions[inside], "steps": instrument.to_steps(bars["volume"])[inside]})
    keys = ["session"]
    if "contract" in bars:
        rows["contract"] = bars["contract"].to_numpy()[inside]
        keys = ["session", "contract"]
    if rule.by_time:
        opens = labels.schedule["rth_open" if history.hours == "rth" else "open"].array[labels.position[inside]]
        rows["bracket"] = (bars["timestamp"].array[inside] - opens) // pd.Timedelta(minutes=rule.tpo_minutes)
        rows["low"], rows["high"] = (rule.row(instrument.to_ticks(bars[name]))[inside] for name in ("low", "high"))
        ranges = rows.groupby([*keys, "bracket"]).agg({"low": "min", "high": "max"})
        sums = (ranges["high"] - ranges["low"] + 1).groupby(level=keys).sum()
        held = profiles["volume"].astype("int64")
    else:
        sums = rows.groupby(keys)["steps"].sum()
        held = pd.Series(instrument.to_steps(profiles["volume"]), index=profiles.index)
    expected = sums.groupby(level="session").max()
    if rule.by_time and "contract" in bars:
        # The contract in force has more volume, not more TPOs.
        own = sums.reindex(pd.MultiIndex.from_frame(profiles.reset_index()[keys]), fill_value=0).droplevel("contract")
        expected = own.combine_first(expected)
    expected = expected[expected > 0]
    differs = expected.reindex(expected.index.union(held.index)).ne(held.reindex(expected.index.union(held.index)))
    return [str(session.date()) for session in differs.index[differs]]
