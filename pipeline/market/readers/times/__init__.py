"""Times as files write them, to UTC instants.

``instants`` takes a file's one or two ``columns`` of times, reads what is text (``texts``, with the ``date_orders`` of
day and month) or numbers (``epochs``), and puts it into the zone it was written in.
"""

from pipeline.market.readers.times.columns import NAT, Instants
from pipeline.market.readers.times.instants import read_instants

__all__ = ["NAT", "Instants", "read_instants"]
