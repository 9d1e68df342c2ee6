"""Which weight sets are here, what they lack, how large they are, and whose licence holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emo2.errors import MissingCheckpoint
from emo2.weight_set import CHECKPOINTS, FETCHED, WeightSet, how_to_get
from emo2.weights.hub import LOCK_NAME, Lock

PARTS = ("audio", "gesture", "hands", "visemes", "video")


@dataclass(frozen=True)
class Entry:
    """One set as it is found."""

    name: str
    bytes: int
    lacks: tuple[str, ...]
    """Parts that are not there."""
    licence: str
    remedy: str = ""
    """How to get it, or the rest of it."""

    def lines(self) -> Iterator[str]:
        """For a person."""
        state = "ready" if not self.lacks else f"lacks {', '.join(self.lacks)}"
        yield f"{self.name:26} {self.bytes / 1e6:8.0f} MB  {state}"
        yield f"{'':26} licence: {self.licence}"
        if self.remedy:
            yield f"{'':26} {self.remedy}"


def sets(folder: Path = CHECKPOINTS) -> list[Entry]:
    """Every set in `folder`, and those that can be fetched."""
    found = sorted(path.parent.name for path in folder.glob("*/config.json"))
    return [_entry(folder / name) for name in dict.fromkeys([*found, *FETCHED])]


def main(argv: list[str] | None = None) -> int:
    """Print the list."""
    parser = argparse.ArgumentParser(prog="emo2 weights list", description=__doc__)
    parser.add_argument("--in", dest="folder", type=Path, default=CHECKPOINTS, metavar="DIR")
    for entry in sets(parser.parse_args(argv).folder):
        print("\n".join(entry.lines()))
    return 0


def _entry(folder: Path) -> Entry:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        weights = WeightSet.open(folder)
        lacks = tuple(part for part in PARTS if not weights.part(part).is_dir())
    except MissingCheckpoint:
        lacks = ("all",) if not folder.is_dir() else ("the end of its conversion",)
    remedy = how_to_get(folder) if lacks else ""
    return Entry(folder.name, size, lacks, _licence(folder), remedy)


def _licence(folder: Path) -> str:
    if (folder / LOCK_NAME).is_file():
        said = Lock.read(folder / LOCK_NAME).licences
        return "; ".join(f"{repo}: {name or 'not said'}" for repo, name in said.items())
    if folder.name in FETCHED:
        return (
            "EchoMimicV2's code is Apache-2.0 and its authors ask for academic use; what the hub "
            "says of each repository is written down on the first get"
        )
    return "this project's own, see LICENSE"


if __name__ == "__main__":
    raise SystemExit(main())
