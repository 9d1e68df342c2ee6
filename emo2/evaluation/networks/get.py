"""Fetch a published measure's network:

    python -m emo2 weights get evaluation/syncnet

It is checked against the hash that other projects pin it by. It can be stopped and run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tqdm import tqdm

from emo2.evaluation.networks.sources import SOURCES, get
from emo2.types import Progress

PREFIX = "evaluation/"


def main(argv: Sequence[str] | None = None) -> int:
    """Get one file and say where it is and whose licence holds."""
    names = "\n".join(
        f"  {PREFIX}{s.name:10} for {', '.join(s.measures)}: {s.network}" for s in SOURCES.values()
    )
    parser = argparse.ArgumentParser(
        prog="emo2 weights get",
        description=f"{__doc__}\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar=f"{PREFIX}NAME")
    name = parser.parse_args(argv).name.removeprefix(PREFIX)
    with tqdm(desc=name, unit="B", unit_scale=True, unit_divisor=1000, disable=None) as bar:

        def report(progress: Progress) -> None:
            bar.total = progress.total or None
            bar.update(progress.done - bar.n)

        try:
            path = get(name, on_step=report)
        except KeyboardInterrupt:
            print("emo2: stopped; the same command goes on from here", file=sys.stderr)
            return 130
    source = SOURCES[name]
    print(f"{path} is ready: evaluate now prints {', '.join(source.measures)}.")
    print(f"Licence: {source.licence}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
