"""How the library of handshapes was made: `python -m emo2.hands.recipes emo2/hands/tables.py`.

Each drawn pose of `emo2.hands.poses` goes to `emo2.hands.ik.solve`, which brings the fingers to
where they touch: tips to the palm, thumb across the fingers, pad to pad. Run it again whenever the
free hand's mesh changes. Deterministic; takes about half a minute.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emo2.hands.contact import HandSurface
from emo2.hands.ik import solve
from emo2.hands.limits import clamp_angles
from emo2.hands.model import HandModel
from emo2.hands.poses import RECIPES
from emo2.hands.skeleton import FINGERS

_FREE_HANDS = Path(__file__).parents[2] / "checkpoints" / "demo" / "hands"


def build(hand_model: HandModel) -> dict[str, np.ndarray]:
    """Every handshape, (5, 5) degrees to a tenth, solved on the right hand of `hand_model`."""
    surface = HandSurface(hand_model)
    shapes = {"flat": np.zeros((5, 5))}
    for name, recipe in RECIPES.items():
        shapes[name] = cook(name, shapes[recipe.like], surface)
    return shapes


def cook(name: str, like: np.ndarray, surface: HandSurface) -> np.ndarray:
    """One handshape from its recipe; `like` is the finished one that it starts from."""
    recipe, angles = RECIPES[name], like.copy()
    for finger, row in recipe.rows.items():
        angles[FINGERS.index(finger)] = row
    for step in recipe.steps:
        angles = solve(step.goals, angles, surface, step.free, prior_deg=step.prior_deg)
    rounded = np.round(angles, 1)
    clamped = clamp_angles(rounded)  # an inward tenth where rounding went over a limit
    return np.where(clamped == rounded, rounded, np.trunc(10.0 * clamped) / 10.0) + 0.0


def write(shapes: Mapping[str, np.ndarray], path: Path) -> None:
    """The tables as a Python module."""
    lines = [
        '"""Angles of the named handshapes [degrees]; `python -m emo2.hands.recipes` writes them.',
        "",
        "Rows and columns as `emo2.hands.shapes` says.",
        '"""',
        "",
        "TABLES = {",
    ]
    for name, angles in shapes.items():
        lines.append(f'    "{name}": (')
        lines += [f"        ({', '.join(f'{angle:g}' for angle in row)})," for row in angles]
        lines.append("    ),")
    path.write_text("\n".join([*lines, "}", ""]))


def main(arguments: list[str] | None = None) -> None:
    """Solve every recipe and write the module of tables."""
    parser = argparse.ArgumentParser(prog="python -m emo2.hands.recipes", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path(__file__).with_name("tables.py"))
    parser.add_argument("--hands", type=Path, default=_FREE_HANDS, help="folder of MANO_*.npz")
    options = parser.parse_args(arguments)
    write(build(HandModel.from_pretrained(options.hands)), options.path)


if __name__ == "__main__":
    main()
