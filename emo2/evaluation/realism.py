"""Many films against real pictures: how far from real, beside how far real is from itself.

    python -m emo2 evaluate realism films/ --real photographs/

Films and pictures of both sides are looked at by the same detectors; a folder of frames is as good
as a film. `hand_texture_distance` comes with what blurred, noisy and flat-painted real hands would
earn, which is what its number is to be read against. Who is shown, how and in what light counts as
much as how it is made: two sets of photographs can lie farther apart than a drawing from either. So
two renderers are compared by films of the same portraits and motions against one real set, with
some dozens of hands each; one number says nothing alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.evaluation.columns import FILM, markdown
from emo2.evaluation.film_crowds import (
    NAMES,
    NETWORKED,
    OFFLINE,
    WEIGHTS,
    compare,
    crowds,
    gather,
    sources,
)
from emo2.evaluation.hand_texture import FLOORS
from emo2.evaluation.identity import is_installed
from emo2.evaluation.networks.sources import SOURCES, is_there


def realism(
    made: Sequence[Path], real: Sequence[Path], names: Sequence[str] | None = None
) -> dict[str, float]:
    """The named figures (default: all that can be made here) of films against real sources."""
    kinds = crowds(available() if names is None else names)
    return distances(gather(made, kinds), gather(real, kinds))


def distances(
    made: Sequence[dict[str, np.ndarray]], real: Sequence[dict[str, np.ndarray]]
) -> dict[str, float]:
    """The same of tables that were gathered before, one a source."""
    facts: dict[str, float] = {}
    for name in (name for name in NAMES if made and name in made[0]):
        facts |= compare(name, [tables[name] for tables in made], [t[name] for t in real])
    if "hand_texture_distance" in facts:
        facts |= spoilt(real)
    return facts


def available(networks: Sequence[str] | None = None) -> list[str]:
    """All figures that can be made here, with these published networks (default: those that are
    there)."""
    lacking = () if is_installed() else ("face_frechet",)
    networks = [name for name in SOURCES if is_there(name)] if networks is None else networks
    return [
        *(name for name in OFFLINE if name not in lacking),
        *(name for name in NETWORKED if WEIGHTS[name] in networks),
    ]


def spoilt(real: Sequence[dict[str, np.ndarray]]) -> dict[str, float]:
    """`hand_texture_distance` of the real hands themselves, spoilt in three ways."""
    key = "hand_texture_distance"
    whole = [tables[key] for tables in real]
    return {
        f"{key}_{way}": compare(key, [tables[f"{key}_{way}"] for tables in real], whole)[key]
        for way in FLOORS
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Compare films with real pictures and print one line of JSON, or a table."""
    parser = argparse.ArgumentParser(prog="emo2 evaluate realism", description=__doc__)
    parser.add_argument("films", type=Path, nargs="+", help="films, or folders of films or frames")
    parser.add_argument("--real", type=Path, nargs="+", required=True, help="the same, real")
    parser.add_argument("--measures", nargs="+", choices=NAMES, help="default: all that are here")
    parser.add_argument("--table", action="store_true", help="a Markdown table in place of JSON")
    options = parser.parse_args(argv)
    made, real = (
        [s for place in side for s in sources(place)] for side in (options.films, options.real)
    )
    if len(real) < 2:
        raise InputError("--real", "needs two sources or more", len(real), "Name a folder.")
    facts = realism(made, real, options.measures) | {"made": len(made), "real": len(real)}
    print(markdown(FILM, facts) if options.table else as_json(facts))
    return 0


def as_json(facts: dict) -> str:
    """JSON has no NaN: what could not be measured is null."""
    return json.dumps(
        {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in facts.items()
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
