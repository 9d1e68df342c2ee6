"""A stand-in for `EMO2Pipeline` with the same methods: frames of noise, at once. For tests of the
page's logic only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.media import frame_count
from emo2.pipeline import DEMO_CHECKPOINT
from emo2.types import Camera, HandMotion, Portrait, Progress

HEIGHT, WIDTH = 96, 64


class FakePipeline:
    """`step_s` is how long every step and frame takes; a dark picture has no face in it."""

    folder = Path("checkpoints/fake")
    fps = 24.0
    styles = ("calm", "lively")
    mano_folder = None

    def __init__(self, step_s: float = 0.0) -> None:
        self.step_s = step_s
        self.running = 0
        self.most_at_once = 0

    @cached_property
    def hand_model(self):
        """The real one: files for other programs hold real hands."""
        return HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")

    def analyse(self, image: np.ndarray) -> Portrait:
        if image.mean() < 16:
            raise InputError(
                "portrait", "must show a face", "none was found", "Choose a picture of a person."
            )
        height, width = image.shape[:2]
        corners = np.array([[0.4, 0.2], [0.6, 0.2], [0.6, 0.4], [0.4, 0.4]]) * [WIDTH, HEIGHT]
        landmarks = np.zeros((478, 3), np.float32)
        landmarks[:, :2] = np.resize(corners, (478, 2))
        resized = np.resize(image, (HEIGHT, WIDTH, 3))
        return Portrait(
            image=resized,
            face_landmarks=landmarks,
            shoulders=np.array([[48.0, 60.0], [16.0, 60.0]]),
            neck=np.array([32.0, 52.0]),
            elbows=np.full((2, 2), np.nan),
            wrists=np.full((2, 2), np.nan),
            hands=np.full((2, 21, 2), np.nan),
            person_mask=np.ones((HEIGHT, WIDTH)),
            skin_rgb=np.full(3, 0.6),
            sleeve_rgb=np.full(3, 0.3),
            bare_forearms=True,
            camera=Camera((32.0, 60.0), 90.0, WIDTH, HEIGHT),
            source_box=(0.0, 0.0, float(width), float(height)),
        )

    def gesture(self, audio, *, style=None, speed=None, seed=0, on_step=None) -> HandMotion:
        self._steps("gesture", 10, on_step)
        frames = frame_count(audio.duration_s, self.fps)
        quaternions = np.zeros((frames, 2, 16, 4))
        quaternions[..., 0] = 1
        translation = np.random.default_rng(seed).normal(0, 0.1, (frames, 2, 3))
        meta = {"seed": seed, "style": style, "speed": speed}
        visible = np.ones((frames, 2), bool)
        return HandMotion(quaternions, translation, visible, np.zeros((2, 10)), self.fps, meta)

    def preview(self, motion, portrait=None, *, on_step=None) -> Iterator[np.ndarray]:
        return self._frames("preview", motion.num_frames, 0, on_step)

    def render(self, portrait, audio, motion, *, renderer="draft", seed=0, on_step=None):
        frames = frame_count(audio.duration_s, self.fps)
        return self._frames(renderer, frames, seed, on_step)

    def _frames(self, stage, count, seed, on_step) -> Iterator[np.ndarray]:
        noise = np.random.default_rng(seed)
        for done in range(1, count + 1):
            self._work()
            if on_step:
                on_step(Progress(stage, done, count))
            yield noise.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def _steps(self, stage, count, on_step) -> None:
        for done in range(1, count + 1):
            self._work()
            if on_step:
                on_step(Progress(stage, done, count))

    def _work(self) -> None:
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        time.sleep(self.step_s)
        self.running -= 1
