"""Fetch and convert a weight set:

    python -m emo2 weights get echomimic_v2

About 6 GB are downloaded and 4.4 GB stay. It can be stopped and run again: it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tqdm import tqdm

from emo2.types import OnStep, Progress
from emo2.weight_set import CHECKPOINTS, FETCHED


def main(argv: list[str] | None = None) -> int:
    """Get one set and say where it is."""
    parser = argparse.ArgumentParser(
        prog="emo2 weights get",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", choices=FETCHED[:1])
    parser.add_argument(
        "--accelerated", action="store_true", help="the distilled weights: 6 steps, not 30"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="the set's folder")
    parser.add_argument(
        "--revision", help="branch, tag or commit of the weights' repository (its newest)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the downloads")
    options = parser.parse_args(argv)
    folder = options.to or CHECKPOINTS / FETCHED[options.accelerated]

    from emo2.weights.echomimic_v2 import Recipe, get

    recipe = Recipe(
        folder,
        accelerated=options.accelerated,
        revision=options.revision,
        endpoint=os.environ.get("HF_ENDPOINT"),
        keep=options.keep,
    )
    try:
        get(recipe, _bar)
    except KeyboardInterrupt:
        print("emo2: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    name = folder.name if folder.parent == CHECKPOINTS else folder
    print(f"{folder} is ready: --checkpoint {name} --renderer film")
    return 0


def _bar(name: str) -> OnStep:
    bar = tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1000)

    def report(progress: Progress) -> None:
        bar.total = progress.total or None
        bar.update(progress.done - bar.n)
        if progress.done == progress.total:
            bar.close()

    return report


if __name__ == "__main__":
    raise SystemExit(main())
