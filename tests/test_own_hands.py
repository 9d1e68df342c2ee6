"""A portrait's own hands: what was drawn in a known pose is found, fitted and drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moving_hands import speaker

from emo2.features.portrait import analyse_portrait
from emo2.media import load_image
from emo2.motion.lift.bones import OPENPOSE
from emo2.pipeline import EMO2Pipeline
from emo2.training.own_hands import look_again, own_hands, own_pose
from emo2.types import Portrait

ASSETS = Path(__file__).parents[1] / "assets"
SIDE_PX = 512


@pytest.fixture(scope="module")
def studio() -> EMO2Pipeline:
    return EMO2Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def known(studio) -> tuple[np.ndarray, np.ndarray]:
    """A drawn person in a known pose, and where the joints lie, (2, 21, 2) pixels."""
    person = analyse_portrait(load_image(ASSETS / "amara.jpg"), max_side_px=SIDE_PX)
    motion = speaker(2, seed=0)
    picture = next(studio.draft.still(person, motion)).image
    return picture, person.camera.project(studio.hand_model.joints(motion)[0][:, OPENPOSE])


@pytest.fixture(scope="module")
def portrait(known) -> Portrait:
    return analyse_portrait(known[0], max_side_px=SIDE_PX)


def in_frame(portrait: Portrait, points: np.ndarray) -> np.ndarray:
    x0, y0, x1, _ = portrait.source_box
    return (points - (x0, y0)) * portrait.camera.width_px / (x1 - x0)


def test_hands_are_found_where_they_were_drawn(known, portrait):
    picture, joints = known
    seen = look_again(portrait, picture)
    apart = np.linalg.norm(seen - in_frame(portrait, joints), axis=-1)
    assert np.median(apart) < 0.02 * portrait.camera.pixels_per_metre


def test_the_pose_lies_on_the_landmarks(known, portrait, studio):
    seen = look_again(portrait, known[0])
    pose = own_pose(portrait, seen, studio.hand_model)
    assert pose.num_frames == 1
    assert pose.visible.all()
    again = portrait.camera.project(studio.hand_model.joints(pose)[0][:, OPENPOSE])
    apart = np.median(np.linalg.norm(again - seen, axis=-1), axis=-1)
    assert (apart < 0.008 * portrait.camera.pixels_per_metre).all()


def test_a_drawn_person_is_drawn_again(known, portrait, studio):
    """The draft of a draft: hardly anything is missing from it, and what is, is not believed."""
    pair = own_hands(portrait, known[0], studio.draft)
    assert set(np.unique(pair.owner)) == {0, 1, 2}
    arms = (pair.change > 0.5) & (pair.owner > 0)
    assert (pair.belief[arms] > 0.9).mean() > 0.6
    sure = arms & (pair.belief == 1)
    for hand in (1, 2):  # the picture's pixels, as bright as the draft's
        mine = sure & (pair.owner == hand)
        gain = pair.truth[mine].mean(axis=0) / portrait.image[mine].mean(axis=0)
        expected = (portrait.image[mine] * gain).clip(0, 255)
        np.testing.assert_allclose(pair.truth[mine], expected, atol=2)
        weight = np.where(pair.owner == hand, pair.belief * pair.change, 0)[..., None]
        means = [(weight * x).sum((0, 1)) / weight.sum() for x in (pair.truth, pair.draft)]
        np.testing.assert_allclose(*means, atol=1)
    apart = np.abs(pair.truth[sure].astype(float) - pair.draft[sure]).mean()
    gone = np.abs(pair.bare[sure].astype(float) - portrait.image[sure]).mean()
    assert 2 * apart < gone
    lips = pair.owner == 0
    np.testing.assert_array_equal(pair.truth[lips], pair.draft[lips])
    assert (pair.belief[lips] == 1).all()
    assert (pair.belief[pair.change == 0] < 1).all()


def test_a_person_without_hands_has_no_pair(portrait, known, studio):
    hidden = replace(portrait, hands=np.full((2, 21, 2), np.nan))
    assert own_hands(hidden, known[0], studio.draft) is None


def test_what_looks_otherwise_is_not_believed(known, portrait, studio):
    """Green gloves: the picture shows no skin where the draft draws some."""
    pair = own_hands(portrait, known[0], studio.draft)
    arms = (pair.change > 0.5) & (pair.owner > 0)
    gloved = portrait.image.copy()
    gloved[arms] = (40, 160, 60)
    gloves = own_hands(replace(portrait, image=gloved), known[0], studio.draft)
    share = [(p.belief[(p.change > 0.5) & (p.owner > 0)] > 0.5).mean() for p in (pair, gloves)]
    assert share[1] < 0.5 * share[0]
