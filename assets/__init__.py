"""Dagster assets, one file a group: each gets its inputs, calls the domain and describes what came out."""

import dagster as dg

from assets.backtests import backtest_summary, fade_backtest, report, rule_backtest
from assets.features import features, labels, training_set, volatility_index
from assets.market_data import market_data
from assets.profile_structure import (
    composite_profiles,
    developing_levels,
    naked_vpocs,
    profile_structure,
    trade_profiles,
)
from assets.signals import candidates, gate_null_rates, rule_signals
from assets.volume_profiles import session_history, volume_profiles

__all__ = ["all_assets"]


def all_assets() -> list[dg.AssetsDefinition]:
    """Every asset of the project, in the order of the story."""
    return [
        market_data,
        volume_profiles,
        session_history,
        profile_structure,
        naked_vpocs,
        composite_profiles,
        developing_levels,
        trade_profiles,
        candidates,
        gate_null_rates,
        rule_signals,
        volatility_index,
        features,
        labels,
        training_set,
        fade_backtest,
        rule_backtest,
        backtest_summary,
        report,
    ]
