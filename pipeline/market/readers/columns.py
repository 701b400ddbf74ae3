"""Which column of a file is which of ours, by its name or by what the user said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.options import BAR_COLUMNS, OPTIONAL_COLUMNS, ReadOptions

__all__ = ["Layout", "bare_name", "match_columns"]

# In order of preference, without case and punctuation.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp", "datetime", "opentime", "timestamputc", "datetimeutc", "tsevent", "bartime", "unix", "unixtime",
        "epoch", "indexlevel0",
    ),
    "date": ("date", "tradedate", "day"),
    "time": ("time", "timeofday"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "last", "c"),
    "volume": ("volume", "vol", "v", "totalvolume"),
    # Databento's number of the contract a continuous series is in.
    "contract": ("contract", "contractcode", "contractsymbol", "instrumentid"),
    "num_trades": ("numtrades", "numberoftrades", "oftrades", "tradecount", "trades", "count"),
    "bid_volume": ("bidvolume",),
    "ask_volume": ("askvolume",),
    "symbol": ("symbol", "ticker"),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Our columns and their names in the file.

    Attributes
    ----------
    time
        The column of times, or that of dates and that of times of day.
    columns
        Prices, volume, and what there is of the optional columns.
    symbol
        The column of symbols, if there is one.
    """

    time: tuple[str, ...]
    columns: dict[str, str]
    symbol: str | None

    @property
    def needed(self) -> list[str]:
        """Names in the file of the columns that are read."""
        symbol = () if self.symbol is None else (self.symbol,)
        return list(dict.fromkeys((*self.time, *self.columns.values(), *symbol)))

    @property
    def renamed(self) -> str:
        """Which of our columns have another name in the file."""
        pairs = {"timestamp": " + ".join(self.time), **self.columns}
        return ", ".join(
            f"{ours} from {theirs}" for ours, theirs in pairs.items() if bare_name(theirs) != bare_name(ours)
        )


def bare_name(name: str) -> str:
    """A column's name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def match_columns(names: Sequence[str], options: ReadOptions, path: Path) -> Layout:
    """The file's columns by our names.

    Raises
    ------
    DataError
        If a column of bars is missing, or a configured name is not in the file.
    """
    by_bare: dict[str, list[str]] = {}
    for name in names:
        by_bare.setdefault(bare_name(name), []).append(name)
    found = {ours: _configured(ours, theirs, names, by_bare, path) for ours, theirs in options.columns.items()}
    taken = set(found.values())
    for ours, synonyms in SYNONYMS.items():
        if ours not in found:
            for synonym in synonyms:
                free = [name for name in by_bare.get(synonym, []) if name not in taken]
                if len(free) > 1:
                    raise DataError(
                        f"{path} has several columns for {ours} ({', '.join(free)}); "
                        f"set columns: {{{ours}: <the one to take>}} in sources.yaml"
                    )
                if free:
                    found[ours] = free[0]
                    break
    missing = [ours for ours in BAR_COLUMNS if ours != "timestamp" and ours not in found]
    time = _time_columns(found, options)
    if not time:
        missing.insert(0, "timestamp")
    if missing:
        raise DataError(
            f"{path} has no column for {', '.join(missing)} (its columns are {_listed(names)}); "
            f"set columns: {{{missing[0]}: <its name in the file>}} in sources.yaml"
        )
    kept = (*BAR_COLUMNS[1:], *OPTIONAL_COLUMNS)
    return Layout(time, {ours: found[ours] for ours in kept if ours in found}, found.get("symbol"))


def _configured(ours: str, theirs: str, names: Sequence[str], by_bare: dict[str, list[str]], path: Path) -> str:
    if theirs in names:
        return theirs
    similar = by_bare.get(bare_name(theirs), [])
    if len(similar) != 1:
        raise DataError(
            f"{path} has no column {theirs!r}, which columns gives for {ours}; its columns are {_listed(names)}"
        )
    return similar[0]


def _time_columns(found: dict[str, str], options: ReadOptions) -> tuple[str, ...]:
    pair = "date" in found and "time" in found
    if pair and "timestamp" not in options.columns and {"date", "time"} & set(options.columns):
        return found["date"], found["time"]
    if "timestamp" in found:
        return (found["timestamp"],)
    if pair:
        return found["date"], found["time"]
    return tuple(found[each] for each in ("date", "time") if each in found)


def _listed(names: Sequence[str]) -> str:
    shown = [name if len(name) <= 40 else f"{name[:40]}…" for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
