"""Contact sheets of many portraits."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from emo2.cli import main
from emo2.errors import InputError
from emo2.gallery import CELL_PX, ROWS, Exhibit, Gallery, page, pages, portraits
from emo2.media import load_audio
from emo2.pipeline import EMO2Pipeline
from emo2.types import AudioClip


def exhibit(name, count=3, shade=200, refused=False):
    pictures = tuple(np.full((60, 40, 3), shade, np.uint8) for _ in range(count))
    return Exhibit(name, pictures[:1] if refused else pictures, ("a note",), refused)


def test_pages_are_given_out_as_soon_as_they_are_full():
    asked = []

    def film():
        for number in range(ROWS + 2):
            asked.append(number)
            yield exhibit(f"{number}.jpg")

    made = pages(film(), frames=(3, 9), fps=24)
    first, row = next(made)
    assert len(asked) == ROWS == len(row)
    second, rest = next(made)
    assert len(rest) == 2
    assert first.shape[1] == second.shape[1] > 3 * CELL_PX
    assert first.shape[0] > second.shape[0]
    assert list(made) == []


def test_nothing_is_squashed():
    picture = np.zeros((40, 80, 3), np.uint8)
    cv2.circle(picture, (40, 20), 15, (255, 255, 255), -1)
    sheet = page([Exhibit("a.jpg", (picture,), (), False)], frames=(), fps=24)
    ys, xs = np.nonzero((sheet > 250).all(axis=2)[: CELL_PX + 8])
    assert np.ptp(ys) == pytest.approx(np.ptp(xs), abs=2)


def test_a_refused_picture_keeps_its_row():
    told, untold = (
        page([exhibit("dog.jpg", refused=refused)], frames=(1, 2), fps=24)
        for refused in (True, False)
    )
    assert told.shape == untold.shape
    assert not np.array_equal(told, untold)
    red = (told[..., 0] > 200) & (told[..., 2] < 150)
    assert red.any()


@pytest.fixture(scope="module")
def studio():
    return EMO2Pipeline.from_pretrained()


def test_moments_are_those_of_the_film(studio):
    speech = load_audio("assets/welcome.flac")
    audio = AudioClip(speech.samples[: speech.sample_rate_hz])
    motion = studio.gesture(audio, seed=1)
    shown = Gallery.of(audio, motion, moments=2)
    (path, *_) = portraits("assets")
    made = shown.show(studio, path)
    film = list(studio.render(studio.analyse(made.pictures[0]), audio, motion))
    assert not made.refused
    for t, picture in zip(shown.frames, made.pictures[1:], strict=True):
        assert np.array_equal(film[t], picture)


def test_a_gallery_on_the_command_line(tmp_path, capsys):
    people = tmp_path / "people"
    people.mkdir()
    Image.open("assets/amara.jpg").save(people / "amara.png")
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    Image.fromarray(noise).save(people / "nobody.png")
    command = ["gallery", "--portraits", str(people), "--audio", "assets/welcome.flac"]
    command += ["--out", str(tmp_path / "out"), "--seconds", "0.5", "--moments", "2", "--json"]
    assert main(command) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["portraits"] == 2
    assert list(facts["refused"]) == ["nobody.png"]
    assert "face" in facts["refused"]["nobody.png"]
    (sheet,) = facts["sheets"]
    assert Image.open(sheet).width == 3 * (CELL_PX + 8) + 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--portraits", "tests/golden"], "must hold pictures"),
        (["--moments", "0"], "moments"),
        (["--seconds", "0"], "--seconds"),
        (["--out", "README.md"], "must be a folder"),
    ],
)
def test_bad_input_is_told(change, told, capsys):
    command = ["gallery", "--portraits", "assets", "--audio", "assets/welcome.flac"]
    assert main([*command, "--seconds", "0.3", *change]) == 2
    assert told in capsys.readouterr().err


def test_more_moments_than_frames_are_refused(studio):
    audio = AudioClip(np.zeros(1600, np.float32))
    motion = studio.gesture(audio)
    with pytest.raises(InputError, match="moments"):
        Gallery.of(audio, motion, moments=50)
