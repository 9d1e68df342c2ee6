"""Motion archives and edits."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motions import same

from emo2.errors import InputError
from emo2.motion.edit import mirror, trim
from emo2.motion.formats import load_npz, read_motion, save_npz
from emo2.types import HandMotion


def random_motion(frames: int = 5, seed: int = 0) -> HandMotion:
    rng = np.random.default_rng(seed)
    quaternions = rng.normal(size=(frames, 2, 16, 4))
    return HandMotion(
        quaternions=quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True),
        translation_m=rng.normal(size=(frames, 2, 3)),
        visible=rng.random((frames, 2)) > 0.3,
        betas=rng.normal(size=(2, 10)),
        fps=24.0,
        meta={"seed": seed, "style": "talk-calm"},
    )


def test_npz_round_trip_is_exact(tmp_path):
    motion = random_motion()
    again = load_npz(save_npz(motion, tmp_path / "new" / "hands.npz"))
    assert same(motion, again)
    assert again.meta == motion.meta
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["hands.npz"]


def test_npz_has_the_documented_keys(tmp_path):
    with np.load(save_npz(random_motion(), tmp_path / "m.npz"), allow_pickle=False) as archive:
        assert set(archive) == {"quaternions", "translation_m", "visible", "betas", "fps", "meta"}
        assert archive["quaternions"].shape == (5, 2, 16, 4)
        assert json.loads(str(archive["meta"]))["style"] == "talk-calm"


def changed(tmp_path, **changes):
    path = save_npz(random_motion(), tmp_path / "m.npz")
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive} | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"betas": None}, "without betas"),
        ({"fps": np.float64(0)}, "fps 0"),
        ({"quaternions": np.zeros((5, 2, 16, 4))}, "length 0.000"),
        ({"quaternions": np.ones((5, 2, 15, 4))}, "shape must be"),
        ({"translation_m": np.full((5, 2, 3), np.nan)}, "not finite"),
        ({"translation_m": np.zeros((4, 2, 3))}, "equally long"),
        ({"meta": "not json"}, "plain arrays"),
    ],
)
def test_bad_archives_are_refused_with_the_reason(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        load_npz(changed(tmp_path, **changes))


def test_a_pickle_in_the_archive_is_never_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    with pytest.raises(InputError):
        load_npz(changed(tmp_path, meta=np.array([Trap()], dtype=object)))
    bare = tmp_path / "bare.npz"
    bare.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError):
        load_npz(bare)
    assert not (tmp_path / "sprung").exists()


@given(st.integers(0, 1000))
def test_mirror_twice_is_the_same_motion(seed):
    motion = random_motion(seed=seed)
    assert same(mirror(mirror(motion)), motion)


def test_mirror_turns_x_round_and_swaps_hands():
    motion = random_motion()
    turned = mirror(motion)
    np.testing.assert_array_equal(turned.translation_m[:, 0, 0], -motion.translation_m[:, 1, 0])
    np.testing.assert_array_equal(turned.translation_m[:, 0, 1:], motion.translation_m[:, 1, 1:])
    np.testing.assert_array_equal(turned.visible[:, 0], motion.visible[:, 1])


def test_trim_keeps_the_span_to_the_bit():
    motion = random_motion(frames=9)
    np.testing.assert_array_equal(trim(motion, 2, 7).quaternions, motion.quaternions[2:7])
    for start, stop in [(-1, 3), (3, 3), (4, 2), (0, 10)]:
        with pytest.raises(InputError, match="9 frames"):
            trim(motion, start, stop)


def test_motion_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        random_motion().quaternions[0] = 0


def test_a_file_without_suffix_is_no_folder_of_poses(tmp_path):
    (tmp_path / "notes").write_text("hello")
    with pytest.raises(InputError, match="must end in one of"):
        read_motion(tmp_path / "notes")
