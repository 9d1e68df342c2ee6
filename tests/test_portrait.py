"""Portrait analysis on a public-domain photograph (scikit-image's astronaut) and cuts of it."""

from __future__ import annotations

import functools
import threading

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, coffee

from emo2.errors import InputError
from emo2.features.appearance import bare_forearms, to_lab
from emo2.features.extend import extend_frame
from emo2.features.framing import Framing
from emo2.features.inpaint import fill_holes
from emo2.features.portrait import analyse_portrait
from emo2.types import REFERENCE_SHOULDER_BREADTH_M, Portrait

HEAD_AND_SHOULDERS = np.s_[0:230, 100:360]


@functools.cache
def whole() -> Portrait:
    return analyse_portrait(astronaut())


@functools.cache
def close() -> Portrait:
    return analyse_portrait(np.ascontiguousarray(astronaut()[HEAD_AND_SHOULDERS]))


def on_wall(width: int, height: int, x: int, y: int, scale: float = 1.0) -> np.ndarray:
    """The astronaut's picture pasted on a plain wall."""
    person = cv2.resize(astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    wall = np.full((height, width, 3), (205, 200, 190), np.uint8)
    part = wall[y : y + person.shape[0], x : x + person.shape[1]]
    part[:] = person[: part.shape[0], : part.shape[1]]
    return wall


@pytest.mark.parametrize("portrait", [whole, close], ids=["half body", "head and shoulders"])
def test_what_was_found_lies_where_a_person_has_it(portrait):
    portrait = portrait()
    height, width = portrait.image.shape[:2]
    face = portrait.face_landmarks[:, :2]
    assert np.all((face >= 0) & (face < (width, height)))
    assert height % 16 == 0
    assert width % 16 == 0
    assert max(height, width) <= 640
    left, right = portrait.shoulders
    assert left[0] > right[0]
    assert face[:, 1].max() < portrait.shoulders[:, 1].max()
    assert face[152, 1] < portrait.neck[1] <= portrait.shoulders[:, 1].mean()
    seen = portrait.person_mask[np.rint(face[:, 1]).astype(int), np.rint(face[:, 0]).astype(int)]
    assert seen.mean() > 0.95
    assert portrait.person_mask.min() >= 0
    assert portrait.person_mask.max() <= 1
    assert portrait.person_mask[:20, :20].max() < 0.1


def test_camera_puts_body_points_on_the_person():
    portrait = whole()
    half = REFERENCE_SHOULDER_BREADTH_M / 2
    projected = portrait.camera.project(np.array([[half, 0, 0], [-half, 0, 0]]))
    breadth = np.linalg.norm(portrait.shoulders[0] - portrait.shoulders[1])
    assert np.abs(projected - portrait.shoulders).max() < 0.1 * breadth
    middle = portrait.camera.project(np.zeros(3))
    np.testing.assert_allclose(middle, portrait.shoulders.mean(axis=0), atol=1e-3)


def test_colours_are_the_persons():
    portrait = whole()
    skin, sleeve = portrait.skin_rgb, portrait.sleeve_rgb
    assert skin[0] > skin[1] > skin[2] > 0.3
    assert sleeve[0] > 0.6  # the suit is orange
    assert sleeve[2] < 0.45
    assert not portrait.bare_forearms


def test_well_framed_picture_is_only_resized():
    portrait = whole()
    assert portrait.source_box == (0, 0, 512, 512)
    np.testing.assert_array_equal(portrait.image, astronaut())
    small = analyse_portrait(astronaut(), max_side_px=400)
    assert small.image.shape == (400, 400, 3)
    np.testing.assert_allclose(small.shoulders / 400, portrait.shoulders / 512, atol=0.02)


def test_frame_is_extended_only_beyond_the_picture():
    portrait = close()
    source = np.ascontiguousarray(astronaut()[HEAD_AND_SHOULDERS])
    x0, y0, _, y1 = portrait.source_box
    assert y1 > source.shape[0]
    assert any("extended" in note for note in portrait.notes)
    scale = portrait.image.shape[0] / (y1 - y0)
    framing = Framing((x0, y0), scale, *portrait.image.shape[:2])
    left, top, right, bottom = framing.known(source.shape)
    np.testing.assert_array_equal(
        framing.cut(source)[top:bottom, left:right], portrait.image[top:bottom, left:right]
    )
    below = portrait.image[bottom:]
    assert below.mean(axis=(1, 2)).min() > 20  # nothing black was painted
    # The body goes on without a gap or a visible seam under the picture's edge.
    spine = int(portrait.shoulders[:, 0].mean())
    assert portrait.person_mask[bottom:, spine].min() > 0.9
    step = np.abs(
        portrait.image[bottom].astype(float) - portrait.image[bottom - 1].astype(float)
    ).mean()
    assert step < 12
    room_m = (portrait.image.shape[0] - portrait.shoulders[:, 1].mean()) / (
        portrait.camera.pixels_per_metre
    )
    assert room_m > 0.36


@pytest.mark.parametrize("scale", [0.37, 1.0, 1.9])
def test_a_circle_stays_a_circle(scale):
    source = np.zeros((300, 500, 3), np.uint8)
    cv2.circle(source, (200, 120), 60, (255, 255, 255), -1, cv2.LINE_AA)
    framing = Framing((33.3, 7.7), scale, 176, 320)
    mass = framing.cut(source)[..., 0].astype(float) / 255
    y, x = np.mgrid[: mass.shape[0], : mass.shape[1]] + 0.5
    centre = np.array([(x * mass).sum(), (y * mass).sum()]) / mass.sum()
    spread = (
        np.array([((x - centre[0]) ** 2 * mass).sum(), ((y - centre[1]) ** 2 * mass).sum()])
        / mass.sum()
    )
    if scale < 1.5:  # the whole disc is in the frame
        assert abs(spread[0] / spread[1] - 1) < 0.01
        np.testing.assert_allclose(centre, framing.place(np.array([200.5, 120.5])), atol=0.3)
        assert abs(mass.sum() / (np.pi * (60 * scale) ** 2) - 1) < 0.03
    else:
        np.testing.assert_allclose(framing.place(np.array([33.3, 7.7])), 0, atol=1e-4)


def test_distant_person_is_moved_in_upon():
    portrait = analyse_portrait(on_wall(1600, 1200, 700, 600, scale=0.5))
    x0, y0, x1, y1 = portrait.source_box
    assert y1 - y0 < 700
    assert x0 < 800 < x1
    assert np.ptp(portrait.face_landmarks[:, 1]) > 0.1 * portrait.image.shape[0]


def test_larger_of_two_people_is_taken():
    picture = on_wall(960, 540, 0, 28)
    other = cv2.resize(astronaut(), None, fx=0.85, fy=0.85, interpolation=cv2.INTER_AREA)
    picture[104:539, 520:955] = other
    portrait = analyse_portrait(picture)
    x0, _, x1, _ = portrait.source_box
    scale = portrait.image.shape[1] / (x1 - x0)
    assert portrait.face_landmarks[1, 0] / scale + x0 < 500
    assert any("2 people" in note for note in portrait.notes)
    other_face = portrait.person_mask[
        int(150 * scale) : int(200 * scale), int((690 - x0) * scale) : int((730 - x0) * scale)
    ]
    assert other_face.size == 0 or other_face.mean() < 0.05


def test_pictures_without_a_person_are_refused():
    for picture in (coffee(), np.zeros((200, 300, 3), np.uint8)):
        with pytest.raises(InputError, match="face") as error:
            analyse_portrait(picture)
        assert error.value.argument == "portrait"
        assert error.value.remedy


@pytest.mark.parametrize(
    "picture",
    [np.zeros((100, 100), np.uint8), np.zeros((100, 100, 3)), np.zeros((20, 400, 3), np.uint8)],
)
def test_what_is_not_a_picture_is_refused(picture):
    with pytest.raises(InputError):
        analyse_portrait(picture)


def test_same_picture_same_portrait_from_any_thread():
    results = []
    work = lambda: results.append(analyse_portrait(astronaut()))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    for other in results:
        np.testing.assert_array_equal(other.person_mask, whole().person_mask)
        np.testing.assert_array_equal(other.face_landmarks, whole().face_landmarks)


def test_bare_and_sleeved_forearms_are_told_apart():
    skin, cloth = (214, 160, 130), (40, 60, 140)
    points = {
        "shoulders": np.array([[220.0, 60], [80, 60]]),
        "elbows": np.array([[250.0, 150], [50, 150]]),
        "wrists": np.array([[190.0, 220], [110, 220]]),
    }
    for colour, bare in ((skin, True), (cloth, False)):
        picture = np.full((300, 300, 3), (230, 230, 230), np.uint8)
        for elbow, wrist in zip(points["elbows"], points["wrists"], strict=True):
            ends = [tuple(int(v) for v in p) for p in (elbow, wrist)]
            cv2.line(picture, *ends, colour, 24)
        lab = to_lab(picture)
        skin_lab = to_lab(np.full((1, 1, 3), skin, np.uint8))[0, 0]
        cloth_lab = to_lab(np.full((1, 1, 3), cloth, np.uint8))[0, 0]
        arms = (*points.values(), np.full((2, 21, 2), np.nan))
        assert bare_forearms(lab, skin_lab, cloth_lab, np.ones((300, 300)), arms, 390) is bare


def test_inpainting_continues_stripes_and_leaves_the_rest():
    y, x = np.mgrid[:160, :160]
    stripes = np.where((y // 8) % 2 == 0, 200, 60).astype(np.uint8)
    picture = np.repeat(stripes[..., None], 3, axis=2)
    hole = (np.hypot(x - 80, y - 80) < 22).astype(np.uint8)
    damaged = picture.copy()
    damaged[hole > 0] = (255, 0, 0)
    filled = fill_holes(damaged, hole, 1 - hole)
    np.testing.assert_array_equal(filled[hole == 0], picture[hole == 0])
    error = np.abs(filled[hole > 0].astype(float) - picture[hole > 0])
    assert np.median(error) < 10
    assert error.mean() < 30
    np.testing.assert_array_equal(filled, fill_holes(damaged, hole, 1 - hole))


def test_inpainting_copies_only_from_equal_labels():
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, :48], picture[:, 48:] = (200, 30, 30), (30, 30, 200)
    labels = np.where(np.arange(96) < 48, 1, 2)[None].repeat(96, axis=0)
    hole = np.zeros((96, 96), bool)
    hole[40:56, 30:66] = True
    filled = fill_holes(picture, np.where(hole, labels, 0), np.where(hole, 0, labels))
    assert np.abs(filled.astype(int) - picture).max() < 12


def test_extension_keeps_a_plain_wall_plain():
    frame = np.full((256, 192, 3), (180, 190, 200), np.uint8)
    matte = np.zeros((256, 192), np.float32)
    cv2.ellipse(matte, (96, 60), (22, 30), 0, 0, 360, 1, -1)
    cv2.rectangle(matte, (60, 95), (132, 120), 1, -1)
    frame[matte > 0] = (60, 90, 60)
    shoulders = np.array([[132.0, 110], [60, 110]])
    skin_lab = np.array([70.0, 15, 18])
    image, whole_matte = extend_frame(frame, matte, (20, 0, 172, 120), shoulders, skin_lab, 200.0)
    np.testing.assert_array_equal(image[:120, 20:172], frame[:120, 20:172])
    wall = whole_matte < 0.01
    assert np.abs(image[wall].astype(int) - (180, 190, 200)).max() <= 2
    assert whole_matte[140:, 96].min() > 0.9
