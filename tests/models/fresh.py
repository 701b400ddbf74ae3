"""Run as a program of its own: load registered models as a stranger would, and say what they predict and import.

Arguments: the models' addresses with commas between, a Parquet file of rows, a JSON file for the answer, and where the
project lies, which is hidden.
"""

import builtins
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

imported: set[str] = set()
original = builtins.__import__


def watched(name: str, globals: Any = None, *arguments: Any, **named: Any) -> Any:
    """Note what the project's modules import themselves."""
    importer = (globals or {}).get("__name__", "")
    level = arguments[2] if len(arguments) > 2 else named.get("level", 0)
    if importer.partition(".")[0] == "pipeline" and not level:
        imported.add(name.partition(".")[0])
    return original(name, globals, *arguments, **named)


def hide_project(project: str) -> None:
    """Leave no way to the project as it is installed here."""
    here = [(path, str(Path(path or ".").resolve())) for path in sys.path]
    # The environment may lie inside the project; it stays.
    sys.path[:] = [path for path, place in here if place.startswith(sys.prefix) or not place.startswith(project)]
    sys.meta_path[:] = [one for one in sys.meta_path if "editable" not in getattr(one, "__module__", "").lower()]
    for name in ("pipeline", "assets", "resources", "tests"):
        found = importlib.util.find_spec(name)
        # An editable installation leaves data files beside the libraries, in a folder that no code can be loaded from.
        assert found is None or found.loader is None, name


def main() -> None:
    addresses, rows, answer, project = sys.argv[1:]
    hide_project(project)
    import mlflow.pyfunc
    import pandas as pd

    builtins.__import__ = watched  # type: ignore[assignment]
    frame = pd.read_parquet(rows)
    found = {}
    for address in addresses.split(","):
        found[address] = answers(mlflow.pyfunc.load_model(address), frame)
    builtins.__import__ = original
    import pipeline

    document = {"models": found, "package": str(Path(pipeline.__file__ or "").resolve())}
    Path(answer).write_text(json.dumps(document))


def answers(model: Any, frame: Any) -> dict[str, Any]:
    """Return a model's scores of some frames, and what was imported until then, by this call or an earlier one."""
    scores = model.predict(frame)
    message = ""
    try:
        model.predict(frame.drop(columns=frame.columns[0]))
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    return {
        "scores": [float(score).hex() for score in scores],
        "shuffled": [float(score).hex() for score in model.predict(frame[frame.columns[::-1]].assign(more=1.0))],
        "type": f"{type(scores).__name__} {scores.dtype} {scores.ndim}",
        "missing": message,
        "imported": sorted(imported - set(sys.stdlib_module_names) - {"pipeline"}),
    }


if __name__ == "__main__":
    main()
