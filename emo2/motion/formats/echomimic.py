"""EchoMimicV2's pose folders: `0.npy`, `1.npy`, ..., one pickled dictionary a frame, 24 a second.

    bodies     {candidate (18, 2), subset (1, 18), score (1, 18)}
    hands      (2, 21, 2), hand 0 = the person's left, OpenPose order     hands_score  (2, 21)
    faces      (1, 68, 2)                                                 faces_score  (1, 68)
    num        the frame's number
    draw_pose_params  [768, 768, 0, 768, 0, 768]

Points are shares of the square picture and may leave 0..1. EchoMimicV2 draws the hands alone, skips
points at or below 0, and takes the number of files in the folder for the number of frames: so the
folder holds nothing else, and the reference picture that fits it is written beside it, as
`<folder>_reference.png`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from emo2.errors import InputError
from emo2.motion.anatomy import elbow
from emo2.motion.edit import resample
from emo2.motion.formats.arrays import numbers
from emo2.motion.formats.echomimic_person import (
    ELBOWS,
    SIDE_PX,
    WRISTS,
    Person,
    person_of,
    remembered_camera,
    standing_person,
)
from emo2.motion.formats.keypoints import lift_import
from emo2.motion.formats.report import Context, Imported
from emo2.motion.formats.stand_ins import ARRAYS, OBJECT_ARRAYS
from emo2.motion.formats.unpickling import load_pickle
from emo2.motion.formats.usable import check_writable
from emo2.motion.lift import Track
from emo2.motion.lift.bones import MIRROR, Bones, hand_points
from emo2.types import NUM_HANDS, HandMotion

FPS = 24.0
CHUNK_FRAMES = 256
_FRAME_NAME = re.compile(r"(0|[1-9]\d*)\.npy")
_REMEDY = "Copy the folder again from where it was made."


def write(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer: the poses of `context.portrait`, of the picture that the motion was
    read from, or of a person who stands as in EchoMimicV2's samples.

    What a hidden hand does is not written. Raises `InputError` for a motion that cannot be written
    or a folder that holds something else.
    """
    check_writable(motion)
    path = Path(path)
    _refuse_foreign(path)
    if context.portrait is not None:
        person = person_of(context.portrait)
    else:
        person = standing_person(remembered_camera(motion.meta.get("camera")))
    motion = resample(motion, FPS)
    bones = Bones.of(context.hand_model)
    part = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for first in range(0, motion.num_frames, CHUNK_FRAMES):
            frames = slice(first, min(first + CHUNK_FRAMES, motion.num_frames))
            for n, pose in enumerate(_poses(motion, frames, person, bones), start=first):
                np.save(part / f"{n}.npy", {**pose, "num": n}, allow_pickle=True)
        part.chmod(0o755)
        _put(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if person.reference is not None:
        picture = path.with_name(f"{path.name}_reference.png")
        Image.fromarray(person.reference).save(picture)


def read(path: Path, context: Context) -> Imported:
    """The registry's reader. Raises `InputError` for a frame that is missing, broken, of other
    shapes, not finite, or more than numbers."""
    path = Path(path)
    files = _frame_files(path)
    frames = [_read_frame(file) for file in files]
    hands, hands_score, body, body_score = (
        np.stack([frame[k] for frame in frames]) for k in range(4)
    )
    track = Track(hands * SIDE_PX, hands_score, body * SIDE_PX, body_score, SIDE_PX, SIDE_PX, FPS)
    convention = "2-D points in shares of the 768 px square, 24 frames per second assumed"
    lost = ("the face and of the body all but shoulders and elbows",)
    if any(frame[4] > 1 for frame in frames):
        lost += ("several people: the one whose body was seen most surely was taken",)
    return lift_import(track, context, "echomimic", convention, lost)


def recognise(path: Path) -> bool:
    """True for a folder with a numbered .npy file."""
    return path.is_dir() and any(_FRAME_NAME.fullmatch(p.name) for p in path.iterdir())


def _poses(motion: HandMotion, frames: slice, person: Person, bones: Bones):
    """The dictionaries of some frames, one after the other."""
    visible = motion.visible[frames]
    hands = person.shares(hand_points(bones, motion, frames)) * visible[..., None, None]
    wrists = motion.translation_m[frames].astype(np.float64)
    elbows = np.stack([elbow(wrists[:, h] * MIRROR**h) * MIRROR**h for h in (0, 1)], axis=1)
    elbows, wrists = person.shares(elbows), person.shares(wrists)
    for t in range(len(visible)):
        body, score = person.body.copy(), person.body_score.copy()
        for hand in range(NUM_HANDS):
            if visible[t, hand]:
                body[ELBOWS[hand]], body[WRISTS[hand]] = elbows[t, hand], wrists[t, hand]
                score[ELBOWS[hand]] = score[WRISTS[hand]] = 1.0
        yield {
            "bodies": {
                "candidate": body,
                "subset": np.where(score > 0, np.arange(len(score), dtype=np.float64), -1.0)[None],
                "score": score[None],
            },
            "hands": hands[t],
            "hands_score": np.repeat(visible[t, :, None].astype(np.float64), 21, axis=1),
            "faces": person.face[None],
            "faces_score": person.face_score[None],
            "draw_pose_params": [SIDE_PX, SIDE_PX, 0, SIDE_PX, 0, SIDE_PX],
        }


def _put(part: Path, path: Path) -> None:
    """`part` in the place of `path`, whose poses are only thrown away once that is done."""
    if not path.exists():
        part.replace(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    path.replace(old)
    part.replace(path)
    shutil.rmtree(old)


def _refuse_foreign(path: Path) -> None:
    foreign = None
    if path.exists() and not path.is_dir():
        foreign = "a file of that name"
    elif path.exists():
        others = [p.name for p in path.iterdir() if not _FRAME_NAME.fullmatch(p.name)]
        foreign = f"a folder with {sorted(others)[0]}" if others else None
    if foreign:
        raise InputError(
            "out",
            "must be a new folder, an empty one, or one of EchoMimicV2 poses to replace",
            f"{path} ({foreign})",
            "Choose another name.",
        )


def _frame_files(path: Path) -> list[Path]:
    """The files in order. Raises `InputError` where a number is missing."""
    numbers_there = sorted(
        int(match[1]) for p in path.iterdir() if (match := _FRAME_NAME.fullmatch(p.name))
    )
    if not numbers_there:
        raise InputError("motion", "must hold 0.npy, 1.npy, ...", f"none in {path}", _REMEDY)
    missing = sorted(set(range(numbers_there[-1] + 1)) - set(numbers_there))
    if missing:
        few = ", ".join(f"{n}.npy" for n in missing[:3]) + (", ..." if len(missing) > 3 else "")
        rule = f"must hold every frame from 0.npy to {numbers_there[-1]}.npy"
        raise InputError("motion", rule, f"{path} without {few}", _REMEDY)
    return [path / f"{n}.npy" for n in numbers_there]


def _read_frame(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """hands (2, 21, 2), hands_score (2, 21), body (18, 2), body_score (18,) of one file, of the
    person with the surest body; and how many people it holds."""
    content = load_pickle(file, ARRAYS | OBJECT_ARRAYS, start=_pickle_start(file))
    pose = content[0] if isinstance(content, list) and len(content) == 1 else None
    if not isinstance(pose, dict):
        raise InputError("motion", "must hold a dictionary", f"{file}", _REMEDY)
    hands = numbers(pose, "hands", ("T", 21, 2), file)
    people = max(1, len(hands) // 2)
    hands = numbers(pose, "hands", (2 * people, 21, 2), file)
    hands_score = numbers(pose, "hands_score", (2 * people, 21), file)
    body, body_score = np.zeros((18, 2)), np.zeros(18)
    chosen = 0
    bodies = pose.get("bodies")
    if isinstance(bodies, dict) and {"candidate", "score"} <= bodies.keys():
        candidates = numbers(bodies, "candidate", (18 * people, 2), file).reshape(people, 18, 2)
        scores = numbers(bodies, "score", (people, 18), file)
        chosen = int(scores.mean(axis=1).argmax())
        body, body_score = candidates[chosen], scores[chosen]
    own = slice(2 * chosen, 2 * chosen + 2)
    return hands[own], hands_score[own], body, body_score, people


def _pickle_start(file: Path) -> int:
    """Where the pickled object of an .npy file begins. Raises `InputError` for another file."""
    try:
        with file.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(stream)
            if shape != () or not dtype.hasobject:
                raise ValueError(f"an array of shape {shape} and type {dtype}")
            return stream.tell()
    except (OSError, ValueError, LookupError, EOFError) as error:
        rule = "must be a whole .npy file with one pose"
        raise InputError("motion", rule, f"{file} ({error})"[:300], _REMEDY) from error
