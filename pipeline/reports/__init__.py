"""Pages and pictures for people to look at."""

from pipeline.reports.inputs import ModelFindings, ReportInputs
from pipeline.reports.page import build_report
from pipeline.reports.portfolio import PortfolioInputs, build_portfolio_report, portfolio_trades_csv
from pipeline.reports.trades_csv import trades_csv, trades_file

__all__ = [
    "ModelFindings",
    "PortfolioInputs",
    "ReportInputs",
    "build_portfolio_report",
    "build_report",
    "portfolio_trades_csv",
    "trades_csv",
    "trades_file",
]
