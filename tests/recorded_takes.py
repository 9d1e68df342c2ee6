"""Takes as other people's data comes: a small made-up stand-in of every format that is imported.

All show the same kind of thing, two hands that wander before a chest for some seconds; what is
tested with them is not what they show. Each writer takes a folder, a name and a length, and leaves
a motion there.
"""

import json
import pickle
import wave
from pathlib import Path

import numpy as np
import torch
from conftest import syllables
from motions import smooth_motion
from seen import speaker, track_of

from emo2.motion.formats import save_npz, write_motion
from emo2.motion.rotations import mirror, multiply, to_axis_angle, to_matrix

FPS = 30.0


def sound(folder: Path, name: str, seconds: float, rate: int = 16_000, seed: int = 0) -> None:
    """A recording, of another rate where it is asked for."""
    samples = syllables(seconds, seed)
    times = np.arange(round(seconds * rate)) / rate
    write_wave(
        folder / f"{name}.wav", np.interp(times * 16_000, range(len(samples)), samples), rate
    )


def write_wave(path: Path, samples: np.ndarray, rate: int) -> None:
    """Samples in [-1, 1] as 16-bit mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def npz(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    save_npz(smooth_motion(round(seconds * FPS), seed, FPS), folder / f"{name}.npz")


def exported(suffix: str):
    """What our own writers make, read back as anybody's."""

    def write(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
        motion = smooth_motion(round(seconds * FPS), seed, FPS)
        write_motion(motion, folder / f"{name}{suffix}")

    return write


def pose_folder(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    write_motion(speaker(round(seconds * 24), seed), folder / name)


def keypoints(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    track = track_of(speaker(round(seconds * 24), seed))
    np.savez(
        folder / f"{name}.npz",
        hands=track.hands_px,
        hands_score=track.hands_score,
        body=track.body_px,
        body_score=track.body_score,
        canvas=np.array([768.0, 768.0]),
        fps=np.array([24.0]),
    )


def openpose(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    """One .json of all frames."""
    track = track_of(speaker(round(seconds * 24), seed))

    def triples(points: np.ndarray, score: np.ndarray) -> list[float]:
        return np.concatenate([points, score[:, None]], axis=1).ravel().tolist()

    frames = [
        {
            "canvas_width": 768,
            "canvas_height": 768,
            "people": [
                {
                    "pose_keypoints_2d": triples(track.body_px[t], track.body_score[t]),
                    "hand_left_keypoints_2d": triples(
                        track.hands_px[t, 0], track.hands_score[t, 0]
                    ),
                    "hand_right_keypoints_2d": triples(
                        track.hands_px[t, 1], track.hands_score[t, 1]
                    ),
                }
            ],
        }
        for t in range(len(track.hands_px))
    ]
    (folder / f"{name}.json").write_text(json.dumps(frames))


def body_and_hands(frames: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Axis-angles of SMPL-X: a body (T, 66) with bent arms that swing, fingers (T, 90)."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / FPS

    def swing(size, width):
        hz, phase = random.uniform(0.2, 0.9, (2, width))
        return size * np.sin(2 * np.pi * (hz * time + phase))

    body = np.zeros((frames, 22, 3))
    for joint, side in ((16, 1), (17, -1)):
        body[:, joint] = np.array([0.1, 0.0, -1.1 * side]) + swing(0.2, 3)
        body[:, joint + 2] = np.array([0.0, -1.4 * side, 0.0]) + swing(0.3, 3)
        body[:, joint + 4] = swing(0.3, 3)
    fingers = 0.3 + swing(0.2, 45)
    return body.reshape(frames, 66), np.concatenate([-fingers, fingers], axis=1)


def beat2(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    frames = round(seconds * FPS)
    body, hands = body_and_hands(frames, seed)
    poses = np.concatenate([body, np.zeros((frames, 9)), hands], axis=1)
    np.savez(
        folder / f"{name}.npz",
        betas=np.zeros(300),
        poses=poses,
        expressions=np.zeros((frames, 100)),
        trans=np.zeros((frames, 3)),
        model="smplx2020",
        gender="neutral",
        mocap_frame_rate=30,
    )


def amass(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    poses = np.concatenate(body_and_hands(round(seconds * FPS), seed), axis=1)
    np.savez(folder / f"{name}.npz", poses=poses, trans=poses[:, :3], mocap_framerate=FPS)


def talkshow(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    frames = round(seconds * FPS)
    rows = np.zeros((frames, 265), np.float32)
    rows[:, 9:75], rows[:, 75:165] = body_and_hands(frames, seed)
    np.save(folder / f"{name}.npy", rows)


def show(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    frames = round(seconds * FPS)
    body, _ = body_and_hands(frames, seed)
    fit = {
        "global_orient": torch.tensor(body[:, None, :3]),
        "body_pose_axis": torch.tensor(body[:, 3:]),
        "left_hand_pose": torch.zeros(frames, 12),
        "right_hand_pose": torch.zeros(frames, 12),
        "expression": torch.zeros(frames, 100),
        "betas": torch.zeros(1, 300),
        "transl": torch.zeros(frames, 3),
    }
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(fit, protocol=2))


def mano(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    """Rows as HaMeR makes them: crops of left hands mirrored, a camera 2 m away and y down; the
    right hand is lost for half a second."""
    motion = smooth_motion(round(seconds * FPS), seed, FPS)
    down, rows = np.array([0.0, 1.0, 0.0, 0.0]), []
    for t in range(motion.num_frames):
        for hand in (0, 1):
            if hand == 1 and 10 <= t < 25:
                continue
            turns = motion.quaternions[t, hand].astype(float)
            turns[0] = multiply(down, turns[0])
            turns = turns if hand else mirror(turns)
            rows.append(
                {
                    "global_orient": to_matrix(turns[:1]),
                    "hand_pose": to_matrix(turns[1:]),
                    "betas": np.zeros(10),
                    "pred_cam_t_full": motion.translation_m[t, hand] * [1, -1, -1] + [0, 0, 2],
                    "right": hand,
                    "frame": t,
                }
            )
    stacked = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    np.savez(folder / f"{name}.npz", **stacked, fps=FPS)


def mano_folder(folder: Path, name: str, seconds: float, seed: int = 0) -> None:
    """WiLoR-mini's kind: a pickle a frame, axis-angles."""
    motion = smooth_motion(round(seconds * FPS), seed, FPS)
    (folder / name).mkdir()
    for t in range(motion.num_frames):
        hands = []
        for hand in (0, 1):
            angles = to_axis_angle(motion.quaternions[t, hand].astype(float))[None]
            place = motion.translation_m[t, hand] * [1, -1, -1] + [0, 0, 2]
            inner = {
                "global_orient": angles[:, :1],
                "hand_pose": angles[:, 1:],
                "betas": np.zeros((1, 10)),
                "pred_cam_t_full": place[None],
            }
            hands.append({"is_right": float(hand), "wilor_preds": inner})
        (folder / name / f"{t:06d}.pkl").write_bytes(pickle.dumps(hands))


FORMATS = {
    "npz": npz,
    "bvh": exported(".bvh"),
    "glb": exported(".glb"),
    "vrma": exported(".vrma"),
    "echomimic": pose_folder,
    "keypoints": keypoints,
    "openpose": openpose,
    "beat2": beat2,
    "amass": amass,
    "talkshow": talkshow,
    "show": show,
    "mano": mano,
    "mano folder": mano_folder,
}
"""A writer for every format that can be read, and for two of its other shapes."""
