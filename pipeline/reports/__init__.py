"""Pages and pictures for people to look at."""

from pipeline.reports.inputs import ReportInputs
from pipeline.reports.page import build_report

__all__ = ["ReportInputs", "build_report"]
