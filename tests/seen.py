"""A speaker and what a 2-D detector would see of them, made from nothing."""

import numpy as np

from emo2.hands.limits import clamp_angles
from emo2.hands.shapes import SHAPES, finger_quaternions
from emo2.motion.anatomy import elbow, wrist_orientation
from emo2.motion.lift import Track
from emo2.motion.lift.bones import MIRROR, Bones, hand_points
from emo2.motion.rotations import continuous, mirror
from emo2.types import Camera, HandMotion

CAMERA = Camera((384.0, 345.0), 875.0, 768, 768)


def speaker(frames: int = 24, seed: int = 0, fps: float = 24.0) -> HandMotion:
    """Hands that wander in front of the chest, turn over and change their shape."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / fps
    quaternions = np.zeros((frames, 2, 16, 4))
    places = np.zeros((frames, 2, 3))
    for hand in (0, 1):

        def wave(size, hand=hand):
            hz = random.uniform(0.5, 1.1, len(size))
            return size * np.sin(2 * np.pi * (hz * time + random.uniform(0, 1, len(size))))

        place = np.array([0.18, -0.24, 0.2]) + wave(np.array([0.07, 0.09, 0.04]))
        turn = np.array([0.5, 0.1, 0.0]) + wave(np.array([0.8, 0.4, 0.2]))
        share = 0.5 + wave(np.array([0.5]))[..., None]
        names = random.permutation(["relaxed", "open", "cup", "fist", "point"])[:2]
        angles = share * SHAPES[names[0]] + (1 - share) * SHAPES[names[1]]
        quaternions[:, hand] = finger_quaternions(clamp_angles(angles), hand)
        wrist = wrist_orientation(place, turn)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
        places[:, hand] = place * MIRROR**hand
    visible = np.ones((frames, 2), dtype=bool)
    return HandMotion(continuous(quaternions), places, visible, np.zeros((2, 10)), fps)


def points_of(motion: HandMotion, camera: Camera = CAMERA) -> np.ndarray:
    """(T, 2, 21, 2) pixels of the free hand's points."""
    return camera.project(hand_points(Bones.of(None), motion, slice(None)))


def body_of(motion: HandMotion, camera: Camera = CAMERA) -> tuple[np.ndarray, np.ndarray]:
    """(T, 18, 2) pixels and (T, 18) scores: shoulders and elbows."""
    body, score = np.zeros((motion.num_frames, 18, 2)), np.zeros((motion.num_frames, 18))
    for hand in (0, 1):
        wrist = motion.translation_m[:, hand].astype(np.float64) * MIRROR**hand
        points = {5 - 3 * hand: np.array([0.18, 0.0, 0.0]), 6 - 3 * hand: elbow(wrist)}
        for point, place in points.items():
            body[:, point] = camera.project(place * MIRROR**hand)
            score[:, point] = 1.0
    return body, score


def track_of(motion: HandMotion, *, noise_px: float = 0.0, seed: int = 0) -> Track:
    """What a detector sees: every point by itself off by white noise."""
    random = np.random.default_rng(seed)
    points = points_of(motion)
    points = points + noise_px * random.normal(size=points.shape)
    scores = np.ones(points.shape[:-1])
    return Track(points, scores, *body_of(motion), 768, 768, motion.fps)
