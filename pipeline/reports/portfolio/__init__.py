"""The report of a desk: several books on one account."""

from pipeline.reports.portfolio.inputs import PortfolioInputs
from pipeline.reports.portfolio.page import build_portfolio_report
from pipeline.reports.portfolio.trades import portfolio_trades_csv

__all__ = ["PortfolioInputs", "build_portfolio_report", "portfolio_trades_csv"]
