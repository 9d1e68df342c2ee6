"""Films as crowds: what is gathered from their frames, and how far it lies from real pictures.

    tables = gather(sources(folder), crowds(["hand_texture_distance"]))
    compare(name, [t[name] for t in tables], [t[name] for t in real_tables])

Each crowd is one kind of feature and gives one figure, beside the floor that real pictures have to
themselves: halves of the real sources against each other. Only `fid` and `fvd` bear published
names, and they need the published networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emo2.errors import InputError
from emo2.evaluation import hand_texture, identity
from emo2.evaluation.expression import NAMES as EXPRESSIONS
from emo2.evaluation.expression import expression
from emo2.evaluation.frechet import against, frechet_distance, split_half_floor
from emo2.evaluation.hand_texture import FLOORS, HandCrop
from emo2.evaluation.networks.i3d import CLASSES, CLIP_FRAMES, I3D
from emo2.evaluation.networks.inception import FEATURES, FIDInception
from emo2.evaluation.sightings import Sighting, watch
from emo2.gallery import PICTURES
from emo2.media import load_image, read_frames
from emo2.types import Frame

EVERY = 6
"""Of neighbouring frames one is enough: a quarter of a second apart."""
FILMS = (".mp4", ".mov", ".mkv", ".webm", ".avi")


class Crowd:
    """Looks at a source's frames in their order and keeps rows of features."""

    width = 0

    def __init__(self) -> None:
        self.rows: list[np.ndarray] = []

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        """One frame with what is seen in it."""
        raise NotImplementedError

    def table(self) -> np.ndarray:
        """(n, width) float64."""
        return np.array(self.rows, np.float64).reshape(-1, self.width)


class HandTextures(Crowd):
    """The skin of every hand that a detector finds, large enough and inside the frame.

    `spoil` changes each hand first: `hand_texture.FLOORS`.
    """

    width = len(hand_texture.NAMES)

    def __init__(self, spoil: Callable[[HandCrop], HandCrop] | None = None) -> None:
        super().__init__()
        self._spoil = spoil

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        if t % EVERY:
            return
        for points in sighting.hands:
            crop = hand_texture.hand_crop(frame, points)
            if crop is not None:
                crop = crop if self._spoil is None else self._spoil(crop)
                self.rows.append(hand_texture.texture(crop))


class Faces(Crowd):
    """dlib's 128 numbers of a face: who, and how much of a face the network takes it for."""

    width = 128

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        if t % EVERY == 0 and sighting.face is not None:
            self.rows.append(identity.embed(frame, sighting.face))


class Expressions(Crowd):
    """What the face does: E-FID's form with the mesh's own ten numbers."""

    width = len(EXPRESSIONS)

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        if sighting.face is not None:
            self.rows.append(expression(sighting.face))


class Pictures(Crowd):
    """FID's features of whole frames."""

    width = FEATURES

    def __init__(self, network: FIDInception) -> None:
        super().__init__()
        self._network = network

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        if t % EVERY == 0:
            self.rows += list(self._network.features([frame]))


class Clips(Crowd):
    """FVD's features of 16 frames after the other."""

    width = CLASSES

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self._network = network
        self._clip: list[Frame] = []

    def add(self, t: int, frame: Frame, sighting: Sighting) -> None:
        self._clip.append(frame)
        if len(self._clip) == CLIP_FRAMES:
            self.rows.append(self._network.features(self._clip))
            self._clip = []


SCALED = ("hand_texture_distance", "expression_frechet")
"""Lengths of different kinds: each is divided by its spread among the real ones first."""
OFFLINE = {
    "hand_texture_distance": HandTextures,
    "face_frechet": Faces,
    "expression_frechet": Expressions,
}
NETWORKED = {"fid": (Pictures, FIDInception), "fvd": (Clips, I3D)}
WEIGHTS = {"fid": "inception", "fvd": "i3d"}
NAMES = (*OFFLINE, *NETWORKED)


def crowds(names: Sequence[str]) -> dict[str, tuple]:
    """The named crowds as classes with what they are made from; a network is loaded once.

    Raises `MissingCheckpoint` for one without weights.
    """
    made: dict[str, tuple] = {name: (OFFLINE[name], ()) for name in names if name in OFFLINE}
    for name in names:
        if name in NETWORKED:
            crowd, network = NETWORKED[name]
            made[name] = (crowd, (network.from_pretrained(),))
    if "hand_texture_distance" in made:
        spoilt = {f"hand_texture_distance_{way}": (HandTextures, (FLOORS[way],)) for way in FLOORS}
        made |= spoilt
    return made


def gather(places: Sequence[Path], made: dict[str, tuple]) -> list[dict[str, np.ndarray]]:
    """The tables of each source, by name. The detectors are started once for all."""
    lookers = [{name: kind(*given) for name, (kind, given) in made.items()} for _ in places]
    shown: tuple[int, int] = (0, 0)

    def frames() -> Iterator[Frame]:
        nonlocal shown
        for at, place in enumerate(tqdm(places, unit="source", disable=None)):
            for t, frame in enumerate(frames_of(place)):
                shown = at, t
                yield frame

    for frame, sighting in watch(frames()):
        at, t = shown
        for looker in lookers[at].values():
            looker.add(t, frame, sighting)
    return [{name: looker.table() for name, looker in each.items()} for each in lookers]


def sources(place: Path) -> list[Path]:
    """A film, a picture, or all films and pictures of a folder.

    Raises `InputError` where there is none.
    """
    found = [place]
    if place.is_dir():
        found = sorted(p for p in place.iterdir() if p.suffix.lower() in (*FILMS, *PICTURES))
    if not found or not place.exists():
        rule = f"must be a film, a picture or a folder of {', '.join((*FILMS, *PICTURES))}"
        raise InputError("films", rule, place, "Check the path.")
    return found


def frames_of(source: Path) -> Iterator[Frame]:
    """A film's frames, or a picture as the only one."""
    return read_frames(source) if source.suffix.lower() in FILMS else iter([load_image(source)])


def compare(name: str, made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> dict[str, float]:
    """`name`, its floor and how many rows each was made of; one table a source on either side.

    Ours are means over splits at one sample size, so value and floor can be set side by side; `fid`
    and `fvd` take all rows, as published, and their floor is a half's.
    """
    made, real = ([table for table in tables if len(table)] for tables in (made, real))
    facts = {name: np.nan, f"{name}_floor": np.nan, f"{name}_rows": sum(map(len, made))}
    if sum(map(len, made)) < 2 or sum(map(len, real)) < 2:
        return facts
    if name in SCALED:
        spread = np.concatenate(real).std(axis=0) + 1e-9
        made, real = ([table / spread for table in tables] for tables in (made, real))
    if name in NETWORKED or _fewest(made, real) < 2:
        facts[name] = frechet_distance(np.concatenate(made), np.concatenate(real))
        if _fewest(real, real) >= 2:
            facts[f"{name}_floor"] = split_half_floor(real)
        return facts
    found = against(made, real)
    return facts | {name: found.frechet, f"{name}_floor": found.floor, f"{name}_rows": found.rows}


def _fewest(made: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> int:
    """The fewest rows that a half of the real sources, or as many of the made, can have."""
    half = len(real) // 2
    return min(sum(sorted(map(len, tables))[:half]) for tables in (made, real))
