"""Levels of all sessions at once, from their profiles one behind the other in a flat tensor.

The value area without a loop over its steps
--------------------------------------------
From the VPOC the ticks above fall into pairs (``expansion_rows`` ticks each) with volumes A1, A2, …, those below
into B1, B2, …, and the rule takes again and again the larger of the first two that are left, A at a tie. That
merges two sequences that needn't fall. Put in place of each volume the least one so far on its side:

    Ai' = min(A1 … Ai),  Bj' = min(B1 … Bj).

Then Ai is taken before Bj exactly where ``Ai' >= Bj'``. For if Ai' is less than Ai, it is some Ap taken
before, when the first left below was some ``Bq <= Ap``. Nothing below was taken since, as it would have had
to be more than an A that is at least Ap. So Bq is still the first below, and both ``Ai >= Bq`` and
``Ai' >= Bq >= Bq'`` hold; the other side alike. The sequences of least volumes do fall, so how many of the
other side come before a pair is found by binary search, and with a running sum of the rows, what is held once it is
taken. The pairs after which less than the target is held are those taken for sure; one more step ends it.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.profiles.kernels import WHOLE

__all__ = ["Layout", "Settings", "into_rows", "levels_of_rows"]

_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Settings:
    """The share of volume a value area holds, the rows it grows by, and the ticks in a row."""

    basis_points: int
    expansion_rows: int
    ticks_per_row: int


@dataclass(frozen=True)
class Layout:
    """Position of a batch's sessions in the flat array: int64 tensors, shape (sessions,), on one device."""

    lowest: Tensor  # row; before ticks are summed into rows, tick
    first: Tensor  # cells of the lowest and of the highest; the cell after that is empty
    last: Tensor
    total: Tensor  # micro-lots
    cells: int


def into_rows(rows: Tensor, layout: Layout, ticks_per_row: int) -> tuple[Tensor, Layout]:
    """Sum ticks into rows, which lie in a flat array of their own."""
    sizes = layout.last - layout.first + 1
    lowest = torch.div(layout.lowest, ticks_per_row, rounding_mode="floor")
    counts = torch.div(layout.lowest + sizes - 1, ticks_per_row, rounding_mode="floor") - lowest + 1
    ends = (counts + 1).cumsum(0)
    packed = replace(layout, lowest=lowest, first=ends - counts, last=ends - 1, cells=int(ends[-1]) + 1)
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=rows.device), sizes)
    # Of every cell of a tick, not the empty ones between: one more for each session before it and for the first.
    cell = torch.arange(len(owner), device=rows.device) + owner + 1
    tick = cell + (layout.lowest - layout.first)[owner]
    place = torch.div(tick, ticks_per_row, rounding_mode="floor") + (packed.first - lowest)[owner]
    return torch.zeros(packed.cells, dtype=torch.int64, device=rows.device).index_add_(0, place, rows[cell]), packed


def levels_of_rows(rows: Tensor, layout: Layout, settings: Settings) -> Tensor:
    """Levels of every session, in rows, from the flat profiles, int64, shape (7, sessions); writes to ``rows``."""
    basis_points, expansion_rows = settings.basis_points, settings.expansion_rows
    first, last, total = layout.first, layout.last, layout.total
    vpoc = _vpoc(rows, layout)
    # The empty cell takes back the session's volume: the running sum starts from 0 in each and can't wrap.
    rows[last + 1] = -total
    running = rows.cumsum(0)
    # The least volume with held * 10000 >= basis_points * total, whose products don't fit 64 bits.
    quotient = torch.div(total, WHOLE, rounding_mode="trunc")
    remainder = total - quotient * WHOLE
    target = basis_points * quotient + torch.div(basis_points * remainder + (WHOLE - 1), WHOLE, rounding_mode="trunc")
    steps_up = torch.div(last - vpoc + expansion_rows - 1, expansion_rows, rounding_mode="trunc")
    steps_down = torch.div(vpoc - first + expansion_rows - 1, expansion_rows, rounding_mode="trunc")

    def top(steps: Tensor, owner: Tensor | slice = slice(None)) -> Tensor:
        return torch.minimum(vpoc[owner] + expansion_rows * steps, last[owner])

    def bottom(steps: Tensor, owner: Tensor | slice = slice(None)) -> Tensor:
        return torch.maximum(vpoc[owner] - expansion_rows * steps, first[owner])

    up_owner, up_step, up_before = _enumerate(steps_up)
    down_owner, down_step, down_before = _enumerate(steps_down)
    above = running[top(up_step, up_owner)] - running[top(up_step - 1, up_owner)]
    below = running[bottom(down_step - 1, down_owner) - 1] - running[bottom(down_step, down_owner) - 1]
    least_above, least_below = _least_so_far(above, below, up_owner, down_owner)
    # Falling within a session and from session to session: as negatives they are sorted.
    other = torch.searchsorted(least_below, least_above) - down_before[up_owner]
    held = running[top(up_step, up_owner)] - running[bottom(other, up_owner) - 1]
    up = torch.zeros_like(vpoc).index_add_(0, up_owner, (held < target[up_owner]).to(torch.int64))
    other = torch.searchsorted(least_above, least_below, right=True) - up_before[down_owner]
    held = running[top(other, down_owner)] - running[bottom(down_step, down_owner) - 1]
    down = torch.zeros_like(vpoc).index_add_(0, down_owner, (held < target[down_owner]).to(torch.int64))
    # The step that reaches the target, if it isn't reached yet; a side with no tick left is out.
    vah, val = top(up), bottom(down)
    short = running[vah] - running[val - 1] < target
    more_above = torch.where(vah < last, running[top(up + 1)] - running[vah], -1)
    more_below = torch.where(val > first, running[val - 1] - running[bottom(down + 1) - 1], -1)
    rises = more_above >= more_below
    vah = torch.where(short & rises, top(up + 1), vah)
    val = torch.where(short & ~rises, bottom(down + 1), val)
    tick = layout.lowest - first
    held = running[vah] - running[val - 1]
    return torch.stack([vpoc + tick, val + tick, vah + tick, layout.lowest, last + tick, total, held])


def _vpoc(rows: Tensor, layout: Layout) -> Tensor:
    """The cell of most volume of every session; of equals the one nearest the middle, of those the lower."""
    sizes = layout.last - layout.first + 2
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=rows.device), sizes, output_size=layout.cells - 1)
    volumes = rows[1:]
    most = torch.zeros_like(layout.total).scatter_reduce_(0, owner, volumes, "amax")
    ends = layout.first + layout.last
    offset = 2 * torch.arange(1, layout.cells, device=rows.device) - ends[owner]  # twice the distance to the middle
    order = torch.where(volumes == most[owner], 2 * offset.abs() + (offset > 0), _MOST)
    nearest = torch.full_like(layout.total, _MOST).scatter_reduce_(0, owner, order, "amin")
    distance = nearest >> 1
    return (ends + torch.where(nearest & 1 == 1, distance, -distance)) >> 1


def _enumerate(counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Number every step of every session: its session, its number from 1; and the steps before each session."""
    before = counts.cumsum(0) - counts
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    number = torch.arange(1, len(owner) + 1, device=counts.device) - before[owner]
    return owner, number, before


def _least_so_far(above: Tensor, below: Tensor, up_owner: Tensor, down_owner: Tensor) -> tuple[Tensor, Tensor]:
    """The least volume so far on its side and session, as numbers that rise where those volumes fall.

    Ranks stand for the volumes: with them there is room for the session in the same 64 bits, so that one running
    minimum over all sessions starts again in each.
    """
    values, ranks = torch.unique(torch.cat([above, below]), return_inverse=True)
    falling = ranks - torch.cat([up_owner, down_owner]) * len(values)
    return -_running_least(falling[: len(above)]), -_running_least(falling[len(above) :])


def _running_least(values: Tensor) -> Tensor:
    return values.cummin(0).values if len(values) else values
