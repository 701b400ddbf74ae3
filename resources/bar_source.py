"""The bar source: which dataset a symbol key stands for, and its raw bars."""

from functools import lru_cache

import dagster as dg

from pipeline.datasets import Dataset, FileSource, find_dataset
from pipeline.home import vpoc_home
from pipeline.market.readers import RawBars

__all__ = ["BarSource"]


class BarSource(dg.ConfigurableResource):
    """Datasets of the home: a user's files by ``sources.yaml``, or the simulator."""

    def dataset(self, key: str) -> Dataset:
        """Find the dataset of a symbol key; errors say how to give it a source."""
        return find_dataset(key, vpoc_home())

    def read(self, key: str) -> RawBars:
        """Read a dataset's raw bars."""
        dataset = self.dataset(key)
        return _read(key, dataset.identity, _fingerprint(dataset))


# Kept because `vpoc run` reads the bars to learn their months, then its run reads them again.
@lru_cache(maxsize=1)
def _read(key: str, identity: str, fingerprint: tuple[tuple[str, int, int], ...]) -> RawBars:
    return find_dataset(key, vpoc_home()).read()


def _fingerprint(dataset: Dataset) -> tuple[tuple[str, int, int], ...]:
    if not isinstance(dataset.source, FileSource):
        return ()
    stats = ((str(path), path.stat()) for path in dataset.source.files())
    return tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in stats)
