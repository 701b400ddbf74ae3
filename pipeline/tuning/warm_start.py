"""Starting points of a study: the best parameters of the study before it, of the same target on other data."""

from collections.abc import Sequence
from typing import Any

from pipeline.errors import ConfigurationError
from pipeline.search_space import SearchSpace
from pipeline.tuning.campaign import Subject
from pipeline.tuning.objectives import directions
from pipeline.tuning.storage import StudyStorage

__all__ = ["previous_best"]


def previous_best(
    storage: StudyStorage, subject: Subject, space: SearchSpace, objectives: Sequence[str]
) -> dict[str, Any] | None:
    """The best parameters of the latest earlier study of this symbol, target and first objective.

    Earlier data overlaps with today's, so this is no untouched evidence: it is where to look first, and each study
    judges it again on its own data.

    Returns
    -------
    dict
        None where there was no such study, or its best lies outside the space.
    """
    before = f"{subject.symbol}/{subject.target}/"

    def found() -> dict[str, Any] | None:
        studies = [
            each
            for each in storage.optuna.get_all_studies()
            if each.study_name.startswith(before)
            and not each.study_name.startswith(f"{subject.study}/")
            # symbol/target/version/objectives/space; neither a symbol nor a target holds a slash
            and each.study_name.split("/")[3].split("+")[0] == objectives[0]
        ]
        for study in sorted(studies, key=lambda each: each._study_id, reverse=True):
            trials = storage.optuna.get_all_trials(study._study_id, deepcopy=False)
            complete = [each for each in trials if each.state.name == "COMPLETE"]
            if not complete:
                continue
            way = directions(objectives)[0]
            best = min(complete, key=lambda each: each.values[0] if way == "minimize" else -each.values[0])
            if best.params.keys() != space.keys():
                return None
            try:
                params = space.read(best.params)
            except ConfigurationError:  # one of its options is none any more
                return None
            return params if space.contains(params) else None
        return None

    return storage.patiently(found)
