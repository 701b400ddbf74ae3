"""Orders on bars: fills, size and margin, equity, and how every order ended."""

from pipeline.backtest.account import Account
from pipeline.backtest.engine import simulate
from pipeline.backtest.ledger import BacktestResult
from pipeline.backtest.prepared import PreparedBars
from pipeline.backtest.restored import restored

__all__ = ["Account", "BacktestResult", "PreparedBars", "restored", "simulate"]
