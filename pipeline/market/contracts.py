"""Contracts of bars: the runs of neighbouring bars of one contract."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.market.sessions import rows_of

__all__ = ["ContractRuns", "contract_runs", "contracts_of_sessions"]

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ContractRuns:
    """Runs of neighbouring bars of one contract.

    Attributes
    ----------
    begins
        First row of each run, rising from 0, shape (runs,).
    codes
        Contract of each run, a position in ``names``, shape (runs,).
    names
        The contracts, in the order in which they first occur.
    """

    begins: Ints
    codes: Ints
    names: NDArray[np.object_]

    @property
    def changes(self) -> Ints:
        """Rows whose contract is not that of the row before."""
        return self.begins[1:]

    def at(self, rows: Ints) -> Ints:
        """Code of each row's contract."""
        return self.codes[np.searchsorted(self.begins, rows, side="right") - 1]


def contract_runs(contracts: pd.Series) -> ContractRuns:
    """Find the runs of a column without missing values, of any dtype."""
    # Contracts are names, also where a file writes them as numbers (202403): orders and profiles name them too.
    names = contracts.astype("str").array
    if len(names) == 0:
        return ContractRuns(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, object))
    if isinstance(names, pd.arrays.ArrowStringArray):
        found = pa.array(names)
        runs = pc.run_end_encode(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)
        begins = np.append(0, runs.run_ends.to_numpy()[:-1]).astype(np.int64)
        own: Any = runs.values.to_numpy(zero_copy_only=False)  # noqa: PD011 (Arrow's)
    else:
        whole = names.to_numpy(dtype=object)
        begins = np.append(0, np.flatnonzero(whole[1:] != whole[:-1]) + 1)
        own = whole[begins]
    codes, unique = pd.factorize(own)
    return ContractRuns(begins, codes.astype(np.int64), np.asarray(unique, dtype=object))


def contracts_of_sessions(
    runs: ContractRuns, starts: Ints, stops: Ints, steps_of: Callable[[Ints], Ints]
) -> tuple[Ints, Ints]:
    """Find each session's contract: the one with more volume; of equals the one that comes last.

    Parameters
    ----------
    starts, stops
        Session k is the rows ``starts[k]:stops[k]``, none of them empty.
    steps_of
        Gives the volume of some rows; asked for those of sessions with several contracts only.

    Returns
    -------
    (ndarray of int64, ndarray of int64)
        Code of each session's contract, shape (sessions,), and the rows of the sessions' other contracts.
    """
    winners = runs.at(starts)
    # A session is mixed if the contract changes strictly inside it.
    following = np.searchsorted(runs.changes, starts, side="right")
    mixed = np.flatnonzero(np.append(runs.changes, np.iinfo(np.int64).max)[following] < stops)
    if len(mixed) == 0:
        return winners, np.empty(0, np.int64)
    rows = rows_of(starts[mixed], stops[mixed])
    session = np.repeat(np.arange(len(mixed)), (stops - starts)[mixed])
    codes = runs.at(rows)
    pairs, inverse = np.unique(np.stack([session, codes]), axis=1, return_inverse=True)
    volume, last = np.zeros((2, pairs.shape[1]), dtype=np.int64)
    np.add.at(volume, inverse, steps_of(rows))
    np.maximum.at(last, inverse, rows)
    order = np.lexsort((last, volume, pairs[0]))
    best = order[np.append(pairs[0][order][1:] != pairs[0][order][:-1], True)]
    winners[mixed] = pairs[1][best]
    return winners, rows[codes != winners[mixed][session]]
