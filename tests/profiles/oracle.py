"""The contract's §3 word by word, slowly, in Python integers."""

from collections.abc import Iterable, Sequence

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


def slow_wide_rows(bars: Sequence[Bar], ticks_per_row: int, allocation: str = "uniform") -> tuple[int, list[int]]:
    """Rows of several ticks: the ticks first, then their sums."""
    lowest, ticks = slow_rows(bars, allocation)
    return _dense({}, (((lowest + place) // ticks_per_row, volume) for place, volume in enumerate(ticks)))


def slow_tpo_rows(bars: Sequence[Bar], brackets: Sequence[int], ticks_per_row: int = 1) -> tuple[int, list[int]]:
    """In each bracket every row that any tick from the lowest low to the highest high lies in counts once."""
    counts: dict[int, int] = {}
    for bracket in set(brackets):
        own = [bar for bar, number in zip(bars, brackets, strict=True) if number == bracket]
        low, high = min(bar[0] for bar in own), max(bar[1] for bar in own)
        for row in {tick // ticks_per_row for tick in range(low, high + 1)}:
            counts[row] = counts.get(row, 0) + 1
    return _dense(counts, ())


def _dense(held: dict[int, int], more: Iterable[tuple[int, int]]) -> tuple[int, list[int]]:
    for row, volume in more:
        held[row] = held.get(row, 0) + volume
    if not held:
        return 0, []
    return min(held), [held.get(row, 0) for row in range(min(held), max(held) + 1)]


def slow_levels(
    lowest: int, rows: list[int], ticks_per_row: int, basis_points: int = 7000, expansion_rows: int = 2
) -> tuple[int, int, int, int, int]:
    """VPOC, VAL and VAH in ticks, total, held."""
    vpoc, val, vah, held = slow_value_area(rows, basis_points, expansion_rows)
    middle = (lowest + vpoc) * ticks_per_row + (ticks_per_row - 1) // 2
    top = (lowest + vah + 1) * ticks_per_row - 1
    return middle, (lowest + val) * ticks_per_row, top, sum(rows), held


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
