"""The clean plate of a drawn figure whose every pixel is known: what is behind its arms, too."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest

from emo2.draft.limbs import arm_bones, distance_to_bones
from emo2.draft.plate import Plate, make_plate
from emo2.types import REFERENCE_SHOULDER_BREADTH_M, Camera, Portrait

HEIGHT, WIDTH = 448, 448
SKIN, SHIRT = (224, 172, 140), (60, 80, 150)
SHOULDERS = np.array([[290, 150], [158, 150]], np.float32)
METRE = float(132 / REFERENCE_SHOULDER_BREADTH_M)
POSES = {
    "arms out": ([[318, 250], [130, 250]], [[390, 300], [58, 300]]),
    "hands together": ([[330, 255], [118, 255]], [[246, 310], [202, 310]]),
    "hanging": ([[312, 255], [136, 255]], [[322, 350], [126, 350]]),
    "behind the back": ([[316, 255], [132, 255]], None),
}


def draw_line(picture: np.ndarray, start, end, colour, width: int) -> None:
    ends = [tuple(int(v) for v in point) for point in (start, end)]
    cv2.line(picture, *ends, colour, width, cv2.LINE_AA)


def scene() -> np.ndarray:
    """A wall with a shelf: something to be continued behind the person."""
    picture = np.full((HEIGHT, WIDTH, 3), (196, 190, 176), np.uint8)
    picture[300:330] = (120, 90, 60)
    return picture


def draw_body(picture: np.ndarray, elbows) -> None:
    """Head, torso and upper arms."""
    cv2.rectangle(picture, (164, 150), (284, HEIGHT), SHIRT, -1)
    for shoulder, elbow in zip(SHOULDERS, elbows, strict=True):
        draw_line(picture, shoulder, elbow, SHIRT, 40)
    cv2.rectangle(picture, (206, 110), (242, 152), SKIN, -1)
    cv2.ellipse(picture, (224, 80), (34, 44), 0, 0, 360, SKIN, -1, cv2.LINE_AA)


def hand_points(wrist: np.ndarray, elbow: np.ndarray) -> np.ndarray:
    """(21, 2): a flat hand in mediapipe's order that continues the forearm."""
    along = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    across = np.array([along[1], -along[0]])
    points = [wrist]
    for finger in range(5):
        for knuckle in range(4):
            reach = 0.08 + 0.027 * knuckle if finger else 0.03 + 0.02 * knuckle
            points.append(wrist + METRE * (reach * along + 0.018 * (finger - 2) * across))
    return np.array(points)


@functools.cache
def figure(pose: str) -> tuple[Portrait, np.ndarray]:
    """The portrait, and the same picture without its forearms and hands."""
    elbows, wrists = POSES[pose]
    elbows = np.array(elbows, np.float32)
    clean = scene()
    draw_body(clean, elbows)
    picture, matte = clean.copy(), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    draw_body(matte, elbows)
    hands = np.full((2, 21, 2), np.nan, np.float32)
    if wrists is not None:
        for side in range(2):
            wrist = np.array(wrists[side], np.float32)
            hands[side] = hand_points(wrist, elbows[side])
            for canvas in (picture, matte):
                draw_line(canvas, elbows[side], wrist, SKIN, 26)
                draw_line(canvas, wrist, hands[side, 12], SKIN, 28)
    y, x = 80 + 44 * np.sin(np.linspace(0, 6.28, 478)), 224 + 34 * np.cos(np.linspace(0, 6.28, 478))
    face = np.stack([x, y, 0 * x], axis=-1)
    face[152, :2] = (224, 124)
    nothing = np.full((2, 2), np.nan)
    portrait = Portrait(
        image=picture,
        face_landmarks=face,
        shoulders=SHOULDERS,
        neck=np.array([224, 145]),
        elbows=elbows,
        wrists=nothing if wrists is None else np.array(wrists),
        hands=hands,
        person_mask=(matte.max(axis=2) > 30).astype(np.float32),
        skin_rgb=np.array(SKIN) / 255,
        sleeve_rgb=np.array(SHIRT) / 255,
        bare_forearms=True,
        camera=Camera((224.0, 150.0), METRE, WIDTH, HEIGHT),
        source_box=(0, 0, WIDTH, HEIGHT),
    )
    return portrait, clean


@functools.cache
def plate_of(pose: str) -> Plate:
    return make_plate(figure(pose)[0])


def composed(plate: Plate) -> np.ndarray:
    alpha = plate.alpha[..., None]
    return alpha * plate.body + (1 - alpha) * plate.background


@pytest.mark.parametrize("pose", POSES)
def test_layers_have_the_portraits_shape_and_range(pose):
    plate = plate_of(pose)
    assert plate.background.shape == plate.body.shape == (HEIGHT, WIDTH, 3)
    assert plate.background.dtype == plate.body.dtype == np.uint8
    for mask in (plate.alpha, plate.arm_mask, *(arm.upper_arm for arm in plate.arms)):
        assert mask.shape == (HEIGHT, WIDTH)
        assert mask.min() >= 0
        assert mask.max() <= 1
    assert np.all(plate.alpha <= figure(pose)[0].person_mask + 1e-6)


@pytest.mark.parametrize("pose", POSES)
def test_outside_the_arm_mask_the_picture_is_unchanged(pose):
    plate, (portrait, _) = plate_of(pose), figure(pose)
    untouched = (plate.arm_mask == 0) & (portrait.person_mask == 1)
    np.testing.assert_array_equal(plate.body[untouched], portrait.image[untouched])
    np.testing.assert_array_equal(plate.alpha[untouched], 1)
    error = np.abs(composed(plate) - portrait.image)[plate.arm_mask == 0]
    assert error.mean() < 0.5


@pytest.mark.parametrize("pose", ["arms out", "hands together", "hanging"])
def test_forearms_and_hands_are_gone(pose):
    plate, (portrait, clean) = plate_of(pose), figure(pose)
    result = composed(plate)
    # Beyond the elbow, which stays, no trace of the arm's skin is left...
    elbows = np.array(POSES[pose][0], np.float32)
    caps = distance_to_bones((HEIGHT, WIDTH), [(e, e, 0.075 * METRE) for e in elbows]) < 1
    head = np.arange(HEIGHT)[:, None] < 156
    skin = np.linalg.norm(result - SKIN, axis=-1) < 40
    assert (skin & ~caps & ~head).sum() < 20
    # ...and what was behind it, shirt, wall or shelf, is back nearly everywhere.
    was_arm = (np.abs(portrait.image.astype(int) - clean).max(axis=-1) > 20) & ~caps
    error = np.abs(result - clean).max(axis=-1)[was_arm]
    assert np.median(error) < 12
    assert (error > 60).mean() < 0.2


def test_hidden_arms_keep_every_pixel():
    plate, (portrait, _) = plate_of("behind the back"), figure("behind the back")
    assert not any(arm.removed for arm in plate.arms)
    assert plate.arm_mask.max() == 0
    np.testing.assert_array_equal(plate.alpha, portrait.person_mask)


@pytest.mark.parametrize("pose", POSES)
def test_new_forearms_know_where_to_join(pose):
    plate = plate_of(pose)
    for side, arm in enumerate(plate.arms):
        np.testing.assert_allclose(arm.elbow, POSES[pose][0][side])
        assert arm.elbow_seen
        assert 0.06 * METRE < arm.width_px < 0.18 * METRE
        np.testing.assert_allclose(arm.rgb, np.array(SHIRT) / 255, atol=0.08)
        assert not arm.bare
        x, y = np.rint(0.9 * arm.elbow + 0.1 * arm.shoulder).astype(int)
        assert arm.upper_arm[y, x] > 0.8
        x, y = np.rint(arm.shoulder).astype(int)
        assert arm.upper_arm[y, x] < 0.1
        assert arm.upper_arm[HEIGHT - 20, WIDTH // 2] == 0


def test_stubs_of_bare_arms_behind_the_back_go():
    portrait, clean = figure("behind the back")
    wrists = np.array([[240, 330], [208, 330]], np.float32)
    picture, matte = scene(), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for canvas in (picture, matte):
        for elbow, wrist in zip(portrait.elbows, wrists, strict=True):
            draw_line(canvas, elbow, wrist, SKIN, 26)
        draw_body(canvas, portrait.elbows)
    fields = {name: getattr(portrait, name) for name in portrait.__dataclass_fields__}
    fields["image"], fields["person_mask"] = picture, (matte.max(axis=2) > 30).astype(np.float32)
    fields["arms_guess"] = np.stack([portrait.elbows, wrists], axis=1)
    plate = make_plate(Portrait(**fields))
    stub = np.abs(picture.astype(int) - clean).max(axis=-1) > 20
    caps = [(e, e, 0.06 * METRE) for e in portrait.elbows]
    stub &= distance_to_bones((HEIGHT, WIDTH), caps) > 1
    assert stub.sum() > 100
    error = np.abs(composed(plate) - clean).max(axis=-1)[stub]
    assert (error < 40).mean() > 0.9


def test_an_arm_out_of_the_picture_is_supposed_below_its_shoulder():
    portrait, _ = figure("behind the back")
    unseen = {name: getattr(portrait, name) for name in portrait.__dataclass_fields__}
    unseen["elbows"] = np.full((2, 2), np.nan)
    bones = arm_bones(Portrait(**unseen), 0)
    assert not bones.elbow_seen
    assert bones.wrist is None
    assert bones.elbow[1] > SHOULDERS[0, 1] + 0.2 * METRE
    assert bones.elbow[0] > SHOULDERS[0, 0]


def test_the_scene_goes_on_behind_the_person():
    background = plate_of("arms out").background
    near_edge = np.s_[310:320, 285:300]  # shelf that the arm and the body's edge covered
    assert np.abs(background[near_edge].astype(int) - (120, 90, 60)).mean() < 25


def test_same_portrait_same_plate():
    again = make_plate(figure("arms out")[0])
    np.testing.assert_array_equal(again.body, plate_of("arms out").body)
    np.testing.assert_array_equal(again.background, plate_of("arms out").background)


@functools.cache
def short_sleeved() -> Portrait:
    """Arms out, the upper arms bare from their middle on; the left hand lies over its own."""
    portrait, _ = figure("arms out")
    picture, matte = portrait.image.copy(), portrait.person_mask.copy()
    for shoulder, elbow in zip(SHOULDERS, portrait.elbows, strict=True):
        middle = (shoulder + elbow) / 2
        draw_line(picture, middle + 0.2 * (elbow - middle), elbow, SKIN, 40)
    wrists = portrait.wrists.copy()
    wrists[0] = (330, 262)
    hands = portrait.hands.copy()
    hands[0] = hand_points(np.array([330.0, 262.0]), np.array([345.0, 300.0]))
    draw_line(picture, wrists[0], hands[0, 12], (240, 190, 160), 34)
    draw_line(matte, wrists[0], hands[0, 12], 1.0, 34)
    fields = {name: getattr(portrait, name) for name in portrait.__dataclass_fields__}
    return Portrait(
        **fields | {"image": picture, "person_mask": matte, "wrists": wrists, "hands": hands}
    )


def test_a_short_sleeve_ends_where_it_ended_and_the_arm_below_is_skin():
    plate = make_plate(short_sleeved())
    for side, elbow in enumerate(POSES["arms out"][0]):
        bone = np.array(elbow) - SHOULDERS[side]
        for share, colour in ((0.35, SHIRT), (0.85, SKIN)):
            x, y = np.rint(SHOULDERS[side] + share * bone).astype(int)
            here = plate.body[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3)
            gaps = [np.abs(np.median(here, axis=0) - kind).mean() for kind in (SHIRT, SKIN)]
            assert (gaps[0] < gaps[1]) == (colour == SHIRT), (side, share, gaps)
