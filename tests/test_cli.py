"""Journeys on the command line, in-process, with the bundled weights and a one-second recording."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from emo2.cli import WORKSHOPS, main
from emo2.media import probe
from emo2.motion.formats import load_npz

COMMANDS = ("animate", "gesture", "preview", "render", "doctor")


def facts(capsys) -> dict:
    """The last line that was printed, as JSON."""
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, example_portrait, speech_file):
    """A folder with a small portrait and a second of speech."""
    folder = tmp_path_factory.mktemp("cli")
    with Image.open(example_portrait) as image:
        image.resize((image.width // 2, image.height // 2)).save(folder / "portrait.jpg")
    (folder / "speech.wav").write_bytes(speech_file.read_bytes())
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_there(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"emo2 {command}" in capsys.readouterr().out


def test_gesture_then_preview_then_render(inputs, capsys):
    audio, motion = inputs / "speech.wav", inputs / "hands.npz"
    assert run("gesture", "--audio", audio, "--out", motion, "--speed", 0.7, "--json") == 0
    made = facts(capsys)
    assert made["frames"] == load_npz(motion).num_frames == 24
    assert made["fps"] == 24
    assert made["seed"] == 0
    assert made["seconds"]["gesture"] > 0
    assert made["checkpoint"].endswith("demo")

    clip = inputs / "hands.mp4"
    assert run("preview", "--motion", motion, "--audio", audio, "--out", clip, "--json") == 0
    assert probe(clip).frames == 24

    film = inputs / "film.mp4"
    portrait = inputs / "portrait.jpg"
    command = ["render", "--portrait", portrait, "--audio", audio, "--motion", motion]
    assert run(*command, "--out", film, "--json") == 0
    rendered = facts(capsys)
    assert rendered["frames"] == probe(film).frames == 24
    assert abs(probe(film).duration_s - probe(film).audio_duration_s) <= 1 / 24
    assert rendered["recipe"]["motion"] == made["motion"]


def test_animate_draws_with_the_diffusion_model_too(inputs, capsys):
    film = inputs / "diffusion.mp4"
    command = ["animate", "--portrait", inputs / "portrait.jpg", "--audio", inputs / "speech.wav"]
    assert run(*command, "--renderer", "film", "--out", film, "--json") == 0
    made = facts(capsys)
    assert made["frames"] == probe(film).frames == 24
    assert made["recipe"]["renderer"] == "film"
    assert made["seconds"]["film"] > 0


def test_same_seed_same_bytes_another_seed_another_motion(inputs):
    motions = []
    for seed in (5, 5, 6):
        path = inputs / f"{len(motions)}.npz"
        assert run("gesture", "--audio", inputs / "speech.wav", "--out", path, "--seed", seed) == 0
        motions.append(load_npz(path))
    np.testing.assert_array_equal(motions[0].quaternions, motions[1].quaternions)
    np.testing.assert_array_equal(motions[0].translation_m, motions[1].translation_m)
    assert np.abs(motions[0].translation_m - motions[2].translation_m).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--audio": "absent.wav"}, "absent.wav"),
        ({"--portrait": "absent.png"}, "absent.png"),
        ({"--portrait": "speech.wav"}, "portrait"),
        ({"--speed": 1.5}, "0..1"),
        ({"--style": "tap-dance"}, "tap-dance"),
        ({"--out": "film.avi"}, "film.mp4"),
        ({"--checkpoint": "nowhere"}, "nowhere"),
        ({"--motion": "portrait.jpg"}, "motion"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_clear_line(inputs, capsys, monkeypatch, change, said):
    monkeypatch.chdir(inputs)
    options = {"--portrait": "portrait.jpg", "--audio": "speech.wav", "--out": "bad.mp4"} | change
    assert run("animate", *[word for pair in options.items() for word in pair]) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("emo2: error: ")
    assert said in complaint
    assert not (inputs / "bad.mp4").exists()


def test_unknown_words_end_with_code_2_and_one_line():
    command = [sys.executable, "-m", "emo2", "animate", "--portrait"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert len(ended.stderr.strip().splitlines()) == 1


def test_doctor_finds_this_machine_fit(capsys):
    assert run("doctor", "--json") == 0
    findings = facts(capsys)["findings"]
    assert {"python", "packages", "device", "previews", "ffmpeg", "disk", "weights"} <= set(
        findings
    )


@pytest.mark.parametrize(("command", "modules"), WORKSHOPS.items())
def test_workshops_have_help_under_their_own_name(command, modules, capsys):
    for what in modules:
        with pytest.raises(SystemExit) as stop:
            main([command, what, "--help"])
        assert stop.value.code == 0
        assert f"emo2 {command} {what}" in capsys.readouterr().out
