"""Profiles from trades at their exact prices, with who started them: buyers, sellers, and their difference."""

from collections import Counter
from pathlib import Path
from typing import Unpack

import pandas as pd

from pipeline.market.bar_chunks import clean_bar_chunks
from pipeline.market.cleaning import OffTick
from pipeline.market.instruments import Instrument
from pipeline.market.readers import ReadOptions
from pipeline.market.readers.rows import Progress
from pipeline.market.sessions import Hours
from pipeline.market.trade_files import TradeReadOptions, read_trades
from pipeline.profiles.rows import Allocation, RowOptions, RowRule
from pipeline.profiles.settings import CommonOptions
from pipeline.profiles.streaming import StreamedProfiles, StreamOptions

__all__ = ["profile_levels", "stream_bars", "stream_trades", "trade_levels", "trade_profiles"]

_TRADES = TradeReadOptions()
_BARS = ReadOptions()


def trade_profiles(trades: pd.DataFrame, instrument: Instrument, **settings: Unpack[StreamOptions]) -> pd.DataFrame:
    """VPOC, value area and delta of every session, each trade at its price (contract §3.2).

    Parameters
    ----------
    trades
        ``timestamp`` (with a zone), ``price``, ``volume``; optional ``contract``, and a side: ``side`` or
        ``aggressor``, ``is_buyer_maker``, or ``bid_volume`` and ``ask_volume``. What each may hold, and which rows are
        refused and counted, says :func:`pipeline.market.trades.judge_trades`. In any order of rows.
    instrument
        Its calendar says which session a trade belongs to, its tick and volume step what is counted.
    **settings
        Those of :class:`pipeline.profiles.streaming.StreamedProfiles`.

    Returns
    -------
    DataFrame
        Indexed by ``session``: ``vpoc``, ``val``, ``vah``, ``low``, ``high`` (prices), ``volume``,
        ``value_area_volume``, ``buy_volume``, ``sell_volume``, ``delta`` (units of volume), all float64, and
        ``contract`` where the trades name it. Bought is what a buyer's order took from the book, sold what a
        seller's did; what is neither is ``volume - buy_volume - sell_volume``, and where nothing is known the
        three are NaN. ``attrs`` accounts for every row, as :meth:`StreamedProfiles.result` says.

    Raises
    ------
    ConfigurationError, DataError
        As :class:`pipeline.profiles.streaming.StreamedProfiles` does.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> trades = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:30Z", "2024-03-05 14:31Z"]),
    ...     "price": [5100.0, 5100.25, 5100.25], "volume": [3, 2, -4], "side": ["buy", "sell", "buy"]})
    >>> profiles = trade_profiles(trades, load_instruments()["ES"])
    >>> profiles.loc["2024-03-05", ["vpoc", "volume", "buy_volume", "sell_volume", "delta"]].tolist()
    [5100.0, 5.0, 3.0, 2.0, 1.0]
    >>> profiles.attrs["rows_used"], profiles.attrs["rows_refused"]
    (2, {'negative_volume': 1})
    """
    return StreamedProfiles(instrument, **settings).add(trades).result()


def trade_levels(trades: pd.DataFrame, instrument: Instrument, **settings: Unpack[StreamOptions]) -> pd.DataFrame:
    """Volume and delta of every row of every session.

    Parameters
    ----------
    trades, instrument, **settings
        As in :func:`trade_profiles`.

    Returns
    -------
    DataFrame
        Indexed by (``session``, ``price``), the lowest price of every row from the lowest to the highest traded:
        ``volume``, ``buy_volume``, ``sell_volume``, ``delta``, float64 (the last three NaN where there is volume and
        none of it has a known side), and ``contract`` where the trades name it. ``attrs`` as in
        :func:`trade_profiles`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> trades = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:30Z"]),
    ...     "price": [5100.0, 5100.5], "volume": [3, 2], "is_buyer_maker": [False, True]})
    >>> trade_levels(trades, load_instruments()["ES"]).loc["2024-03-05", "delta"].to_dict()
    {5100.0: 3.0, 5100.25: 0.0, 5100.5: -2.0}
    """
    return StreamedProfiles(instrument, **settings).add(trades).levels()


def profile_levels(
    bars: pd.DataFrame, instrument: Instrument, *, hours: Hours = "rth", **rows: Unpack[RowOptions]
) -> pd.DataFrame:
    """Volume (or TPOs) of every row of every session, from bars.

    Parameters
    ----------
    bars, instrument, hours
        As in :func:`pipeline.profiles.session_profiles`.
    **rows
        ``allocation``, ``ticks_per_row``, ``tpo_minutes``, as there.

    Returns
    -------
    DataFrame
        Indexed by (``session``, ``price``), the lowest price of every row from the lowest to the highest: ``volume``
        (float64: the float of its exact micro-lots, or TPOs), and ``contract`` where the bars name
        it.

    Raises
    ------
    ConfigurationError, DataError
        As in :func:`pipeline.profiles.session_profiles`.

    Examples
    --------
    >>> import pandas as pd
    >>> from pipeline.market import load_instruments
    >>> bars = pd.DataFrame({
    ...     "timestamp": pd.to_datetime(["2024-03-05 14:30Z", "2024-03-05 14:35Z"]),
    ...     "low": [5100.0, 5100.5], "high": [5100.25, 5100.5], "close": [5100.0, 5100.5], "volume": [6, 1]})
    >>> profile_levels(bars, load_instruments()["ES"]).loc["2024-03-05", "volume"].to_dict()
    {5100.0: 3.0, 5100.25: 3.0, 5100.5: 1.0}
    """
    return StreamedProfiles(instrument, hours=hours, **RowRule(**rows).options).add(bars).levels()


def stream_trades(
    path: str | Path,
    instrument: Instrument,
    options: TradeReadOptions = _TRADES,
    *,
    chunk_rows: int = 1 << 18,
    progress: Progress | None = None,
    left_out: Counter[str] | None = None,
    **settings: Unpack[StreamOptions],
) -> StreamedProfiles:
    """Profiles of a file of trades of any size, read in chunks; the memory does not grow with the file.

    Parameters
    ----------
    path
        A file, a folder or a glob, as :func:`pipeline.market.trade_files.read_trades` takes it.
    instrument
        As in :func:`trade_profiles`.
    options
        How to read it.
    chunk_rows
        Rows in memory at a time.
    progress
        Called after every chunk with the rows so far and the share of the bytes read (0 to 1).
    left_out
        Counts the lines that are not rows, as :func:`pipeline.market.trade_files.read_trades` does.
    **settings
        Those of :class:`StreamedProfiles`; of allocations ``"tpo"`` only.

    Returns
    -------
    StreamedProfiles
        Ask it for :meth:`~StreamedProfiles.result`, :meth:`~StreamedProfiles.levels`, or merge it into another.
    """
    stream = StreamedProfiles(instrument, **settings)
    for chunk in read_trades(path, options, chunk_rows=chunk_rows, progress=progress, left_out=left_out):
        stream.add(chunk)
    return stream


def stream_bars(
    path: str | Path,
    instrument: Instrument,
    options: ReadOptions = _BARS,
    *,
    allocation: Allocation = "uniform",
    off_tick: OffTick = "snap",
    chunk_rows: int = 1 << 18,
    progress: Progress | None = None,
    **settings: Unpack[CommonOptions],
) -> StreamedProfiles:
    """Profiles of a file of bars of any size, cleaned and added in chunks; the memory does not grow with the file.

    Parameters
    ----------
    path, options, off_tick, chunk_rows, progress
        As in :func:`pipeline.market.bar_chunks.clean_bar_chunks`: files of any format, sorted by time.
    instrument, allocation
        As in :func:`pipeline.profiles.session_profiles`.
    **settings
        Those of :class:`StreamedProfiles`.

    Returns
    -------
    StreamedProfiles
        Its counts hold the quarantined rows by their reason, and the snapped prices.
    """
    RowRule(allocation)
    stream = StreamedProfiles(instrument, allocation=allocation, off_tick=off_tick, **settings)
    chunks = clean_bar_chunks(path, instrument, options, off_tick=off_tick, chunk_rows=chunk_rows, progress=progress)
    for chunk in chunks:
        stream.add(chunk.bars)
        stream.count_refused(chunk.report.quarantined, prices_rounded=chunk.report.snapped)
    return stream
