"""Random people to train on: `python assets/make_people.py --out DIR [--count 40] [--seed 0]`.

Relatives of the bundled characters (`characters/people.py`): their faces and bodies mixed, with any
skin, hair, clothes and backdrop. The same seed gives the same people. Training keeps the bundled
characters themselves for judging.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from characters.people import PEOPLE, Person, srgb
from make_characters import draw

# From light to dark, and from black to red.
SKINS = ["#f0cfb9", "#e8b596", "#dca07c", "#c68a62", "#b0764f", "#99623f", "#825033", "#6a3f29"]
SKINS += ["#543121", "#40261b", "#2f1d16"]
HAIRS = ["#0e0c0d", "#1d1411", "#3a2417", "#6b3f22", "#a06a3a", "#c9a066", "#7b7672", "#b5462a"]


def random_person(rng: np.random.Generator, name: str) -> Person:
    """One person from three parents and a palette."""
    shares = rng.dirichlet((0.6, 0.6, 0.6))
    parent = PEOPLE[rng.integers(len(PEOPLE))]

    def mixed(attribute: str) -> np.ndarray:
        values = np.array([getattr(p, attribute) for p in PEOPLE])
        spread = values.std(axis=0) * rng.normal(0, 0.25, values.shape[1:])
        return np.tensordot(shares, values, 1) + spread

    skin = between(rng, SKINS)
    rosy = np.array((1.0, 0.72, 0.66))
    hue, deep = rng.random(), rng.uniform(0.1, 0.9)
    cloth, other = vivid(hue, deep), vivid(hue + rng.uniform(0.2, 0.8), rng.uniform(0.2, 1))
    back = vivid(rng.random(), rng.uniform(0.2, 0.9), colourful=0.3)
    body = mixed("body")
    body[[4, 5, 8]] = parent.body[[4, 5, 8]]  # traits that are there or not
    return replace(
        parent,
        name=name,
        face=mixed("face"),
        body=body,
        hair_style=int(rng.integers(3)),
        clothes=int(rng.integers(3)),
        skin=tuple(skin),
        blush=tuple(skin * rosy),
        lips=tuple(skin * np.array((0.85, 0.5, 0.5))),
        hair=tuple(between(rng, HAIRS)),
        top=tuple(cloth),
        trim=tuple(cloth * 0.85),
        jacket=tuple(other),
        backdrop=(tuple(back), tuple(back * rng.uniform(0.3, 0.8))),
        bare_forearms=bool(rng.random() < 0.5),
        beard=float(parent.beard * rng.uniform(0, 1.2)),
        hoops=bool(rng.random() < 0.2),
        hand_size=float(rng.uniform(0.88, 1.02)),
        pose=rng.normal(0, 0.04, 2),
    )


def between(rng: np.random.Generator, palette: list[str]) -> np.ndarray:
    """A colour between two neighbours of a palette, linear RGB."""
    place = rng.uniform(0, len(palette) - 1)
    low = int(place)
    a, b = (np.array(srgb(palette[min(i, len(palette) - 1)])) for i in (low, low + 1))
    return a + (place - low) * (b - a)


def vivid(hue: float, lightness: float, colourful: float = 0.7) -> np.ndarray:
    """A colour of a hue 0..1, linear RGB."""
    waves = 0.5 + 0.5 * np.cos(2 * np.pi * (hue + np.array((0, 1 / 3, 2 / 3))))
    return lightness**2 * ((1 - colourful) + colourful * waves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--rays", type=int, default=2, help="samples a pixel, squared")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        name = f"person-{arguments.seed}-{number:03d}"
        person = random_person(np.random.default_rng((arguments.seed, number)), name)
        picture = draw(person, arguments.height, arguments.rays)
        Image.fromarray(picture).save(arguments.out / f"{name}.jpg", quality=95)
        print(name, flush=True)


if __name__ == "__main__":
    main()
