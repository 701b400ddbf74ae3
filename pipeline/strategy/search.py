"""Search space of the strategy: the settings that may be tuned, and their ranges."""

from pipeline.search_space import Choice, Real, SearchSpace, Whole

__all__ = ["GATE_PARAMETERS", "SCORE_SPACE", "STRATEGY_SPACE", "scored_space"]

STRATEGY_SPACE = SearchSpace(
    {
        "hours": Choice(["rth", "eth"]),
        "value_area_basis_points": Whole(6000, 8500, step=100),
        "trend_window": Whole(10, 60),
        "r_squared_threshold": Real(0.2, 0.9),
        "direction_long": Real(0.5, 0.6),
        "direction_short": Real(0.4, 0.5),
        "confidence_threshold": Real(30.0, 75.0),
        "stop_atr_factor": Real(0.1, 2.0, log=True),
        # Clock times of the exchange: before the market is well under way, towards its middle, an hour before the end.
        "account.entry_cutoff": Choice([None, "10:00", "12:00", "14:00"]),
    }
)
"""The strategy's own parameters: names of :class:`~pipeline.strategy.StrategySettings`, and ``account.`` ones."""

SCORE_SPACE = SearchSpace({"models.threshold": Real(0.3, 0.6)})
"""What comes on top where a model's scores say which candidates are traded."""

GATE_PARAMETERS = frozenset(
    {"r_squared_threshold", "direction_long", "direction_short", "confidence_threshold", "confidence_weights"}
)
"""What only the rules' gates look at: no candidate, feature or label depends on it."""


def scored_space(*, require_rules: bool = False) -> SearchSpace:
    """The strategy's parameters and the threshold where scores decide; the gates' parameters only where these count."""
    own = {name: STRATEGY_SPACE[name] for name in STRATEGY_SPACE if require_rules or name not in GATE_PARAMETERS}
    return SearchSpace({**own, **SCORE_SPACE})
