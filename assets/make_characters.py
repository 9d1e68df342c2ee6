"""Render the bundled portraits: `python assets/make_characters.py [names...] [--height 1024]`.

Every character is a signed distance (`assets/characters/`) seen through a ray-marched camera: skin,
eyes, hair and cloth are shapes and paint computed from the numbers in `people.py`. The same numbers
give the same picture.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

sys.path.insert(0, str(Path(__file__).parent))

from characters.people import PEOPLE, Person
from characters.shading import render

ASPECT = 832 / 1024


def paint(person: Person) -> np.ndarray:
    """What `shading` wants to know of a person's colours: (12, 3)."""
    return np.array(
        [
            person.skin,
            person.blush,
            person.lips,
            person.hair,
            person.iris,
            (person.brow_weight, person.lashes, 0.0),
            (person.beard, 0.4 + 0.6 * person.lashes, person.freckles),
            person.top,
            person.trim,
            person.jacket,
            *person.backdrop,
        ]
    )


def develop(light: np.ndarray) -> np.ndarray:
    """Linear light to sRGB: a film-like shoulder, a touch of grain against banding."""
    light = np.maximum(light, 0)
    light = light * (1 + light / 9.0) / (1 + light * 0.62)
    picture = np.where(light < 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    grain = np.random.default_rng(0).normal(0, 0.006, picture.shape[:2])
    return (np.clip(picture + grain[..., None], 0, 1) * 255).round().astype(np.uint8)


def draw(person: Person, height: int, rays: int) -> np.ndarray:
    """(H, W, 3) uint8: one ray a pixel, and `rays` x `rays` where neighbours differ."""
    width = round(height * ASPECT / 2) * 2
    parts, look = person.parts(), paint(person)
    once = render(height, width, 0.5, 0.5, np.ones((height, width), bool), parts, look)
    tones = develop(once).astype(np.int16)
    contrast = maximum_filter(tones, (3, 3, 1)) - minimum_filter(tones, (3, 3, 1))
    edges = maximum_filter(contrast.max(axis=2) > 16, 3)
    total = np.zeros_like(once)
    for i in range(rays):
        for j in range(rays):
            offset = ((i + 0.5) / rays, (j + 0.5) / rays)
            total += np.minimum(render(height, width, *offset, edges, parts, look), 4.0)
    return develop(np.where(edges[..., None], total / rays**2, once))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=[p.name for p in PEOPLE])
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--rays", type=int, default=3, help="samples a pixel, squared")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for person in PEOPLE:
        if person.name in arguments.names:
            picture = draw(person, arguments.height, arguments.rays)
            Image.fromarray(picture).save(arguments.out / f"{person.name}.jpg", quality=92)


if __name__ == "__main__":
    main()
