"""The bundled examples: there, small, consistent, and found by every detector the product uses."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ASSETS

from emo2.media import load_audio, load_image, probe

EXAMPLES = json.loads((ASSETS / "examples.json").read_text(encoding="utf-8"))
PORTRAITS = sorted({row["portrait"] for row in EXAMPLES})
SPEECH = sorted({row["audio"] for row in EXAMPLES})


def test_every_example_is_complete():
    assert len(EXAMPLES) >= 3
    assert len({row["name"] for row in EXAMPLES}) == len(EXAMPLES)
    motion_dit = ASSETS.parent / "checkpoints" / "demo" / "gesture" / "motion_dit"
    styles = json.loads((motion_dit / "config.json").read_text())["styles"]
    for row in EXAMPLES:
        assert set(row) == {"name", "portrait", "audio", "style", "text"}
        assert row["style"] in styles
        assert row["text"].strip()
        for key in ("portrait", "audio"):
            assert (ASSETS / row[key]).is_file()
            assert Path(row[key]).name == row[key], "no path leaves the folder"


@pytest.mark.parametrize("name", PORTRAITS)
def test_portraits_are_small_files_of_useful_size(name):
    assert (ASSETS / name).stat().st_size < 400_000
    height, width = load_image(ASSETS / name).shape[:2]
    assert height >= 1024
    assert width >= 768


@pytest.mark.parametrize("name", SPEECH)
def test_speech_is_short_small_and_loud_enough(name):
    assert (ASSETS / name).stat().st_size < 400_000
    facts = probe(ASSETS / name)
    assert (facts.sample_rate_hz, facts.channels) == (16_000, 1)
    clip = load_audio(ASSETS / name)
    assert 4.0 <= clip.duration_s <= 8.5
    assert 0.3 < np.abs(clip.samples).max() < 1.0
    bursts = np.abs(clip.samples[: len(clip.samples) // 800 * 800]).reshape(-1, 800).max(axis=1)
    assert (bursts > 0.1).mean() > 0.5, "mostly speech"
    assert (bursts < 0.02).any(), "with a pause"


@pytest.mark.parametrize("side_px", [1024, 512])
@pytest.mark.parametrize("name", PORTRAITS)
def test_the_detectors_find_a_person_with_two_hands(name, side_px):
    import cv2
    from mediapipe.python.solutions import face_mesh, hands, pose, selfie_segmentation

    image = load_image(ASSETS / name)
    scale = side_px / image.shape[0]
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]

    with face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        faces = detector.process(image).multi_face_landmarks
    face = np.array([(p.x * width, p.y * height) for p in faces[0].landmark])
    breadth, tall = np.ptp(face, axis=0)
    assert 0.6 < breadth / tall < 1.1, "a face seen from the front"
    assert tall > 0.12 * height

    with pose.Pose(static_image_mode=True, model_complexity=1) as detector:
        body = detector.process(image).pose_landmarks.landmark
    joints = range(11, 17)  # shoulders, elbows, wrists
    assert min(body[i].visibility for i in joints) > 0.8
    assert all(0 < body[i].x < 1 and 0 < body[i].y < 1 for i in joints)
    assert body[11].x > body[12].x, "unmirrored: the left shoulder is on the right of the picture"

    with hands.Hands(static_image_mode=True, max_num_hands=4) as detector:
        found = detector.process(image)
    sides = {h.classification[0].label for h in found.multi_handedness}
    assert sides == {"Left", "Right"}

    with selfie_segmentation.SelfieSegmentation(model_selection=0) as detector:
        person = detector.process(image).segmentation_mask > 0.5
    assert 0.25 < person.mean() < 0.6
    rows, columns = face[:, 1].astype(int), face[:, 0].astype(int)
    assert person[rows, columns].mean() > 0.97


@pytest.mark.slow
def test_the_script_draws_the_same_person_twice(tmp_path):
    sys.path.insert(0, str(ASSETS))
    try:
        from characters.people import PEOPLE
        from make_characters import draw
    finally:
        sys.path.remove(str(ASSETS))
    first = draw(PEOPLE[0], 64, 1)
    assert (first == draw(PEOPLE[0], 64, 1)).all()
    # and it is the person in the bundled picture, not an older one
    bundled = load_image(ASSETS / f"{PEOPLE[0].name}.jpg")
    rows = bundled.shape[0] // 64
    small = bundled.reshape(64, rows, bundled.shape[1] // rows, rows, 3).mean(axis=(1, 3))
    assert np.abs(small - first).mean() < 10
    assert {f"{p.name}.jpg" for p in PEOPLE} == set(PORTRAITS)
