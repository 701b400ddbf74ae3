"""The data dictionary, made from the registry.

``python -m pipeline.features.dictionary > docs/feature_dictionary.md``
"""

import sys
from collections.abc import Mapping

from pipeline.features.registry import CANDIDATE_COLUMNS, Feature, registered
from pipeline.market import find_instrument

__all__ = ["feature_dictionary"]

_HEAD = """# Data dictionary of the features

Made from the registry by `python -m pipeline.features.dictionary`; change the features, not this page.
How they are made, and the rules they keep: [features](features.md).

- **Sessions**: history a value needs, the current session included, with the default settings (ES / around the clock
  where that differs); before that it is missing.
- **Short**: what a short candidate sees: `× −1` where the sign is a direction, the column that takes its place, nothing
  where it is the same.
- **Needs**: inputs without which the column is absent.
"""

_CANDIDATES = {
    "candidate_reward_risk": "Target distance over stop distance.",
    "candidate_stop_ticks": "Distance from the entry to the stop, ticks.",
    "candidate_target_ticks": "Distance from the entry to the target, ticks.",
}


def feature_dictionary(features: Mapping[str, Feature] | None = None) -> str:
    """The page, in Markdown: a table a family, a row a column."""
    pool = registered() if features is None else features
    parts = [_HEAD, f"{len(pool)} columns in {len({one.family for one in pool.values()})} families.\n"]
    for family in sorted({one.family for one in pool.values()}):
        rows = [_row(one) for one in pool.values() if one.family == family]
        parts += [f"## {family}\n", "| column | what | sessions | short | needs |", "|---|---|---|---|---|", *rows, ""]
    parts += ["## Of each candidate\n", "Added by `candidate_features`.\n", "| column | what |", "|---|---|"]
    parts += [f"| `{name}` | {_CANDIDATES[name]} |" for name in CANDIDATE_COLUMNS]
    return "\n".join(parts) + "\n"


def _row(one: Feature) -> str:
    futures, crypto = (one.sessions_needed(find_instrument(symbol)) for symbol in ("ES", "BTCUSDT"))
    short = [f"`{one.mirror}`"] * (one.mirror != one.name) + ["× −1"] * one.signed
    return (
        f"| `{one.name}` | {one.description.replace('|', '/')} | {futures}{f' / {crypto}' * (crypto != futures)} "
        f"| {' '.join(short)} | {', '.join(one.needs)} |"
    )


if __name__ == "__main__":
    sys.stdout.write(feature_dictionary())
