"""A symbol's months joined: its bars, its session profiles, and the session history that both add up to."""

from collections import Counter
from collections.abc import Iterator, Mapping

import dagster as dg
import numpy as np
import pandas as pd

from assets.declared import WHOLE, of_symbol
from assets.groups import PROFILES
from assets.partitions import user_errors
from pipeline.datasets import Dataset
from pipeline.made_under import made_under, require_same_settings
from pipeline.settings import Settings
from pipeline.strategy import session_history as make_session_history
from resources import BarSource, PartitionedFrames, ResearchSettings

__all__ = ["bar_history", "profile_history", "session_history"]

COLLAPSE_SHARE = 0.35
COLLAPSE_WINDOW = 60


@dg.asset(**of_symbol(PROFILES, "pandas", "1"), ins={"bars": WHOLE, "quarantine": WHOLE})
def bar_history(
    context: dg.AssetExecutionContext, bars: PartitionedFrames, quarantine: PartitionedFrames, bar_source: BarSource
) -> dg.Output[pd.DataFrame]:
    """All months' clean bars in one frame: what every later asset reads."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        months = dict(bars)
        whole = _joined(months, dataset, "bars")
    whole.attrs["cleaning"] = _cleaning(months, quarantine)
    # Each month holds those of the run that it was made in.
    whole.attrs["findings"] = _once(each for frame in months.values() for each in frame.attrs.get("findings", ()))
    return dg.Output(
        whole,
        metadata={
            "dagster/row_count": len(whole),
            "source": dataset.identity,
            "first": str(whole["timestamp"].iloc[0]),
            "last": str(whole["timestamp"].iloc[-1]),
            "cleaning": dg.MetadataValue.json(whole.attrs["cleaning"]),
        },
    )


@dg.asset(**of_symbol(PROFILES, "pandas", "1"), ins={"volume_profiles": WHOLE})
def profile_history(
    context: dg.AssetExecutionContext,
    volume_profiles: PartitionedFrames,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> dg.Output[pd.DataFrame]:
    """All months' session profiles in one frame."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        frame = _joined(
            volume_profiles,
            dataset,
            "volume_profiles",
            settings=chosen,
            why_empty=f"no session has volume in its {chosen.history.hours} hours; "
            "set history: {hours: eth} in settings.yaml for those of the whole trade date",
        )
    frame.attrs = made_under("profile_history", chosen, dataset)
    return dg.Output(frame, metadata={"dagster/row_count": len(frame)})


@dg.asset(
    **of_symbol(PROFILES, "pandas", "2"),
    check_specs=[
        dg.AssetCheckSpec(
            "volume_collapse",
            asset="session_history",
            description=f"no session under {COLLAPSE_SHARE:.0%} of the median of the {COLLAPSE_WINDOW} before "
            "(roll weeks of a series that holds each contract to its expiry; holidays)",
        )
    ],
)
def session_history(
    context: dg.AssetExecutionContext,
    bar_history: pd.DataFrame,
    profile_history: pd.DataFrame,
    bar_source: BarSource,
    settings: ResearchSettings,
) -> Iterator[dg.Output[pd.DataFrame] | dg.AssetCheckResult]:
    """One row per session, as known at its close: prices, profile, ATR, VPOC moves and the gates' statistics."""
    with user_errors():
        dataset = bar_source.dataset(context.partition_key)
        chosen = settings.load()
        require_same_settings({"bar_history": bar_history, "profile_history": profile_history}, chosen, dataset)
        windows = chosen.history
        history = make_session_history(bar_history, profile_history, dataset.instrument, windows, hours=windows.hours)
    history.attrs = made_under("session_history", chosen, dataset)
    yield dg.Output(
        history,
        metadata={
            "dagster/row_count": len(history),
            "source": dataset.identity,
            "first": str(history.index[0].date()),
            "last": str(history.index[-1].date()),
            "rolls": int((history["contract"] != history["contract"].shift()).sum() - 1)
            if "contract" in history
            else 0,
        },
    )
    yield _volume_collapse(history)


def _joined(
    frames: Mapping[str, pd.DataFrame],
    dataset: Dataset,
    asset: str,
    *,
    settings: Settings | None = None,
    why_empty: str = "every row was quarantined, see there why",
) -> pd.DataFrame:
    """All months of a symbol in one frame.

    Parameters
    ----------
    frames
        By month.
    dataset, asset
        Which dataset and asset they are of.
    settings
        That each month has to be made under, where given.
    why_empty
        What the error says where all months have been made and none holds a row.

    Raises
    ------
    Failure
        Where there are none, or a month was made from another source than the symbol's present one:
        bars of two sources must not mix.
    DataError
        For a month of other settings: those of two must not mix either.
    """
    parts = []
    made = 0
    for key, frame in frames.items():
        made += 1
        source = frame.attrs.get("source")
        if source != dataset.identity:
            raise dg.Failure(
                f"{asset} of {key} was made from {source!r}, but {dataset.key}'s source is now {dataset.identity!r}: "
                f"run 'vpoc run --symbol {dataset.key}', which makes every month anew",
                allow_retries=False,
            )
        if settings is not None:
            require_same_settings({asset: frame}, settings, dataset)
        if len(frame):
            parts.append(frame)
    if not parts and made:
        raise dg.Failure(
            f"{dataset.key} has no {asset} in any month of {dataset.identity}: {why_empty}", allow_retries=False
        )
    if not parts:
        raise dg.Failure(
            f"{dataset.key} has no {asset} yet: materialize {asset} for its months first, or run 'vpoc run'",
            allow_retries=False,
        )
    whole = pd.concat(parts, ignore_index=isinstance(parts[0].index, pd.RangeIndex))
    whole.attrs = {"source": dataset.identity}
    return whole


def _cleaning(bars: Mapping[str, pd.DataFrame], quarantine: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """Rows by what became of them, over all months."""
    counts: Counter[str] = Counter()
    for frame in bars.values():
        counts.update(frame.attrs["cleaning"])
    del counts["rows_quarantined"]  # shown by reason
    for frame in quarantine.values():
        counts.update(frame["reason"].value_counts().sort_index().to_dict())
    return {name: int(count) for name, count in counts.items()}


def _once(findings: Iterator[dict[str, object]]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for each in findings:
        if each not in found:
            found.append(each)
    return found


def _volume_collapse(history: pd.DataFrame) -> dg.AssetCheckResult:
    median = history["volume"].rolling(COLLAPSE_WINDOW, min_periods=20).median().shift(1)
    share = history["volume"] / median
    collapsed = history.index[np.asarray(share < COLLAPSE_SHARE)]
    return dg.AssetCheckResult(
        check_name="volume_collapse",
        passed=len(collapsed) == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(collapsed)} of {len(history)} sessions with under {COLLAPSE_SHARE:.0%} of the usual volume",
        metadata={"sessions": ", ".join(str(session.date()) for session in collapsed[-100:])},
    )
