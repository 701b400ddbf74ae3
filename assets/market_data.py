"""Market data: clean bars and the quarantine, by month of trade dates and symbol."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from assets.groups import MARKET_DATA
from assets.partitions import GRID, SINGLE_RUN, by_symbol, user_errors
from assets.tables import table
from pipeline.datasets import Dataset
from pipeline.errors import DataError
from pipeline.market import label_sessions
from pipeline.market.cleaning import CleanBars, clean_bars, joined
from pipeline.market.evidence import Evidence, Finding, misreadings
from pipeline.market.months import split_by_month
from resources import BarSource, ResearchSettings

__all__ = ["market_data"]

OWNERS = ["team:market-data"]
EXAMPLES = 20
NOTHING_ODD = "nothing in the data says that it was read wrongly"
CLEANING_COUNTS = (
    "rows_in",
    "kept",
    "rows_quarantined",
    "snapped",
    "out_of_order",
    "off_step_volume",
    "impossible_counts",
)


@dg.multi_asset(
    name="market_data",
    outs={
        "bars": dg.AssetOut(
            is_required=False,
            description="Clean bars: on the tick, inside a session, in order, in UTC, labelled by their open.",
            group_name=MARKET_DATA,
            kinds={"parquet", "pandas"},
            owners=OWNERS,
            code_version="1",
        ),
        "quarantine": dg.AssetOut(
            is_required=False,
            description="Rows that were left out, each with its reason, source file and line; none is lost.",
            group_name=MARKET_DATA,
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
            description="the file is this instrument's: bars within sessions, at most half of those quarantined, and "
            "not most prices both off the tick and far from its level (a warning only: more than half of all rows lie "
            "outside every session)",
        ),
        dg.AssetCheckSpec(
            "reading",
            asset="bars",
            description="nothing in the data says that it was read wrongly: zone, label, unit, rolls",
        ),
        dg.AssetCheckSpec("sessions_covered", asset="bars", description="every session between the first and last bar"),
    ],
)
def market_data(
    context: dg.AssetExecutionContext, bar_source: BarSource, settings: ResearchSettings
) -> Iterator[dg.Output[Any] | dg.AssetCheckResult]:
    """Read, clean and split the bars of the months asked for."""
    cleaned: dict[str, CleanBars] = {}
    datasets: dict[str, Dataset] = {}
    findings: dict[str, tuple[Finding, ...]] = {}
    descriptions = []
    for symbol, months in by_symbol(context.partition_keys).items():
        with user_errors():
            dataset = datasets[symbol] = bar_source.dataset(symbol)
            raw = bar_source.read(symbol)
            off_tick = settings.load().off_tick
            rows = split_by_month(raw.frame, dataset.instrument)
            _require_overlap(list(months), list(rows), dataset)
            for month, key in months.items():
                own = rows.get(month, raw.frame.iloc[:0])
                cleaned[key] = clean_bars(own, dataset.instrument, off_tick=off_tick)
            taken = pd.concat([rows.get(month, raw.frame.iloc[:0]) for month in months], ignore_index=True)
            whole = joined([cleaned[key] for key in months.values()])
            # The simulator's bars are read as they were made.
            evidence = Evidence(taken, whole, dataset.instrument, raw.zone, raw.offset)
            findings[symbol] = () if dataset.simulated else misreadings(evidence)
            for key in months.values():
                _label(context, key, cleaned[key], dataset, findings[symbol])
        context.log.info("%s: %s", symbol, raw.description)
        if without := [month for month in months if month not in rows]:
            context.log.info("%s: %d of these %d months have no bars", symbol, len(without), len(months))
        descriptions.append(f"{symbol}: {raw.description}")
    if not cleaned:
        raise dg.Failure(
            "no month and symbol lies in this range: its first symbol stands after its last", allow_retries=False
        )
    checks = [
        _accounting(cleaned),
        _order(cleaned),
        _fits_instrument(cleaned, findings),
        _reading(findings),
        _sessions_covered(cleaned, datasets),
    ]
    yield from checks
    if any(not check.passed and check.severity == dg.AssetCheckSeverity.ERROR for check in checks):
        return  # the months keep what they hold: a wrong file must not take its place
    refused = pd.concat([clean.quarantine for clean in cleaned.values()], ignore_index=True)
    yield dg.Output(
        {key: clean.bars for key, clean in cleaned.items()},
        "bars",
        metadata={"source": "; ".join(descriptions)},
    )
    yield dg.Output(
        {key: clean.quarantine for key, clean in cleaned.items()},
        "quarantine",
        metadata={
            "reasons": table(_reasons(refused)),
            "first_rows": table(_examples(refused)),
        },
    )


def _require_overlap(months: Sequence[str], present: Sequence[str], dataset: Dataset) -> None:
    """Refuse months that all lie before or after the source's bars; a month without bars amid them is made empty."""
    asked = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    if not present:
        raise DataError(f"{dataset.key} has no bars for {asked}: {dataset.identity} holds none at all")
    if months[-1] < present[0] or months[0] > present[-1]:
        raise DataError(
            f"{dataset.key} has no bars for {asked}: its source, {dataset.identity}, has them from {present[0]} to "
            f"{present[-1]}; choose months among those"
        )


def _label(
    context: dg.AssetExecutionContext, key: str, clean: CleanBars, dataset: Dataset, findings: tuple[Finding, ...]
) -> None:
    """Store with a month what it was made from and how many rows were mended, and show it in the page."""
    report, bars = clean.report, clean.bars
    counts = {name: getattr(report, name) for name in CLEANING_COUNTS}
    bars.attrs = {
        "source": dataset.identity,
        "cleaning": counts,
        "findings": [finding.to_dict() for finding in findings],
    }
    clean.quarantine.attrs = {"source": dataset.identity}
    context.add_asset_metadata(
        {
            "dagster/row_count": len(bars),
            **counts,
            "first": str(bars["timestamp"].iloc[0]) if len(bars) else "no bars in this month",
            "last": str(bars["timestamp"].iloc[-1]) if len(bars) else "",
        },
        asset_key="bars",
        partition_key=key,
    )
    context.add_asset_metadata({"dagster/row_count": len(clean.quarantine)}, asset_key="quarantine", partition_key=key)


def _total(cleaned: Mapping[str, CleanBars], name: str) -> int:
    return sum(getattr(clean.report, name) for clean in cleaned.values())


def _accounting(cleaned: Mapping[str, CleanBars]) -> dg.AssetCheckResult:
    rows_in = _total(cleaned, "rows_in")
    kept = sum(len(clean.bars) for clean in cleaned.values())
    quarantined = sum(len(clean.quarantine) for clean in cleaned.values())
    return dg.AssetCheckResult(
        check_name="accounting",
        asset_key="bars",
        passed=rows_in == kept + quarantined,
        description=f"{rows_in:,} rows in = {kept:,} kept + {quarantined:,} quarantined" + _why(cleaned),
        metadata={name: _total(cleaned, name) for name in CLEANING_COUNTS},
    )


def _why(cleaned: Mapping[str, CleanBars]) -> str:
    reasons: Counter[str] = Counter()
    for clean in cleaned.values():
        reasons.update({reason: count for reason, count in clean.report.quarantined.items() if count})
    return f" ({', '.join(f'{count:,} {reason}' for reason, count in reasons.items())})" if reasons else ""


def _order(cleaned: Mapping[str, CleanBars]) -> dg.AssetCheckResult:
    times = {key: clean.bars["timestamp"] for key, clean in cleaned.items()}
    wrong = [key for key, stamps in times.items() if not (stamps.is_monotonic_increasing and stamps.is_unique)]
    return dg.AssetCheckResult(
        check_name="order", asset_key="bars", passed=not wrong, metadata={"months_out_of_order": ", ".join(wrong)}
    )


def _fits_instrument(
    cleaned: Mapping[str, CleanBars], findings: Mapping[str, tuple[Finding, ...]]
) -> dg.AssetCheckResult:
    misfits, odd = [], []
    for symbol, months in by_symbol(cleaned).items():
        own = {key: cleaned[key] for key in months.values()}
        rows, refused, snapped = (_total(own, name) for name in ("rows_in", "rows_quarantined", "snapped"))
        outside = sum(clean.report.quarantined["outside_session"] for clean in own.values())
        fatal = [finding.message for finding in findings[symbol] if finding.severity == "error"]
        # Adjusted prices lie off the tick too; another level besides tells that they are not this instrument's.
        strange = snapped > (rows - refused) / 2 and any(
            finding.kind in ("price_level", "price_unit") for finding in findings[symbol]
        )
        if fatal:
            misfits.append(f"{symbol}: {'; '.join(fatal)}")
        else:
            why = "; ".join(finding.message for finding in findings[symbol] if finding.severity == "warning")
            message = (
                f"{symbol}: {refused:,} of {rows:,} rows quarantined, {outside:,} of them outside every session, and "
                f"{snapped:,} off the tick: {why or 'is the file of this instrument, and its time zone right?'}"
            )
            if refused - outside > (rows - outside) / 2 or (rows > 0 and outside == rows) or strange:
                misfits.append(message)
            elif outside > rows / 2:
                # No error: stocks trade before and after hours too, and a good file may hold more of those bars.
                odd.append(message)
    return dg.AssetCheckResult(
        check_name="fits_instrument",
        asset_key="bars",
        passed=not misfits and not odd,
        severity=dg.AssetCheckSeverity.ERROR if misfits else dg.AssetCheckSeverity.WARN,
        description="; ".join(misfits or odd),
    )


def _reading(findings: Mapping[str, tuple[Finding, ...]]) -> dg.AssetCheckResult:
    messages = [
        f"{symbol}: {finding.severity}: {finding.message}"
        for symbol, found in findings.items()
        for finding in found
        if finding.severity != "error"  # which the check fits_instrument tells, and stops the run for
    ]
    stopped = any(finding.severity == "error" for found in findings.values() for finding in found)
    return dg.AssetCheckResult(
        check_name="reading",
        asset_key="bars",
        passed=all(finding.severity != "warning" for found in findings.values() for finding in found),
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(messages) or ("see fits_instrument" if stopped else NOTHING_ODD),
    )


def _sessions_covered(cleaned: Mapping[str, CleanBars], datasets: Mapping[str, Dataset]) -> dg.AssetCheckResult:
    missing: list[str] = []
    for symbol, months in by_symbol(cleaned).items():
        times = pd.concat([cleaned[key].bars["timestamp"] for key in months.values()], ignore_index=True)
        if times.empty:
            continue
        labels = label_sessions(times, datasets[symbol].instrument)
        present = np.unique(labels.position)
        absent = np.setdiff1d(np.arange(present[0], present[-1] + 1), present)
        missing += [f"{symbol} {session.date()}" for session in labels.schedule.index[absent]]
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
