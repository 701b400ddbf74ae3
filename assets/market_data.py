"""Market data: clean bars and the quarantine, by month of trade dates and symbol."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from assets.partitions import GRID, SINGLE_RUN, by_symbol, user_errors
from assets.tables import table
from pipeline.datasets import Dataset
from pipeline.market import label_sessions
from pipeline.market.cleaning import CleanBars, clean_bars
from pipeline.market.months import split_by_month
from resources import BarSource, ResearchSettings

__all__ = ["market_data"]

GROUP = "market_data"
OWNERS = ["team:market-data"]
EXAMPLES = 20


@dg.multi_asset(
    name="market_data",
    outs={
        "bars": dg.AssetOut(
            description="Clean bars (contract §2): on tick, in session, strictly increasing, UTC, labelled by open.",
            group_name=GROUP,
            kinds={"parquet", "pandas"},
            owners=OWNERS,
            code_version="1",
        ),
        "quarantine": dg.AssetOut(
            description="Rows that are not used, each with its reason, source file and line: nothing is lost.",
            group_name=GROUP,
            kinds={"parquet", "pandas"},
            owners=OWNERS,
            code_version="1",
        ),
    },
    partitions_def=GRID,
    backfill_policy=SINGLE_RUN,
    check_specs=[
        dg.AssetCheckSpec("accounting", asset="bars", blocking=True, description="rows in = kept + quarantined"),
        dg.AssetCheckSpec("order", asset="bars", blocking=True, description="timestamps strictly increase"),
        dg.AssetCheckSpec(
            "fits_instrument",
            asset="bars",
            blocking=True,
            description="no more than half of the rows are quarantined or off the tick: the file is this instrument's",
        ),
        dg.AssetCheckSpec("sessions_covered", asset="bars", description="every session between the first and last bar"),
    ],
)
def market_data(
    context: dg.AssetExecutionContext, bar_source: BarSource, settings: ResearchSettings
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Read, clean and split the bars of the months asked for."""
    bars: dict[str, pd.DataFrame] = {}
    quarantine: dict[str, pd.DataFrame] = {}
    found: dict[str, tuple[Dataset, CleanBars, list[pd.DataFrame]]] = {}
    descriptions = []
    for symbol, months in by_symbol(context.partition_keys).items():
        with user_errors():
            dataset = bar_source.dataset(symbol)
            raw = bar_source.read(symbol)
            clean = clean_bars(raw.frame, dataset.instrument, off_tick=settings.load().off_tick)
            kept = split_by_month(clean.bars, dataset.instrument)
            refused = split_by_month(clean.quarantine, dataset.instrument)
        context.log.info("%s: %s", symbol, raw.description)
        descriptions.append(f"{symbol}: {raw.description}")
        for month, key in months.items():
            bars[key] = kept.get(month, clean.bars.iloc[:0])
            quarantine[key] = refused.get(month, clean.quarantine.iloc[:0])
            bars[key].attrs = quarantine[key].attrs = {"source": dataset.identity}
            _describe_month(context, key, bars[key], quarantine[key])
        found[symbol] = (dataset, clean, [bars[key] for key in months.values()])
    total = sum(len(frame) for frame in bars.values())
    refused_rows = pd.concat(quarantine.values(), ignore_index=True)
    source = dg.MetadataValue.text("; ".join(descriptions))
    yield dg.Output(bars.items(), "bars", metadata={"source": source, "dagster/row_count": total})
    yield dg.Output(
        quarantine.items(),
        "quarantine",
        metadata={
            "reasons": table(_reasons(refused_rows)),
            "first_rows": table(_examples(refused_rows)),
            "dagster/row_count": len(refused_rows),
        },
    )
    yield _accounting(found)
    yield _order(bars)
    yield _fits_instrument(found)
    yield _sessions_covered(found)


def _describe_month(context: dg.AssetExecutionContext, key: str, bars: pd.DataFrame, quarantine: pd.DataFrame) -> None:
    context.add_asset_metadata(
        {
            "rows": len(bars),
            "rows_quarantined": len(quarantine),
            "first": str(bars["timestamp"].iloc[0]) if len(bars) else "no bars in this month",
            "last": str(bars["timestamp"].iloc[-1]) if len(bars) else "",
        },
        asset_key="bars",
        partition_key=key,
    )


def _accounting(found: dict[str, tuple[Dataset, CleanBars, list[pd.DataFrame]]]) -> dg.AssetCheckResult:
    rows_in = sum(clean.report.rows_in for _, clean, _ in found.values())
    kept = sum(len(clean.bars) for _, clean, _ in found.values())
    quarantined = sum(len(clean.quarantine) for _, clean, _ in found.values())
    return dg.AssetCheckResult(
        check_name="accounting",
        asset_key="bars",
        passed=rows_in == kept + quarantined,
        description=f"{rows_in:,} rows in = {kept:,} kept + {quarantined:,} quarantined",
        metadata={
            "rows_in": rows_in,
            "kept": kept,
            "quarantined": quarantined,
            "sorted_into_order": sum(clean.report.out_of_order for _, clean, _ in found.values()),
            "snapped_to_tick": sum(clean.report.snapped for _, clean, _ in found.values()),
            "off_step_volume": sum(clean.report.off_step_volume for _, clean, _ in found.values()),
        },
    )


def _order(bars: dict[str, pd.DataFrame]) -> dg.AssetCheckResult:
    wrong = [
        key
        for key, frame in bars.items()
        if not (frame["timestamp"].is_monotonic_increasing and frame["timestamp"].is_unique)
    ]
    return dg.AssetCheckResult(
        check_name="order", asset_key="bars", passed=not wrong, metadata={"months_out_of_order": ", ".join(wrong)}
    )


def _fits_instrument(found: dict[str, tuple[Dataset, CleanBars, list[pd.DataFrame]]]) -> dg.AssetCheckResult:
    misfits = [
        f"{symbol}: {len(clean.quarantine):,} of {clean.report.rows_in:,} rows quarantined, "
        f"{clean.report.snapped:,} off the tick"
        for symbol, (_, clean, _) in found.items()
        if len(clean.quarantine) + clean.report.snapped > clean.report.rows_in / 2
    ]
    return dg.AssetCheckResult(
        check_name="fits_instrument",
        asset_key="bars",
        passed=not misfits,
        description="; ".join(misfits) + ": is the file this instrument's, and its time zone right?" if misfits else "",
    )


def _sessions_covered(found: dict[str, tuple[Dataset, CleanBars, list[pd.DataFrame]]]) -> dg.AssetCheckResult:
    missing: list[str] = []
    for symbol, (dataset, _, months) in found.items():
        times = pd.concat([frame["timestamp"] for frame in months], ignore_index=True)
        if times.empty:
            continue
        labels = label_sessions(times, dataset.instrument)
        present = np.unique(labels.position)
        expected = np.arange(present[0], present[-1] + 1)
        absent = labels.schedule.index[np.setdiff1d(expected, present)]
        missing += [f"{symbol} {session.date()}" for session in absent]
    return dg.AssetCheckResult(
        check_name="sessions_covered",
        asset_key="bars",
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(missing)} sessions without a bar" if missing else "every session has bars",
        metadata={"sessions_without_bars": ", ".join(missing[:200])},
    )


def _reasons(quarantine: pd.DataFrame) -> pd.DataFrame:
    return quarantine["reason"].value_counts().sort_index().rename("rows").reset_index()


def _examples(quarantine: pd.DataFrame) -> pd.DataFrame:
    columns = [name for name in ("reason", "source_file", "source_line", "timestamp") if name in quarantine]
    return quarantine[columns].head(EXAMPLES).astype(str)
