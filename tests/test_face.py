"""The moving portrait, seen by a face detector: a photograph of a smile, and the same face shut."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.data import astronaut

from emo2.draft.face import PortraitWarp
from emo2.draft.head_mesh import INNER_LOWER, INNER_UPPER, LIP_ROWS_LOWER, LIP_ROWS_UPPER
from emo2.draft.performance import MAX_HEAD_RAD, Performance
from emo2.draft.plate import make_plate
from emo2.features.detectors import detectors
from emo2.features.portrait import analyse_portrait
from emo2.types import Portrait

LIDS = np.array([[33, 160, 158, 133, 153, 144], [362, 385, 387, 263, 373, 380]])


@pytest.fixture(scope="module")
def smiling() -> Portrait:
    return analyse_portrait(astronaut())


@pytest.fixture(scope="module")
def plate(smiling):
    return make_plate(smiling)


@pytest.fixture(scope="module")
def warp(smiling, plate) -> PortraitWarp:
    return PortraitWarp(smiling, plate)


@pytest.fixture(scope="module")
def shut_warp(smiling, plate, warp) -> PortraitWarp:
    """The same person with the mouth shut, as if photographed so."""
    image = render(warp, speaking=1.0).image
    portrait = replace(smiling, image=image, face_landmarks=find_face(image))
    return PortraitWarp(
        portrait, replace(plate, body=np.where(plate.alpha[..., None] > 0.9, image, plate.body))
    )


def render(warp: PortraitWarp, **numbers: float):
    curves = {name: np.array([value], np.float32) for name, value in numbers.items()}
    return warp.frame(Performance.rest(1, **curves), 0)


def find_face(image: np.ndarray) -> np.ndarray:
    faces = detectors().faces(image)
    assert len(faces) == 1
    return faces[0]


def lip_gap(face: np.ndarray) -> float:
    """Inner lips apart, in face heights."""
    gap = np.linalg.norm(face[INNER_UPPER[3:8], :2] - face[INNER_LOWER[3:8], :2], axis=1).mean()
    return float(gap / np.linalg.norm(face[10, :2] - face[152, :2]))


def lid_gap(face: np.ndarray) -> float:
    """Mean eye aspect ratio."""
    eyes = face[LIDS, :2]
    tall = np.linalg.norm(eyes[:, [1, 2]] - eyes[:, [5, 4]], axis=2).mean()
    return float(tall / np.linalg.norm(eyes[:, 0] - eyes[:, 3], axis=1).mean())


def psnr(first: np.ndarray, second: np.ndarray, where: np.ndarray) -> float:
    error = np.mean((first[where].astype(float) - second[where]) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_rest_is_the_portrait(smiling, plate, warp):
    frame = render(warp)
    assert psnr(frame.image, smiling.image, plate.arm_mask == 0) > 45


def test_a_smile_can_shut_its_mouth_and_opens_it_steadily(warp):
    gaps = [
        lip_gap(find_face(render(warp, speaking=1, jaw=jaw).image)) for jaw in (0, 0.35, 0.7, 1)
    ]
    assert gaps[0] < 0.02
    assert all(np.diff(gaps) > 0.005)
    rest = lip_gap(find_face(render(warp).image))
    assert gaps[-1] < 1.5 * rest  # speaks, does not scream


def test_a_shut_mouth_opens_steadily_and_pressed_lips_stay_shut(shut_warp):
    gaps = [
        lip_gap(find_face(render(shut_warp, speaking=1, jaw=jaw).image))
        for jaw in (0, 0.35, 0.7, 1)
    ]
    assert gaps[0] < 0.02
    assert all(np.diff(gaps) > 0.005)
    pressed = lip_gap(find_face(render(shut_warp, speaking=1, jaw=1, press=1).image))
    assert pressed < gaps[0] + 0.01


def test_lips_round_and_spread(shut_warp):
    def width(spread: float) -> float:
        face = find_face(render(shut_warp, speaking=1, jaw=0.4, spread=spread).image)
        return float(np.linalg.norm(face[61, :2] - face[291, :2]))

    assert width(-1) < 0.95 * width(0) < width(0) < width(1)


def test_the_inside_of_an_open_mouth_has_light_teeth_over_a_dark_cavity(shut_warp):
    shut, opened = (render(shut_warp, speaking=1, jaw=jaw) for jaw in (0, 1))
    face = find_face(opened.image)
    top, bottom = face[13, :2], face[14, :2]
    column = np.array([top + s * (bottom - top) for s in np.linspace(0.1, 0.9, 9)])
    values = opened.image[np.rint(column[:, 1]).astype(int), np.rint(column[:, 0]).astype(int)]
    luma = values.mean(1)
    assert luma[:4].max() > 1.5 * luma[4:].min()
    assert luma.min() > 5  # no black hole
    assert (opened.image != shut.image).any(2).mean() < 0.05


def test_a_blink_shuts_the_eyes_and_keeps_the_face(warp):
    opened, half, shut = (find_face(render(warp, blink=b).image) for b in (0, 0.5, 1))
    assert lid_gap(opened) > lid_gap(half) > lid_gap(shut)
    assert lid_gap(shut) < 0.6 * lid_gap(opened)
    assert np.abs(shut[[61, 291, 152, 1], :2] - opened[[61, 291, 152, 1], :2]).max() < 2


@pytest.mark.parametrize(("name", "axis"), [("yaw_rad", 0), ("pitch_rad", 1), ("roll_rad", None)])
def test_the_head_turns_the_way_it_says(warp, name, axis):
    there, back = (find_face(render(warp, **{name: s * MAX_HEAD_RAD}).image) for s in (1, -1))
    if axis is None:
        eyes = [f[263, :2] - f[33, :2] for f in (there, back)]
        turn = np.arctan2(eyes[0][1], eyes[0][0]) - np.arctan2(eyes[1][1], eyes[1][0])
        assert turn == pytest.approx(2 * MAX_HEAD_RAD, rel=0.3)
        return
    nose, ears = 1, [234, 454]
    moved = (there - back)[:, axis]
    assert (moved[nose] - moved[ears].mean()) > 4


def test_the_background_stands_still(smiling, warp):
    moves = {"yaw_rad": 0.08, "roll_rad": -0.06, "sway_m": 0.015, "jaw": 1.0, "speaking": 1.0}
    moved, rest = render(warp, **moves), render(warp)
    reach = np.zeros(rest.body.shape, bool)
    margin = int(0.15 * smiling.camera.pixels_per_metre)
    rows, columns = np.nonzero(smiling.person_mask > 0.02)
    for row, column in zip(rows[::7], columns[::7], strict=True):
        reach[max(0, row - margin) : row + margin, max(0, column - margin) : column + margin] = True
    assert (~reach).mean() > 0.05
    np.testing.assert_array_equal(moved.image[~reach], rest.image[~reach])


def test_shoulders_move_as_reported(smiling, warp):
    performance = Performance.rest(
        3, sway_m=np.array([0, 0.02, -0.02]), shrug_left_m=np.array([0, 0, 0.01])
    )
    shift = warp.shoulder_shift(performance)
    metre = smiling.camera.pixels_per_metre
    np.testing.assert_allclose(shift[0], 0, atol=1e-9)
    np.testing.assert_allclose(shift[1, :, 0], 0.02 * metre, rtol=0.2)
    assert shift[2, 0, 1] < -0.005 * metre
    assert abs(shift[2, 1, 1]) < 0.001 * metre


def test_frames_do_not_depend_on_one_another(warp):
    performance = Performance.rest(
        2, jaw=np.array([0.8, 0.2]), speaking=np.ones(2), blink=np.array([1.0, 0.0])
    )
    first = warp.frame(performance, 1).image
    warp.frame(performance, 0)
    np.testing.assert_array_equal(warp.frame(performance, 1).image, first)


def test_the_mouth_mask_covers_the_lips_and_not_the_rest_of_the_face(warp):
    talking = render(warp, speaking=1, jaw=0.9, yaw_rad=0.08)
    face = np.rint(find_face(talking.image)[:, :2]).astype(int)
    lips = face[np.concatenate([LIP_ROWS_UPPER.ravel(), LIP_ROWS_LOWER.ravel()])]
    assert talking.mouth[lips[:, 1], lips[:, 0]].min() > 0.3
    elsewhere = face[[33, 263, 10, 168, 234, 454]]
    assert talking.mouth[elsewhere[:, 1], elsewhere[:, 0]].max() < 0.05
