"""Bars as JSON, whole or a line each: arrays (Binance, Coinbase, Kraken, freqtrade) or objects (Alpaca, Polygon).

Where rows have no names and the user gives none, the prices themselves say in which order they stand: the high is never
below the others.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.market.readers.columns import distinct_names, names_of_prices
from pipeline.market.readers.limits import MAX_COLUMNS, MAX_DOCUMENT_BYTES
from pipeline.market.readers.options import ReadOptions, refuse_settings, to_set
from pipeline.market.readers.source import Format, Habits, Head, Source, columns_source
from pipeline.market.readers.text import read_text
from pipeline.shown import shown

__all__ = ["FORMAT", "KLINE", "is_json"]

KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_CANDLE = 6
# Places of open, high, low and close: Binance's and most others'; Coinbase's; Bitfinex's and KuCoin's.
_ORDERS = ((1, 2, 3, 4), (3, 2, 1, 4), (1, 3, 4, 2))
_ENOUGH = 0.5  # of the rows have their high and low where an order says
_DEPTH = 4


def is_json(head: bytes) -> bool:
    """Return True if a text begins as a JSON array or object does."""
    return head.lstrip()[:1] in (b"[", b"{")


def recognises(head: Head) -> bool:
    """Return True if it begins as JSON does."""
    return is_json(head.data)


def open_file(path: Path, options: ReadOptions) -> Source:
    """Open one file; its lines are rows, from 1."""
    refuse_settings(path, options, FORMAT.name, "skip_rows", "skip_footer", "delimiter")
    found = list(_found(_document(path)))
    rows = [row for _, part in found for row in part]
    if not rows:
        raise DataError(f"{path} is empty or holds no list of bars; give a file that holds candles")
    if isinstance(rows[0], list):
        named = ("volume_columns",) if len(found) > 1 else ("columns", "volume_columns")
        refuse_settings(path, options, f"{FORMAT.name} (of arrays)", *named)
        columns = _of_arrays(path, rows, options.names)
    else:
        refuse_settings(path, options, f"{FORMAT.name} (of objects)", "names")
        columns = _of_objects(path, rows)
    symbols = [symbol for symbol, (_, part) in zip(_symbols(found), found, strict=True) for _ in part]
    if any(symbols):
        own = columns.get("symbol", [None] * len(rows))
        columns["symbol"] = [symbol if given is None else given for given, symbol in zip(own, symbols, strict=True)]
    arrays = {shown(name): _column(values) for name, values in columns.items()}
    habits = Habits(decimal=".")
    return columns_source(
        path, list(arrays), lambda needed: {name: arrays[name] for name in needed}, len(rows), habits=habits
    )


def _document(path: Path) -> Any:
    text = read_text(path, MAX_DOCUMENT_BYTES)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if getattr(error, "msg", "") == "Extra data":
            return _lines(path, text)
        raise DataError(
            f"{path}, line {getattr(error, 'lineno', 1)}: incomplete or invalid JSON ({error}); download it again"
        ) from error


def _lines(path: Path, text: str) -> list[Any]:
    rows: list[Any] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                each = json.loads(line)
                rows.extend(each if _is_objects(each) else [each])  # a stream's message holds several
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: incomplete or invalid JSON ({error}); download it again"
                ) from error
    return rows


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _found(document: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Lists of rows, each with the keys it stands under (``{"bars": {"SPY": [...]}}``)."""
    if isinstance(document, list):
        if document and _are_names(document[0]):
            yield keys, _as_objects(document[0], document[1:])
        elif document and isinstance(document[0], list | dict):
            yield keys, document
    elif isinstance(document, dict) and len(keys) < _DEPTH:
        columns = _of_columns(document)
        if columns is not None:
            yield keys, columns
            return
        names = next((each for each in document.values() if _are_names(each)), None)
        for key, each in document.items():
            if names is not None and isinstance(each, list) and all(isinstance(row, list) for row in each):
                yield keys, _as_objects(names, each)
            elif isinstance(each, list | dict) and each:
                yield from _found(each, *keys, key)


def _are_names(value: Any) -> bool:
    """Return True if a list names the columns of the arrays beside it or below it."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value) and names_of_prices(value)


def _as_objects(names: Sequence[str], rows: Sequence[Any]) -> list[Any]:
    """Arrays as objects; others, or of another length, stay and are refused by their row."""
    return [
        dict(zip(distinct_names(names), row, strict=True)) if isinstance(row, list) and len(row) == len(names) else row
        for row in rows
    ]


def _symbols(found: Sequence[tuple[tuple[str, ...], list[Any]]]) -> list[str | None]:
    """The symbol of each list: of several, the keys that tell them apart; of one, the key within the outermost."""
    if len(found) == 1:
        keys = found[0][0]
        return [keys[-1] if len(keys) > 1 else None]
    paths = list(zip_longest(*(keys for keys, _ in found), fillvalue=""))  # by depth, each with a key per list
    differing = [level for level in paths if len(set(level)) > 1]
    return ["/".join(filter(None, each)) for each in zip(*differing, strict=True)]


def _of_columns(document: Mapping[str, Any]) -> list[Any] | None:
    """Rows of an object of equally long lists, a column each: ``{"t": [...], "o": [...]}``."""
    columns = {key: each for key, each in document.items() if isinstance(each, list)}
    lengths = {len(each) for each in columns.values()}
    if (
        len(columns) < _CANDLE
        or len(lengths) != 1
        or any(isinstance(each[0], list | dict) for each in columns.values() if each)
    ):
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _of_objects(path: Path, rows: Sequence[Any]) -> dict[str, list[Any]]:
    """A column for each name; of objects within rows (``{"mid": {"o": 1}}``) ``o``, or ``mid.o`` of several ``o``."""
    flat: list[dict[tuple[str, ...], Any]] = []
    names: dict[tuple[str, ...], None] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, row {number}: {_quoted(row)} is not an object as the first one is; fix or remove it"
            )
        flat.append(dict(_values(row)))
        names.update(dict.fromkeys(flat[-1]))
        if len(names) > MAX_COLUMNS:
            raise DataError(f"{path} has more than {MAX_COLUMNS:,} different names in its rows; give a file of bars")
    counts = Counter(keys[-1] for keys in names)
    return {keys[-1] if counts[keys[-1]] == 1 else ".".join(keys): [row.get(keys) for row in flat] for keys in names}


def _values(row: Mapping[str, Any], *keys: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Values of an object and of those within it, each with the keys that lead to it."""
    for key, value in row.items():
        if isinstance(value, dict) and len(keys) < _DEPTH:
            yield from _values(value, *keys, key)
        else:
            yield (*keys, key), value


def _of_arrays(path: Path, rows: Sequence[Any], names: Sequence[str] | None) -> dict[str, list[Any]]:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) < _CANDLE:
            raise DataError(
                f"{path}, row {number}: {_quoted(row)} is not a candle of time, open, high, low, close and "
                "volume; fix or remove it"
            )
    width = Counter(map(len, rows)).most_common(1)[0][0]
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            raise DataError(
                f"{path}, row {number}: {len(row)} values where most rows have {width} ({_quoted(row)}); "
                "fix or remove it"
            )
    if names is not None:
        if len(names) != width:
            raise DataError(f"{path} has {width} values in a row, and {len(names)} names are set; name them all")
        return {name: [row[place] for row in rows] for place, name in enumerate(distinct_names(names))}
    numbers = np.array([[_number(row[place]) for place in range(min(width, 8))] for row in rows])
    fits = [_share_in_order(numbers, order) for order in _ORDERS]
    best = int(np.argmax(fits))  # the first of equally good ones
    if fits[best] < _ENOUGH:
        raise DataError(
            f"{path}: the values of a row are not time, open, high, low, close and volume, nor in the order of "
            "Coinbase or Bitfinex: in most rows the high is not the highest; " + to_set("names", "NAME,NAME,...")
        )
    places = {"open_time": 0, **dict(zip(("open", "high", "low", "close"), _ORDERS[best], strict=True)), "volume": 5}
    if width == 8:  # Kraken: the average price before the volume, the count behind it
        average = numbers[:, 5]
        if np.mean((average >= numbers[:, 3]) & (average <= numbers[:, 2])) < 0.9:
            raise DataError(f"{path}: rows of 8 values are not Kraken's; " + to_set("names", "NAME,NAME,..."))
        places |= {"volume": 6, "count": 7}
    elif width >= len(KLINE):
        places |= {name: place for place, name in enumerate(KLINE) if place > 5}
    return {name: [row[place] for row in rows] for name, place in places.items()}


def _share_in_order(numbers: np.ndarray, order: tuple[int, int, int, int]) -> float:
    opens, highs, lows, closes = (numbers[:, place] for place in order)
    known = np.isfinite(numbers[:, 1:5]).all(axis=1)
    if not known.any():
        return 1.0
    fits = (highs >= np.maximum(opens, closes)) & (lows <= np.minimum(opens, closes))
    return float(np.mean(fits[known]))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _quoted(row: Any) -> str:
    return json.dumps(row)[:60]


def _column(values: list[Any]) -> pa.ChunkedArray:
    try:
        return pa.chunked_array([pa.array(values)])
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        # Numbers and texts mixed: as texts, so that what is not a number is found and named.
        texts = [None if value is None else shown(str(value)) for value in values]
        return pa.chunked_array([pa.array(texts, pa.string())])


FORMAT = Format("json", recognises, open_file, priority=20, suffixes=(".json", ".jsonl", ".ndjson"))
