"""The draft: the portrait itself speaks, and its arms follow the hands. Deterministic, streamed;
only what the lips do is heard by a learned network.

    plate      the person without arms, and the background without the person   (once)
    performance, face   the person of frame t, moved by the speech
    ik, upper_arm, paint, light, arms   the arms of frame t, lit and shadowed
    here       one over the other

In: portrait, speech, motion. Out: an iterator of `DraftFrame`. Memory does not grow with length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np

from emo2.draft.arms import ArmLayer, ArmPainter, mean_layer
from emo2.draft.body import TorsoMotion, amounts
from emo2.draft.face import MovedPerson, PortraitWarp
from emo2.draft.ik import ArmRig, rig_from_plate, solve_elbows
from emo2.draft.light import light_from_face
from emo2.draft.paint import paint_arms
from emo2.draft.performance import Performance, perform
from emo2.draft.plate import Plate, make_plate
from emo2.draft.upper_arm import UpperArms
from emo2.draft.visemes import VisemeNet
from emo2.errors import InputError
from emo2.hands.arm import ArmModel
from emo2.hands.model import HandModel
from emo2.types import AudioClip, HandMotion, OnStep, Portrait, Progress

CHUNK_FRAMES = 16
"""Arms are posed this many frames at once; memory is constant in the length of the film."""
MELT_RANGE = 70.0
"""How far (grey levels) the picture may differ from an elbow that melts into it."""
SHUTTER = 0.35
"""The share of a frame during which film is exposed; less than cinema's half, which smears fingers
at this size."""
BLUR_STEP_PX, MAX_SUBFRAMES = 3.0, 4
"""Motion blur: one more exposure for every so many pixels that a hand moves while the shutter is
open."""


@dataclass(frozen=True)
class DraftFrame:
    """One frame of the draft."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB."""
    change: np.ndarray
    """(H, W) float32 in [0, 1]: where the draft drew something of its own (arms, hands, mouth)."""
    skin: np.ndarray
    """(H, W) float32 in [0, 1]: where it drew bare arms and hands."""


class DraftRenderer:
    """Renders drafts. Shared and read-only: everything of one film lives in the call."""

    def __init__(
        self, arm_model: ArmModel, hand_model: HandModel, viseme_net: VisemeNet | None = None
    ) -> None:
        """`viseme_net` hears what the lips do; None = they follow loudness and formants."""
        self.arm_model, self.hand_model, self.viseme_net = arm_model, hand_model, viseme_net

    def __call__(
        self,
        portrait: Portrait,
        audio: AudioClip,
        motion: HandMotion,
        *,
        seed: int = 0,
        start: int = 0,
        stop: int | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[DraftFrame]:
        """Frames `start` to `stop` of the film; a stretch equals the same stretch of the whole."""
        stop = motion.num_frames if stop is None else stop
        if not 0 <= start < stop <= motion.num_frames:
            raise InputError(
                "start, stop",
                f"must lie in order within 0..{motion.num_frames}",
                f"{start}, {stop}",
                "Leave them out to render the whole clip.",
            )
        performance = self.perform(audio, motion, seed)
        return self._frames(portrait, performance, motion, seed, start, stop, on_step)

    def still(
        self, portrait: Portrait, motion: HandMotion, *, seed: int = 0
    ) -> Iterator[DraftFrame]:
        """Every frame of `motion` on a person who neither speaks nor stirs."""
        performance = Performance.still(motion.num_frames)
        return self._frames(portrait, performance, motion, seed, 0, motion.num_frames, None)

    def perform(self, audio: AudioClip, motion: HandMotion, seed: int = 0) -> Performance:
        """How face and torso move."""
        lips = None if self.viseme_net is None else self.viseme_net.read_lips(audio)
        frames, fps = motion.num_frames, motion.fps
        return perform(audio, frames, fps, seed=seed, motion=motion, lips=lips)

    def _frames(
        self, portrait, performance, motion, seed, start, stop, on_step
    ) -> Iterator[DraftFrame]:
        camera = portrait.camera
        plate = make_plate(portrait)
        person = PortraitWarp(portrait, plate)
        rig = rig_from_plate(plate, camera)
        upper_arms = UpperArms(plate)
        shoulders_px, elbow_shift_px = _torso_motion(portrait, plate, performance)
        homes_px = np.stack([arm.elbow for arm in plate.arms]) + elbow_shift_px
        elbows = solve_elbows(
            rig,
            motion.translation_m,
            camera,
            shoulders_px - _shoulders(plate),
            elbow_shift_px,
        )
        painter = ArmPainter(
            self.arm_model.faces,
            self.arm_model.blend,
            paint_arms(portrait, plate, self.arm_model, self.hand_model, seed),
            light_from_face(portrait),
            camera,
        )
        poses = self._poses(motion, elbows, start, stop)
        for done, (t, before, now) in enumerate(poses, start=1):
            moved = upper_arms.follow(
                person.frame(performance, t),
                shoulders_px[t],
                camera.project(elbows[t]),
                homes_px[t],
            )
            layer = _expose(
                painter, before, now, elbows[t], shoulders_px[t], rig, motion.visible[t]
            )
            yield compose(moved, layer)
            if on_step is not None:
                on_step(Progress("draft", done, stop - start))

    def _poses(self, motion: HandMotion, elbows: np.ndarray, start: int, stop: int):
        """Yields t and the arm vertices (2, V, 3) of the frame before and of frame t."""
        first = max(0, start - 1)
        before = self.arm_model.vertices(motion, elbows[first : first + 1], first, first + 1)[0]
        for begin in range(start, stop, CHUNK_FRAMES):
            end = min(begin + CHUNK_FRAMES, stop)
            posed = self.arm_model.vertices(motion, elbows[begin:end], begin, end)
            for t, now in enumerate(posed, begin):
                yield t, before, now
                before = now


def _torso_motion(
    portrait: Portrait, plate: Plate, performance: Performance
) -> tuple[np.ndarray, np.ndarray]:
    """Shoulders (T, 2, 2) [px], and how far the torso carries each elbow, (T, 2, 2) [px]."""
    torso, weights = TorsoMotion(portrait), amounts(performance)
    elbows = np.stack([arm.elbow for arm in plate.arms]).astype(np.float64)
    elbow_shift = np.einsum("tk,knc->tnc", weights, torso.fields(elbows))
    return _shoulders(plate) + torso.shoulder_shift(performance), elbow_shift


def _shoulders(plate: Plate) -> np.ndarray:
    """(2, 2) pixels: where the arms begin."""
    return np.stack([arm.shoulder for arm in plate.arms])


def _expose(
    painter: ArmPainter, before, now, elbows, shoulders_px, rig: ArmRig, visible
) -> ArmLayer | None:
    """The arms as film sees them: the mean over the time the shutter is open."""
    camera = painter.camera
    moved_px = np.linalg.norm(camera.project(now) - camera.project(before), axis=-1)  # (2, V)
    blur_px = SHUTTER * float(np.percentile(moved_px, 95, axis=-1).max())
    exposures = int(np.clip(np.ceil(blur_px / BLUR_STEP_PX), 1, MAX_SUBFRAMES))
    layers = []
    for k in range(exposures):
        back = SHUTTER * k / exposures
        vertices = now + back * (before - now)
        layers.append(painter.draw(vertices, elbows, shoulders_px, rig.pinned, visible))
    return mean_layer(layers)


def compose(moved: MovedPerson, layer: ArmLayer | None) -> DraftFrame:
    """The arms and their shadow over the moved person."""
    image, change, skin = moved.image.copy(), moved.mouth.copy(), np.zeros_like(moved.mouth)
    if layer is not None:
        box = layer.box
        parts = (layer.colour, layer.alpha, layer.shadow, layer.join, layer.fade)
        _lay_over(image[box], moved.body[box], *parts)
        np.maximum(change[box], layer.alpha, out=change[box])
        skin[box] = layer.skin
    return DraftFrame(image, change, skin)


@numba.njit(cache=True, nogil=True)
def _lay_over(image, body, colour, alpha, shadow, join, fade):
    """In place over `image` (h, w, 3) uint8: first the shadow, then the arms.

    An elbow melts into the picture's upper arm, but neither into the scene behind it nor into what
    has another colour: a sleeve's end lies over the arm, not in it.
    """
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            cover, shade = alpha[y, x], shadow[y, x] * body[y, x]
            if cover <= 0 and shade <= 0:
                continue
            shown = np.float32(1)
            if body[y, x] > 0 and (join[y, x] > 0 or fade[y, x] > 0):
                gap = np.float32(0)
                for c in range(3):
                    arm = 255 * colour[y, x, c] / max(cover, np.float32(0.05))
                    gap += (image[y, x, c] * (1 - shade) - arm) ** 2
                alike = np.exp(-gap / MELT_RANGE**2)
                # At the body's soft edge the scene shines through: nothing there to fade to.
                solid = max((body[y, x] - np.float32(0.8)) / np.float32(0.2), np.float32(0))
                shown -= max(body[y, x] * join[y, x] * alike, solid * fade[y, x])
            for c in range(3):
                beneath = image[y, x, c] * (1 - shade) * (1 - cover * shown)
                value = beneath + 255 * colour[y, x, c] * shown
                image[y, x, c] = np.uint8(min(max(value + 0.5, 0), 255))
