"""Starting points of a study: the best parameters of the study before it, of the same target on other data."""

from collections.abc import Sequence
from typing import Any

from pipeline.search_space import SearchSpace
from pipeline.tuning.ledger import Ledger
from pipeline.tuning.objectives import directions
from pipeline.tuning.subject import Subject
from pipeline.tuning.trials import costs

__all__ = ["previous_best"]


def previous_best(
    ledger: Ledger, subject: Subject, space: SearchSpace, objectives: Sequence[str]
) -> dict[str, Any] | None:
    """The best parameters of the latest earlier study of this book, target and first objective.

    Earlier data overlaps with today's, so this is no untouched evidence: it is where to look first, and each study
    judges it again on its own data.

    Returns
    -------
    dict
        None where there was no such study, or its best lies outside the space.
    """
    # book/target/version/objectives/space, none of which holds a slash
    book = subject.study.partition("/")[0]
    studies = [
        study
        for study in ledger.studies(subject.symbol, subject.target)
        if study.startswith(f"{book}/")
        and not study.startswith(f"{subject.study}/")
        and study.split("/")[3].split("+")[0] == objectives[0]
    ]
    for study in studies:
        trials = ledger.trials(study)
        complete = trials[trials["state"] == "complete"]
        if complete.empty:
            continue
        ways = directions(objectives)[:1]
        first = [costs(values[:1], ways)[0] for values in complete["values"]]
        best = complete["params"].iloc[first.index(min(first))]
        return space.chosen_from(best) if best.keys() == space.keys() else None
    return None
