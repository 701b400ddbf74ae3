"""Out of core: a seeded stream of trades of any length through profiles, with what it took in time and memory.

``python -m bench.streaming --trades 1000000000`` makes the trades in memory, chunk by chunk;
with ``--file PATH`` they are written to that Parquet file first (unless it is there) and read back.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import typer
from rich.console import Console

from pipeline.errors import ConfigurationError
from pipeline.market import Instrument, find_instrument, session_schedule
from pipeline.market.trade_files import read_trades
from pipeline.profiles.streaming import StreamedProfiles

__all__ = ["bench_streaming", "seeded_trades", "write_trades"]

_SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("ns", tz="UTC")),
        ("price", pa.float64()),
        ("volume", pa.int32()),
        ("side", pa.int8()),
    ]
)


def seeded_trades(
    instrument: Instrument, trades: int, *, seed: int = 0, per_session: int = 2_000_000, chunk_rows: int = 1 << 18
) -> Iterator[pd.DataFrame]:
    """Trades of a slow walk over whole trade dates from 2010 on, in time order; the same for the same numbers.

    Not a market to learn from: made quickly, for its size.

    Yields
    ------
    DataFrame
        ``timestamp``, ``price``, ``volume`` (1 to 20), ``side`` (+1, −1), of ``chunk_rows`` rows (the last fewer).
    """
    sessions = -(-trades // per_session)
    schedule = session_schedule(instrument, "2010-01-04", "2199-12-01" if instrument.always_open else "2029-12-31")
    if sessions > len(schedule):
        raise ConfigurationError(f"{trades:,} trades need {sessions:,} sessions; raise per_session")
    opens = pd.DatetimeIndex(schedule["open"]).as_unit("ns").asi8
    lengths = pd.DatetimeIndex(schedule["close"]).as_unit("ns").asi8 - opens
    tick = 8_000
    for first in range(0, trades, chunk_rows):
        random = np.random.default_rng([seed, first])
        rows = np.arange(first, min(first + chunk_rows, trades))
        session, within = np.divmod(rows, per_session)
        instants = opens[session] + within * (lengths[session] // per_session)
        moves = random.integers(0, 4096, len(rows), dtype=np.uint16)
        ticks = tick + np.cumsum((moves == 0).astype(np.int64) - (moves == 1))
        tick = int(ticks[-1])
        yield pd.DataFrame(
            {
                "timestamp": pd.DatetimeIndex(instants.view("M8[ns]"), tz="UTC"),
                # A few ticks around the walk, as quotes have two sides and move.
                "price": instrument.to_prices(ticks + random.integers(-2, 3, len(rows), dtype=np.int8)),
                "volume": random.integers(1, 21, len(rows), dtype=np.int32),
                "side": (random.integers(0, 2, len(rows), dtype=np.int8) * 2 - 1).astype(np.int8),
            },
            copy=False,
        )


def write_trades(path: Path, chunks: Iterator[pd.DataFrame]) -> None:
    """Write chunks to a Parquet file, a row group each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with pyarrow.parquet.ParquetWriter(part, _SCHEMA, compression="zstd", use_dictionary=["price", "volume"]) as file:
        for chunk in chunks:
            file.write_table(pa.Table.from_pandas(chunk, schema=_SCHEMA, preserve_index=False))
    part.replace(path)


def bench_streaming(
    trades: int, *, file: Path | None = None, seed: int = 0, chunk_rows: int = 1 << 18, symbol: str = "ES"
) -> dict[str, Any]:
    """Stream trades into profiles and account for time, memory and every row.

    Parameters
    ----------
    trades
        How many; of a file that is there already, as many as it holds.
    file
        Where the trades are written and read back; made in memory without it.
    seed, chunk_rows, symbol
        Of the trades.

    Returns
    -------
    dict
        ``trades``, ``sessions``, ``seconds`` (reading or making the trades included), ``seconds_adding`` (profiles
        alone), ``trades_per_second``, ``trades_per_second_adding``, ``levels`` (ticks held), ``peak_mib_start``,
        ``peak_mib_tenth``, ``peak_mib`` (peak resident memory of the process at the start, after a tenth of the
        trades and at the end), ``agrees`` (rows, volume and delta are those that went in), ``file_mib``.
    """
    instrument = find_instrument(symbol)
    if file is not None and not file.exists():
        write_trades(file, seeded_trades(instrument, trades, seed=seed, chunk_rows=chunk_rows))
    if file is not None:
        trades = pyarrow.parquet.read_metadata(file).num_rows
        chunks = read_trades(file, chunk_rows=chunk_rows)
    else:
        chunks = seeded_trades(instrument, trades, seed=seed, chunk_rows=chunk_rows)
    stream = StreamedProfiles(instrument, hours="eth")
    rows = volume = delta = 0
    adding = 0.0
    start, tenth = _peak_mib(), None
    begin = time.perf_counter()
    for chunk in chunks:
        before = time.perf_counter()
        stream.add(chunk)
        adding += time.perf_counter() - before
        held = chunk["volume"].to_numpy(dtype=np.int64)
        rows += len(chunk)
        volume += int(held.sum())
        delta += int((held * chunk["side"].to_numpy()).sum())
        if tenth is None and rows >= trades / 10:
            tenth = _peak_mib()
    profiles = stream.result()
    seconds = time.perf_counter() - begin
    agrees = (
        rows == trades == profiles.attrs["rows_used"]
        and profiles["volume"].sum() == volume
        and profiles["delta"].sum() == delta
    )
    return {
        "trades": rows,
        "sessions": len(profiles),
        "levels": len(stream.histograms().volume),
        "seconds": seconds,
        "seconds_adding": adding,
        "trades_per_second": rows / seconds,
        "trades_per_second_adding": rows / adding,
        "peak_mib_start": start,
        "peak_mib_tenth": tenth,
        "peak_mib": _peak_mib(),
        "agrees": bool(agrees),
        "file_mib": None if file is None else file.stat().st_size / 2**20,
    }


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main(
    trades: Annotated[int, typer.Option(min=1, help="How many trades.")] = 20_000_000,
    file: Annotated[Path | None, typer.Option(help="Parquet file to write (unless it is there) and read.")] = None,
    seed: Annotated[int, typer.Option(help="Of the trades.")] = 0,
    chunk_rows: Annotated[int, typer.Option(min=1, help="Trades in memory at a time.")] = 1 << 18,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for another program to read.")] = False,
) -> None:
    """Stream seeded trades into profiles; say how fast, and how much memory it took."""
    found = bench_streaming(trades, file=file, seed=seed, chunk_rows=chunk_rows)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    where = "from memory" if file is None else f"from a Parquet file of {found['file_mib']:,.0f} MiB"
    console.print(
        f"{found['trades']:,} trades {where}, {found['sessions']:,} sessions, {found['levels']:,} ticks: "
        f"{found['seconds']:.1f} s ({found['trades_per_second'] / 1e6:.1f} M trades/s; profiles alone "
        f"{found['trades_per_second_adding'] / 1e6:.1f} M/s)"
    )
    console.print(
        f"peak memory {found['peak_mib_start']:,.0f} MiB at the start, {found['peak_mib_tenth']:,.0f} after a tenth, "
        f"{found['peak_mib']:,.0f} at the end; rows, volume and delta agree: {'yes' if found['agrees'] else 'NO'}"
    )


if __name__ == "__main__":
    typer.run(main)
