"""Hands from and for other programs, by the page's own handlers: files of every format come back as
they left."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from fake_pipeline import FakePipeline

from emo2.errors import InputError
from emo2.hands.shapes import handshape, wrist_rotation
from emo2.motion.edit import resample, trim
from emo2.motion.formats import load_npz, save_npz, write_motion
from emo2.motion.rotations import angle_between
from emo2.types import AudioClip, HandMotion
from emo2.ui.exchange import EXPORTS, bring, imported_meta, said, take_away
from emo2.ui.session import Hands, SessionStore, Voice
from emo2.ui.uploads import Limits

FRAMES = 24


def waving() -> HandMotion:
    """Relaxed hands before the body, rocking."""
    quaternions = np.zeros((FRAMES, 2, 16, 4))
    translation_m = np.zeros((FRAMES, 2, 3))
    phase = np.linspace(0, 2 * np.pi, FRAMES)
    for hand, side in ((0, 1.0), (1, -1.0)):
        quaternions[:, hand] = handshape("relaxed", hand)
        quaternions[:, hand, 0] = wrist_rotation([-0.3 * side, 0.8, 0.5], [0, 0, -1], hand)
        translation_m[:, hand, 0] = 0.17 * side + 0.02 * np.sin(phase)
        translation_m[:, hand, 1:] = [-0.25, 0.2]
    visible = np.ones((FRAMES, 2), bool)
    return HandMotion(quaternions, translation_m, visible, np.zeros((2, 10)), 24.0, {"seed": 5})


@pytest.fixture
def studio(tmp_path):
    """A session that has a recording of one second and one version of the hands."""
    pipeline = FakePipeline()
    session = SessionStore(tmp_path / "sessions").open(None)
    session.voice = Voice(Path("v.wav"), "v.wav", AudioClip(np.zeros(16_000)), "voice")
    file = save_npz(waving(), session.new_file("hands", ".npz"))
    hands = Hands(1, "one", waving(), file, file, {}, "voice", "")
    return pipeline, session, hands


@pytest.mark.parametrize("name", EXPORTS)
def test_what_is_taken_away_can_be_brought_back(studio, name):
    pipeline, session, hands = studio
    file = take_away(hands, name, session, pipeline)
    assert file.parent == session.folder
    assert take_away(hands, name, session, pipeline) == file
    back = bring(file, Limits(), session, pipeline).motion
    assert (back.num_frames, back.fps) == (FRAMES, 24.0)
    turned = np.rad2deg(angle_between(back.quaternions, hands.motion.quaternions))
    moved = np.linalg.norm(back.translation_m - hands.motion.translation_m, axis=-1)
    if name == "echomimic":  # flat points: depth is a guess, what is seen is not
        assert np.median(moved[..., None]) < 0.08
        assert np.median(turned[:, :, 0]) < 25
    else:
        assert turned.max() < 0.2
        assert moved.max() < 1e-3


def test_a_file_of_another_rate_is_resampled_and_says_so(studio, tmp_path):
    pipeline, session, hands = studio
    write_motion(resample(hands.motion, 60.0), tmp_path / "take.bvh")
    imported = imported_meta(bring(tmp_path / "take.bvh", Limits(), session, pipeline))
    assert imported.motion.fps == 24.0
    assert "60" in said(imported.report)
    assert imported.motion.meta["imported"]["source_fps"] == pytest.approx(60.0)
    assert load_npz(save_npz(imported.motion, tmp_path / "kept.npz")).meta["imported"]


def test_what_cannot_be_used_is_refused_in_words(studio, tmp_path):
    pipeline, session, hands = studio
    short = save_npz(trim(hands.motion, 0, 10), tmp_path / "short.npz")
    garbage = tmp_path / "garbage.zip"
    garbage.write_bytes(b"PK\x03\x04 but no more")
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for path, words in ((short, "24 frames"), (garbage, "zip"), (empty, "0.npy")):
        with pytest.raises(InputError, match=words):
            bring(path, Limits(), session, pipeline)
    with pytest.raises(InputError, match="smaller"):
        bring(short, Limits(motion_mb=0), session, pipeline)
    with pytest.raises(InputError, match="one of"):
        take_away(hands, "exe", session, pipeline)


def test_a_damaged_zip_is_refused_wherever_it_is_damaged(studio, tmp_path):
    pipeline, session, hands = studio
    whole = take_away(hands, "echomimic", session, pipeline).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        data = bytearray(whole)
        at = int(rng.integers(0, len(data) - 64))
        data[at : at + 64] = rng.bytes(64)
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        with pytest.raises(InputError):
            bring(path, Limits(), session, pipeline)


def test_a_zip_unpacks_nothing_outside_and_no_bomb(studio, tmp_path):
    pipeline, session, _ = studio
    climbing = tmp_path / "climbing.zip"
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr("../../0.npy", b"not numpy")
    with pytest.raises(InputError):
        bring(climbing, Limits(), session, pipeline)
    assert not list(tmp_path.rglob("0.npy"))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.npy", bytes(30 * 1024**2))
    with pytest.raises(InputError, match="unpacked"):
        bring(bomb, Limits(), session, pipeline)
