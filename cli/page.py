"""A session's profile as a web page."""

from typing import Unpack

import pandas as pd
import typer

from cli.screen import Console
from pipeline.home import vpoc_home, write_whole
from pipeline.market import Hours, Instrument
from pipeline.profiles.rows import RowOptions

__all__ = ["open_profile"]


def open_profile(
    data: pd.DataFrame,
    instrument: Instrument,
    day: pd.Timestamp,
    hours: Hours,
    console: Console,
    **rows: Unpack[RowOptions],
) -> None:
    """Draw a session of bars or trades, write the page to the reports and open it."""
    from pipeline.pictures import profile_figure

    path = vpoc_home().reports / f"profile-{instrument.symbol}-{day.date()}-{hours}.html"
    figure = profile_figure(data, instrument, day, hours=hours, **rows)
    write_whole(path, figure.to_html(include_plotlyjs=True, div_id="profile"))
    console.sentence(f"Page       {path}")
    typer.launch(path.as_uri())
