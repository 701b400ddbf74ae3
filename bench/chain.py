"""The whole chain, cold: every step's seconds on seven years of bars, beside those of the release before.

A run begins in a folder of its own with nothing made before but compiled code, which numba keeps from the first run of
an installation on.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from pipeline.errors import ChainError, DataError
from pipeline.home import PROJECT, Home

__all__ = ["bench_chain", "bench_features", "keep_release", "kept_releases"]

REAL_FILE = "es_5m_2015_2021.parquet"
KEPT = Path(__file__).with_name("chain_releases.json")
START = "start"
BETWEEN = "between steps"
FIGURES = ("trades", "pnl")
# As many sessions as the real bars have, from the same day on.
SIMULATED = "simulator: {start: '2014-12-24', sessions: 1782, bar: 5min}\n"


def bench_chain(real_data: Path | None = None) -> dict[str, Any]:
    """Run the chain in a process and a home of its own, with the default settings and both models.

    Parameters
    ----------
    real_data
        Folder with ``es_5m_2015_2021.parquet``; that which ``VPOC_REAL_DATA`` names where None. Without one the bars
        are simulated.

    Returns
    -------
    dict
        ``workload``; ``steps``, a row per step in their order: ``step``, ``seconds``, ``processor_seconds`` (of all
        processes), ``previous_seconds`` and ``previous_processor_seconds`` (None where none are kept), the last row the
        total; ``figures`` (trades and net profit of each backtest, each model's AUC within folds); ``differences``
        (sentences: where a figure is not the kept one); ``previous`` (release and conditions).

    Raises
    ------
    ChainError
        If the chain fails.
    """
    folder = real_data or os.environ.get("VPOC_REAL_DATA")
    source = None if not folder else (Path(folder) / REAL_FILE).absolute()
    if source is not None and not source.exists():
        raise DataError(f"{source} does not exist: name the folder that holds {REAL_FILE}, or none to simulate bars")
    with tempfile.TemporaryDirectory(prefix="vpoc-bench-") as made:
        home = Path(made) / "home"
        home.mkdir()
        if source is None:
            (home / "settings.yaml").write_text(SIMULATED, encoding="utf-8")
        began = time.time()
        given = [str(began), *([] if source is None else [str(source)])]
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", __name__, *given],
            env={**os.environ, "VPOC_HOME": str(home)},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            raise ChainError(f"the chain failed: {said[-1] if said else f'exit code {done.returncode}'}")
        result = json.loads(done.stdout.splitlines()[-1])
    workload = "simulated ES, seven years of 5-minute bars" if source is None else "real ES, seven years"
    return _beside_kept(workload, result)


def bench_features(sessions: int = 2_520, repeat: int = 3) -> dict[str, Any]:
    """Time every feature with its inputs, from bars on: ten years of simulated 5-minute ES by default.

    Returns
    -------
    dict
        ``bars``, ``features`` (columns), ``seconds`` and ``processor_seconds`` of the fastest of ``repeat`` times.
    """
    from pipeline.features import FeatureInputs, build_features
    from pipeline.market import find_instrument, simulate_market

    es = find_instrument("ES")
    bars = simulate_market(es, "2014-12-24", sessions, 0, bar="5min")
    best = (float("inf"), float("inf"))
    for _ in range(repeat + 1):  # the first one imports what it needs
        began, processor = time.perf_counter(), time.process_time()
        table = build_features(FeatureInputs.from_bars(bars, es))
        best = min(best, (time.perf_counter() - began, time.process_time() - processor))
    return {"bars": len(bars), "features": table.shape[1], "seconds": best[0], "processor_seconds": best[1]}


def kept_releases() -> dict[str, Any]:
    """Return what is kept of the release before, by workload."""
    found: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
    return found


def keep_release(found: Mapping[str, Any], release: str, conditions: str) -> None:
    """Keep a run's figures as those of a release, in place of the ones before."""
    steps = {row["step"]: [row["seconds"], row["processor_seconds"]] for row in found["steps"]}
    entry = {"release": release, "conditions": conditions, "steps": steps, "figures": found["figures"]}
    kept = kept_releases() | {found["workload"]: entry}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _beside_kept(workload: str, result: Mapping[str, Any]) -> dict[str, Any]:
    kept = kept_releases().get(workload, {})
    before = kept.get("steps", {})
    steps = [
        {
            "step": name,
            "seconds": round(seconds, 2),
            "processor_seconds": round(processor, 2),
            "previous_seconds": before.get(name, (None, None))[0],
            "previous_processor_seconds": before.get(name, (None, None))[1],
        }
        for name, (seconds, processor) in result["steps"].items()
    ]
    figures = result["figures"]
    expected = kept.get("figures", {})
    differences = [
        f"{name} is {figures.get(name)}, and was {expected.get(name)}"
        for name in sorted(figures | expected)
        if expected and figures.get(name) != expected.get(name)
    ]
    return {
        "workload": workload,
        "steps": steps,
        "figures": figures,
        "differences": differences,
        "previous": {name: kept[name] for name in ("release", "conditions") if name in kept},
    }


def _run(began: float, source: str | None) -> dict[str, Any]:
    """Run the chain in this process; ``began`` is when it was started, as ``time.time`` tells."""
    from pipeline.environment import prepare_environment
    from pipeline.home import vpoc_home

    home = vpoc_home()
    prepare_environment(home)  # before Dagster is imported, which reads it

    from jobs.chain import run_chain
    from jobs.progress import StepEvent
    from pipeline.datasets import FileSource, remember_source
    from pipeline.definitions import defs

    key = "ES-SIM"
    if source is not None:
        key = "ES"
        remember_source(home, key, FileSource(path=source))

    marks: dict[str, list[tuple[float, float]]] = {}

    def now() -> tuple[float, float]:
        return time.time() - began, _processor_seconds()

    def observe(event: StepEvent) -> None:
        if event.kind in ("started", "finished"):
            marks.setdefault(event.step, []).append(now())

    run_chain(defs, key, home, observe)
    total = now()
    steps = {name: [end[0] - start[0], end[1] - start[1]] for name, (start, end) in marks.items()}
    first = list(min(start for start, _ in marks.values()))
    between = [total[of] - first[of] - sum(step[of] for step in steps.values()) for of in (0, 1)]
    return {
        "steps": {START: first, **steps, BETWEEN: between, "total": total},
        "figures": _figures(home, key),
    }


def _processor_seconds() -> float:
    """Processor seconds of this process, of its children, and of theirs that have ended."""
    own = psutil.Process()
    taken = [own.cpu_times(), *(child.cpu_times() for child in own.children())]
    return sum(one.user + one.system + one.children_user + one.children_system for one in taken)


def _figures(home: Home, key: str) -> dict[str, float]:
    """Figures by which two runs are told apart: trades and net profit of each backtest, AUC of each model."""
    from pipeline.performance import scored_rows
    from pipeline.performance.score_samples import ScoreSample

    summary = pd.read_parquet(home.assets / "backtest_summary" / f"{key}.parquet")
    figures = {
        f"{strategy}: {metric}": float(summary.loc[(strategy, metric), "value"])
        for strategy in summary.index.get_level_values(0).unique()
        for metric in FIGURES
    }
    training_set = pd.read_parquet(home.assets / "training_set" / f"{key}.parquet")
    for path in sorted((home.assets / "models" / key).glob("*.parquet")):
        sample = ScoreSample(scored_rows(pd.read_parquet(path), training_set))
        figures[f"{path.stem}: AUC within folds"] = sample.values()["auc_within_folds"]
    return figures


if __name__ == "__main__":
    print(json.dumps(_run(float(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)))  # noqa: T201
