"""The settings that a stored frame was made under, kept with it.

A replay works under today's settings. A frame of other ones differs from it, and must not be taken for look-ahead.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from pipeline.datasets import Dataset
from pipeline.errors import DataError
from pipeline.features.registry import feature_code
from pipeline.settings import Settings, flat_settings
from pipeline.strategy.rules import DEFAULT_STRATEGY

__all__ = ["changed_settings", "made_under", "require_same_settings"]


class _Stored(Protocol):
    """A frame, or backtests: whatever is stored with attributes."""

    @property
    def attrs(self) -> Any: ...


SETTINGS = "settings"
_STRATEGY = "strategy.name"
_MOST_SHOWN = 5
# Settings of the history that its profiles do not depend on.
_WINDOWS = {"trend_window", "direction_window", "calm_short", "calm_long", "atr_window"}
# What is made before there is a strategy, and what of it only its candidates decide.
_OF_PROFILES = ("volume_profiles", "profile_history")
_OF_HISTORY = (*_OF_PROFILES, "session_history", "features")
_OF_CANDIDATES = ("candidates", "labels", "sequences")
# Labels are of one contract each, whatever the account's money.
_OF_ACCOUNT = {"slippage_ticks", "trade_through_ticks", "hold_overnight", "entry_cutoff"}
_OF_INSTRUMENT = {
    "tick_size",
    "volume_step",
    "calendar",
    "time_zone",
    "regular_hours",
    "session_close",
    "trading_hours",
}
_OF_MONEY = {"point_value", "commission_per_side", "commission_rate"}
_TRADED = ("labels", "training_set")
_LEARNED = ("features", "training_set")
_SCORED = ("next_orders",)
_BACKTESTED = ("rule_backtest", "model_backtest")


def made_under(name: str, settings: Settings, dataset: Dataset) -> dict[str, Any]:
    """The attributes that an asset's frame is stored with: its source, and the settings that it depends on.

    Parameters
    ----------
    name
        Of the asset.
    settings, dataset
        That it is made with.
    """
    return {"source": dataset.identity, SETTINGS: flat_settings(_settings_of(name, settings, dataset))}


def require_same_settings(
    frames: Mapping[str, _Stored], settings: Settings, dataset: Dataset, *, run: str = ""
) -> None:
    """See that stored frames were made of today's source and under today's settings.

    Settings that a frame doesn't depend on may have changed, and one stored without them is taken as it is.

    Parameters
    ----------
    frames
        By asset.
    settings, dataset
        Of today.
    run
        Command that makes them anew; that of the symbol by default.

    Raises
    ------
    DataError
        For the first that was not: names what has changed.
    """
    again = f"run '{run or f'vpoc run --symbol {dataset.key}'}', which rebuilds everything"
    for name, frame in frames.items():
        made_from = frame.attrs.get("source", dataset.identity)
        if made_from != dataset.identity:
            raise DataError(
                f"{name} was made from {made_from!r}, but {dataset.key}'s source is now {dataset.identity!r}: {again}"
            )
        if changed := changed_settings(name, frame.attrs, settings, dataset):
            raise DataError(f"settings have changed since {name} was made ({', '.join(changed)}): {again}")


def changed_settings(name: str, attrs: Mapping[str, Any], settings: Settings, dataset: Dataset) -> list[str]:
    """List what has changed of the settings that a stored frame depends on, each as ``name: then -> now``."""
    if not (then := attrs.get(SETTINGS, {})):
        return []
    now = made_under(name, settings, dataset)[SETTINGS]
    if name not in _OF_HISTORY:  # the default strategy's name is not kept
        then, now = ({_STRATEGY: DEFAULT_STRATEGY, **each} for each in (then, now))
    return [
        f"{each}: {_shown(then[each])} -> {_shown(now[each])}"
        for each in now
        if each in then and then[each] != now[each]
    ]


def _settings_of(name: str, settings: Settings, dataset: Dataset) -> dict[str, Any]:
    rules, instrument = settings.rules, dataset.instrument
    rows = rules.history.row_rule(instrument)
    if name in _OF_HISTORY:
        unused = _WINDOWS if name in _OF_PROFILES else set()
        chosen = rules.history.model_dump(mode="json", exclude=unused)
    else:
        chosen = rules.candidate_settings if name in _OF_CANDIDATES else rules.flat
    chosen |= rows.options
    if not rows.by_time and name not in _LEARNED:  # some features are of time in any case
        del chosen["tpo_minutes"]
    traded = name in (*_TRADED, *_BACKTESTED)
    found: dict[str, Any] = {
        "strategy": chosen,
        "instrument": instrument.model_dump(mode="json", include=_OF_INSTRUMENT | (_OF_MONEY if traded else set())),
    }
    if traded:
        only = None if name in _BACKTESTED else _OF_ACCOUNT  # labels need no money
        found["account"] = settings.account_for(instrument).model_dump(mode="json", include=only)
    if name in _LEARNED:
        found["features"] = {"leave_out": sorted(settings.features.left_out())}
        if code := feature_code():
            found["features"]["code"] = code
        found["volatility_index"] = settings.volatility_index
    if name in _SCORED:
        found["models"] = settings.models.model_dump(mode="json")
    return found


def _shown(value: object) -> str:
    if isinstance(value, list):
        more = [f"{len(value) - _MOST_SHOWN} more"] if len(value) > _MOST_SHOWN else []
        return ", ".join([*map(str, value[:_MOST_SHOWN]), *more]) or "none"
    return "none" if value is None else str(value)
