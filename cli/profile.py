"""``vpoc profile``: the volume or TPO profile of a file's sessions, in the terminal or as a page."""

import datetime as dt
import json
from typing import Annotated, Literal

import pandas as pd
import typer

from cli.bars import bars_of_file
from cli.findings import print_findings
from cli.options import JsonOption, Reading, SymbolOption, file_source, reads_a_file
from cli.page import open_profile
from cli.screen import Console
from cli.tables import sessions_table
from pipeline.errors import ConfigurationError, DataError
from pipeline.market import find_instrument

__all__ = ["profile"]


@reads_a_file
def profile(
    file: Annotated[str, typer.Argument(help="File, folder or glob with bars or trades.")],
    symbol: SymbolOption = "ES",
    session: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Trade date to draw. [default: the last]")
    ] = None,
    hours: Annotated[Literal["rth", "eth"], typer.Option(help="Regular hours, or the whole trade date.")] = "rth",
    sessions: Annotated[int, typer.Option(min=1, help="Number of sessions to list.")] = 10,
    allocation: Annotated[
        Literal["uniform", "close", "tpo"],
        typer.Option(
            help="What rows count: a bar's volume spread from low to high, all of it at the close, or time (TPO)."
        ),
    ] = "uniform",
    ticks_per_row: Annotated[
        int | None, typer.Option(min=1, max=1 << 24, help="Height of a row in ticks. [default: the instrument's]")
    ] = None,
    tpo_minutes: Annotated[int, typer.Option(min=1, max=1440, help="Length of a time bracket, for tpo.")] = 30,
    open_page: Annotated[bool, typer.Option("--open", help="Draw the session as a web page and open it.")] = False,
    sides: Annotated[
        str | None,
        typer.Option(
            help="For trades: meaning of the file's words for the aggressor, e.g. 'A=sell,B=buy'.",
            metavar="WORD=SIDE,...",
        ),
    ] = None,
    as_json: JsonOption = False,
    *,
    reading: Reading,
) -> None:
    """Show VPOC and value area of each session, and one session's profile.

    With --allocation tpo it is a Market Profile of letters, which needs no volume. A file with a price but no open,
    high or low holds trades: they are streamed, and counted at their exact prices.
    """
    from cli.profile_trades import profile_trades, source_holds_trades
    from pipeline.pictures import profile_text
    from pipeline.profiles import RowRule, session_profiles

    source = file_source(file, reading)
    if source_holds_trades(source):
        day = None if session is None else pd.Timestamp(session)
        rule = RowRule(allocation, ticks_per_row or find_instrument(symbol).ticks_per_row, tpo_minutes)
        profile_trades(
            source,
            symbol,
            day,
            rule,
            hours=hours,
            sessions=sessions,
            open_page=open_page,
            as_json=as_json,
            sides=sides,
        )
        return
    if sides is not None:
        raise ConfigurationError(f"--sides is for trades, and {source.path} holds none: leave it out")
    taken = bars_of_file(source, symbol)
    taken.require_intraday()
    rule = RowRule(allocation, ticks_per_row or taken.instrument.ticks_per_row, tpo_minutes)
    profiles = session_profiles(taken.bars, taken.instrument, hours=hours, **rule.options)
    if profiles.empty:
        if len(taken.bars) and not taken.bars["volume"].any():
            raise DataError(f"{file} has no volume in any of its bars: use --allocation tpo for a time profile")
        what = "bar" if rule.by_time else "bar with volume"
        raise DataError(f"{file} has no {what} in {hours} of {symbol}: try --hours eth or another --symbol")
    if as_json:
        print_findings(taken.findings, Console(stderr=True))
        listed = profiles.reset_index()
        listed["session"] = listed["session"].dt.strftime("%Y-%m-%d")
        typer.echo(json.dumps(listed.to_dict("records"), indent=2))
        return
    day = pd.Timestamp(session) if session is not None else profiles.index[-1]
    if day not in profiles.index:
        raise DataError(
            f"{file} has no {hours} profile for {day.date()}: its sessions run from {profiles.index[0].date()} "
            f"to {profiles.index[-1].date()}"
        )
    console = Console()
    console.print(taken.description, highlight=False)
    if taken.quarantined:
        console.print(f"quarantined: {taken.quarantined}")
    print_findings(taken.findings, console)
    title = f"{symbol} {hours}: last {min(sessions, len(profiles))} of {len(profiles)} sessions"
    counted = "TPOs" if rule.by_time else "volume"
    console.print(sessions_table(profiles, taken.instrument, title, sessions, counted=counted))
    text = profile_text(taken.bars, taken.instrument, day, hours=hours, **rule.options)
    console.print(text, highlight=False, markup=False, soft_wrap=True)
    if open_page:
        open_profile(taken.bars, taken.instrument, day, hours, console, **rule.options)
