"""Limits of a desk on what its books may hold at once, compiled."""

import numpy as np

from pipeline.backtest.compiled import inner
from pipeline.backtest.desk_replayed import Books, Limits, State
from pipeline.backtest.outcomes import (
    DESK_CONTRACTS,
    DESK_POSITIONS,
    DESK_RISK,
    GROUP_POSITIONS,
    GROUP_RISK,
    NO_REASON,
    POSITION_OPEN,
)
from pipeline.backtest.positions import STOP_AT
from pipeline.backtest.replayed import Orders
from pipeline.backtest.sizing import ROUNDING

__all__ = ["no_slot", "within_limits"]


@inner()
def no_slot(b: int, books: Books, limits: Limits, state: State) -> int:
    """Return why book ``b`` can open no position now; NO_REASON if it can."""
    if state.busy[b] >= books.max_positions[b]:
        return POSITION_OPEN
    if state.held[0] >= limits.max_positions:
        return DESK_POSITIONS
    for g in range(len(limits.group_positions)):
        if limits.members[g, b]:
            held = 0
            for other in range(len(state.busy)):
                if limits.members[g, other]:
                    held += state.busy[other]
            if held >= limits.group_positions[g]:
                return GROUP_POSITIONS
    return NO_REASON


@inner()
def _at_risk(g: int, orders: Orders, books: Books, limits: Limits, state: State) -> float:
    """Return the money that open positions, those of group ``g`` or all for −1, lose at their stops as they lie now."""
    total = 0.0
    for o in state.slots[: state.held[0]]:
        b = state.owner[o]
        if g < 0 or limits.members[g, b]:
            moved = state.positions[o, STOP_AT] - orders.side[o] * orders.stop[o]
            total += state.ends[2, o] * max(state.loss[o] - moved * books.tick_value[b], 0.0)
    return total


@inner()
def within_limits(
    wanted: int,
    fixed: bool,
    loss: float,
    equity: float,
    b: int,
    orders: Orders,
    books: Books,
    limits: Limits,
    state: State,
) -> tuple[int, int]:
    """Cut a size to what the desk's and its groups' limits leave, or 0 and the reason.

    Parameters
    ----------
    wanted, fixed
        Contracts by the sizing rule, or the order's own quantity (``fixed``), which is taken whole or not at all.
    loss
        Money one contract loses at the stop.
    equity
        As known now.
    b
        The order's book.
    """
    left = limits.max_contracts
    for o in state.slots[: state.held[0]]:
        left -= state.ends[2, o]
    contracts = min(wanted, left)
    if contracts < 1 or (fixed and contracts < wanted):
        return 0, DESK_CONTRACTS
    for g in range(-1, len(limits.group_risk)):
        share = limits.total_risk if g < 0 else limits.group_risk[g]
        if share == np.inf or (g >= 0 and not limits.members[g, b]):
            continue
        left_money = equity * share - _at_risk(g, orders, books, limits, state)
        fits = np.floor(left_money / loss * (1 + ROUNDING))
        if fits < 1 or (fixed and fits < wanted):
            return 0, DESK_RISK if g < 0 else GROUP_RISK
        contracts = int(min(contracts, fits))
    return contracts, NO_REASON
