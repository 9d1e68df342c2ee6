"""2-D whole-body tracks, as DWPose and OpenPose write them, lifted to 3-D.

* .npz with `hands (T, 2, 21, 2)` and `hands_score (T, 2, 21)`, if they are there `body (T, 18, 2)`,
  `body_score`, `canvas` (width, height) and `fps`;
* .json, a list of frames (or one frame), each with `people` and perhaps `canvas_width`,
  `canvas_height`;
* a folder of such .json files, one a frame, in the order of the numbers in their names.

Hand 0 is the person's left. Points are pixels, or shares of the picture where none exceeds 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.arrays import MAX_FRAMES, names_in, numbers, read_npz
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.motion.lift import Track, lift

ASSUMED_FPS = 24.0
LARGEST_SHARE = 2.0
"""Points beyond this are pixels."""
LEAST_SIDE_PX = 64
_HAND_KEYS = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")
_BODY_KEY = "pose_keypoints_2d"
_BODY_POINTS = 8
"""Head, shoulders and arms: what COCO 18 and BODY 25 number alike."""
_REMEDY = "Write the track again with DWPose or OpenPose, one person in view."


def read(path: Path, context: Context) -> Imported:
    """The registry's reader."""
    if path.suffix.lower() == ".npz":
        track, convention, lost = _read_npz(path)
    else:
        track, convention, lost = _read_json(path)
    return lift_import(track, context, "keypoints", convention, lost)


def recognise(path: Path) -> bool:
    """True for an .npz with scored hands, a .json with people, a folder of such .json files."""
    if path.is_dir():
        files = _frame_files(path)
        return bool(files) and b"people" in files[0].read_bytes()[:100_000]
    if path.suffix.lower() == ".json":
        return True
    return {"hands", "hands_score"} <= names_in(path)


def lift_import(
    track: Track, context: Context, name: str, convention: str, lost: tuple[str, ...]
) -> Imported:
    """A track as an import: lifted, and what that did said."""
    lifted = lift(track, context.hand_model)
    quality = lifted.quality
    convention += (
        f"; lifted to 3-D by fitting the hand over time: 90 % of the confident points within "
        f"{quality.error_p90_px:.1f} px of 768, jerk {quality.jerk_ratio:.2f} of the track's"
    )
    hidden = 1 - lifted.motion.visible.mean(axis=0)
    lost += ("depth is not in a picture: it follows from arm lengths and hand size",)
    lost += lifted.view.notes
    for hand, share in zip(("left", "right"), hidden, strict=True):
        if share > 0:
            lost += (f"the {hand} hand is not seen in {100 * share:.0f} % of the frames",)
    report = ImportReport(name, track.fps, convention, lost, error_px=quality.error_px)
    return Imported(lifted.motion, report)


def _read_npz(path: Path) -> tuple[Track, str, tuple[str, ...]]:
    arrays = read_npz(path)
    for points, score in (("hands", "hands_score"), ("body", "body_score")):
        _forget_absent(arrays, points, score)
    hands = numbers(arrays, "hands", ("T", 2, 21, 2), path)
    count = len(hands)
    scores = numbers(arrays, "hands_score", (count, 2, 21), path)
    lost: tuple[str, ...] = ()
    body, body_score = np.zeros((count, 18, 2)), np.zeros((count, 18))
    if {"body", "body_score"} <= arrays.keys():
        body = numbers(arrays, "body", (count, 18, 2), path)
        body_score = numbers(arrays, "body_score", (count, 18), path)
        lost += ("of the body all but shoulders and elbows",)
    if "face" in arrays:
        lost += ("the face",)
    fps, said = ASSUMED_FPS, "frames per second assumed"
    if "fps" in arrays:
        fps, said = float(numbers(arrays, "fps", (1,), path)[0]), "frames per second as stored"
    canvas = numbers(arrays, "canvas", (2,), path) if "canvas" in arrays else None
    track, points = _track(hands, scores, body, body_score, canvas, fps, path)
    return track, f"2-D points in {points}, {said}", lost


def _read_json(path: Path) -> tuple[Track, str, tuple[str, ...]]:
    files = _frame_files(path) if path.is_dir() else [path]
    frames = [frame for file in files for frame in _json_frames(file)]
    if not 0 < len(frames) <= MAX_FRAMES:
        raise _refused("must hold frames with people", f"{len(frames)} frames in {path}")
    people = [_largest(frame, path) for frame in frames]
    count = len(frames)
    hands, scores = np.zeros((count, 2, 21, 2)), np.zeros((count, 2, 21))
    body, body_score = np.zeros((count, 18, 2)), np.zeros((count, 18))
    for t, person in enumerate(people):
        for hand, key in enumerate(_HAND_KEYS):
            points = _triples(person, key, 21, path)
            hands[t, hand], scores[t, hand] = points[:, :2], points[:, 2]
        points = _triples(person, _BODY_KEY, _BODY_POINTS, path)
        body[t, :_BODY_POINTS], body_score[t, :_BODY_POINTS] = points[:, :2], points[:, 2]
    sizes = [frames[0].get(key) for key in ("canvas_width", "canvas_height")]
    canvas = np.array(sizes, np.float64) if all(isinstance(s, int | float) for s in sizes) else None
    lost: tuple[str, ...] = ("the face and of the body all but shoulders and elbows",)
    if max(len(frame["people"]) for frame in frames) > 1:
        lost += ("several people: the largest of each frame was taken",)
    track, points = _track(hands, scores, body, body_score, canvas, ASSUMED_FPS, path)
    return track, f"2-D points in {points}, {ASSUMED_FPS:g} frames per second assumed", lost


def _track(hands, scores, body, body_score, canvas, fps, path) -> tuple[Track, str]:
    """The track in pixels, and how its points were understood."""
    if not (np.isfinite(fps) and 1 <= fps <= 1000):
        raise _refused("fps must be between 1 and 1000", f"{fps} in {path}")
    if canvas is not None and not (np.isfinite(canvas).all() and (canvas >= LEAST_SIDE_PX).all()):
        raise _refused(f"canvas must be at least {LEAST_SIDE_PX} px", f"{canvas} in {path}")
    known = np.concatenate([hands[scores > 0], body[body_score > 0]])
    if len(known) == 0:
        raise _refused("must show a hand in some frames", f"no points with a score in {path}")
    shares = np.quantile(np.abs(known), 0.99) <= LARGEST_SHARE
    if canvas is None:
        side = 768.0 if shares else max(LEAST_SIDE_PX, float(np.ceil(known.max())))
        canvas = np.array([side, side])
        size = f"a square of {side:g} px, assumed"
    else:
        size = f"a picture of {canvas[0]:g} x {canvas[1]:g} px"
    factor = canvas if shares else np.ones(2)
    track = Track(hands * factor, scores, body * factor, body_score, *canvas, fps)
    return track, f"{'shares' if shares else 'pixels'} of {size}"


def _forget_absent(arrays: dict[str, np.ndarray], points: str, score: str) -> None:
    """NaN with no score is a detector's "not there" and becomes 0; NaN with a score stays, to be
    refused."""
    values, scores = arrays.get(points), arrays.get(score)
    pair = values is not None and scores is not None and values.shape[:-1] == scores.shape
    if pair and values.dtype.kind == scores.dtype.kind == "f":
        arrays[score] = scores = np.where(np.isnan(scores), 0, scores)
        absent = np.isnan(values).any(-1) & (scores <= 0)
        arrays[points] = np.where(absent[..., None], 0, values)


def _frame_files(folder: Path) -> list[Path]:
    files = [p for p in folder.iterdir() if p.suffix.lower() == ".json" and p.name[0] != "."]
    return sorted(files, key=lambda p: [int(n) for n in re.findall(r"\d+", p.stem)] or [-1])


def _json_frames(path: Path) -> list[Mapping]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused("must be whole JSON files", f"{path} ({error})"[:200]) from error
    frames = content if isinstance(content, list) else [content]
    for frame in frames:
        people = frame.get("people") if isinstance(frame, dict) else None
        if not isinstance(people, list) or not all(isinstance(p, dict) for p in people):
            raise _refused("every frame must list its people", path)
    return frames


def _largest(frame: Mapping, path: Path) -> Mapping:
    """The person with the broadest shoulders, or the one with most points."""

    def size(person: Mapping) -> tuple[float, float]:
        body = _triples(person, _BODY_KEY, _BODY_POINTS, path)
        both = (body[[2, 5], 2] > 0).all()
        breadth = float(np.linalg.norm(body[2, :2] - body[5, :2])) if both else 0.0
        hands = [_triples(person, key, 21, path)[:, 2].sum() for key in _HAND_KEYS]
        return breadth, float(sum(hands))

    return max(frame["people"], key=size, default={})


def _triples(person: Mapping, key: str, count: int, path: Path) -> np.ndarray:
    """(count, 3) x, y, score; zeros where the person lacks them."""
    values = person.get(key) or []
    try:
        points = np.array(values, dtype=np.float64).reshape(-1, 3)
    except (TypeError, ValueError) as error:
        raise _refused(f"{key} must be triples of numbers", f"{path} ({error})"[:200]) from error
    if len(points) == 0:
        return np.zeros((count, 3))
    if len(points) < count:
        raise _refused(f"{key} must hold {count} points", f"{len(points)} in {path}")
    return np.nan_to_num(points[:count], nan=0.0, posinf=0.0, neginf=0.0)


def _refused(rule: str, value: object) -> InputError:
    return InputError("motion", rule, value, _REMEDY)
