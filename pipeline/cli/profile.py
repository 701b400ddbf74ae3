"""``vpoc profile``: the volume profile of a file's sessions, in the terminal or as a page."""

import datetime as dt
import json
from typing import Annotated, Literal

import pandas as pd
import typer
from rich.console import Console

from pipeline.cli.bars import bars_of_file
from pipeline.cli.findings import print_findings
from pipeline.cli.options import (
    BarOption,
    FormatOption,
    JsonOption,
    LabelOption,
    SymbolOption,
    ZoneOption,
    file_source,
)
from pipeline.cli.page import open_profile
from pipeline.cli.tables import sessions_table
from pipeline.errors import DataError

__all__ = ["profile"]


def profile(
    file: Annotated[str, typer.Argument(help="File, folder or glob with bars or trades.")],
    symbol: SymbolOption = "ES",
    session: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Trade date to draw. [default: the last]")
    ] = None,
    hours: Annotated[Literal["rth", "eth"], typer.Option(help="Regular hours, or the whole trade date.")] = "rth",
    sessions: Annotated[int, typer.Option(min=1, help="How many sessions to list.")] = 10,
    open_page: Annotated[bool, typer.Option("--open", help="Draw the session as a page and open it.")] = False,
    format_: FormatOption = None,
    time_zone: ZoneOption = None,
    label: LabelOption = None,
    bar: BarOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show VPOC and value area of each session, and one session's profile.

    A file with a price and no open, high and low holds trades: they are streamed, and take their exact prices.
    """
    from pipeline.cli.profile_trades import profile_trades, source_holds_trades
    from pipeline.profiles import session_profiles
    from pipeline.profiles.plots import profile_text

    source = file_source(file, format_, time_zone, label, bar)
    if source_holds_trades(source):
        day = None if session is None else pd.Timestamp(session)
        profile_trades(source, symbol, day, hours=hours, sessions=sessions, open_page=open_page, as_json=as_json)
        return
    taken = bars_of_file(source, symbol)
    taken.require_intraday()
    profiles = session_profiles(taken.bars, taken.instrument, hours=hours)
    if profiles.empty:
        raise DataError(f"{file} has no bar with volume in {hours} of {symbol}: try --hours eth, or another --symbol")
    if as_json:
        print_findings(taken.findings, Console(stderr=True))
        listed = profiles.reset_index()
        listed["session"] = listed["session"].dt.strftime("%Y-%m-%d")
        typer.echo(json.dumps(listed.to_dict("records"), indent=2))
        return
    day = pd.Timestamp(session) if session is not None else profiles.index[-1]
    if day not in profiles.index:
        raise DataError(
            f"{file} has no {hours} profile of {day.date()}: its sessions go from {profiles.index[0].date()} "
            f"to {profiles.index[-1].date()}"
        )
    console = Console()
    console.print(taken.description, highlight=False)
    if taken.quarantined:
        console.print(f"quarantined: {taken.quarantined}")
    print_findings(taken.findings, console)
    title = f"{symbol} {hours}: last {min(sessions, len(profiles))} of {len(profiles)} sessions"
    console.print(sessions_table(profiles, taken.instrument, title, sessions))
    console.print(profile_text(taken.bars, taken.instrument, day, hours=hours), highlight=False)
    if open_page:
        open_profile(taken.bars, taken.instrument, day, hours, console)
