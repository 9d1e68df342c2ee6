"""Footage to train Stage 2 on: the draft renderer films drawn people who speak and gesture.

    one folder a clip, T frames of H x W at the network's working size:
    portrait.npy (H, W, 3)   draft.npy (T, H, W, 3)   change.npy (T, H, W)   mano.npy, keypoints.npy
    (T, H, W, 3), all uint8; confidence.npy (T, 2) float32; sound.npy (T, D) float16

The same people, seed, hands and espeak-ng give the same corpus.
"""

from __future__ import annotations

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
from emo2.training.prosody import analyse
from emo2.training.styles import STYLES
from emo2.training.teacher import gesture
from emo2.training.voices import record, speak
from emo2.types import NUM_BETAS, NUM_HANDS, AudioClip, HandMotion

FPS = 24.0
RENDER_SIDE_PX = 384
"""Drafts are rendered at twice the working size and averaged down, as the product does."""
SPEECH_S = 4.0
"""Seconds that are spoken and gestured for a clip; it is cut where the hands are highest."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class VideoClip:
    """One clip on disk, read as needed; shapes as in the module's docstring."""

    portrait: np.ndarray
    draft: np.ndarray
    change: np.ndarray
    mano: np.ndarray
    keypoints: np.ndarray
    confidence: np.ndarray
    sound: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> VideoClip:
        """Open one clip's folder."""
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
    def num_frames(self) -> int:
        """T."""
        return len(self.draft)


class Studio:
    """Films drawn people with the project's own voices, gestures and draft renderer."""

    def __init__(
        self, renderer: DraftRenderer, encoder: AudioEncoder, num_frames: int = 36
    ) -> None:
        self.renderer, self.encoder, self.num_frames = renderer, encoder, num_frames

    def film(self, image: np.ndarray, rng: np.random.Generator, size) -> VideoClip:
        """One clip of the person in `image` (H, W, 3) uint8. `size` maps (H, W) to the working
        size."""
        portrait = analyse_portrait(vary(image, rng), max_side_px=RENDER_SIDE_PX)
        audio, motion = self._perform(rng)
        start = busiest(motion, self.num_frames)
        stop, seed = start + self.num_frames, int(rng.integers(1 << 30))
        drafts = list(self.renderer(portrait, audio, motion, seed=seed, start=start, stop=stop))
        maps = draw_guidance(motion, self.renderer.hand_model, portrait, start, stop)
        size = size(*portrait.image.shape[:2])
        return VideoClip(
            portrait=_small(portrait.image, size),
            draft=np.stack([_small(drafted.image, size) for drafted in drafts]),
            change=np.stack([_small(_bytes(drafted.change), size) for drafted in drafts]),
            mano=np.stack([_small(_bytes(m.transpose(1, 2, 0)), size) for m in maps.mano]),
            keypoints=np.stack(
                [_small(_bytes(m.transpose(1, 2, 0)), size) for m in maps.keypoints]
            ),
            confidence=maps.confidence,
            sound=self.encoder(audio, FPS).hidden_states[start:stop].astype(np.float16),
        )

    def _perform(self, rng: np.random.Generator) -> tuple[AudioClip, HandMotion]:
        """A stretch of speech and a gesture to it."""
        dry = speak(rng, SPEECH_S)
        style = STYLES[rng.choice(list(STYLES))]
        played = gesture(analyse(dry), style, rng.uniform(0.7, 1.6), SPEECH_S, FPS, rng)
        count = len(played.quaternions)
        motion = HandMotion(
            quaternions=played.quaternions,
            translation_m=played.translation_m,
            visible=np.ones((count, NUM_HANDS), dtype=bool),
            betas=np.zeros((NUM_HANDS, NUM_BETAS)),
            fps=FPS,
        )
        return AudioClip(np.clip(record(rng, dry), -1, 1)), motion


def busiest(motion: HandMotion, num_frames: int) -> int:
    """First of the `num_frames` frames in which the wrists are highest: most hands in the
    picture."""
    height_m = np.cumsum(np.concatenate([[0], motion.translation_m[..., 1].mean(axis=1)]))
    return int(np.argmax(height_m[num_frames:] - height_m[:-num_frames]))


def vary(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another photographer: mirrored or not, warmer or colder, darker or lighter."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
    warmth = rng.normal(0, 0.06)
    balance = np.exp(rng.normal(0, 0.1) + np.array((warmth, 0, -warmth)))
    return (255 * ((image / 255) ** rng.uniform(0.8, 1.25) * balance).clip(0, 1)).astype(np.uint8)


def build_corpus(
    people: Path, folder: Path, clips: int, seed: int, studio: Studio, size
) -> list[VideoClip]:
    """Films `clips` clips of the pictures in `people`, or opens those that are there already.

    A picture in which nobody is found is left out and named.
    """
    pictures = sorted(path for path in people.iterdir() if path.suffix.lower() in PICTURES)
    if not pictures:
        raise InputError(
            "people",
            "must be a folder of portraits",
            people,
            "Draw some with `python assets/make_people.py --out DIR`.",
        )
    found = []
    for number in tqdm(range(clips), desc=f"filming {people.name}", unit="clip"):
        place = folder / f"clip-{number:04d}"
        if not place.is_dir():
            rng = np.random.default_rng((seed, number))
            picture = pictures[number % len(pictures)]
            try:
                studio.film(load_image(picture), rng, size).save(place)
            except InputError as error:
                tqdm.write(f"{picture.name}: {error}")
                continue
        found.append(VideoClip.load(place))
    return found


def _bytes(picture: np.ndarray) -> np.ndarray:
    return np.round(picture * 255).astype(np.uint8)


def _small(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
