"""Backtests in one file: a zip archive of Parquet tables that any program can read, and what they were run with."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

import pandas as pd

from pipeline.backtest.account import Account
from pipeline.backtest.ledger import BacktestResult, equity_by_session
from pipeline.errors import DataError
from pipeline.market import Instrument

__all__ = ["Backtests", "read_backtests", "write_backtests"]

_CONTENTS = "contents.json"
_TABLES = ("trades", "orders", "equity")
# The same backtests give the same bytes.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Backtests:
    """Backtests that were made together.

    Attributes
    ----------
    results
        By name, such as ``Rule signals``.
    attrs
        What they were made from and under, as JSON has it.
    """

    results: Mapping[str, BacktestResult]
    attrs: Mapping[str, Any] = field(default_factory=dict)


def write_backtests(backtests: Backtests, file: IO[bytes]) -> None:
    """Write an archive: a folder ``<name>/`` of trades, orders and equity as Parquet, and ``contents.json``."""
    contents = {
        "attrs": dict(backtests.attrs),
        "backtests": [
            {
                "name": name,
                "folder": _folder(name),
                "account": result.account.model_dump(mode="json"),
                "instrument": result.instrument.model_dump(mode="json"),
                "off_tick_bars": result.off_tick_bars,
            }
            for name, result in backtests.results.items()
        ],
    }
    # Parquet is compressed already.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_CONTENTS, _DATE), json.dumps(contents, indent=1))
        for name, result in backtests.results.items():
            frames = (result.trades, result.orders, result.equity.reset_index())
            for table, frame in zip(_TABLES, frames, strict=True):
                buffer = io.BytesIO()
                plain = frame.copy(deep=False)
                plain.attrs = {}
                plain.to_parquet(buffer, compression="zstd")
                archive.writestr(zipfile.ZipInfo(f"{_folder(name)}/{table}.parquet", _DATE), buffer.getvalue())


def read_backtests(file: IO[bytes]) -> Backtests:
    """Read what :func:`write_backtests` wrote; the results are as they were before.

    Raises
    ------
    DataError
        For a file that is no such archive.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            contents = json.loads(archive.read(_CONTENTS))
            results = {each["name"]: _result(archive, each) for each in contents["backtests"]}
            return Backtests(results, contents["attrs"])
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise DataError(f"it holds no backtests: {' '.join(str(error).split())}") from error


def _result(archive: zipfile.ZipFile, described: Mapping[str, Any]) -> BacktestResult:
    tables = (archive.read(f"{described['folder']}/{table}.parquet") for table in _TABLES)
    trades, orders, equity = (pd.read_parquet(io.BytesIO(table)) for table in tables)
    instrument = Instrument(**described["instrument"])
    marked = equity.set_index("timestamp")["equity"]
    return BacktestResult(
        trades,
        orders,
        marked,
        equity_by_session(marked, instrument),
        Account(**described["account"]),
        instrument,
        described["off_tick_bars"],
    )


def _folder(name: str) -> str:
    """Return a name that any file system takes: ``rule_signals`` for ``Rule signals``."""
    return "_".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
