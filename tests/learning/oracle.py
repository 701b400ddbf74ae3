"""Oracle of a clean split, row by row and pair by pair: slow and plain."""


def combinatorial_train(starts: list[int], ends: list[int], test: list[int], embargo: int) -> list[int]:
    """Every row that no test row forbids."""
    return [
        row
        for row in range(len(starts))
        if row not in test
        and not any(starts[row] <= ends[t] and ends[row] >= starts[t] for t in test)
        and not any(0 < starts[row] - ends[t] <= embargo for t in test)
    ]


def walk_forward_train(starts: list[int], ends: list[int], test: list[int], embargo: int) -> list[int]:
    """Every row before the test whose label was known, by more than the embargo, before each test row was decided."""
    return [
        row
        for row in range(len(starts))
        if row not in test
        and all(starts[row] < starts[t] for t in test)
        and not any(starts[row] <= ends[t] and ends[row] >= starts[t] for t in test)
        and not any(starts[t] - ends[row] <= embargo for t in test)
    ]


def uniqueness(starts: list[int], ends: list[int]) -> list[float]:
    """Mean over a label's whole unit steps of one over how many labels are alive in that step."""
    shares = []
    for start, end in zip(starts, ends, strict=True):
        if start == end:
            alive = sum(s <= start <= e for s, e in zip(starts, ends, strict=True))
            shares.append(1 / alive)
            continue
        steps = [
            1 / sum(s <= step and step + 1 <= e for s, e in zip(starts, ends, strict=True))
            for step in range(start, end)
        ]
        shares.append(sum(steps) / len(steps))
    return shares
