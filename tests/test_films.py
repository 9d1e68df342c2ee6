"""What detectors say about films: laws of the scores, who is recognised, and a whole run."""

import csv
import importlib.util
import shutil

import numpy as np
import pytest
from PIL import Image

from emo2.cli import main
from emo2.evaluation.film_rows import FilmRow, bars, pooled, report
from emo2.evaluation.sightings import Hands, HandScore, Sighting, watch
from emo2.evaluation.video import mouth_at

HAS_FACES = all(
    importlib.util.find_spec(name) is not None for name in ("dlib", "face_recognition_models")
)
HAS_ALIGNER = importlib.util.find_spec("pocketsphinx") is not None


def expected(frames=4, gap_px=200.0):
    """Two hands of 100 px, `gap_px` from each other."""
    hand = np.random.default_rng(0).uniform(0, 100, (21, 2))
    hand[:2] = [[0, 0], [100, 100]]
    points = np.stack([hand, hand + np.array([gap_px, 0])])
    points = np.broadcast_to(points, (frames, 2, 21, 2)).copy()
    return Hands(points, np.ptp(points, axis=2).max(-1), np.ones((frames, 2), bool))


def seen(hands, shift=0.0, which=(0, 1)):
    return [
        Sighting(None, tuple(hands.points[t, hand] + shift for hand in which))
        for t in range(len(hands.points))
    ]


def test_hands_where_they_should_be_are_found():
    hands = expected()
    assert HandScore.of(seen(hands), hands) == HandScore(1, 1, 1, 1)


def test_which_hand_was_detected_first_does_not_matter():
    hands = expected()
    assert HandScore.of(seen(hands, which=(1, 0)), hands) == HandScore(1, 1, 1, 1)


def test_one_hand_is_a_hand_but_not_both():
    hands = expected()
    score = HandScore.of(seen(hands, which=(1,)), hands)
    assert (score.any_found, score.both_found, score.each_found, score.pck) == (1, 0, 0.5, 1)


def test_hands_elsewhere_are_not_found_and_near_ones_have_wrong_points():
    hands = expected()
    assert HandScore.of(seen(hands, shift=70), hands).any_found == 0
    near = HandScore.of(seen(hands, shift=[0, 30]), hands)
    assert (near.any_found, near.pck) == (1, 0)


def test_overlapping_and_hidden_hands_are_not_asked_for():
    over = expected(gap_px=40.0)
    assert not over.apart.any()
    assert np.isnan(HandScore.of(seen(over), over).both_found)
    hidden = Hands(over.points, over.sizes, np.zeros((4, 2), bool))
    assert np.isnan(HandScore.of(seen(over), hidden).any_found)


def test_a_film_longer_than_the_motion_is_measured_as_long_as_both_last():
    hands = expected(frames=6)
    assert HandScore.of(seen(hands)[:3], hands).any_found == 1
    assert HandScore.of(seen(hands), hands[:3]).any_found == 1


def test_the_mouth_is_compared_as_long_as_both_last():
    wave = np.sin(np.arange(40.0))
    assert mouth_at(wave, np.append(wave, np.zeros(30)), 0) == pytest.approx(1)
    assert mouth_at(np.roll(wave, 2), wave, 2) == pytest.approx(1)
    assert np.isnan(mouth_at(np.zeros(40), wave, 0))


def row(**facts):
    whole = dict.fromkeys(FilmRow.__dataclass_fields__, 0.5)
    return FilmRow(**(whole | {"portrait": "a.jpg", "speech": "b.wav", "frames": 10} | facts))


def test_closures_count_alike():
    rows = [
        row(closures=9, closures_met=1.0),
        row(closures=1, closures_met=0.0),
        row(closures=0, closures_met=np.nan),
    ]
    assert pooled(rows, "closures_met") == pytest.approx(0.9)
    assert np.isnan(pooled(rows[2:], "closures_met"))


def test_the_report_shows_what_fails_beside_its_floor():
    rows = [row(any_hand=0.4, still_any_hand=0.13, mouth_lag=-3), row(portrait="c.jpg")]
    failed = {bar.name for bar in bars(rows, strangers=0.8) if bar.passed is False}
    assert {"a hand found, frames", "mouth's lag, frames"} <= failed
    text = report(rows, np.eye(128)[:2], {"dog.jpg": "no face"})
    assert "NO" in text
    assert "portrait as it is 0.32" in text
    assert "dog.jpg: no face" in text


@pytest.fixture(scope="module")
def astronaut():
    from skimage.data import astronaut

    return astronaut()


def test_only_a_background_that_no_arm_can_reach_must_be_still(astronaut):
    from emo2.evaluation.video import _Flicker
    from emo2.features.portrait import analyse_portrait

    portrait = analyse_portrait(astronaut, max_side_px=512)
    metre = portrait.camera.pixels_per_metre
    hand = portrait.shoulders[:, None] + np.array([0.0, 0.3 * metre]) + np.zeros((2, 21, 2))
    sizes = np.full(2, 0.1 * metre)

    def flickering(x, y):
        flicker = _Flicker(portrait)
        for t in range(4):
            frame = portrait.image.copy()
            frame[y - 4 : y + 4, x - 4 : x + 4] += np.uint8(9 * (t % 2))
            flicker.add(frame, hand, sizes)
        return np.mean(flicker.still), np.mean(flicker.moving)

    still, moving = flickering(500, 12)  # a corner of the room
    assert still > 0
    assert moving > 0
    x, y = (portrait.shoulders[0] + metre * np.array([0.08, 0.15])).astype(int)
    assert flickering(x, y)[0] == 0  # beside the upper arm


@pytest.mark.skipif(not HAS_FACES, reason="needs dlib-bin and face_recognition_models")
def test_a_person_is_recognised_and_another_is_not(astronaut):
    from emo2.evaluation.identity import cosine, embed
    from emo2.media import load_image

    def known(picture):
        ((frame, sighting),) = watch([picture])
        return embed(frame, sighting.face)

    person, dimmed = known(astronaut), known((astronaut * 0.8).astype(np.uint8))
    stranger = known(load_image("assets/amara.jpg"))
    assert cosine(person, dimmed) > 0.98
    assert cosine(person, stranger) < cosine(person, dimmed) - 0.03


@pytest.mark.parametrize(
    ("words", "named"),
    [([], "--speech"), (["--speech", "assets/welcome.flac", "--every", "0"], "--every")],
)
def test_what_cannot_be_measured_is_refused(tmp_path, capsys, words, named):
    folder = tmp_path / "out"
    words = ["evaluate", "films", "--portraits", "assets", "--out", str(folder), *words]
    assert main(words) != 0
    assert named in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.skipif(not (HAS_FACES and HAS_ALIGNER), reason="needs requirements-dev.txt")
def test_all_films_of_a_folder_are_measured(tmp_path):
    folder = tmp_path / "people"
    folder.mkdir()
    shutil.copy("assets/amara.jpg", folder)
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(folder / "wall.png")
    out = tmp_path / "out"
    speech = "assets/welcome.flac"
    words = ["evaluate", "films", "--portraits", str(folder), "--english", speech]
    words += ["--real", "assets"]
    assert main([*words, "--out", str(out), "--seconds", "1"]) == 0
    (film,) = csv.DictReader((out / "films.csv").open())
    assert film["portrait"] == "amara.jpg"
    assert int(film["frames"]) == 24
    assert float(film["face"]) == 1
    assert float(film["identity"]) > 0.95
    assert float(film["still_any_hand"]) < float(film["any_hand"])
    text = (out / "report.md").read_text()
    assert "wall.png" in text
    assert "a hand found, frames" in text
    assert "| hand confidence |" in text
    assert "| face distance |" in text
    assert float(film["hand_confidence"]) > float(film["still_hand_confidence"])
    assert Image.open(out / "missed.png").size[0] > 300
