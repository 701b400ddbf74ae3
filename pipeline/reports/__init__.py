"""Pages and pictures for people to look at."""

from pipeline.reports.inputs import ModelFindings, ReportInputs
from pipeline.reports.page import build_report

__all__ = ["ModelFindings", "ReportInputs", "build_report"]
