"""Size of a position by risk and margin, and the money it is worked out from, compiled."""

import numpy as np

from pipeline.backtest.compiled import inlined, inner
from pipeline.backtest.outcomes import MARGIN_BELOW_ONE, MARGIN_BELOW_QUANTITY, NO_REASON, RISK_BELOW_ONE
from pipeline.backtest.replayed import MARKET, Rules

__all__ = ["ROUNDING", "entry_fee", "loss_at_stop", "margin_each", "size"]

ROUNDING = 1e-12  # 0.29 × 100 must size as 29, not as the 28.999999999999996 of floats


@inlined()
def margin_each(price: int, rate: float, amount: float, rules: Rules) -> float:
    """Return the margin of one contract at a price in ticks."""
    return amount + rate * (abs(price) * rules.tick_value)


@inlined()
def loss_at_stop(kind: int, price: int, entry: int, stop: int, rules: Rules) -> float:
    """Return the money one contract loses at its order's stop, commissions included; ``price`` is that of the fill."""
    planned = price if kind == MARKET else entry
    round_trip = 2 * rules.commission_per_side + rules.commission_rate * rules.tick_value * (abs(planned) + abs(stop))
    return abs(planned - stop) * rules.tick_value + round_trip


@inlined()
def entry_fee(quantity: int, price: int, rules: Rules) -> float:
    """Return the commission of an entry."""
    return quantity * (rules.commission_per_side + rules.commission_rate * (abs(price) * rules.tick_value))


@inner()
def size(
    fixed: int,
    risk_money: float,
    loss_per_contract: float,
    free_margin: float,
    margin_per_contract: float,
    max_contracts: int,
) -> tuple[int, int]:
    """Contracts to buy or sell, or 0 and the reason."""
    if margin_per_contract > 0:
        affordable = max(np.floor(free_margin / margin_per_contract * (1 + ROUNDING)), 0.0)
    else:  # a price of zero has no notional
        affordable = np.inf
    if fixed > 0:
        return (fixed, NO_REASON) if affordable >= fixed else (0, MARGIN_BELOW_QUANTITY)
    wanted = max(np.floor(risk_money / loss_per_contract * (1 + ROUNDING)), 0.0)
    if wanted < 1:
        return 0, RISK_BELOW_ONE
    if affordable < 1:
        return 0, MARGIN_BELOW_ONE
    contracts = min(wanted, affordable)
    if max_contracts > 0:
        contracts = min(contracts, max_contracts)
    return int(contracts), NO_REASON
