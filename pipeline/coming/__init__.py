"""Orders for the coming session, which are those that the backtest would place, with size and gates."""

from pipeline.coming.rows import ACTIONS, coming_orders
from pipeline.coming.sizes import with_sizes
from pipeline.coming.table import order_table
from pipeline.coming.when import ComingSession, coming_at

__all__ = ["ACTIONS", "ComingSession", "coming_at", "coming_orders", "order_table", "with_sizes"]
