"""Numbers of trades, bid and ask volume that can't be, which cleaning emptied."""

from collections.abc import Iterator

from pipeline.market.evidence.data import Evidence
from pipeline.market.evidence.finding import Finding

__all__ = ["look"]


def look(data: Evidence) -> Iterator[Finding]:
    """Say how many bars have impossible counts."""
    if count := data.clean.report.impossible_counts:
        yield Finding(
            "impossible_counts",
            "note",
            f"{count:,} of {data.clean.report.kept:,} bars have an infinite or negative number of trades, bid or ask "
            "volume, which is left empty",
        )
