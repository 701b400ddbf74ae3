"""Looks as the tests of the ledger make them."""

import datetime as dt

import pandas as pd

from pipeline.tuning.ledger import Ledger
from pipeline.tuning.look import Look
from pipeline.tuning.looks import Looks

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def day(text: str) -> pd.Timestamp:
    return pd.Timestamp(text)


def sessions(first: str, count: int) -> pd.DatetimeIndex:
    return pd.bdate_range(first, periods=count, name="session").as_unit("ns")


def trial(number: int, returns: pd.Series | None = None, **fields: object) -> Look:
    given: dict = {
        "study": "ES strategy",
        "symbol": "ES",
        "target": "strategy",
        "first": day("2024-01-01"),
        "last": day("2024-12-31"),
        "params": {"k": number},
        "state": "complete",
        "values": (1.0,),
        "finished": NOON + dt.timedelta(minutes=number),
        "seconds": 0.5,
    }
    if returns is not None:
        given |= {"first": returns.index[0], "last": returns.index[-1]}
    return Look(number=number, returns=returns, **(given | fields))


def looks_of(ledger: Ledger, first: str = "2024-01-01", last: str = "2024-12-31") -> Looks:
    return ledger.looks("ES", day(first), day(last))
