"""The contract's §3 word by word, slowly, in Python integers."""

from collections.abc import Iterable

Bar = tuple[int, int, int, int]  # low, high, close (ticks), volume (steps)


def slow_rows(bars: Iterable[Bar], allocation: str = "uniform") -> tuple[int, list[int]]:
    held: dict[int, int] = {}
    for low, high, close, volume in bars:
        if volume == 0:
            continue
        if allocation == "close":
            low = high = close
        micro, ticks = volume * 2**20, high - low + 1
        for place in range(ticks):
            held[low + place] = held.get(low + place, 0) + micro // ticks + (1 if place < micro % ticks else 0)
    if not held:
        return 0, []
    lowest = min(held)
    return lowest, [held.get(tick, 0) for tick in range(lowest, max(held) + 1)]


def slow_value_area(rows: list[int], basis_points: int = 7000, expansion_rows: int = 2) -> tuple[int, int, int, int]:
    """Positions of VPOC, VAL, VAH, and what is held between."""
    most = max(rows)
    tops = [place for place, volume in enumerate(rows) if volume == most]
    vpoc = min(tops, key=lambda place: (abs(2 * place - (len(rows) - 1)), place))
    val = vah = vpoc
    held, total = most, sum(rows)
    while held * 10000 < basis_points * total:
        above = rows[vah + 1 : vah + 1 + expansion_rows]
        below = rows[max(val - expansion_rows, 0) : val]
        if above and (not below or sum(above) >= sum(below)):
            held += sum(above)
            vah += len(above)
        else:
            held += sum(below)
            val -= len(below)
    return vpoc, val, vah, held
