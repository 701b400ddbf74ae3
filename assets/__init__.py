"""Dagster assets, one file a group: each gets its inputs, calls the domain and describes what came out."""

import dagster as dg

from assets.backtests import rule_backtest
from assets.desk import desk_backtest
from assets.features import features, labels, sequences, training_set, volatility_index
from assets.histories import bar_history, profile_history, session_history
from assets.judgement import backtest_summary, model_comparison, report
from assets.market_data import market_data
from assets.models import model_backtest, model_signals, models
from assets.next_orders import next_orders
from assets.profile_structure import (
    composite_profiles,
    developing_levels,
    naked_vpocs,
    profile_structure,
    trade_profiles,
)
from assets.signals import candidates, gate_null_rates, rule_signals
from assets.tuning import studies
from assets.volume_profiles import volume_profiles

__all__ = ["all_assets"]


def all_assets() -> list[dg.AssetsDefinition]:
    """Every asset of the project, in the order of the story."""
    return [
        market_data,
        volume_profiles,
        bar_history,
        profile_history,
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
        sequences,
        training_set,
        rule_backtest,
        models,
        model_signals,
        model_backtest,
        studies,
        next_orders,
        model_comparison,
        backtest_summary,
        report,
        desk_backtest,
    ]
