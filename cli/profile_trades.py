"""``vpoc profile`` on a file of trades: streamed, at exact prices, with their aggressors."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cli.page import open_profile
from cli.screen import Console
from cli.tables import sessions_table
from pipeline.datasets import FileSource
from pipeline.errors import ConfigurationError, DataError
from pipeline.frozen_settings import SettingError
from pipeline.home import vpoc_home
from pipeline.market import Hours, Instrument, find_instrument, session_schedule
from pipeline.market.readers.options import TextOptions
from pipeline.market.readers.table import said_left_out
from pipeline.market.trade_files import TradeReadOptions, holds_trades, read_trades
from pipeline.pictures import profile_text
from pipeline.profiles.rows import RowRule
from pipeline.profiles.streaming import StreamedProfiles
from pipeline.profiles.trades import stream_trades
from pipeline.settings import load_settings

__all__ = ["profile_trades", "source_holds_trades"]

_FORMATS = ("generic_csv", "parquet", "binance")


def source_holds_trades(source: FileSource) -> bool:
    """Return True if the source's columns (or those of the first of several files) are a trade file's."""
    return source.format in (None, *_FORMATS) and holds_trades(source.path, _options(source))


def profile_trades(
    source: FileSource,
    symbol: str,
    session: pd.Timestamp | None,
    rule: RowRule,
    *,
    hours: Hours,
    sessions: int,
    open_page: bool,
    as_json: bool,
    sides: str | None = None,
) -> None:
    """Show VPOC, value area and delta of each session, and one session's profile."""
    for setting in ("label", "bar", "volume_columns"):
        if getattr(source, setting):
            option = f"--{setting.replace('_', '-')}"
            raise ConfigurationError(f"{option} is for bars, and {source.path} holds trades: leave it out")
    instrument = find_instrument(symbol)
    settings = load_settings(vpoc_home())
    options = _options(source, sides)
    left_out: Counter[str] = Counter()
    with _progress() as progress:
        task = progress.add_task("trades", total=1.0, rows="")
        stream = stream_trades(
            source.path,
            instrument,
            options,
            # A trade has one price, so its volume can be allocated in one way only.
            allocation="tpo" if rule.by_time else "trades",
            ticks_per_row=rule.ticks_per_row,
            tpo_minutes=rule.tpo_minutes,
            hours=hours,
            off_tick=settings.off_tick,
            left_out=left_out,
            progress=lambda rows, share: progress.update(task, completed=share, rows=f"{rows:,} trades"),
        )
    profiles = stream.result()
    if profiles.empty:
        raise DataError(
            f"{source.path} has no trades with volume in {hours} of {symbol} "
            f"({_account(profiles) or 'it has no rows'}): try --hours eth, another --symbol, or check the time zone"
        )
    if as_json:
        listed = profiles.reset_index()
        listed["session"] = listed["session"].dt.strftime("%Y-%m-%d")
        # JSON has no NaN: what is unknown is null.
        records = listed.astype(object).where(listed.notna(), None).to_dict("records")
        typer.echo(json.dumps(records, indent=2, allow_nan=False))
        return
    day = profiles.index[-1] if session is None else session
    if day not in profiles.index:
        raise DataError(
            f"{source.path} has no {hours} profile for {day.date()}: its sessions run from {profiles.index[0].date()} "
            f"to {profiles.index[-1].date()}"
        )
    console = Console()
    console.print(f"{profiles.attrs['rows_in']:,} trades; {_account(profiles)}", highlight=False, soft_wrap=True)
    if left_out:
        console.print(", ".join(said_left_out(what, count) for what, count in left_out.items()), highlight=False)
    title = f"{symbol} {hours}: last {min(sessions, len(profiles))} of {len(profiles)} sessions"
    counted = "TPOs" if rule.by_time else "volume"
    console.print(sessions_table(profiles, instrument, title, sessions, counted=counted))
    drawn = _trades_of(source.path, options, instrument, day) if rule.by_time else _as_bars(stream, day)
    rows = rule.options if rule.by_time else replace(rule, allocation="close").options
    text = profile_text(drawn, instrument, day, hours=hours, **rows)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if open_page:
        trades = drawn if rule.by_time else _trades_of(source.path, options, instrument, day)
        open_profile(trades, instrument, day, hours, console, **rule.options)


def _trades_of(path: str, options: TradeReadOptions, instrument: Instrument, day: pd.Timestamp) -> pd.DataFrame:
    """A session's trades, by a second pass: the first one keeps no trade."""
    span = session_schedule(instrument, day, day).iloc[0]
    kept = [
        chunk[(chunk["timestamp"] >= span["open"]) & (chunk["timestamp"] < span["close"])]
        for chunk in read_trades(path, options)
    ]
    return pd.concat(kept, ignore_index=True)


def _options(source: FileSource, sides: str | None = None) -> TradeReadOptions:
    pairs = [pair.partition("=") for pair in sides.split(",")] if sides else []
    words: dict[str, Any] = {word.strip(): side.strip() for word, _, side in pairs}
    try:
        return TradeReadOptions(**source.model_dump(include=set(TextOptions.model_fields)), sides=words)
    except SettingError as error:
        raise ConfigurationError(
            f"--sides {sides!r}: give the file's words and their meaning (buy, sell, unknown), such as 'A=sell,B=buy'"
        ) from error


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f} %  {task.fields[rows]}"), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _account(profiles: pd.DataFrame) -> str:
    found: dict[str, Any] = profiles.attrs
    parts = [f"refused: {number:,} {reason}" for reason, number in found["rows_refused"].items()]
    for name, words in (
        ("rows_used", "in the profiles"),
        ("rows_other_hours", "in other hours"),
        ("rows_other_contract", "of a contract with less volume in its session"),
        ("prices_rounded", "with a price off the tick, rounded"),
        ("volume_rounded", "with a volume off the step, rounded"),
    ):
        if found[name]:
            parts.append(f"{found[name]:,} {words}")
    return ", ".join(parts)


def _as_bars(stream: StreamedProfiles, day: pd.Timestamp) -> pd.DataFrame:
    """A session's ticks as bars of one price each, for the picture: their profile is the trades' own."""
    levels = stream.levels().loc[day]
    levels = levels[levels["volume"] > 0]
    column = "rth_open" if stream.settings.hours == "rth" else "open"
    opened = session_schedule(stream.instrument, day, day)[column].iloc[0]
    price = levels.index.to_numpy(dtype=np.float64)
    return pd.DataFrame(
        {
            "timestamp": opened + pd.to_timedelta(np.arange(len(levels)), unit="ns"),
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "volume": levels["volume"].to_numpy(),
        }
    )
