"""Training: the project's loop beside a plain one and the arithmetic alone, LightGBM beside its own defaults."""

import math
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.timing import best_seconds
from pipeline.errors import ConfigurationError
from pipeline.learning.compute import Compute, choose_compute
from pipeline.learning.models.networks import NetworkSpec
from pipeline.learning.models.rows import TrainingRows
from pipeline.learning.training.job import Inputs, Job, Rows, Trained
from pipeline.learning.training.settings import TrainingSettings

__all__ = ["bench_training", "crossover", "made_table"]

_LAYERS = (128, 64)
_BATCH = 256
_DROPOUT = {"dropout": 0.3, "input_dropout": 0.1}
_SIZES = (500, 2_000, 10_000, 50_000, 250_000)
_COMPARED_EPOCHS = 2
# Of losses: rounding in another order (fused AdamW, sums of weights), and eight bits of a bfloat16's fraction.
_TOLERANCE = {"fp32": 1e-5, "bf16": 2e-2}


def bench_training(
    *,
    rows: int = 5_000,
    columns: int = 210,
    epochs: int = 20,
    trees: int = 100,
    repeat: int = 3,
    compiled: bool = True,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Check the training loop against a plain one, then time both, and the floor, on every kind of device there is.

    Parameters
    ----------
    rows, columns
        Of the table that is learned from, made.
    epochs
        Of each training of a network.
    trees
        Of each fit of LightGBM.
    repeat
        Trainings timed, of which the fastest counts.
    compiled
        Whether to measure ``torch.compile`` too, which takes a minute.
    seed
        Of the table, weights, order and dropout.

    Returns
    -------
    list of dict
        A row an engine and workload: ``engine``, ``workload``, ``unit`` (of what so many are done a second),
        ``per_second`` (None: not measured), ``times_plain`` (how many times as many as the plain loop, or as LightGBM's
        defaults), ``ratio_to_floor`` (its time over that of the arithmetic alone), ``agrees`` (whether its results are
        those of the plain loop; None where there is nothing to compare), ``note``.
    """
    if min(columns, epochs, trees, repeat) < 1 or rows < 10:
        raise ConfigurationError(
            f"rows is {rows}, columns {columns}, epochs {epochs}, trees {trees} and repeat {repeat}; rows must be 10 "
            "or more, the others 1 or more"
        )
    made = made_table(rows, columns, seed)
    job = _job(made, epochs, seed)
    processor = choose_compute("cpu", "fp32")
    found = _loops(job, processor, repeat)
    if compiled:
        found.append(_compiled(job, processor))
    gpu = choose_compute("auto")
    if gpu.device != "cpu":
        found += _loops(job, gpu, repeat)
        if compiled:
            found.append(_compiled(job, gpu))
        found += crossing_rows(processor, gpu, columns, epochs, seed)
    else:
        found += [
            _row(engine, _name(job), "epochs", None, note="not measured: torch sees no GPU here")
            for engine in ("ours, on a GPU", "crossover to a GPU")
        ]
    return found + _lightgbm(made, trees, repeat, seed)


def crossing_rows(
    processor: Compute, gpu: Compute, columns: int, epochs: int, seed: int, sizes: Sequence[int] = _SIZES
) -> list[dict[str, Any]]:
    """Epochs a second on both devices by the number of rows, and the row that says from where on the GPU pays."""
    from pipeline.learning.training.loop import run

    found, seconds = [], {}
    for size in sizes:
        job = _job(made_table(size, columns, seed), epochs, seed)
        for compute in (processor, gpu):
            call = partial(run, job, compute)
            spent = best_seconds(call, 1, clock=time.perf_counter) / epochs
            seconds[size, compute] = spent
            found.append(_row(f"ours, {compute.device}, {compute.precision}", _name(job), "epochs", 1 / spent))
    begins = crossover(sizes, [seconds[size, processor] for size in sizes], [seconds[size, gpu] for size in sizes])
    note = (
        f"{gpu.device} is the slower one up to {max(sizes):,} rows"
        if begins is None
        else f"{gpu.device} is the faster one from {begins:,} rows on"
    )
    return [*found, _row("crossover to a GPU", _name(job), "epochs", None, note=note)]


def crossover(sizes: Sequence[int], processor: Sequence[float], gpu: Sequence[float]) -> int | None:
    """The smallest size from which on the GPU takes less time at every size measured; None where it never does.

    Examples
    --------
    >>> crossover([10, 100, 1000], [1.0, 2.0, 20.0], [1.5, 1.5, 1.6])
    100
    """
    begins = None
    for size, slow, fast in zip(reversed(sizes), reversed(processor), reversed(gpu), strict=True):
        if fast >= slow:
            break
        begins = size
    return begins


def _loops(job: Job, compute: Compute, repeat: int) -> list[dict[str, Any]]:
    import torch

    from bench.training_loops import bare_products, bare_steps, plain_loop
    from pipeline.learning.training.loop import run
    from pipeline.learning.training.torch_state import settled

    agrees, trained = _agree(job, compute)
    # As many threads for all three as the project's own loop takes for such rows.
    threads = int(trained.facts["threads"])
    device = torch.device(compute.device)

    def products() -> None:
        with settled(device, threads), torch.inference_mode():
            bare_products(job, compute)

    def floor_steps(dropout_of_torch: bool = False) -> None:
        with settled(device, threads):
            bare_steps(job, compute, trained.offset, dropout_of_torch=dropout_of_torch)

    def plain_epochs() -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            plain_loop(job, compute, trained.offset)
        finally:
            torch.set_num_threads(before)

    calls = (floor_steps, plain_epochs, lambda: run(job, compute), products, lambda: floor_steps(True))
    floor, plain, ours, multiplied, drawn = _in_turn(calls, repeat)
    where = f"{compute.device}, {compute.precision}"
    name = _name(job)
    width = f"{threads} thread{'' if threads == 1 else 's'}"

    def row(engine: str, seconds: float, **more: Any) -> dict[str, Any]:
        return _row(
            f"{engine}, {where}",
            name,
            "epochs",
            job.epochs / seconds,
            times_plain=plain / seconds,
            ratio_to_floor=seconds / floor,
            **more,
        )

    return [
        row("matrix products alone", multiplied, note=f"of one batch again and again; {width}"),
        row("floor: forward, backward, step", floor, note=f"one batch again and again; {width}"),
        row("the floor with torch's dropout", drawn, note=f"as the plain loop has it; {width}"),
        row(
            "plain DataLoader loop",
            plain,
            note=f"TensorDataset, AdamW, torch's dropout, loss.item() at each step; {width}",
        ),
        row(
            "ours",
            ours,
            agrees=agrees,
            note=f"{width}; {floor / ours:.0%} of the floor's speed",
        ),
    ]


def _in_turn(calls: Sequence[Callable[[], object]], repeat: int) -> list[float]:
    """Seconds of the fastest of each call, called in turn, so that what else the machine does hits all alike."""
    for call in calls:
        call()
    best = [math.inf] * len(calls)
    for _ in range(repeat):
        for number, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            best[number] = min(best[number], time.perf_counter() - begin)
    return best


def _agree(job: Job, compute: Compute) -> tuple[bool, Trained]:
    """Return True if some epochs without dropout, in one order, give the plain loop's losses."""
    from bench.training_loops import plain_loop
    from pipeline.learning.training.loop import run

    arguments = {**job.network.arguments, **dict.fromkeys(_DROPOUT, 0.0)}
    short = replace(job, network=NetworkSpec(job.network.name, arguments), epochs=min(_COMPARED_EPOCHS, job.epochs))
    trained = run(short, compute)
    plain = plain_loop(short, compute, trained.offset, same_order=True)
    own = [figures["train_loss"] for figures in trained.log]
    return bool(np.allclose(own, plain, rtol=_TOLERANCE[compute.precision], atol=0.0)), trained


def _compiled(job: Job, compute: Compute) -> dict[str, Any]:
    import torch

    from pipeline.learning.training.compilation import pays
    from pipeline.learning.training.loop import run

    engine, name = f"ours, torch.compile, {compute.device}", _name(job)
    if compute.device == "cpu" and not any(shutil.which(compiler) for compiler in ("g++", "clang++", "c++")):
        return _row(engine, name, "epochs", None, note="skipped: there is no C++ compiler")
    epochs = max(job.epochs, 4)
    seconds: dict[str, list[float]] = {}
    logs = {}
    # What an earlier run has compiled and left on the disk would hide what compiling costs.
    with torch.compiler.config.patch(force_disable_caches=True), warnings.catch_warnings():  # type: ignore[attr-defined]
        warnings.simplefilter("ignore")  # that its caches are off
        for wanted in ("never", "always"):
            settings = job.settings.model_copy(update={"compile": wanted})
            logs[wanted] = run(replace(job, settings=settings, epochs=epochs), compute)
            seconds[wanted] = [len(job.train) / figures["samples_per_second"] for figures in logs[wanted].log]
    # The first epoch compiles, and a second may again, for batches of another size.
    steady = {wanted: min(each[2:]) for wanted, each in seconds.items()}
    cost = sum(seconds["always"][:2]) - 2 * steady["always"]
    gain = steady["never"] / steady["always"]
    pays_after = f"pays after {cost / (steady['never'] - steady['always']):,.0f} epochs" if gain > 1 else "never pays"
    rule = pays(job, compute.device.partition(":")[0])
    losses = {
        wanted: [figures["train_loss"] for figures in trained.log[:_COMPARED_EPOCHS]]
        for wanted, trained in logs.items()
    }
    return _row(
        engine,
        name,
        "epochs",
        1 / steady["always"],
        # Dropout is drawn in another way where kernels are fused, so that losses are alike, not the same.
        agrees=bool(np.allclose(losses["always"], losses["never"], rtol=0.05)),
        note=f"{gain:.2f} times as fast once compiled, which takes {cost:.0f} s: {pays_after}; the rule for auto says "
        f"{'compile' if rule else 'do not'}",
    )


def _lightgbm(made: TrainingRows, trees: int, repeat: int, seed: int) -> list[dict[str, Any]]:
    import lightgbm

    from pipeline.learning.models.registry import make_model

    name = f"{len(made):,} rows × {made.features.shape[1]} columns, {trees} trees"
    ours = make_model("lightgbm", {"rounds": trees, "validation_share": 0}, seed=seed).fit(made)
    given = _lightgbm_settings(ours.settings.model_dump())
    weight = made.weight

    def defaults(**settings: Any) -> Any:
        model = lightgbm.LGBMClassifier(n_estimators=trees, verbosity=-1, **settings)
        return model.fit(made.features, made.label, sample_weight=weight)

    same_trees = {**given, "random_state": seed % 2**31, "bagging_freq": int(given["bagging_fraction"] < 1)}
    scores = defaults(**same_trees).predict_proba(made.features)[:, 1]
    agrees = bool(np.allclose(scores, ours.predict_proba(made.features), atol=1e-6))
    calls: dict[str, Callable[[], object]] = {
        "LightGBM, its defaults": defaults,
        "LightGBM, our trees, its defaults otherwise": lambda: defaults(**same_trees),
        "LightGBM, ours": lambda: make_model("lightgbm", ours.settings, seed=seed).fit(made),
    }
    seconds = dict(zip(calls, _in_turn(list(calls.values()), repeat), strict=True))
    plain = seconds["LightGBM, its defaults"]
    notes = {
        "LightGBM, its defaults": "31 leaves, 255 bins, all rows and features; threads as it likes",
        "LightGBM, our trees, its defaults otherwise": f"{given['num_leaves']} leaves, {given['max_bin']} bins, parts "
        "of rows and features",
        "LightGBM, ours": "the same bits each time; with the choice of features",
    }
    return [
        _row(
            engine,
            name,
            "fits",
            1 / spent,
            times_plain=plain / spent,
            agrees=agrees if engine == "LightGBM, ours" else None,
            note=notes[engine],
        )
        for engine, spent in seconds.items()
    ]


def _lightgbm_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    own = ("rounds", "patience", "validation_share", "refit", "calibration", "calibration_folds")
    return {name: value for name, value in settings.items() if name not in own}


def made_table(rows: int, columns: int, seed: int) -> TrainingRows:
    """Columns of noise, of which the first five tell a little of the label."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((rows, columns))
    chance = 1 / (1 + np.exp(0.5 - 0.3 * values[:, :5].sum(axis=1)))
    label = (random.random(rows) < chance).astype(np.float64)
    label[:2] = (0.0, 1.0)
    start = pd.Timestamp("2015-01-02", tz="UTC") + pd.to_timedelta(np.arange(rows), "h")
    outcome = pd.DataFrame(
        {
            "start": start,
            "end": start + pd.Timedelta("6h"),
            "label": label,
            "r_multiple": 3 * label - 1,
            "net": 300 * label - 100,
            "weight": random.uniform(0.2, 1.0, rows),
        }
    )
    names = [f"feature_{number:03d}" for number in range(columns)]
    return TrainingRows(pd.DataFrame(values, columns=names), outcome)


def _job(made: TrainingRows, epochs: int, seed: int) -> Job:
    from pipeline.learning.models.neural import aligned

    rows, columns = made.features.shape
    width = aligned(columns)
    values = np.zeros((rows, width), np.float32)
    values[:, :columns] = made.features.to_numpy()
    names = tuple(f"column {number}" for number in range(width))
    return Job(
        family="bench",
        network=NetworkSpec("mlp", {"width": width, "layers": list(_LAYERS), **_DROPOUT}),
        train=Rows(
            Inputs((values,), (names,)),
            made.label.astype(np.float32),
            made.weight.astype(np.float32),
            [str(row) for row in made.features.index],
        ),
        validation=None,
        settings=TrainingSettings.model_validate(
            {
                "epochs": max(epochs, _COMPARED_EPOCHS),
                "batch_size": _BATCH,
                "compile": "never",
                "validation_share": 0,
            }
        ),
        seed=seed,
        epochs=epochs,
    )


def _name(job: Job) -> str:
    rows, width = job.train.inputs.arrays[0].shape
    return f"{rows:,} rows × {width} columns, layers {'/'.join(map(str, _LAYERS))}, batch {_BATCH}"


def _row(
    engine: str,
    workload: str,
    unit: str,
    per_second: float | None,
    *,
    times_plain: float | None = None,
    ratio_to_floor: float | None = None,
    agrees: bool | None = None,
    note: str = "",
) -> dict[str, Any]:
    return {
        "engine": engine,
        "workload": workload,
        "unit": unit,
        "per_second": per_second,
        "times_plain": times_plain,
        "ratio_to_floor": ratio_to_floor,
        "agrees": agrees,
        "note": note,
    }
