"""The folder of a training run: what was run (`config.json`) and how it went (`log.csv`, and
TensorBoard where it is wanted)."""

from __future__ import annotations

import csv
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from emo2.errors import InputError

PACKAGES = ("torch", "accelerate", "diffusers", "transformers", "numpy")


class RunFolder:
    """Writes the logs; one process of a run has it."""

    def __init__(
        self, folder: Path, fields: Sequence[str], *, step: int = 0, tensorboard: bool = False
    ) -> None:
        """`step` is where the run goes on: what was logged after it is forgotten."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.fields = folder, tuple(fields)
        self._board = open_tensorboard(folder / "tensorboard", step) if tensorboard else None
        path = folder / "log.csv"
        rows = []
        if step and path.is_file():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.fields, lineterminator="\n", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def describe(self, facts: Mapping[str, object]) -> None:
        """Write `config.json`: the given facts, the code's version and the machine."""
        told = {**facts, "code": code_version(), "machine": machine()}
        (self.folder / "config.json").write_text(json.dumps(told, indent=1) + "\n")

    def log(self, row: Mapping[str, float]) -> None:
        """Append one row."""
        with (self.folder / "log.csv").open("a", newline="") as file:
            csv.DictWriter(file, self.fields, lineterminator="\n").writerow(row)
        if self._board is not None:
            for name, value in row.items():
                if name != "step":
                    self._board.add_scalar(name, value, int(row["step"]))
            self._board.flush()

    def close(self) -> None:
        """The last row is written."""
        if self._board is not None:
            self._board.close()


def open_tensorboard(folder: Path, step: int = 0):
    """A TensorBoard writer. Raises `InputError` where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            "--tensorboard",
            "needs the package tensorboard",
            "not installed",
            "Run `pip install 'tensorboard<2.20'` (mediapipe holds protobuf at 4), or leave it "
            "out: log.csv has the same numbers.",
        ) from error
    return SummaryWriter(folder, purge_step=step or None)


def code_version() -> dict[str, object]:
    """The commit of this code, and whether its files were changed since."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(here), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changed = git("status", "--porcelain", "--untracked-files=no")
    return {
        "git_commit": git("rev-parse", "HEAD") or "unknown",
        "git_dirty": None if changed is None else bool(changed),
    }


def machine() -> dict[str, object]:
    """Versions of what the numbers depend on."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "gpu": gpu,
        **{name: version(name) for name in PACKAGES},
    }
