"""Volume, or time, by price: profiles, VPOC and value areas, and the family made of them."""

from pipeline.profiles.composites import composite_levels, composite_profile
from pipeline.profiles.developing import developing_levels
from pipeline.profiles.engines import profile_sessions_on
from pipeline.profiles.histogram import SessionLevels, profile_sessions, spread_rows
from pipeline.profiles.kernels import MICRO_LOTS
from pipeline.profiles.naked import naked_at_close, naked_vpocs
from pipeline.profiles.nodes import Nodes, find_nodes
from pipeline.profiles.relations import ValueAreaRelation, session_relations
from pipeline.profiles.rows import Allocation, RowRule
from pipeline.profiles.sessions import profile_rows, select_sessions, session_profiles
from pipeline.profiles.settings import ProfileSettings
from pipeline.profiles.shape import Shape, profile_shape
from pipeline.profiles.streaming import StreamedProfiles
from pipeline.profiles.structure import session_structure, single_prints, volume_nodes
from pipeline.profiles.trades import profile_levels, stream_bars, stream_trades, trade_levels, trade_profiles
from pipeline.profiles.value_area import AreaRule, ValueArea, value_area

__all__ = [
    "MICRO_LOTS",
    "Allocation",
    "AreaRule",
    "Nodes",
    "ProfileSettings",
    "RowRule",
    "SessionLevels",
    "Shape",
    "StreamedProfiles",
    "ValueArea",
    "ValueAreaRelation",
    "composite_levels",
    "composite_profile",
    "developing_levels",
    "find_nodes",
    "naked_at_close",
    "naked_vpocs",
    "profile_levels",
    "profile_rows",
    "profile_sessions",
    "profile_sessions_on",
    "profile_shape",
    "select_sessions",
    "session_profiles",
    "session_relations",
    "session_structure",
    "single_prints",
    "spread_rows",
    "stream_bars",
    "stream_trades",
    "trade_levels",
    "trade_profiles",
    "value_area",
    "volume_nodes",
]
