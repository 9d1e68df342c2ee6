"""MANO's own files: read without code, converted once, put right, refused where they are wrong."""

import io
import pickle
import pickletools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from mano_like import FREE, hand_arrays, write_folder, write_pickle
from scipy.sparse import csc_matrix, csr_matrix

from emo2.doctor import _hands
from emo2.errors import InputError, MissingCheckpoint
from emo2.hands.mano_files import SHAPES, find_hands, load_hands, with_own_shapes
from emo2.hands.model import HandModel
from emo2.hands.shapes import handshape
from emo2.motion.rotations import from_axis_angle
from emo2.pipeline import EMO2Pipeline
from emo2.types import HandMotion

FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    return write_folder(tmp_path / "mano", monkeypatch)


def motion(betas=0.0, shape="flat") -> HandMotion:
    quaternions = np.stack([handshape(shape, hand) for hand in (0, 1)])[None]
    places = np.array([[[0.2, 0.0, 0.1], [-0.2, 0.0, 0.1]]])
    return HandMotion(quaternions, places, np.ones((1, 2), bool), np.full((2, 10), betas), 24.0)


# Reading ------------------------------------------------------------------------------------


def test_the_stand_in_is_built_like_manos_pickle(folder):
    names = {
        argument
        for code, argument, _ in pickletools.genops((folder / "MANO_RIGHT.pkl").read_bytes())
        if code.name == "GLOBAL"
    }
    assert {"chumpy.reordering Select", "chumpy.ch Ch", "scipy.sparse.csc csc_matrix"} <= names
    with pytest.raises(ModuleNotFoundError, match="chumpy"):
        pickle.loads((folder / "MANO_RIGHT.pkl").read_bytes(), encoding="latin1")


@pytest.mark.parametrize(("hand", "side"), enumerate(("LEFT", "RIGHT")))
def test_a_pickle_is_read_to_the_bit(folder, hand, side):
    arrays, wanted = load_hands(folder).hands[hand], hand_arrays(side)
    if side == "LEFT":
        wanted["shapedirs"][:, 0] *= -1
    assert set(arrays) == set(SHAPES)
    for name in SHAPES:
        np.testing.assert_array_equal(arrays[name], wanted[name], err_msg=name)
    assert arrays["f"].dtype == np.uint32


def test_a_pickle_is_converted_once(folder):
    first = load_hands(folder)
    kept = folder / "MANO_RIGHT.npz"
    assert sorted(p.name for p in folder.iterdir()) == [
        *("MANO_LEFT.npz", "MANO_LEFT.pkl", "MANO_RIGHT.npz", "MANO_RIGHT.pkl")
    ]
    written = kept.stat().st_mtime_ns
    second = load_hands(folder)
    assert kept.stat().st_mtime_ns == written
    for a, b in zip(first.hands, second.hands, strict=True):
        for name in SHAPES:
            np.testing.assert_array_equal(a[name], b[name])
    for name in ("MANO_LEFT.pkl", "MANO_RIGHT.pkl"):
        (folder / name).unlink()
    np.testing.assert_array_equal(load_hands(folder).hands_mean, first.hands_mean)


def test_a_new_pickle_is_converted_anew(folder, monkeypatch):
    load_hands(folder)
    arrays = hand_arrays("RIGHT")
    arrays["hands_mean"] += 0.01
    write_pickle(folder / "MANO_RIGHT.pkl", arrays, monkeypatch)
    np.testing.assert_array_equal(load_hands(folder).hands_mean[1], arrays["hands_mean"])
    np.testing.assert_array_equal(load_hands(folder).hands_mean[1], arrays["hands_mean"])


def test_a_folder_that_cannot_be_written_still_works(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("read-only")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert load_hands(folder).is_mano
    assert not list(folder.glob("*.npz"))


def test_a_write_that_fails_leaves_nothing_behind(folder, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert load_hands(folder).is_mano
    assert sorted(p.name for p in folder.iterdir()) == ["MANO_LEFT.pkl", "MANO_RIGHT.pkl"]


def test_archives_of_plain_arrays_are_read_as_they_are(tmp_path):
    for side in ("LEFT", "RIGHT"):
        np.savez(tmp_path / f"MANO_{side}.npz", **hand_arrays(side, left_bug=False), J=np.ones(3))
    assert load_hands(tmp_path).is_mano
    assert len(list(tmp_path.iterdir())) == 2


def test_the_archive_may_be_dropped_as_it_unpacks(tmp_path, monkeypatch):
    write_folder(tmp_path / "mano" / "mano_v1_2" / "models", monkeypatch)
    assert find_hands(tmp_path / "mano") == tmp_path / "mano" / "mano_v1_2" / "models"
    assert load_hands(tmp_path / "mano").is_mano
    assert find_hands(tmp_path / "nothing") is None


@pytest.mark.parametrize("matrix", [csc_matrix, csr_matrix])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_files_that_were_converted_for_python_3_are_read(tmp_path, matrix, protocol):
    for side in ("LEFT", "RIGHT"):
        arrays = hand_arrays(side)
        arrays["J_regressor"] = matrix(arrays["J_regressor"])
        (tmp_path / f"MANO_{side}.pkl").write_bytes(pickle.dumps(arrays, protocol))
    read = load_hands(tmp_path).hands[1]["J_regressor"]
    np.testing.assert_array_equal(read, hand_arrays("RIGHT")["J_regressor"])


# The hand layer -----------------------------------------------------------------------------


def test_the_layer_equals_unmodified_smplx_on_the_converted_file(folder):
    import torch
    from smplx import MANO

    model = HandModel.from_pretrained(folder)
    assert model.is_mano
    layer = MANO(str(folder / "MANO_RIGHT.npz"), ext="npz", use_pca=False, flat_hand_mean=True)
    pose = torch.tensor(0.2 * np.random.default_rng(0).normal(size=(1, 48)), dtype=torch.float32)
    still = motion(0.7)
    quaternions = still.quaternions.copy()
    quaternions[0, 1] = from_axis_angle(pose.numpy().reshape(16, 3))
    ours = HandMotion(quaternions, still.translation_m, still.visible, still.betas, 24.0)
    theirs = (
        layer(betas=torch.full((1, 10), 0.7), global_orient=pose[:, :3], hand_pose=pose[:, 3:])
        .vertices.detach()
        .numpy()[0]
    )
    vertices = model.vertices(ours)[0, 1]
    np.testing.assert_allclose(
        vertices - vertices.mean(axis=0), theirs - theirs.mean(axis=0), atol=2e-6
    )


def test_the_pose_counts_from_the_flat_hand(folder):
    pair = load_hands(folder)
    vertices = HandModel.from_pretrained(folder).vertices(motion())[0]
    for hand in (0, 1):
        template = pair.hands[hand]["v_template"]
        root = pair.hands[hand]["J_regressor"][0] @ template
        np.testing.assert_allclose(
            vertices[hand], template - root + motion().translation_m[0, hand], atol=1e-6
        )
    assert pair.hands_mean.shape == (2, 45)
    assert pair.hands_components.shape == (2, 45, 45)
    np.testing.assert_array_equal(pair.hands_mean[1], hand_arrays("RIGHT")["hands_mean"])


def test_smooth_shading_serves_manos_mesh(folder):
    model = HandModel.from_pretrained(folder)
    smooth = model.subdivide(model.vertices(motion(shape="fist")))
    assert model.smooth_faces.shape == (2, 4 * 1538, 3)
    assert smooth.shape[2] == model.smooth_faces.max() + 1
    assert np.isfinite(smooth).all()


# The left hand's shapes ---------------------------------------------------------------------


def test_one_shape_is_the_same_on_both_hands(folder):
    vertices = HandModel.from_pretrained(folder).vertices(motion(2.0))[0]
    np.testing.assert_allclose(vertices[0], vertices[1] * FLIP, atol=2e-6)


def test_a_left_hand_that_is_right_stays_to_the_bit():
    left, right = hand_arrays("LEFT", left_bug=False), hand_arrays("RIGHT")
    assert with_own_shapes(left, right) is left
    wrong = hand_arrays("LEFT")
    mended = with_own_shapes(wrong, right)
    np.testing.assert_array_equal(mended["shapedirs"], left["shapedirs"])
    assert with_own_shapes(mended, right) is mended, "once is enough"
    free = [dict(np.load(FREE / f"MANO_{side}.npz")) for side in ("LEFT", "RIGHT")]
    assert with_own_shapes(*free) is free[0]


def test_the_users_files_keep_their_bug(folder):
    before = (folder / "MANO_LEFT.pkl").read_bytes()
    load_hands(folder)
    assert (folder / "MANO_LEFT.pkl").read_bytes() == before
    np.testing.assert_array_equal(
        np.load(folder / "MANO_LEFT.npz")["shapedirs"], hand_arrays("LEFT")["shapedirs"]
    )


# Wrong files --------------------------------------------------------------------------------


def changed(name, value):
    def write(folder, monkeypatch):
        write_pickle(folder / "MANO_RIGHT.pkl", {**hand_arrays("RIGHT"), name: value}, monkeypatch)

    return write


def without(name):
    def write(folder, monkeypatch):
        arrays = {k: v for k, v in hand_arrays("RIGHT").items() if k != name}
        write_pickle(folder / "MANO_RIGHT.pkl", arrays, monkeypatch)

    return write


def left_in_its_place(folder, monkeypatch):
    shutil.copy(folder / "MANO_LEFT.pkl", folder / "MANO_RIGHT.pkl")


def cut(folder, monkeypatch):
    whole = (folder / "MANO_RIGHT.pkl").read_bytes()
    (folder / "MANO_RIGHT.pkl").write_bytes(whole[: len(whole) // 2])


def empty(folder, monkeypatch):
    (folder / "MANO_RIGHT.pkl").write_bytes(b"")


def a_list(folder, monkeypatch):
    (folder / "MANO_RIGHT.pkl").write_bytes(pickle.dumps([1, 2], protocol=2))


def foreign_select(folder, monkeypatch):
    """A chumpy node that selects numbers it does not hold."""
    arrays = hand_arrays("RIGHT")
    write_pickle(folder / "MANO_RIGHT.pkl", arrays, monkeypatch)
    data = (folder / "MANO_RIGHT.pkl").read_bytes()
    (folder / "MANO_RIGHT.pkl").write_bytes(data.replace(b"preferred_shape", b"preferred_shapf"))


def a_sparse_bomb(folder, monkeypatch):
    """A sparse matrix that says it has more numbers than memory holds."""
    arrays = hand_arrays("RIGHT")
    arrays["J_regressor"] = csc_matrix(arrays["J_regressor"])
    arrays["J_regressor"].indptr = arrays["J_regressor"].indptr.astype(np.int64) * 10**12
    (folder / "MANO_RIGHT.pkl").write_bytes(pickle.dumps(arrays))


def with_nan():
    values = hand_arrays("RIGHT")["posedirs"]
    values[3, 1, 2] = np.nan
    return values


WRONG = {
    "shape": (changed("v_template", np.zeros((6890, 3))), r"v_template of shape \(778, 3\)"),
    "pca": (changed("hands_components", np.zeros((6, 45))), "hands_components of shape"),
    "nan": (changed("posedirs", with_nan()), "posedirs of finite numbers"),
    "text": (changed("weights", "none"), "weights of shape"),
    "tree": (changed("kintree_table", np.zeros((2, 16), int)), "joint tree"),
    "faces": (changed("f", np.full((1538, 3), 900)), "faces of the 778"),
    "sums": (changed("weights", np.ones((778, 16))), "sum to 1"),
    "millimetres": (
        changed("v_template", 1000 * hand_arrays("RIGHT")["v_template"]),
        "in metres",
    ),
    "missing": (without("hands_mean"), "none of hands_mean"),
    "side": (left_in_its_place, "with a left hand"),
    "cut": (cut, "whole pickle"),
    "empty": (empty, "whole pickle"),
    "list": (a_list, "a dictionary of arrays"),
    "select": (foreign_select, "chumpy"),
    "sparse": (a_sparse_bomb, "numbers that are not there"),
}


@pytest.mark.parametrize(("write", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_refused_with_the_reason(folder, monkeypatch, write, message):
    write(folder, monkeypatch)
    with pytest.raises(InputError, match=message) as caught:
        HandModel.from_pretrained(folder)
    assert "MANO_RIGHT.pkl" in str(caught.value)
    assert caught.value.argument == "hands"
    assert not (folder / "MANO_RIGHT.npz").exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


def test_code_in_a_hand_is_refused_and_not_run(folder, tmp_path):
    canary = tmp_path / "canary"
    (folder / "MANO_LEFT.pkl").write_bytes(pickle.dumps({"v_template": Bomb(canary)}, protocol=2))
    with pytest.raises(InputError, match=r"open.*Nothing in it was run"):
        HandModel.from_pretrained(folder)
    assert not canary.exists()


def test_objects_in_an_archive_are_refused_and_not_run(tmp_path):
    canary = tmp_path / "canary"
    for side in ("LEFT", "RIGHT"):
        arrays = hand_arrays(side)
        arrays["J_regressor"] = np.array([Bomb(canary)], dtype=object)
        np.savez(tmp_path / f"MANO_{side}.npz", **arrays)
    with pytest.raises(InputError, match="pickled objects"):
        HandModel.from_pretrained(tmp_path)
    assert not canary.exists()


def test_a_cut_archive_is_refused(tmp_path):
    for side in ("LEFT", "RIGHT"):
        file = io.BytesIO()
        np.savez(file, **hand_arrays(side))
        (tmp_path / f"MANO_{side}.npz").write_bytes(file.getvalue()[:-5000])
    with pytest.raises(InputError, match=r"a whole \.npz"):
        HandModel.from_pretrained(tmp_path)


def test_one_hand_alone_says_what_to_do(folder):
    (folder / "MANO_LEFT.pkl").unlink()
    with pytest.raises(MissingCheckpoint, match=r"MANO_RIGHT only.*Put MANO_LEFT\.pkl"):
        HandModel.from_pretrained(folder)
    with pytest.raises(MissingCheckpoint, match="MANO_RIGHT only"):
        find_hands(folder)


# The pipeline and the doctor ----------------------------------------------------------------


def test_the_pipeline_takes_manos_hands_from_beside_the_weight_set(tmp_path, monkeypatch):
    own = tmp_path / "checkpoints" / "demo"
    shutil.copytree(FREE, own / "hands")
    assert not EMO2Pipeline(own, fps=24, max_side_px=256).hand_model.is_mano
    assert "free hands" in _hands(own).detail
    write_folder(tmp_path / "checkpoints" / "mano", monkeypatch)
    assert EMO2Pipeline(own, fps=24, max_side_px=256).hand_model.is_mano
    assert _hands(own).ok
    assert "MANO's own" in _hands(own).detail
    (tmp_path / "checkpoints" / "mano" / "MANO_LEFT.pkl").write_bytes(b"")
    assert not _hands(own).ok
