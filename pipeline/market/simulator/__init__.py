"""The null market: seeded bars that look like a market and hold no edge, or one planted on purpose.

Every claim the project makes is first made here, where the truth is known: on a market without an edge
the chain must find none, on a market with one it must find it (``docs/simulator.md``).
"""

from pipeline.market.simulator.market import BAR_MINUTES, simulate_market

__all__ = ["BAR_MINUTES", "simulate_market"]
