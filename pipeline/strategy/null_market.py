"""What a strategy sees of a market without an edge, for gates whose null pass rate has no shorter way."""

from functools import lru_cache

from pipeline.market import find_instrument, simulate_market
from pipeline.profiles import session_profiles
from pipeline.strategy.history import session_history
from pipeline.strategy.seen import Seen
from pipeline.strategy.settings import HistorySettings

__all__ = ["null_history"]

_SYMBOL, _START, _SESSIONS, _BAR = "ES", "2010-01-04", 2_520, "5min"


@lru_cache(maxsize=2)
def null_history(settings: HistorySettings, seed: int) -> Seen:
    """Simulate ten years of a martingale (contract §9) and see its session history and its bars."""
    instrument = find_instrument(_SYMBOL)
    bars = simulate_market(instrument, _START, _SESSIONS, seed, bar=_BAR)
    profiles = session_profiles(bars, instrument, **settings.profile(instrument).options)
    return Seen.of(session_history(bars, profiles, instrument, settings), instrument, settings, bars)
