"""Volume by price: profiles, VPOC and value areas."""

from pipeline.profiles.histogram import SessionLevels, profile_sessions, spread_rows
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.plots import profile_figure, profile_markdown, profile_svg, profile_text
from pipeline.profiles.sessions import Allocation, profile_rows, select_sessions, session_profiles
from pipeline.profiles.value_area import ValueArea, value_area

__all__ = [
    "MICRO_LOTS",
    "Allocation",
    "SessionLevels",
    "ValueArea",
    "profile_figure",
    "profile_markdown",
    "profile_rows",
    "profile_sessions",
    "profile_svg",
    "profile_text",
    "select_sessions",
    "session_profiles",
    "spread_rows",
    "value_area",
]
