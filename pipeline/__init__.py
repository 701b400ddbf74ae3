"""VPOC Pipeline: volume profiles, value-area strategies and honest backtests.

The packages are the chapters of the story, each using only those before it: ``market``,
``profiles``, ``strategy``, ``backtest``, ``performance``, ``reports``.
"""
