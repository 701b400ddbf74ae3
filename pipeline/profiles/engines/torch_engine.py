"""Profiles in torch: all sessions in one batch, on a processor, on CUDA or ROCm devices, or on several together.

Everything is int64, and integer addition has no rounding, so the order in which a device's threads add
(``index_add_`` by atomic additions, ``cumsum`` by a parallel scan) can't change a bit of the result. No
floating-point number occurs.

The sessions' ticks lie one behind the other in one flat array, each session followed by one empty cell, and one
empty cell before the first. A bar writes three entries of the flat difference array (contract §3.2). What a
session writes sums to zero up to its empty cell, so one running sum over the whole array makes all profiles. Where
rows are wider than a tick, the ticks are summed into a second such array.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import DataError
from pipeline.profiles.engines.torch_levels import Layout, Settings, into_rows, levels_of_rows
from pipeline.profiles.histogram import LevelOptions, SessionLevels, checked_levels, profile_sessions
from pipeline.profiles.kernels import MAX_STEPS, MAX_TICKS, MICRO_LOTS
from pipeline.profiles.rows import RowRule
from pipeline.profiles.slices import session_slices

__all__ = ["torch_profiles"]

_LEAST, _MOST = -(2**63), 2**63 - 1
_HALF_BITS = 21  # MAX_STEPS is 2**42; two halves of a volume are summed apart, so that no sum wraps
_HALF = (1 << _HALF_BITS) - 1
_CELLS_IN_MEMORY = 1 << 18  # on a processor: what lies near its cache is fastest
_BYTES_A_CELL = 256  # of a GPU's free memory, for a bar and a tick; a processor was seen to need about 200
_FEWEST_CELLS = 1 << 10  # where halving ends

_Worked = TypeVar("_Worked")
_log = logging.getLogger(__name__)


def torch_profiles(
    low: NDArray[np.integer[Any]] | Tensor,
    high: NDArray[np.integer[Any]] | Tensor,
    steps: NDArray[np.integer[Any]] | Tensor,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64] | None = None,
    *,
    devices: Sequence[str] = ("cpu",),
    max_cells: int | None = None,
    **options: Unpack[LevelOptions],
) -> SessionLevels:
    """Volume profile, VPOC and value area of every session, on torch devices.

    Parameters
    ----------
    low, high, steps, starts, stops, **options
        As in :func:`pipeline.profiles.profile_sessions`. Integer tensors are taken too, best where they already
        lie on the device.
    devices
        Torch's names. Of several each takes a share of the bars, whatever their sessions; their profiles are added on
        the first, which makes the value areas.
    max_cells
        Most bars, and most ticks of all sessions together, to have on a device at once (a session wider than that
        goes alone). By default what fits its free memory. Out of memory, the half is tried, and so on.

    Raises
    ------
    DataError
        As :func:`pipeline.profiles.profile_sessions`.
    MemoryError
        Where a device has no room even for the smallest batch.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = np.array([100, 101, 50]), np.array([103, 102, 50])
    >>> levels = torch_profiles(low, high, np.array([8, 6, 1]), np.array([0, 2]))
    >>> levels.vpoc, levels.val, levels.vah
    (array([101,  50]), array([101,  50]), array([103,  50]))
    """
    chosen, name = checked_levels(**options)
    settings = Settings(*chosen)
    bars = _bars(low, high, steps, starts, stops, [torch.device(device) for device in devices])
    sessions = len(bars.begins)
    levels = np.zeros((len(SessionLevels.__dataclass_fields__), sessions), dtype=np.int64)
    if not sessions:
        return SessionLevels(*levels)
    cells = max_cells or min(_room(device) for device in bars.devices)
    # Bars that fit at once are sent once, though they are gone through twice.
    bars.keep = bars.count <= cells * len(bars.devices)
    extent, cells = _halving(bars, lambda most: _extent(bars, most), cells, _FEWEST_CELLS)
    refused = np.flatnonzero(extent.refused)
    if len(refused):
        _refuse(bars, int(refused[0]), name)
    ends = np.cumsum(extent.widths + 1)
    if ends[-1] > cells:
        bars.forget()  # several batches want other pieces of the bars
    first = 0
    while first < sessions:

        def batch(most: int, first: int = first) -> NDArray[np.int64]:
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + most, side="right")), first + 1)
            return _batch(bars, extent, slice(first, last), settings, most)

        # A session that goes alone, with fewer bars at a time than it has ticks, is as small as a batch can be.
        found, cells = _halving(bars, batch, cells, max(int(extent.widths[first]), _FEWEST_CELLS))
        levels[:, first : first + found.shape[1]] = found
        first += found.shape[1]
    return SessionLevels(*levels)


@dataclass
class _Bars:
    """The sessions' bars one behind the other: position p is the p-th of all sessions' bars."""

    low: Tensor
    high: Tensor
    steps: Tensor
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    devices: list[torch.device]
    positions: NDArray[np.int64] = field(init=False)  # of each session's first bar, and of the end
    keep: bool = False
    kept: dict[tuple[int, int, int], tuple[Tensor, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = np.concatenate([[0], np.cumsum(self.ends - self.begins)])

    @property
    def count(self) -> int:
        return int(self.positions[-1])

    @property
    def exact(self) -> bool:
        """Return True if every bar has one price."""
        return self.low is self.high

    def forget(self) -> None:
        """Give back the bars on the devices, and keep none from now on."""
        self.keep = False
        self.kept.clear()

    def shares(self, first: int, last: int, most: int) -> Iterator[tuple[torch.device, Iterator[tuple[Tensor, ...]]]]:
        """The positions from ``first`` to ``last`` split over the devices, each share in pieces of at most ``most``."""
        cuts = [first + (last - first) * part // len(self.devices) for part in range(len(self.devices) + 1)]
        for place, device in enumerate(self.devices):
            edges = range(cuts[place], cuts[place + 1], most)
            yield device, (self._piece(place, at, min(at + most, cuts[place + 1])) for at in edges)

    def _piece(self, place: int, first: int, last: int) -> tuple[Tensor, ...]:
        """Low, high, steps and session of the bars at those positions, int64 on a device."""
        if (place, first, last) in self.kept:
            return self.kept[place, first, last]
        device = self.devices[place]
        from_session = int(np.searchsorted(self.positions, first, side="right")) - 1
        to_session = int(np.searchsorted(self.positions, last, side="left"))
        begins, ends = self.begins[from_session:to_session].copy(), self.ends[from_session:to_session].copy()
        begins[0] += first - self.positions[from_session]
        ends[-1] -= self.positions[to_session] - last
        lengths = ends - begins
        filled = np.flatnonzero(lengths)
        begins, ends, lengths = begins[filled], ends[filled], lengths[filled]
        if (begins[1:] == ends[:-1]).all():
            columns = [column[int(begins[0]) : int(ends[-1])] for column in (self.low, self.high, self.steps)]
        else:
            rows = np.arange(last - first) + np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
            where = torch.from_numpy(rows).to(self.low.device)
            columns = [column[where] for column in (self.low, self.high, self.steps)]
        owner = torch.repeat_interleave(
            _send(filled + from_session, device), _send(lengths, device), output_size=last - first
        )
        piece = (*(column.to(device).to(torch.int64) for column in columns), owner)
        if self.keep:
            self.kept[place, first, last] = piece
        return piece


@dataclass(frozen=True)
class _Extent:
    """Extent of every session, shape (sessions,): lowest tick, number of ticks, volume steps, refused or not.

    A session without volume counts as one empty tick at 0, which makes all its levels 0.
    """

    lowest: NDArray[np.int64]
    widths: NDArray[np.int64]
    steps: NDArray[np.int64]
    refused: NDArray[np.bool_]


def _bars(
    low: NDArray[np.integer[Any]] | Tensor,
    high: NDArray[np.integer[Any]] | Tensor,
    steps: NDArray[np.integer[Any]] | Tensor,
    starts: NDArray[np.int64],
    stops: NDArray[np.int64] | None,
    devices: list[torch.device],
) -> _Bars:
    bottoms, volumes = _integers(low), _integers(steps)
    tops = bottoms if high is low else _integers(high)
    if any(column.ndim != 1 or column.shape != volumes.shape for column in (bottoms, tops)):
        shapes = [tuple(column.shape) for column in (bottoms, tops, volumes)]
        raise DataError(f"low, high and steps must have the same length, not {shapes}")
    return _Bars(bottoms, tops, volumes, *session_slices(starts, stops, len(volumes)), devices)


def _integers(values: NDArray[np.integer[Any]] | Tensor) -> Tensor:
    if not isinstance(values, Tensor):
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise DataError(f"low, high and steps must be integers (ticks and volume steps), not {array.dtype}")
        kind = np.int32 if array.dtype == np.int32 else np.int64
        array = np.ascontiguousarray(array, dtype=kind)
        # Torch has no read-only arrays and warns of them; nothing here writes to the bars.
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise DataError(f"low, high and steps must be integers (ticks and volume steps), not {values.dtype}")
    return values


def _send(values: NDArray[np.int64], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64)).to(device)


def _room(device: torch.device) -> int:
    if device.type != "cuda":
        return _CELLS_IN_MEMORY
    try:
        free, _ = torch.cuda.mem_get_info(device)
    except RuntimeError as error:  # no room left even to start on it
        if not _is_out_of_memory(error):
            raise
        raise MemoryError(str(error).partition("\n")[0]) from error
    return max(free // _BYTES_A_CELL, _FEWEST_CELLS)


def _halving(bars: _Bars, work: Callable[[int], _Worked], cells: int, fewest: int) -> tuple[_Worked, int]:
    """Do the work with at most so many cells at a time; out of memory, with half of them, and so on.

    Returns what the work does, and the number it did it with.
    """
    while True:
        try:
            return work(cells), cells
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if cells <= fewest:
                raise MemoryError(str(error).partition("\n")[0]) from error
        # Only here, past the handler, is what the failed attempt held given back.
        bars.forget()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _log.info("out of memory with %d bars or ticks at a time; continuing with %d", cells, cells // 2)
        cells //= 2


def _is_out_of_memory(error: Exception) -> bool:
    # A processor's allocator raises a plain RuntimeError, and so does CUDA outside torch's own allocator.
    text = str(error).lower()
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in text or "allocate memory" in text
    )


def _extent(bars: _Bars, most: int) -> _Extent:
    sessions = len(bars.begins)
    found = []
    for device, pieces in bars.shares(0, bars.count, most):
        lowest = torch.full((sessions,), _MOST, dtype=torch.int64, device=device)
        highest = torch.full((sessions,), _LEAST, dtype=torch.int64, device=device)
        coarse, fine = torch.zeros_like(lowest), torch.zeros_like(lowest)
        for low, high, steps, owner in pieces:
            traded = steps != 0
            # A bar that can't be makes its session too wide, which refuses it.
            sound = (steps >= 0) & (steps <= MAX_STEPS) & (low <= high)
            lows, highs = torch.where(sound, low, _LEAST), torch.where(sound, high, _MOST)
            lowest.scatter_reduce_(0, owner, torch.where(traded, lows, _MOST), "amin")
            highest.scatter_reduce_(0, owner, torch.where(traded, highs, _LEAST), "amax")
            volume = torch.where(sound, steps, 0)
            coarse.index_add_(0, owner, volume >> _HALF_BITS)
            fine.index_add_(0, owner, volume & _HALF)
        found.append((lowest, highest, coarse, fine))
    # Only now, so that several devices work at the same time.
    bottoms, tops, coarses, fines = (np.stack([part[row].cpu().numpy() for part in found]) for row in range(4))
    bottom, top, fine_sum = bottoms.min(axis=0), tops.max(axis=0), fines.sum(axis=0)
    coarse_sum = np.minimum(coarses.sum(axis=0) + (fine_sum >> _HALF_BITS), _HALF + 2)
    steps_sum = (coarse_sum << _HALF_BITS) + (fine_sum & _HALF)
    empty = top < bottom
    bottom, top = np.where(empty, 0, bottom), np.where(empty, 0, top)
    span = top.astype(np.uint64) - bottom.astype(np.uint64)  # modulo 2**64, which is right as top >= bottom
    refused = (span >= MAX_TICKS) | (steps_sum > MAX_STEPS)
    return _Extent(bottom, np.where(refused, 1, span.astype(np.int64) + 1), steps_sum, refused)


def _refuse(bars: _Bars, session: int, name: Callable[[int], str]) -> None:
    # The compiled kernel says what is wrong with it, in the same words on every device.
    rows = slice(int(bars.begins[session]), int(bars.ends[session]))
    low, high, steps = (column[rows].cpu().numpy() for column in (bars.low, bars.high, bars.steps))
    profile_sessions(low, high, steps, np.zeros(1, np.int64), name=lambda _: name(session))
    raise AssertionError(f"the engines disagree on {name(session)}")


def _batch(bars: _Bars, extent: _Extent, sessions: slice, settings: Settings, most: int) -> NDArray[np.int64]:
    """Levels of a run of sessions, shape (7, sessions)."""
    widths, lowest = extent.widths[sessions], extent.lowest[sessions]
    ends = np.cumsum(widths + 1)  # of each session's cells, the empty one included; cell 0 is before them all
    cells = int(ends[-1]) + 1
    positions = bars.positions[sessions.start], bars.positions[sessions.stop]
    parts = [
        _spread(pieces, _send(ends - widths - lowest, device), sessions.start, cells, bars.exact)
        for device, pieces in bars.shares(int(positions[0]), int(positions[1]), most)
    ]
    rows = parts[0]
    for part in parts[1:]:
        rows += part.to(rows.device)
    del parts
    layout = Layout(
        lowest=_send(lowest, rows.device),
        first=_send(ends - widths, rows.device),
        last=_send(ends - 1, rows.device),
        total=_send(extent.steps[sessions] * MICRO_LOTS, rows.device),
        cells=cells,
    )
    if settings.ticks_per_row == 1:
        return levels_of_rows(rows, layout, settings).cpu().numpy()
    levels = levels_of_rows(*into_rows(rows, layout, settings.ticks_per_row), settings).cpu().numpy()
    rule, empty = RowRule(ticks_per_row=settings.ticks_per_row), levels[5] == 0
    for place, in_ticks in enumerate((rule.middle, rule.bottom, rule.top)):
        levels[place] = np.where(empty, 0, in_ticks(levels[place]))
    levels[3], levels[4] = lowest, lowest + widths - 1
    return levels


def _spread(pieces: Iterator[tuple[Tensor, ...]], shift: Tensor, start: int, cells: int, exact: bool) -> Tensor:
    """The profiles of some bars, shape (cells,); ``shift`` turns a session's ticks into cells."""
    flat = torch.zeros(cells, dtype=torch.int64, device=shift.device)
    for low, high, steps, owner in pieces:
        micro = steps * MICRO_LOTS
        traded = steps != 0
        # Bars without volume may lie anywhere; they add nothing to cell 0.
        bottom = torch.where(traded, low + shift[owner - start], 0)
        if exact:
            flat.index_add_(0, bottom, micro)
            continue
        ticks = torch.where(traded, high - low + 1, 1)
        each = torch.div(micro, ticks, rounding_mode="trunc")
        rest = micro - each * ticks
        flat.index_add_(0, bottom, each + 1)
        flat.index_add_(0, bottom + rest, torch.ones_like(rest), alpha=-1)
        flat.index_add_(0, bottom + ticks, each, alpha=-1)
    return flat if exact else flat.cumsum(0)
