"""Pairs to train the demo film on: portraits whose own hands the draft renderer draws again.

    one folder a still, H x W the working size:
    portrait.npy, bare.npy, draft.npy, truth.npy, mano.npy, keypoints.npy (H, W, 3) uint8;
    change.npy, belief.npy, owner.npy (H, W) uint8; confidence.npy (2,) float32;
    sound.npy (T, D) float16

The same portraits, seed and espeak-ng give the same corpus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from emo2.draft.renderer import DraftRenderer
from emo2.errors import InputError
from emo2.features.audio import AudioEncoder
from emo2.features.portrait import analyse_portrait
from emo2.guidance.maps import draw_guidance
from emo2.media import load_image
from emo2.training.own_hands import own_hands
from emo2.training.voices import record, speak
from emo2.types import AudioClip

FPS = 24.0
SPEECH_S = 2.0
"""Seconds of speech beside a still: the network learns that it does not tell how skin looks."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
Size = Callable[[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Still:
    """One pair on disk, read as needed; shapes as in the module's docstring."""

    portrait: np.ndarray
    """The person as uploaded."""
    bare: np.ndarray
    """Without forearms and hands."""
    draft: np.ndarray
    """With arms drawn in the picture's own pose."""
    truth: np.ndarray
    """What they should have looked like."""
    change: np.ndarray
    belief: np.ndarray
    """How far `truth` was seen, 0..255."""
    owner: np.ndarray
    """Whose arm is nearest: 1 = left, 2 = right; 0 = lips, which are as they should be."""
    mano: np.ndarray
    keypoints: np.ndarray
    confidence: np.ndarray
    sound: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> Still:
        """Open one still's folder."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names})

    def save(self, folder: Path) -> None:
        """Write the folder that `load` opens; it appears whole or not at all."""
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        for name in self.__dataclass_fields__:
            np.save(partial / f"{name}.npy", getattr(self, name))
        partial.rename(folder)

    @property
    def hands(self) -> list[int]:
        """The hands of which enough was seen, as `owner` counts them."""
        seen = (np.asarray(self.belief) > 127) & (np.asarray(self.change) > 127)
        return [hand for hand in (1, 2) if (seen & (np.asarray(self.owner) == hand)).any()]


class Studio:
    """Draws portraits' own hands anew."""

    def __init__(self, renderer: DraftRenderer, encoder: AudioEncoder, side_px: int) -> None:
        self.renderer, self.encoder, self.side_px = renderer, encoder, side_px

    def still(self, picture: np.ndarray, rng: np.random.Generator, size: Size) -> Still | None:
        """The pair of the person in `picture` (H, W, 3) uint8, at the size that `size` gives for
        the framed portrait's; None where no hand can be drawn again."""
        portrait = analyse_portrait(picture, max_side_px=self.side_px)
        pair = own_hands(portrait, picture, self.renderer, seed=int(rng.integers(1 << 30)))
        if pair is None or not (pair.belief > 0.5).any():
            return None
        maps = draw_guidance(pair.motion, self.renderer.hand_model, portrait, 0, 1)
        size = size(*portrait.image.shape[:2])

        def small(picture: np.ndarray) -> np.ndarray:
            return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)

        return Still(
            portrait=small(portrait.image),
            bare=small(pair.bare),
            draft=small(pair.draft),
            truth=small(pair.truth),
            change=small(_bytes(pair.change)),
            belief=small(_bytes(pair.belief)),
            owner=cv2.resize(pair.owner, size[::-1], interpolation=cv2.INTER_NEAREST),
            mano=small(_bytes(maps.mano[0].transpose(1, 2, 0))),
            keypoints=small(_bytes(maps.keypoints[0].transpose(1, 2, 0))),
            confidence=maps.confidence[0].astype(np.float32),
            sound=self._speech(rng),
        )

    def _speech(self, rng: np.random.Generator) -> np.ndarray:
        audio = AudioClip(np.clip(record(rng, speak(rng, SPEECH_S)), -1, 1))
        return self.encoder(audio, FPS).hidden_states.astype(np.float16)


def build_corpus(people: Path, folder: Path, seed: int, studio: Studio, size: Size) -> list[Still]:
    """Draws the hands of every picture in `people`, as it is and mirrored, or opens the stills that
    are there already. What cannot be drawn is left out and named."""
    pictures = sorted(path for path in people.iterdir() if path.suffix.lower() in PICTURES)
    if not pictures:
        raise InputError(
            "people",
            "must be a folder of portraits",
            people,
            "Give pictures of people whose hands are in view.",
        )
    found = []
    jobs = [(picture, mirrored) for picture in pictures for mirrored in (False, True)]
    for number, (picture, mirrored) in enumerate(tqdm(jobs, desc=f"drawing {people.name}")):
        place = folder / f"{picture.stem}{'-mirrored' * mirrored}"
        left_out = place.with_suffix(".none")
        if not place.is_dir() and not left_out.is_file():
            image = load_image(picture)
            image = np.ascontiguousarray(image[:, ::-1]) if mirrored else image
            try:
                still = studio.still(image, np.random.default_rng((seed, number)), size)
            except InputError as error:
                tqdm.write(f"{picture.name}: {error}")
                still = None
            folder.mkdir(parents=True, exist_ok=True)
            if still is None:
                tqdm.write(f"{picture.name}: no hand to learn from")
                left_out.touch()
            else:
                still.save(place)
        if place.is_dir():
            found.append(Still.load(place))
    return found


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(picture * 255).astype(np.uint8)
