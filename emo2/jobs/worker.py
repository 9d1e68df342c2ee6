"""Long work, one piece at a time, watched and stopped from a generator.

Gradio frees a queue slot as soon as a visitor stops or leaves, whether or not the work behind it
has ended. So the work runs in a thread of its own that holds *our* lock from its first step to its
last: two renders never share the processor, and whoever stops watching stops the work at its next
step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from emo2.errors import Cancelled
from emo2.types import Frame, Progress


@dataclass(frozen=True)
class Report:
    """What to tell a person who is waiting."""

    progress: Progress | None
    """`None` while the work waits for its turn or loads."""
    waiting: bool
    """True while someone else's work runs."""
    stopping: bool
    """It was asked to stop and is finishing its step."""
    elapsed_s: float
    """Since the work got its turn."""
    remaining_s: float | None
    """Of this stage, from the rate measured so far."""
    picture: Frame | None
    """The newest frame."""


class Job:
    """One piece of work as seen from three sides: who does it, who watches it, who stops it."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._done = threading.Event()
        self._progress: Progress | None = None
        self._picture: Frame | None = None
        self._started_at: float | None = None
        self._stage_starts: dict[str, tuple[float, int]] = {}

    # Who stops it ----------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._stop.set()

    @property
    def cancelled(self) -> bool:
        """Somebody asked it to stop."""
        return self._stop.is_set()

    # Who does it -----------------------------------------------------------------------------

    def on_step(self, progress: Progress) -> None:
        """For every `on_step` argument of the pipeline. Raises `Cancelled`."""
        if self.cancelled:
            raise Cancelled
        self._stage_starts.setdefault(progress.stage, (time.monotonic(), progress.done))
        self._progress = progress

    def frames(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """`frames`, shown as they pass. A stop ends them early: what is there can be kept."""
        try:
            for frame in frames:
                self._picture = frame
                yield frame
                if self.cancelled:
                    return
        except Cancelled:
            return

    # Who watches it --------------------------------------------------------------------------

    @property
    def started(self) -> bool:
        """It has had its turn."""
        return self._started_at is not None

    @property
    def finished(self) -> bool:
        """It is over, for whatever reason."""
        return self._done.is_set()

    def finish(self) -> None:
        """Mark it as over."""
        self._done.set()

    def report(self) -> Report:
        """How far it is."""
        now = time.monotonic()
        progress, remaining_s = self._progress, None
        if progress is not None:
            # From the first report on: what came before it was loading, not work.
            stage_at, stage_done = self._stage_starts[progress.stage]
            if progress.done > stage_done:
                per_unit_s = (now - stage_at) / (progress.done - stage_done)
                remaining_s = per_unit_s * (progress.total - progress.done)
        elapsed_s = now - self._started_at if self._started_at is not None else 0.0
        return Report(
            progress, not self.started, self.cancelled, elapsed_s, remaining_s, self._picture
        )

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; False when `timeout_s` passed first."""
        return self._done.wait(timeout_s)

    def take_turn(self, turn: threading.Lock) -> None:
        """Block until `turn` is ours. Raises `Cancelled`."""
        while not turn.acquire(timeout=0.1):
            if self.cancelled:
                raise Cancelled
        self._started_at = time.monotonic()


class Worker:
    """The one who works. Share one between all sessions that share a processor."""

    def __init__(self, report_every_s: float = 0.5) -> None:
        self.report_every_s = report_every_s
        self._turn = threading.Lock()

    def run(self, job: Job, work: Callable[[Job], None]) -> Iterator[Report]:
        """Do `work(job)`; yield a report every `report_every_s`; raise what it raised.

        Closing the generator (the visitor left) cancels the job. `Cancelled` is raised when it was
        stopped before it had made anything.
        """
        failure: list[BaseException] = []

        def body() -> None:
            try:
                job.take_turn(self._turn)
                try:
                    if job.cancelled:
                        raise Cancelled
                    work(job)
                finally:
                    self._turn.release()
            except BaseException as error:  # handed to the watcher, whatever it is
                failure.append(error)
            finally:
                job.finish()

        threading.Thread(target=body, name="emo2-work", daemon=True).start()
        try:
            while not job.wait(self.report_every_s):
                yield job.report()
        finally:
            job.cancel()
        if failure:
            raise failure[0]

    def run_quietly(self, work: Callable[[], object]) -> None:
        """Do `work` in the background, in its turn: loading, while nobody waits yet."""

        def body() -> None:
            with self._turn:
                work()

        threading.Thread(target=body, name="emo2-warm-up", daemon=True).start()
