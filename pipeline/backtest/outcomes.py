"""Names of how orders and positions end; in the compiled code they are positions in these tuples."""

__all__ = [
    "CANCELLED",
    "CLOSE",
    "CLOSED",
    "CONTRACT_ROLLED",
    "EXIT_REASONS",
    "GAPPED_PAST_STOP",
    "GIVE_BACK",
    "GROUP_FILLED",
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
)
NO_REASON, POSITION_OPEN, RISK_BELOW_ONE, MARGIN_BELOW_ONE, MARGIN_BELOW_QUANTITY = range(5)
NO_BARS, CONTRACT_ROLLED, PAST_STOP, PAST_TARGET, GROUP_FILLED = range(5, 10)

EXIT_REASONS = ("", "stop", "target", "close", "margin_call", "trailed_stop", "give_back", "time")
STAYS, STOP, TARGET, CLOSE, MARGIN_CALL, TRAILED_STOP, GIVE_BACK, TIME = range(8)
