"""What the terminal shows while work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from emo2.types import Progress


class Bars:
    """An `on_step` callback: one tqdm bar a stage, and the seconds that each command step took."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.seconds = quiet, {}
        self._bars: dict[str, tqdm] = {}

    def __call__(self, progress: Progress) -> None:
        bar = self._bars.get(progress.stage)
        if bar is None:
            bar = tqdm(
                total=progress.total,
                desc=progress.stage,
                position=len(self._bars),
                disable=self.quiet,
            )
            self._bars[progress.stage] = bar
        bar.update(progress.done - bar.n)

    def close(self) -> None:
        """End the bars that are shown."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time everything inside as `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.close()
            self.seconds[name] = round(time.perf_counter() - start, 3)
