"""One person's hands out of a video's: detections are chained into tracks, and one is followed."""

from __future__ import annotations

import numpy as np

from emo2.hands.skeleton import LEFT, RIGHT
from emo2.motion.rotations import angle_between
from emo2.types import REFERENCE_SHOULDER_BREADTH_M

JUMP_M, JUMP_RAD = 0.20, 1.0
"""How far one hand goes from a frame to the next."""


def one_person(
    frame: np.ndarray,
    right: np.ndarray,
    quaternions: np.ndarray,
    places: np.ndarray | None,
    fps: float,
) -> tuple[list[np.ndarray], int]:
    """For each side the rows of one hand, one a frame, and how many rows were left out."""
    chosen = []
    for hand in (LEFT, RIGHT):
        rows = np.flatnonzero(right == (hand == RIGHT))
        rows = rows[np.argsort(frame[rows], kind="stable")]
        tracks = _link(rows, frame, quaternions, places, fps)
        tracks.sort(key=len, reverse=True)
        kept: list[int] = []
        for track in tracks:
            if not set(frame[track]) & set(frame[kept]) and _near(track, kept, frame, places):
                kept = sorted(kept + track, key=lambda row: frame[row])
        chosen.append(np.array(kept, dtype=int))
    return chosen, len(frame) - sum(map(len, chosen))


def _link(
    rows: np.ndarray,
    frame: np.ndarray,
    quaternions: np.ndarray,
    places: np.ndarray | None,
    fps: float,
) -> list[list[int]]:
    """Chain each row to the track whose last hand is nearest, if it is near enough."""
    tracks: list[list[int]] = []
    alive: list[list[int]] = []
    for number in np.unique(frame[rows]):
        alive = [track for track in alive if number - frame[track[-1]] <= fps]
        here = list(rows[frame[rows] == number])
        pairs = sorted(
            (_leap(track[-1], row, frame, quaternions, places), k, row)
            for k, track in enumerate(alive)
            for row in here
        )
        used: set[int] = set()
        for leap, k, row in pairs:
            if leap < 1 and k not in used and row in here:
                alive[k].append(row)
                used.add(k)
                here.remove(row)
        for row in here:
            alive.append([row])
            tracks.append(alive[-1])
    return tracks


def _leap(
    a: int, b: int, frame: np.ndarray, quaternions: np.ndarray, places: np.ndarray | None
) -> float:
    """How unlikely it is that `b` is the hand of `a` later on; 1 and more: too far away."""
    room = 1 + 0.3 * (frame[b] - frame[a] - 1)
    turn = float(angle_between(quaternions[a, 0], quaternions[b, 0])) / (np.pi + 1e-6)
    if places is None:
        return turn * np.pi / (JUMP_RAD * room)
    # Depth jumps from frame to frame: only the place across the view counts, turns break ties.
    return float(np.linalg.norm((places[b] - places[a])[:2])) / (JUMP_M * room) + 0.1 * turn


def _near(track: list[int], kept: list[int], frame: np.ndarray, places: np.ndarray | None) -> bool:
    """Could `track` be the same hand as `kept`, found again?"""
    if not kept or places is None:
        return True
    distance = np.median(places[track], axis=0) - np.median(places[kept], axis=0)
    return bool(np.linalg.norm(distance[:2]) < 2 * REFERENCE_SHOULDER_BREADTH_M)
