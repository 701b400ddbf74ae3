"""Frames of bars, and what the evidence says of them."""

import pandas as pd

from pipeline.market import Instrument
from pipeline.market.cleaning import clean_bars
from pipeline.market.evidence import Evidence, Finding, misreadings


def found(frame: pd.DataFrame, instrument: Instrument, zone: str | None = None, offset: str = "") -> dict[str, Finding]:
    """The findings by their kind."""
    raw = frame.reset_index(drop=True)
    findings = misreadings(Evidence(raw, clean_bars(raw, instrument), instrument, zone, offset))
    assert len({finding.kind for finding in findings}) == len(findings)
    return {finding.kind: finding for finding in findings}


def misread(frame: pd.DataFrame, written_in: str, read_in: str) -> pd.DataFrame:
    """Bars whose clock was written in one zone and read in another."""
    wall = frame["timestamp"].dt.tz_convert(written_in).dt.tz_localize(None)
    read = wall.dt.tz_localize(read_in, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    return frame.assign(timestamp=read).dropna(subset=["timestamp"]).reset_index(drop=True)


def month_of(bars: pd.DataFrame, month: str, zone: str = "UTC") -> pd.DataFrame:
    """Bars of a month (``2019-03``) by the clock of a zone."""
    begin = pd.Timestamp(month, tz=zone)
    return bars[(bars["timestamp"] >= begin) & (bars["timestamp"] < begin + pd.offsets.MonthBegin())]


def flat_bars(times: pd.DatetimeIndex, price: float = 4500.0, volume: float = 100.0) -> pd.DataFrame:
    """Bars at one price and volume."""
    return pd.DataFrame(
        {"timestamp": times, **dict.fromkeys(["open", "high", "low", "close"], price), "volume": volume}
    )
