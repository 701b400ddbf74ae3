"""Mapping of a file's columns to ours, by name or as the user states."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.options import BAR_COLUMNS, OPTIONAL_COLUMNS, TRADE_COLUMNS, ReadOptions, to_set

__all__ = ["Layout", "bare_name", "distinct_names", "listed", "match_columns", "names_of_bars", "names_of_prices"]

# In order of preference, without case and punctuation.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamputc", "datetimeutc", "timeutc", "gmttime", "timestamp", "datetime", "opentime", "utc", "tsevent",
        "bartime", "windowstart", "unix", "unixtime", "epoch", "indexlevel0", "timeleft", "t",
    ),
    "date": ("date", "tradedate", "day", "dates", "dtyyyymmdd", "yyyymmdd"),
    "time": ("time", "timeofday", "timebarstart"),
    "open": ("open", "openprice", "firsttradeprice", "pxopen", "o"),
    "high": ("high", "highprice", "hightradeprice", "pxhigh", "h"),
    "low": ("low", "lowprice", "lowtradeprice", "pxlow", "l"),
    "close": ("close", "closeprice", "last", "latest", "closelast", "lasttradeprice", "pxlast", "c"),
    "volume": ("volume", "vol", "v", "totalvolume", "pxvolume"),
    # Databento's number of the contract a continuous series is in.
    "contract": ("contract", "contractcode", "contractsymbol", "instrumentid"),
    "num_trades": (
        "numtrades", "numberoftrades", "oftrades", "tradecount", "trades", "count", "transactions", "barcount", "n",
    ),
    "bid_volume": ("bidvolume",),
    "ask_volume": ("askvolume",),
    "symbol": (
        "symbol", "ticker", "sym", "tickersymbol", "instrument", "security", "asset", "pair", "secid", "productid",
        "instid", "ric", "isin", "figi", "cusip",
    ),
}  # fmt: skip
TRADE_PRICES = ("price", "tradeprice", "px", "lastprice", "p")
TRADE_VOLUMES = ("volume", "size", "qty", "quantity", "tradesize", "tradevolume", "amount", "vol", "v", "q")
_MARK = re.compile(r" \[column \d+\]$")


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
    volume_parts
        Columns whose sum is the volume, where no single one is.
    """

    time: tuple[str, ...]
    columns: dict[str, str]
    symbol: str | None
    volume_parts: tuple[str, ...] = ()

    @property
    def needed(self) -> list[str]:
        """Names in the file of the columns that are read."""
        symbol = () if self.symbol is None else (self.symbol,)
        return list(dict.fromkeys((*self.time, *self.columns.values(), *self.volume_parts, *symbol)))

    @property
    def renamed(self) -> str:
        """List those of our columns that have another name in the file."""
        pairs = {"timestamp": " + ".join(self.time), **self.columns}
        if self.volume_parts:
            pairs["volume"] = " + ".join(self.volume_parts)
        return ", ".join(
            f"{ours} from {theirs}" for ours, theirs in pairs.items() if bare_name(theirs) != bare_name(ours)
        )


def bare_name(name: str) -> str:
    """A column's name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]+", "", _MARK.sub("", name).lower())


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of columns, those that come twice with their place, so that each can be named and none is taken unasked."""
    counts = Counter(names)
    return [f"{name} [column {place}]" if counts[name] > 1 else name for place, name in enumerate(names, start=1)]


def names_of_prices(fields: Iterable[str]) -> bool:
    """Return True if fields name a table of bars or trades: open, high and low among them, or a price."""
    bare = {bare_name(field) for field in fields}
    bars = all(bare & set(SYNONYMS[ours]) for ours in ("open", "high", "low"))
    return bars or (len(bare) > 2 and bool(bare & set(TRADE_PRICES)) and bool(bare & set(TRADE_VOLUMES)))


def names_of_bars(fields: Iterable[str]) -> bool:
    """Return True if fields name everything a bar has: a time, open, high, low, close and volume."""
    bare = {bare_name(field) for field in fields}
    time = any(bare & set(SYNONYMS[ours]) for ours in ("timestamp", "date", "time"))
    return time and all(bare & set(SYNONYMS[ours]) for ours in BAR_COLUMNS[1:])


def match_columns(names: Sequence[str], options: ReadOptions, path: Path) -> Layout:
    """The file's columns by our names.

    Raises
    ------
    DataError
        If a column of bars is missing, several could be it, or a configured name is not in the file.
    """
    by_bare: dict[str, list[str]] = {}
    for name in names:
        by_bare.setdefault(bare_name(name), []).append(name)
    for ours in options.columns:
        if ours in TRADE_COLUMNS:
            raise DataError(f"{path} holds bars, which have no column {ours}; leave {ours} out of columns")
    found = {ours: configured(ours, theirs, names, by_bare, path) for ours, theirs in options.columns.items()}
    parts = tuple(configured("volume", each, names, by_bare, path) for each in options.volume_columns)
    taken = {*found.values(), *parts}
    for ours, synonyms in SYNONYMS.items():
        if ours not in found and not (ours == "volume" and parts):
            only = one_of(ours, synonyms, by_bare, taken, path)
            if only is not None:
                found[ours] = only
    missing = [
        ours for ours in BAR_COLUMNS if ours != "timestamp" and ours not in found and not (ours == "volume" and parts)
    ]
    time = time_columns(found, options.columns)
    if not time:
        missing.insert(0, "timestamp")
    if missing:
        raise DataError(no_column(path, missing, names))
    kept = (*BAR_COLUMNS[1:], *OPTIONAL_COLUMNS)
    return Layout(time, {ours: found[ours] for ours in kept if ours in found}, found.get("symbol"), parts)


def configured(ours: str, theirs: str, names: Sequence[str], by_bare: dict[str, list[str]], path: Path) -> str:
    """The file's column that the user's name means."""
    if theirs in names:
        return theirs
    similar = by_bare.get(bare_name(theirs), [])
    if len(similar) > 1:
        raise DataError(f"{path} has several columns {theirs!r}: {', '.join(similar)}; name one of them for {ours}")
    if not similar:
        raise DataError(f"{path} has no column {theirs!r}, which is set for {ours}; its columns are {listed(names)}")
    return similar[0]


def one_of(
    ours: str, synonyms: Iterable[str], by_bare: dict[str, list[str]], taken: Collection[str], path: Path
) -> str | None:
    """The file's column that goes by the first of the synonyms; an error where two go by the same."""
    for synonym in synonyms:
        free = [name for name in by_bare.get(synonym, []) if name not in taken]
        if len(synonym) == 1 and synonym in free:  # of single letters, vendors tell l (low) and L (last trade) by case
            return synonym
        if len(free) > 1:
            example = f"'{ours}={free[0]}'"
            raise DataError(
                f"{path} has several columns for {ours} ({', '.join(free)}); {to_set('columns', example)} or to another"
            )
        if free:
            return free[0]
    return None


def no_column(path: Path, missing: Sequence[str], names: Sequence[str]) -> str:
    """Say which columns a file lacks, and how to name them."""
    example = f"'{missing[0]}=NAME'"
    return (
        f"{path} has no column for {', '.join(missing)} (its columns are {listed(names)}); {to_set('columns', example)}"
    )


def time_columns(found: dict[str, str], given: Collection[str]) -> tuple[str, ...]:
    """The column of times, or those of dates and of times of day, among what was found."""
    pair = "date" in found and "time" in found
    if pair and "timestamp" not in given and {"date", "time"} & set(given):
        return found["date"], found["time"]
    if "timestamp" in found:
        return (found["timestamp"],)
    if pair:
        return found["date"], found["time"]
    return tuple(found[each] for each in ("date", "time") if each in found)


def listed(names: Sequence[str]) -> str:
    """Names of columns for a message: not too many, none too long."""
    each = [name if len(name) <= 40 else f"{name[:40]}…" for name in names[:20]]
    return ", ".join(each) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
