"""Names of how orders and positions end; in the compiled code they are positions in these tuples."""

__all__ = [
    "CANCELLED",
    "CLOSE",
    "CLOSED",
    "CONTRACT_ROLLED",
    "DESK_CONTRACTS",
    "DESK_POSITIONS",
    "DESK_RISK",
    "EXIT_REASONS",
    "GAPPED_PAST_STOP",
    "GIVE_BACK",
    "GROUP_FILLED",
    "GROUP_POSITIONS",
    "GROUP_RISK",
    "MARGIN_BELOW_ONE",
    "MARGIN_BELOW_QUANTITY",
    "MARGIN_CALL",
    "NOT_REACHED",
    "NO_BARS",
    "NO_REASON",
    "ORDER_REASONS",
    "PAST_STOP",
    "PAST_TARGET",
    "POSITION_OPEN",
    "RISK_BELOW_ONE",
    "SKIPPED",
    "STATUSES",
    "STAYS",
    "STOP",
    "TARGET",
    "TIME",
    "TRAILED_STOP",
]

STATUSES = ("not_reached", "closed", "gapped_past_stop", "skipped", "cancelled")
NOT_REACHED, CLOSED, GAPPED_PAST_STOP, SKIPPED, CANCELLED = range(5)

ORDER_REASONS = (
    "",
    "position_open",
    "risk_below_one_contract",
    "margin_below_one_contract",
    "margin_below_quantity",
    "no_bars",
    "contract_rolled",
    "gapped_past_stop",
    "gapped_past_target",
    "group_filled",
    "desk_positions",
    "group_positions",
    "desk_contracts",
    "desk_risk",
    "group_risk",
)
NO_REASON, POSITION_OPEN, RISK_BELOW_ONE, MARGIN_BELOW_ONE, MARGIN_BELOW_QUANTITY = range(5)
NO_BARS, CONTRACT_ROLLED, PAST_STOP, PAST_TARGET, GROUP_FILLED = range(5, 10)
# The limits of a desk, see desk_settings.py.
DESK_POSITIONS, GROUP_POSITIONS, DESK_CONTRACTS, DESK_RISK, GROUP_RISK = range(10, 15)

EXIT_REASONS = ("", "stop", "target", "close", "margin_call", "trailed_stop", "give_back", "time")
STAYS, STOP, TARGET, CLOSE, MARGIN_CALL, TRAILED_STOP, GIVE_BACK, TIME = range(8)
