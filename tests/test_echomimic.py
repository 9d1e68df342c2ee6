"""EchoMimicV2's pose folders: written as its loader reads them, read back, and nothing run."""

import io
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from seen import speaker

from emo2.errors import InputError
from emo2.features.portrait import analyse_portrait
from emo2.hands.model import HandModel
from emo2.media import load_image
from emo2.motion.formats import Context, identify, read_motion, write_motion
from emo2.motion.formats import echomimic as module
from emo2.motion.formats.echomimic_person import EYES, NECK, NOSE, SHOULDERS, WRISTS, person_of
from emo2.motion.lift.bones import OPENPOSE
from emo2.motion.rotations import angle_between
from emo2.pipeline import DEMO_CHECKPOINT
from emo2.types import Camera, Portrait

SHAPES = {
    "hands": (2, 21, 2),
    "hands_score": (2, 21),
    "faces": (1, 68, 2),
    "faces_score": (1, 68),
}
BODY_SHAPES = {"candidate": (18, 2), "subset": (1, 18), "score": (1, 18)}


@pytest.fixture(scope="module")
def hand_model():
    return HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")


def load_as_echomimic_does(folder):
    """Its own way: count what is in the folder, then load by number."""
    count = len(os.listdir(folder))
    return [np.load(folder / f"{n}.npy", allow_pickle=True).tolist() for n in range(count)]


def hands_of(folder):
    poses = load_as_echomimic_does(folder)
    return np.stack([pose["hands"] for pose in poses]), np.stack([p["hands_score"] for p in poses])


def blank_portrait(width=400, height=300, scale=300.0, origin=(200.0, 140.0)) -> Portrait:
    """A picture whose pixels say where they are, and nobody's face."""
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns % 256, rows % 256, columns // 256], axis=-1)
    nothing = np.full((2, 2), np.nan)
    return Portrait(
        image=image.astype(np.uint8),
        face_landmarks=np.full((478, 3), np.nan),
        shoulders=nothing,
        neck=np.full(2, np.nan),
        elbows=nothing,
        wrists=nothing,
        hands=np.full((2, 21, 2), np.nan),
        person_mask=np.ones((height, width)),
        skin_rgb=np.full(3, 0.5),
        sleeve_rgb=np.full(3, 0.2),
        bare_forearms=False,
        camera=Camera(origin, scale, width, height),
        source_box=(0.0, 0.0, width, height),
    )


# Written -----------------------------------------------------------------------------------------


def test_poses_are_what_echomimic_reads(tmp_path):
    folder = write_motion(speaker(5), tmp_path / "poses")
    poses = load_as_echomimic_does(folder)
    assert len(poses) == 5
    for n, pose in enumerate(poses):
        assert set(pose) == {*SHAPES, "bodies", "num", "draw_pose_params"}
        for values, shapes in ((pose, SHAPES), (pose["bodies"], BODY_SHAPES)):
            for name, shape in shapes.items():
                assert type(values[name]) is np.ndarray
                assert values[name].shape == shape
                assert values[name].dtype == np.float64
        assert type(pose["num"]) is int
        assert pose["num"] == n
        assert pose["draw_pose_params"] == [768, 768, 0, 768, 0, 768]
        subset, score = pose["bodies"]["subset"][0], pose["bodies"]["score"][0]
        np.testing.assert_array_equal(subset, np.where(score > 0, np.arange(18), -1))


def test_the_left_hand_is_first_and_on_the_right_of_the_picture(tmp_path):
    hands, scores = hands_of(write_motion(speaker(3), tmp_path / "poses"))
    assert (hands[:, 0, :, 0].mean(-1) > 0.5).all()
    assert (hands[:, 1, :, 0].mean(-1) < 0.5).all()
    assert (scores == 1).all()
    body = load_as_echomimic_does(tmp_path / "poses")[0]["bodies"]["candidate"]
    np.testing.assert_allclose(body[list(WRISTS)], hands[0, :, 0])
    assert body[SHOULDERS[0], 0] - body[SHOULDERS[1], 0] == pytest.approx(0.41)
    assert body[NOSE, 1] < body[NECK, 1]


def test_hidden_hands_leave_nothing_to_draw(tmp_path):
    motion = speaker(4)
    visible = np.ones((4, 2), dtype=bool)
    visible[1:3, 1] = False
    hands, scores = hands_of(write_motion(replace(motion, visible=visible), tmp_path / "poses"))
    np.testing.assert_array_equal(scores > 0, np.repeat(visible[..., None], 21, axis=-1))
    assert (hands[1:3, 1] <= 0).all()  # EchoMimicV2 skips points at zero


def test_other_rates_become_24(tmp_path):
    folder = write_motion(speaker(15, fps=30.0), tmp_path / "poses")
    assert len(load_as_echomimic_does(folder)) == 12


def test_poses_fit_the_portrait(tmp_path, hand_model):
    motion, portrait = speaker(3), blank_portrait()
    context = Context(hand_model=hand_model, portrait=portrait)
    hands, _ = hands_of(write_motion(motion, tmp_path / "poses", context=context))
    person = person_of(portrait)
    pixels = portrait.camera.project(hand_model.joints(motion)[:, :, OPENPOSE].astype(np.float64))
    back = hands * person.side_px + person.corner_px
    joints = [0, 5, 9, 13, 17]
    np.testing.assert_allclose(back[:, :, joints], pixels[:, :, joints], atol=0.1)
    assert len(os.listdir(tmp_path / "poses")) == 3
    reference = np.asarray(Image.open(tmp_path / "poses_reference.png"))
    assert reference.shape == (768, 768, 3)


@pytest.mark.parametrize(
    ("width", "height", "scale", "origin"),
    [
        (400, 300, 300.0, (200.0, 140.0)),
        (600, 800, 700.0, (320.0, 300.0)),
        (300, 300, 900.0, (150, 90)),
    ],
)
def test_a_square_in_the_picture_shows_its_own_pixels(width, height, scale, origin):
    person = person_of(blank_portrait(width, height, scale, origin))
    (x, y), side = person.corner_px, person.side_px
    if side <= min(width, height):
        assert 0 <= x <= width - side
        assert 0 <= y <= height - side
    middle = person.reference[384, 384].astype(int)
    np.testing.assert_allclose(middle[:2], [(x + side / 2) % 256, (y + side / 2) % 256], atol=2.5)
    share = person.shares(np.zeros(3))
    np.testing.assert_allclose(share * side + [x, y], origin)


def test_a_narrow_picture_is_let_out_not_cut(tmp_path):
    portrait = blank_portrait(300, 600, scale=500.0, origin=(140.0, 220.0))
    person = person_of(portrait)
    assert person.side_px == round(500 * 0.36 / 0.41)
    assert person.corner_px[0] < 0
    assert person.corner_px[0] + person.side_px >= 300


def test_a_real_face_gets_its_68_points(example_portrait):
    portrait = analyse_portrait(load_image(example_portrait), max_side_px=384)
    person = person_of(portrait)
    face, body = person.face[0:68], person.body
    assert person.face_score.min() == 1
    jaw, brows, nose, right, left, lips = (
        face[a:b] for a, b in ((0, 17), (17, 27), (27, 36), (36, 42), (42, 48), (48, 68))
    )
    assert jaw[:, 1].argmax() in (7, 8, 9)  # the chin
    assert (np.diff(jaw[2:15, 0]) > 0).all()
    assert right[:, 0].max() < nose[:, 0].mean() < left[:, 0].min()  # the person's right first
    assert brows[:, 1].mean() < left[:, 1].mean() < nose[6, 1] < lips[:, 1].mean() < jaw[8, 1]
    assert lips[0, 0] < lips[6, 0]
    steps = np.linalg.norm(np.diff(jaw, axis=0), axis=-1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.1)
    assert body[EYES[0], 0] > body[NOSE, 0] > body[EYES[1], 0]
    assert body[SHOULDERS[0], 0] > body[NECK, 0] > body[SHOULDERS[1], 0]


def test_another_folder_is_never_replaced(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "beach.jpg").write_bytes(b"picture")
    with pytest.raises(InputError, match=r"beach\.jpg"):
        write_motion(speaker(2), folder)
    assert os.listdir(folder) == ["beach.jpg"]
    with pytest.raises(InputError, match="file"):
        module.write(speaker(2), folder / "beach.jpg", Context())


def test_poses_are_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = write_motion(speaker(6), tmp_path / "poses")
    write_motion(speaker(3, seed=1), folder)
    assert len(load_as_echomimic_does(folder)) == 3
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full_disk(path, *_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_motion(speaker(4, seed=2), folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert os.listdir(tmp_path) == ["poses"]


def test_an_empty_motion_is_not_written(tmp_path):
    motion = speaker(2)
    names = ("quaternions", "translation_m", "visible")
    empty = replace(motion, **{name: getattr(motion, name)[:0] for name in names})
    with pytest.raises(InputError, match="frames"):
        write_motion(empty, tmp_path / "poses")
    assert not (tmp_path / "poses").exists()


# There and back ----------------------------------------------------------------------------------


def test_folder_to_motion_to_the_same_folder(tmp_path, hand_model):
    context = Context(hand_model=hand_model)
    motion = speaker(24, seed=4)
    first = write_motion(motion, tmp_path / "a", context=context)
    assert identify(first).name == "echomimic"
    imported = read_motion(first, context=context)
    second = write_motion(imported.motion, tmp_path / "b", context=context)
    (before, scores), (after, scores_again) = hands_of(first), hands_of(second)
    np.testing.assert_array_equal(scores, scores_again)
    off_px = 768 * np.linalg.norm(before - after, axis=-1)
    assert np.median(off_px) < 0.2
    assert off_px.max() < 1.0
    wrists = motion.quaternions[:, :, 0], imported.motion.quaternions[:, :, 0]
    assert np.rad2deg(np.median(angle_between(*(w.astype(float) for w in wrists)))) < 3
    report = imported.report
    assert report.source_fps == 24
    assert report.error_px < 0.3
    assert "assumed" in report.convention


def test_the_framing_of_a_portrait_comes_back(tmp_path, hand_model):
    context = Context(hand_model=hand_model, portrait=blank_portrait(500, 500, 420, (240, 200)))
    first = write_motion(speaker(12), tmp_path / "a", context=context)
    imported = read_motion(first)
    second = write_motion(imported.motion, tmp_path / "b")  # no portrait: as it was read
    off_px = 768 * np.linalg.norm(hands_of(first)[0] - hands_of(second)[0], axis=-1)
    assert off_px.max() < 2.5  # the free hand's finger tips are not the hand model's
    assert np.median(off_px) < 1.0


# Wrong folders -----------------------------------------------------------------------------------


def broken(folder, change, frame=1):
    path = folder / f"{frame}.npy"
    pose = np.load(path, allow_pickle=True).tolist()
    change(pose)
    np.save(path, pose)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda pose: pose.pop("hands"), "hold hands"),
        (lambda pose: pose.update(hands=np.zeros((2, 20, 2))), "shape"),
        (lambda pose: pose.update(hands=np.full((2, 21, 2), np.nan)), "NaN"),
        (lambda pose: pose.update(hands_score=np.ones((1, 21))), "hands_score"),
        (lambda pose: pose["bodies"].update(candidate=np.ones((17, 2))), "candidate"),
        (lambda pose: pose.update(hands="left"), "numbers"),
    ],
)
def test_a_wrong_pose_says_which(tmp_path, change, words):
    folder = write_motion(speaker(3), tmp_path / "poses")
    broken(folder, change)
    with pytest.raises(InputError, match=words) as caught:
        read_motion(folder)
    assert "1.npy" in str(caught.value)


def test_a_missing_frame_says_which(tmp_path):
    folder = write_motion(speaker(4), tmp_path / "poses")
    (folder / "2.npy").unlink()
    with pytest.raises(InputError, match=r"2\.npy"):
        read_motion(folder)
    (folder / "0.npy").unlink()
    with pytest.raises(InputError, match=r"0\.npy"):
        read_motion(folder)


def test_broken_files_are_refused(tmp_path):
    folder = write_motion(speaker(2), tmp_path / "poses")
    whole = (folder / "1.npy").read_bytes()
    plain = io.BytesIO()
    np.save(plain, np.zeros(3))
    for content in (b"", whole[:60], whole[:-300], plain.getvalue(), b"PK\x03\x04" + whole):
        (folder / "1.npy").write_bytes(content)
        with pytest.raises(InputError):
            read_motion(folder)


def test_a_folder_without_poses(tmp_path):
    with pytest.raises(InputError, match=r"0\.npy"):
        read_motion(tmp_path, format="echomimic")


class Attack:
    """A pickle that would touch a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("inside", [True, False])
def test_code_in_a_pose_is_not_run(tmp_path, inside):
    folder = write_motion(speaker(2), tmp_path / "poses")
    trace = tmp_path / "trace"
    if inside:
        broken(folder, lambda pose: pose.update(num=Attack(trace)), frame=0)
    else:
        header = (folder / "0.npy").read_bytes()[:128]
        (folder / "0.npy").write_bytes(header + pickle.dumps(Attack(trace)))
    trace.unlink(missing_ok=True)  # reading it to break it ran it
    with pytest.raises(InputError, match="Nothing in it was run"):
        read_motion(folder)
    assert not trace.exists()


def test_several_people_the_surest_is_taken(tmp_path):
    folder = write_motion(speaker(6), tmp_path / "poses")
    alone = read_motion(folder).motion

    def join(pose):
        bodies = pose["bodies"]
        bodies["candidate"] = np.concatenate([bodies["candidate"] * 0.3, bodies["candidate"]])
        bodies["score"] = np.concatenate([bodies["score"] * 0.5, bodies["score"]])
        pose["hands"] = np.concatenate([pose["hands"] * 0.3, pose["hands"]])
        pose["hands_score"] = np.concatenate([pose["hands_score"], pose["hands_score"]])

    for n in range(6):
        broken(folder, join, frame=n)
    crowd = read_motion(folder)
    np.testing.assert_allclose(crowd.motion.translation_m, alone.translation_m, atol=1e-6)
    assert any("several people" in line for line in crowd.report.lost)
