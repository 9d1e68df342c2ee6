"""Whole-body fits in SMPL-X and SMPL-H: SHOW, TalkSHOW, BEAT2 and AMASS files become `HandMotion`s.

Of the body the arms are posed (`smplx_skeleton`) to know where the wrists are, relative to the
shoulders; the rest of it is not kept. The world's axes, a camera that looks up or down, the way the
person faces: none of it matters then. MANO joint order and axes are those of SMPL-X's
hands, so finger rotations are taken as they are, but for what they count from: the flat hand (BEAT2
and AMASS, as MoSh++ writes them) or MANO's mean hand (SHOW and TalkSHOW).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.hands.mano_files import HandPair, find_hands, load_hands
from emo2.hands.shapes import handshape
from emo2.hands.skeleton import LEFT, RIGHT
from emo2.motion.formats.arrays import names_in, numbers, plain_array, read_npy, read_npz
from emo2.motion.formats.body_frame import to_body_frame
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.motion.formats.smplx_skeleton import NUM_BODY_JOINTS, pose_arms
from emo2.motion.formats.stand_ins import ARRAYS
from emo2.motion.formats.unpickling import MAX_BYTES, TENSORS, load_pickle
from emo2.motion.rotations import continuous, from_axis_angle, to_axis_angle
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, REFERENCE_SHOULDER_BREADTH_M, HandMotion

SHOW_FPS = 30.0
BEAT2_FPS = 30.0
FPS_RANGE = (1.0, 1000.0)
MIN_BREADTH_M = 0.1
TALKSHOW_WIDTH = 265
"""jaw 3, eyes 6, pelvis 3, body 63, left hand 45, right hand 45, expression 100."""
_TALKSHOW_BODY, _TALKSHOW_HANDS = slice(9, 75), slice(75, 165)
_ASSUMED = f"{SHOW_FPS:g} frames per second as all of SHOW's"
_FLAT = "fingers count from the flat hand"
_MEAN = "fingers count from MANO's mean hand, which was added"
_RELAXED = "fingers count from MANO's mean hand, in whose place our relaxed hand was added"
_MANO_REMEDY = "with MANO_LEFT.pkl and MANO_RIGHT.pkl in checkpoints/mano they are exact"
_BODY_LOST = (
    "body shape: the bones of an average body were assumed",
    "legs, head, the trunk's own movement: hands are kept relative to the shoulders",
)
_FACE_LOST = "face and expression"


def is_show(path: Path) -> bool:
    """Does this pickle name what a SHOW fit holds? Read as bytes, not unpickled."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
    except OSError:
        return False
    return b"body_pose_axis" in data and b"left_hand_pose" in data


def is_beat2(path: Path) -> bool:
    """Poses and expressions: BEAT2."""
    return {"poses", "expressions"} <= names_in(path)


def is_amass(path: Path) -> bool:
    """Poses alone: AMASS."""
    return "poses" in names_in(path)


def read_show(path: Path, context: Context) -> Imported:
    """A SHOW fit (.pkl of torch tensors or arrays): 30 frames per second, hands in MANO's principal
    components about MANO's mean hand."""
    fit = load_pickle(path, {**ARRAYS, **TENSORS})
    if not isinstance(fit, Mapping):
        rule, remedy = "a SHOW fit must be a dictionary", "Export it again with SHOW."
        raise InputError("motion", rule, f"a {type(fit).__name__} in {path}", remedy)
    pelvis = numbers(fit, "global_orient", ("T", 3), path)
    joints = numbers(fit, "body_pose_axis", ("T", 63), path)
    body = np.concatenate([_as_long(pelvis, joints, path), joints], axis=1)
    pair = mano_pair(context)
    hands, lost = [], list(_BODY_LOST)
    for hand, side in enumerate(("left", "right")):
        name = f"{side}_hand_pose"
        held = plain_array(fit.get(name))
        width = held.shape[-1] if held is not None and held.ndim else 12
        pose = _as_long(numbers(fit, name, ("T", min(width, 45)), path), joints, path)
        if width < 45:
            pose = pose @ pair.hands_components[hand, :width] if pair else np.zeros((len(pose), 45))
        hands.append(pose + _mean_hand(hand, pair))
    if pair is None:
        lost.append(f"the fingers' movement, in MANO's principal components: {_MANO_REMEDY}")
    lost += [_FACE_LOST, "the camera"]
    convention = f"SMPL-X, axis-angle in radians, y down, {_ASSUMED}; "
    convention += _MEAN if pair else "hands at rest in our relaxed shape"
    return _imported("show", path, body, np.stack(hands, 1), SHOW_FPS, convention, lost)


def read_talkshow(path: Path, context: Context) -> Imported:
    """TalkSHOW's output (.npy, 265 numbers a frame): 30 frames per second, hands as axis-angles
    about MANO's mean hand."""
    rows = numbers({"the array": read_npy(path)}, "the array", ("T", TALKSHOW_WIDTH), path)
    pair = mano_pair(context)
    mean = np.stack([_mean_hand(hand, pair) for hand in (LEFT, RIGHT)])
    hands = rows[:, _TALKSHOW_HANDS].reshape(-1, NUM_HANDS, 45) + mean
    convention = f"SMPL-X, axis-angle in radians, y down, {_ASSUMED}; "
    convention += _MEAN if pair else _RELAXED
    lost = [*_BODY_LOST, _FACE_LOST]
    if pair is None:
        lost.append(f"the exact bend of the fingers: {_MANO_REMEDY}")
    return _imported("talkshow", path, rows[:, _TALKSHOW_BODY], hands, SHOW_FPS, convention, lost)


def read_beat2(path: Path, context: Context) -> Imported:
    """BEAT2 and EMAGE (.npz): SMPL-X with 55 joints, axis-angles, fingers from the flat hand.

    MoSh++, which made BEAT2, writes whole poses. EMAGE's own viewer adds MANO's mean hand to them
    once more (smplx's default `flat_hand_mean=False`), so fingers bend more there.
    """
    held = read_npz(path, ("poses", "mocap_frame_rate", "mocap_framerate"))
    fps = _frame_rate(held, path, default=BEAT2_FPS)
    poses = numbers(held, "poses", ("T", 165), path)
    convention = f"SMPL-X, axis-angle in radians, metres, y up; {_FLAT}"
    if len(held) == 1:
        convention += f"; no frame rate in the file, {BEAT2_FPS:g} assumed"
    lost = [*_BODY_LOST, _FACE_LOST]
    return _imported("beat2", path, poses[:, :66], poses[:, 75:165], fps, convention, lost)


def read_amass(path: Path, context: Context) -> Imported:
    """AMASS (.npz): SMPL-H (156 numbers a frame) or SMPL-X (165), axis-angles, z up, fingers from
    the flat hand."""
    held = read_npz(path, ("poses", "mocap_frame_rate", "mocap_framerate"))
    fps = _frame_rate(held, path)
    array = plain_array(held.get("poses"))
    whole = array is not None and array.shape[-1:] == (165,)
    width, first = (165, 75) if whole else (156, 66)
    poses = numbers(held, "poses", ("T", width), path)
    convention = f"SMPL-{'X' if whole else 'H'}, axis-angle in radians, metres, z up; {_FLAT}"
    lost = [*_BODY_LOST, "soft tissue"]
    hands = poses[:, first : first + 90]
    if len(hands) > 1 and np.ptp(hands, axis=0).max() < 1e-6:
        lost.append("nothing of the fingers: the file holds none of their movement")
    return _imported("amass", path, poses[:, :66], hands, fps, convention, lost)


def mano_pair(context: Context) -> HandPair | None:
    """MANO's own files, where the context names a folder that has them."""
    if context.mano_folder is None or find_hands(context.mano_folder) is None:
        return None
    pair = load_hands(context.mano_folder)
    return pair if pair.is_mano else None


def _imported(
    name: str,
    path: Path,
    body: np.ndarray,
    hands: np.ndarray,
    fps: float,
    convention: str,
    lost: list[str],
) -> Imported:
    """body (T, 66) and hands (T, 90): axis-angles, the fingers from the flat hand."""
    frames = len(body)
    shoulders, wrists, up, turns = pose_arms(body.reshape(frames, NUM_BODY_JOINTS, 3))
    turns, places, breadth_m = to_body_frame(shoulders, up, wrists, turns)
    if not (breadth_m > MIN_BREADTH_M and np.isfinite(places).all() and np.isfinite(turns).all()):
        rule, remedy = "shoulders must be apart and beside the spine", "Look at the collar bones."
        raise InputError("motion", rule, f"{breadth_m:.3f} m in {path}", remedy)
    quaternions = np.empty((frames, NUM_HANDS, NUM_JOINTS, 4))
    quaternions[:, :, 0] = turns
    quaternions[:, :, 1:] = from_axis_angle(hands.reshape(frames, NUM_HANDS, NUM_JOINTS - 1, 3))
    motion = HandMotion(
        quaternions=continuous(quaternions),
        translation_m=places,
        visible=np.ones((frames, NUM_HANDS), bool),
        betas=np.zeros((NUM_HANDS, NUM_BETAS)),
        fps=fps,
        meta={
            "source": path.name,
            "format": name,
            "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M,
        },
    )
    return Imported(motion, ImportReport(name, fps, convention, tuple(lost)))


def _mean_hand(hand: int, pair: HandPair | None) -> np.ndarray:
    """(45,) axis-angles of MANO's mean hand, or of our relaxed hand where MANO is not here."""
    if pair is not None:
        return pair.hands_mean[hand]
    return to_axis_angle(handshape("relaxed", hand)[1:]).ravel()


def _as_long(values: np.ndarray, joints: np.ndarray, path: Path) -> np.ndarray:
    """`values` for as many frames as `joints`; one row stands for all."""
    if len(values) == len(joints):
        return values
    if len(values) == 1:
        return np.repeat(values, len(joints), axis=0)
    rule, remedy = "all of a fit must be equally long", "Export the fit again."
    raise InputError("motion", rule, f"{len(values)} and {len(joints)} frames in {path}", remedy)


def _frame_rate(held: Mapping, path: Path, default: float | None = None) -> float:
    name = next((n for n in ("mocap_frame_rate", "mocap_framerate") if n in held), None)
    if name is None and default is not None:
        return default
    fps = float(numbers(held, name or "mocap_framerate", (), path))
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        rule = f"{name} must be {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g} frames per second"
        raise InputError("motion", rule, f"{fps:g} in {path}", "Put the right rate into the file.")
    return fps
