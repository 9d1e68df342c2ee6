"""Who the characters are: proportions, colours, clothes, and how they hold their hands."""

from dataclasses import dataclass, field

import numpy as np
from characters.body import AFRO, BLAZER, BOB, CREW, HENLEY, SWEPT

FINGERS = np.array([0] * 6 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [5] * 2)


@dataclass(frozen=True)
class Person:
    """One character. Colours are linear RGB, lengths decimetres."""

    name: str
    face: np.ndarray
    """jaw, chin, cheek, nose width, nose length, mouth half width, upper lip, lower lip, smile,
    upper lid, lower lid, slant of the eyes, brow ridge."""
    body: np.ndarray
    """shoulder half width, neck radius, chest, waist, bust, larynx, cloth thickness, folds,
    button depth."""
    hair_style: int
    clothes: int
    skin: tuple[float, float, float]
    blush: tuple[float, float, float]
    lips: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    top: tuple[float, float, float]
    trim: tuple[float, float, float]
    jacket: tuple[float, float, float]
    backdrop: tuple[tuple[float, float, float], tuple[float, float, float]]
    elbows: np.ndarray
    """(2, 3), left (positive x) then right."""
    wrists: np.ndarray
    pointing: np.ndarray
    """(2, 3) where the fingers point."""
    backs: np.ndarray
    """(2, 3) where the backs of the hands face."""
    curl: float = 0.35
    bare_forearms: bool = False
    beard: float = 0.0
    brow_weight: float = 1.0
    lashes: float = 1.0
    freckles: float = 0.0
    hand_size: float = 1.0
    hoops: bool = False
    pose: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0]))
    """Yaw and tilt of the head, radians."""

    def parts(self) -> tuple:
        """What `body.scene` wants."""
        hands = [self._hand(0), self._hand(1)]
        middles = [[*hand[:, :3].mean(axis=0), *self.backs[i]] for i, hand in enumerate(hands)]
        shoulder = np.array([self.body[0] - 0.02, -2.62, -0.28])
        thick = 0.76 if self.body[4] > 0 else 0.92
        sleeve_end, cuff = (0.16, 0.35) if self.bare_forearms else (0.90, 0.24)
        forearms, sleeves = [], []
        for side, elbow, wrist in zip((1, -1), self.elbows, self.wrists, strict=True):
            middle, end = elbow + 0.30 * (wrist - elbow), elbow + sleeve_end * (wrist - elbow)
            forearms += [[*elbow, 0.30 * thick, *middle, 0.31 * thick]]
            forearms += [[*middle, 0.31 * thick, *wrist, 0.185 * thick]]
            sleeves += [[*(shoulder * (side, 1, 1)), 0.42 * thick, *elbow, 0.33 * thick]]
            sleeves += [[*elbow, 0.33 * thick, *end, cuff * thick]]
        return (
            self.face,
            self.body,
            np.array(forearms),
            np.array(sleeves),
            *hands,
            FINGERS,
            self.pose,
            np.array([self.hair_style, self.clothes, int(self.hoops)]),
            np.array(middles),
            np.concatenate([self._nails(i, hand) for i, hand in enumerate(hands)]),
        )

    def _nails(self, i: int, hand: np.ndarray) -> np.ndarray:
        """(5, 10): middle of each nail, where the finger points, where the nail faces, radius."""
        rows = []
        outwards = np.cross(self.pointing[i], self.backs[i]) * (1, -1)[i]  # of the thumb
        for tip in np.flatnonzero(np.diff(FINGERS, append=-1) * (FINGERS > 0)):
            start, end, radius = hand[tip, :3], hand[tip, 4:7], 0.9 * hand[tip, 7]
            along = (end - start) / np.linalg.norm(end - start)
            out = self.backs[i] + (0.8 * outwards if tip == len(hand) - 1 else 0)
            out = out - along * (out @ along)
            out /= np.linalg.norm(out)
            middle = end + 0.15 * radius * along + 0.9 * radius * out
            rows.append([*middle, *along, *out, radius])
        return np.array(rows)

    def _hand(self, i: int) -> np.ndarray:
        """Bones of one hand by turning each joint of each finger."""
        f = self.pointing[i] / np.linalg.norm(self.pointing[i])
        n = self.backs[i] - f * (self.backs[i] @ f)
        n /= np.linalg.norm(n)
        s = np.cross(f, n) if i == 0 else np.cross(n, f)  # towards the thumb
        wrist, size = self.wrists[i], self.hand_size

        def at(along: float, side: float, up: float) -> np.ndarray:
            return wrist + size * (along * f + side * s + up * n)

        rows = []
        knuckles = [(0.93, 0.29), (0.97, 0.09), (0.92, -0.11), (0.82, -0.30)]
        for along, side in knuckles:
            rows.append(
                [*at(0.06, side * 0.34, 0), 0.15 * size, *at(along, side, 0.01), 0.115 * size]
            )
        # the balls of the thumb and of the little finger
        rows.append([*at(0.20, 0.17, -0.10), 0.16 * size, *at(0.50, 0.32, -0.16), 0.14 * size])
        rows.append([*at(0.20, -0.17, -0.08), 0.12 * size, *at(0.62, -0.22, -0.08), 0.10 * size])
        lengths = [(0.42, 0.24, 0.18), (0.46, 0.27, 0.19), (0.43, 0.25, 0.19), (0.34, 0.19, 0.17)]
        widths = (0.106, 0.108, 0.103, 0.089)
        for j, (along, side) in enumerate(knuckles):
            point, spread = at(along, side, 0.01), (0.13, 0.03, -0.06, -0.17)[j]
            angle = 0.0
            for k, length in enumerate(lengths[j]):
                angle += self.curl * (0.75, 1.0, 0.7)[k] * (0.8, 1.0, 1.1, 1.15)[j]
                direction = (
                    np.cos(angle) * (f + spread * s) / np.hypot(1, spread) - np.sin(angle) * n
                )
                end = point + size * length * direction
                radius = widths[j] * np.array([1.0, 0.93, 0.85, 0.76])
                rows.append([*point, radius[k] * size, *end, radius[k + 1] * size])
                point = end
        point = at(0.50, 0.36, -0.12)
        for length, out, r in ((0.36, 0.75, 0.115), (0.29, 0.42, 0.102)):
            direction = f + out * s - 0.25 * n
            end = point + size * length * direction / np.linalg.norm(direction)
            rows.append([*point, r * size, *end, (r - 0.015) * size])
            point = end
        return np.array(rows)


def srgb(code: str) -> tuple[float, float, float]:
    """ "#rrggbb" as linear RGB."""
    value = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return tuple(np.where(value < 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4))


def mirrored(*left: float) -> np.ndarray:
    return np.array([left, (-left[0], *left[1:])])


AMARA = Person(
    name="amara",
    face=np.array(
        [0.88, 0.92, 1.05, 1.02, -0.03, 0.315, 0.088, 0.115, 0.058, 0.095, 0.068, 0.10, 0.7]
    ),
    body=np.array([1.62, 0.43, 0.92, 0.92, 1.0, 0.0, 0.09, 1.0, 0.0]),
    hair_style=AFRO,
    clothes=CREW,
    skin=srgb("#8a5335"),
    blush=srgb("#a3503c"),
    lips=srgb("#8c3f3c"),
    hair=srgb("#1d1411"),
    iris=srgb("#4a2a17"),
    top=srgb("#e0a63a"),
    trim=srgb("#d3972c"),
    jacket=srgb("#39424f"),
    backdrop=(srgb("#7fa3a8"), srgb("#3f6570")),
    elbows=mirrored(2.12, -4.62, -0.30),
    wrists=mirrored(2.00, -4.55, 1.40),
    pointing=mirrored(0.66, 0.46, 0.40),
    backs=mirrored(0.28, -0.52, -0.72),
    curl=0.22,
    hoops=True,
    brow_weight=1.2,
    hand_size=0.93,
    pose=np.array([0.05, 0.03]),
)
THEO = Person(
    name="theo",
    face=np.array(
        [1.06, 1.20, 0.95, 0.98, 0.04, 0.305, 0.060, 0.088, 0.048, 0.082, 0.062, 0.05, 1.10]
    ),
    body=np.array([1.88, 0.53, 1.06, 1.08, 0.0, 1.0, 0.08, 1.9, 0.78]),
    hair_style=SWEPT,
    clothes=HENLEY,
    skin=srgb("#dfa283"),
    blush=srgb("#e08a72"),
    lips=srgb("#c27468"),
    hair=srgb("#5a3319"),
    iris=srgb("#5b7f8c"),
    top=srgb("#3d5a80"),
    trim=srgb("#2c4460"),
    jacket=srgb("#5b5148"),
    backdrop=(srgb("#d8cdbb"), srgb("#a4937c")),
    elbows=mirrored(2.45, -4.75, -0.30),
    wrists=mirrored(1.86, -4.92, 1.28),
    pointing=mirrored(-0.85, 0.10, 0.35),
    backs=mirrored(0.35, 0.25, 0.90),
    curl=0.36,
    bare_forearms=True,
    beard=0.8,
    brow_weight=1.35,
    lashes=0.55,
    freckles=0.4,
    pose=np.array([-0.04, -0.015]),
)
LIN = Person(
    name="lin",
    face=np.array(
        [0.92, 0.86, 0.9, 0.84, -0.05, 0.280, 0.066, 0.096, 0.060, 0.084, 0.058, 0.16, 0.6]
    ),
    body=np.array([1.60, 0.41, 0.92, 0.92, 0.85, 0.0, 0.10, 1.2, 0.80]),
    hair_style=BOB,
    clothes=BLAZER,
    skin=srgb("#e6b491"),
    blush=srgb("#e58f80"),
    lips=srgb("#c4555a"),
    hair=srgb("#16131a"),
    iris=srgb("#3a2116"),
    top=srgb("#d8cdbf"),
    trim=srgb("#2c2230"),
    jacket=srgb("#7d2f45"),
    backdrop=(srgb("#b9a7c4"), srgb("#6f6088")),
    elbows=mirrored(2.10, -4.70, -0.30),
    wrists=mirrored(1.56, -4.70, 1.28),
    pointing=mirrored(-0.72, -0.50, 0.30),
    backs=mirrored(0.20, 0.30, 0.90),
    curl=0.30,
    hand_size=0.92,
    brow_weight=1.3,
    pose=np.array([0.03, -0.025]),
)
PEOPLE = (AMARA, THEO, LIN)
