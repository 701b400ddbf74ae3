"""Pages and pictures for people to look at."""

from pipeline.reports.inputs import ModelFindings, ReportInputs
from pipeline.reports.page import build_report
from pipeline.reports.trades_csv import trades_csv, trades_file

__all__ = ["ModelFindings", "ReportInputs", "build_report", "trades_csv", "trades_file"]
