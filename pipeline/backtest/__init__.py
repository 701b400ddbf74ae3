"""Orders on bars: fills, size and margin, equity, and how every order ended."""

from pipeline.backtest.account import Account
from pipeline.backtest.desk import simulate_desk
from pipeline.backtest.desk_alone import simulate_alone
from pipeline.backtest.desk_result import DeskResult
from pipeline.backtest.desk_settings import BookOrders, Desk, DeskGroup
from pipeline.backtest.engine import simulate
from pipeline.backtest.ledger import BacktestResult, BookLedger
from pipeline.backtest.prepared import PreparedBars
from pipeline.backtest.stored import Backtests, read_backtests, write_backtests

__all__ = [
    "Account",
    "BacktestResult",
    "Backtests",
    "BookLedger",
    "BookOrders",
    "Desk",
    "DeskGroup",
    "DeskResult",
    "PreparedBars",
    "read_backtests",
    "simulate",
    "simulate_alone",
    "simulate_desk",
    "write_backtests",
]
