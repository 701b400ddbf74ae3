"""Mapping of a file's columns to ours, by name or as the user states."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import DataError
from pipeline.market.readers.options import BAR_COLUMNS, to_set

__all__ = [
    "BARS",
    "TRADES",
    "Kind",
    "Layout",
    "bare_name",
    "distinct_names",
    "listed",
    "match_columns",
    "names_of_bars",
    "names_of_prices",
    "names_of_trades",
]

_TIMES = (
    "timestamputc", "datetimeutc", "timeutc", "gmttime", "timestamp", "datetime", "opentime", "utc", "tsevent",
    "bartime", "windowstart", "unix", "unixtime", "epoch", "indexlevel0", "timeleft", "t",
)  # fmt: skip
_DATES = ("date", "tradedate", "day", "dates", "dtyyyymmdd", "yyyymmdd")
_TIMES_OF_DAY = ("time", "timeofday", "timebarstart")
_CONTRACTS = ("contract", "contractcode", "contractsymbol", "instrumentid")  # the last is Databento's
_SYMBOLS = (
    "symbol", "ticker", "sym", "tickersymbol", "instrument", "security", "asset", "pair", "secid", "productid",
    "instid", "ric", "isin", "figi", "cusip",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of rows.

    Attributes
    ----------
    rows
        What to call them.
    synonyms
        Our names of their columns to those in files, in order of preference, without case and punctuation.
    required
        Columns without which a file holds no such rows, besides their times.
    """

    rows: str
    synonyms: Mapping[str, tuple[str, ...]]
    required: tuple[str, ...]


BARS = Kind(
    "bars",
    {
        "timestamp": _TIMES,
        "date": _DATES,
        "time": _TIMES_OF_DAY,
        "open": ("open", "openprice", "firsttradeprice", "pxopen", "o"),
        "high": ("high", "highprice", "hightradeprice", "pxhigh", "h"),
        "low": ("low", "lowprice", "lowtradeprice", "pxlow", "l"),
        "close": ("close", "closeprice", "last", "latest", "closelast", "lasttradeprice", "pxlast", "c"),
        "volume": ("volume", "vol", "v", "totalvolume", "pxvolume"),
        "contract": _CONTRACTS,
        "num_trades": (
            "numtrades", "numberoftrades", "oftrades", "tradecount", "trades", "count", "transactions", "barcount", "n",
        ),
        "bid_volume": ("bidvolume",),
        "ask_volume": ("askvolume",),
        "symbol": _SYMBOLS,
    },
    BAR_COLUMNS[1:],
)  # fmt: skip
TRADES = Kind(
    "trades",
    {
        "timestamp": (*_TIMES, "transacttime", "tradetime", "exchangetime", "eventtime", "tsrecv", "ts"),
        "date": _DATES,
        "time": _TIMES_OF_DAY,
        "price": ("price", "tradeprice", "px", "lastprice", "p"),
        "volume": ("volume", "size", "qty", "quantity", "tradesize", "tradevolume", "amount", "vol", "v", "q"),
        "side": ("side", "aggressor", "aggressorside", "takerside", "tradeside", "initiator"),
        "is_buyer_maker": ("isbuyermaker", "buyermaker", "wasthebuyerthemaker", "m"),
        "bid_volume": ("bidvolume",),
        "ask_volume": ("askvolume",),
        "seq": ("seq", "sequence", "sequencenumber", "aggtradeid", "tradeid", "id", "a"),
        "contract": _CONTRACTS,
        "symbol": _SYMBOLS,
    },
    ("price", "volume"),
)
_TIME_NAMES = ("timestamp", "date", "time")
_MARK = re.compile(r" \[column \d+\]$")


@dataclass(frozen=True)
class Layout:
    """Our columns and their names in the file.

    Attributes
    ----------
    time
        The column of times, or that of dates and that of times of day.
    columns
        The other columns that are required, and what there is of the optional ones.
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
    bars = all(_named(BARS, ours, bare) for ours in ("open", "high", "low"))
    return bars or (len(bare) > 2 and all(_named(TRADES, ours, bare) for ours in TRADES.required))


def names_of_bars(fields: Iterable[str]) -> bool:
    """Return True if fields name everything a bar has: a time, open, high, low, close and volume."""
    bare = {bare_name(field) for field in fields}
    time = any(_named(BARS, ours, bare) for ours in _TIME_NAMES)
    return time and all(_named(BARS, ours, bare) for ours in BARS.required)


def names_of_trades(fields: Iterable[str]) -> bool:
    """Return True if fields name a price, and no open, high or low."""
    bare = {bare_name(field) for field in fields}
    return _named(TRADES, "price", bare) and not any(_named(BARS, ours, bare) for ours in ("open", "high", "low"))


def _named(kind: Kind, ours: str, bare: Collection[str]) -> bool:
    return any(each in bare for each in kind.synonyms[ours])


def match_columns(
    path: Path,
    names: Sequence[str],
    kind: Kind,
    given: Mapping[str, str],
    volume_columns: Sequence[str] = (),
) -> Layout:
    """The file's columns by our names.

    Parameters
    ----------
    path, names
        The file, and its columns.
    kind
        What its rows are.
    given, volume_columns
        The columns that the user or the format names, and those whose sum is the volume.

    Raises
    ------
    DataError
        If a required column is missing, several could be it, or a name given is not in the file.
    """
    by_bare: dict[str, list[str]] = {}
    for name in names:
        by_bare.setdefault(bare_name(name), []).append(name)
    for ours in given:
        if ours not in kind.synonyms:
            raise DataError(f"{path} holds {kind.rows}, which have no column {ours}; leave {ours} out of columns")
    found = {ours: _given(ours, theirs, names, by_bare, path) for ours, theirs in given.items()}
    parts = tuple(_given("volume", each, names, by_bare, path) for each in volume_columns)
    for ours, synonyms in kind.synonyms.items():
        if ours not in found and not (ours == "volume" and parts):
            only = _one_of(ours, synonyms, by_bare, {*found.values(), *parts}, path)
            if only is not None:
                found[ours] = only
    missing = [ours for ours in kind.required if ours not in found and not (ours == "volume" and parts)]
    time = _time_columns(found, given)
    if not time:
        missing.insert(0, "timestamp")
    if missing:
        remedy = to_set("columns", f"'{missing[0]}=NAME'")
        raise DataError(f"{path} has no column for {', '.join(missing)} (its columns are {listed(names)}); {remedy}")
    columns = {ours: found[ours] for ours in kind.synonyms if ours in found and ours not in (*_TIME_NAMES, "symbol")}
    return Layout(time, columns, found.get("symbol"), parts)


def _given(ours: str, theirs: str, names: Sequence[str], by_bare: Mapping[str, list[str]], path: Path) -> str:
    """The file's column that a name given for ours means."""
    if theirs in names:
        return theirs
    similar = by_bare.get(bare_name(theirs), [])
    if len(similar) > 1:
        raise DataError(f"{path} has several columns {theirs!r}: {', '.join(similar)}; name one of them for {ours}")
    if not similar:
        raise DataError(f"{path} has no column {theirs!r}, which is set for {ours}; its columns are {listed(names)}")
    return similar[0]


def _one_of(
    ours: str, synonyms: Iterable[str], by_bare: Mapping[str, list[str]], taken: Collection[str], path: Path
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


def _time_columns(found: Mapping[str, str], given: Collection[str]) -> tuple[str, ...]:
    """The column of times, or those of dates and of times of day, among what was found."""
    pair = "date" in found and "time" in found
    if "timestamp" in found and not (pair and "timestamp" not in given and {"date", "time"} & set(given)):
        return (found["timestamp"],)
    return tuple(found[each] for each in ("date", "time") if each in found)


def listed(names: Sequence[str]) -> str:
    """Names of columns for a message: not too many, none too long."""
    each = [name if len(name) <= 40 else f"{name[:40]}…" for name in names[:20]]
    return ", ".join(each) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
