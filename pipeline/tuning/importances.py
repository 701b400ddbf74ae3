"""Importance of parameters for the objective, from the trials alone, with zero meaning none.

Importances that share out 100 % give something to every parameter, however little any of them did. Here a forest
learns the objective from the parameters of some trials, and is asked about others. A parameter's importance is half of
what the squared error rises by when it is shuffled: the share of the variance that goes through it, alone or with
others (Jansen 1999, the total effect).
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["FEWEST_TRIALS", "finished_trials", "parameter_importances"]

FEWEST_TRIALS = 20
_FOLDS = 5
_SHUFFLES = 5
_TREES = 60


def finished_trials(trials: pd.DataFrame, objective: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Parameters of the trials that are complete, and what each of them gave.

    Parameters
    ----------
    trials
        One row per trial: number, state, values (a value an objective), params (a mapping).
    objective
        Place of the objective in ``values``.

    Returns
    -------
    tuple
        A frame indexed by number with a column a parameter, missing where a trial did not have it; and the value by
        number. Trials whose value is missing or infinite are left out.
    """
    complete = trials[trials["state"] == "complete"].sort_values("number", kind="stable")
    given = np.array([values[objective] for values in complete["values"]], dtype=np.float64)
    complete, given = complete[np.isfinite(given)], given[np.isfinite(given)]
    index = pd.Index(complete["number"], name="number")
    names = list(dict.fromkeys(str(name) for params in complete["params"] for name in params))
    held = {name: pd.Series([params.get(name) for params in complete["params"]], index, dtype=object) for name in names}
    return pd.DataFrame(held, index=index), pd.Series(given, index, name="value")


def parameter_importances(trials: pd.DataFrame, objective: int = 0, *, seed: int = 0) -> pd.DataFrame:
    """Estimate how much of the objective's variance goes through each parameter.

    Parameters
    ----------
    trials, objective
        As :func:`finished_trials` takes them.
    seed
        The same seed gives the same importances.

    Returns
    -------
    DataFrame
        Indexed by parameter, the greatest first: importance, and deviation over the folds; both in shares of the
        variance of the objective's **ranks**, so that one disastrous trial does not outweigh all. About 0, or below, of
        a parameter that says nothing. Its ``attrs["explained"]`` is the share that all together explain on trials the
        forest did not learn from. Empty with fewer than 20 complete trials; parameters that never varied are left out.
    """
    frame, given = finished_trials(trials, objective)
    varying = [name for name in frame.columns if len(set(frame[name].map(repr))) > 1]
    empty = pd.DataFrame({"importance": [], "deviation": []}, index=pd.Index([], name="parameter"), dtype=np.float64)
    empty.attrs["explained"] = 0.0
    ranks = given.rank().to_numpy(np.float64)
    if len(frame) < FEWEST_TRIALS or not varying or np.ptp(ranks) == 0:
        return empty
    from sklearn.ensemble import RandomForestRegressor

    coded = {name: _coded(frame[name]) for name in varying}
    inputs = np.concatenate(list(coded.values()), axis=1)
    own = np.repeat(np.arange(len(varying)), [columns.shape[1] for columns in coded.values()])
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(len(frame)), _FOLDS)
    rises, explained = np.zeros((_FOLDS, len(varying))), np.zeros(_FOLDS)
    for fold, held in enumerate(folds):
        learnt = np.setdiff1d(np.arange(len(frame)), held)
        forest = RandomForestRegressor(_TREES, min_samples_leaf=2, random_state=seed).fit(inputs[learnt], ranks[learnt])
        error = _error(forest.predict(inputs[held]), ranks[held])
        explained[fold] = 1 - error / ranks.var()
        # All shuffles of all parameters in one question: a forest's answer costs by the call.
        asked = np.tile(inputs[held], (len(varying) * _SHUFFLES, 1, 1))
        for place in range(len(asked)):
            columns = own == place // _SHUFFLES
            asked[place][:, columns] = inputs[held][rng.permutation(len(held))][:, columns]
        answers = forest.predict(asked.reshape(-1, inputs.shape[1])).reshape(len(varying), _SHUFFLES, -1)
        rises[fold] = np.square(answers - ranks[held]).mean(axis=(1, 2)) - error
    rises /= 2 * ranks.var()  # two independent draws lie twice the variance apart
    found = pd.DataFrame(
        {"importance": rises.mean(axis=0), "deviation": rises.std(axis=0, ddof=1)},
        index=pd.Index(varying, name="parameter"),
    ).sort_values("importance", ascending=False, kind="stable")
    found.attrs["explained"] = float(explained.mean())
    return found


def _error(foretold: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.square(foretold - truth).mean())


def _coded(values: pd.Series) -> NDArray[np.float64]:
    """Numbers as they are, with a column for being absent where some are; anything else a column a choice."""
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in values.dropna()):
        numbers = values.astype(np.float64).to_numpy()
        absent = np.isnan(numbers)
        columns = [np.where(absent, np.nanmedian(numbers), numbers)] + [absent.astype(np.float64)] * bool(absent.any())
        return np.stack(columns, axis=1)
    names = values.map(repr)
    return np.stack([(names == name).to_numpy(np.float64) for name in sorted(set(names))], axis=1)
