"""Each session's value area and VPOC against those of the session before, of the same contract."""

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.market.instruments import Instrument
from pipeline.profiles.aligned import contract_runs, require_profiles

__all__ = ["ValueAreaRelation", "session_relations"]

ValueAreaRelation = Literal["higher", "lower", "overlapping_higher", "overlapping_lower", "inside", "outside"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def session_relations(profiles: pd.DataFrame, instrument: Instrument) -> pd.DataFrame:
    """Value-area overlap and relation, and VPOC migration, of each session.

    The session before is the row before, whatever time lies between. In the first row and where the
    contract changed, all is missing.

    Parameters
    ----------
    profiles
        From :func:`pipeline.profiles.session_profiles`, shape (sessions, ...).
    instrument
        Gives the tick: everything is compared in whole ticks.

    Returns
    -------
    DataFrame
        Indexed like ``profiles``:

        value_area_overlap
            Ticks of this value area that lie in the one before too, as a share of its ticks, 0 to 1.
        value_area_relation
            Of the areas as sets of ticks, the first that holds: ``higher`` and ``lower`` share no tick;
            ``inside`` has no tick outside the one before (the same area is inside); ``outside`` holds the whole one
            before; ``overlapping_higher`` and ``overlapping_lower`` have both ends higher, or lower.
        vpoc_migration_ticks
            This VPOC less the one before.
        vpoc_direction
            Its sign: 1, 0 or -1.
        vpoc_run
            How many sessions up to this one the VPOC moved in this direction; 0 where it didn't move.

    Raises
    ------
    DataError
        For profiles that are not usable.

    Notes
    -----
    Comparing today's value area with yesterday's in these classes is the floor's daily exercise (Dalton, Jones and
    Dalton, *Mind over Markets*, 1993, on value-area placement).
    """
    sessions = require_profiles(profiles)
    val, vah, vpoc = (instrument.to_ticks(profiles[name].to_numpy(np.float64)) for name in ("val", "vah", "vpoc"))
    runs = contract_runs(profiles)
    known = np.zeros(len(sessions), np.bool_)
    known[1:] = runs[1:] == runs[:-1]
    moves = np.append(0, np.diff(vpoc))[: len(vpoc)]
    relation = _relation(val, vah)
    relation[~known] = None
    columns = {
        "value_area_overlap": np.where(known, _overlap(val, vah), np.nan),
        "value_area_relation": pd.array(relation, dtype="str"),
        "vpoc_migration_ticks": np.where(known, moves, np.nan),
        "vpoc_direction": np.where(known, np.sign(moves), np.nan),
        "vpoc_run": np.where(known, _run_lengths(np.where(known, np.sign(moves), 0)), np.nan),
    }
    return pd.DataFrame(columns, index=sessions)


def _before(values: Ints) -> Ints:
    return np.append(values[:1], values[:-1])


def _overlap(val: Ints, vah: Ints) -> Floats:
    shared = np.minimum(vah, _before(vah)) - np.maximum(val, _before(val)) + 1
    return np.maximum(shared, 0) / (vah - val + 1)


def _relation(val: Ints, vah: Ints) -> NDArray[np.object_]:
    bottom, top = _before(val), _before(vah)
    # In the order of ValueAreaRelation; the last two are asked before the overlapping ones, which are what is left.
    higher, lower = val > top, vah < bottom
    inside = (val >= bottom) & (vah <= top)
    outside = (val <= bottom) & (vah >= top)
    code = np.select([higher, lower, inside, outside, val > bottom], [0, 1, 4, 5, 2], default=3)
    return np.array(get_args(ValueAreaRelation), dtype=object)[code]


def _run_lengths(signs: NDArray[np.int64]) -> Ints:
    places = np.arange(len(signs))
    changed = np.append(True, signs[1:] != signs[:-1])[: len(signs)]
    begun = np.maximum.accumulate(np.where(changed, places, 0)) if len(signs) else places
    return np.where(signs == 0, 0, places - begun + 1)
