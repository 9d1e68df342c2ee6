"""Journeys on the command line, in-process, with the bundled weights and a little speech."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from conftest import syllables
from PIL import Image
from scipy.io import wavfile

from emo2.cli import WORKSHOPS, main
from emo2.features.onsets import speech_onsets
from emo2.media import load_audio, probe
from emo2.motion import checks
from emo2.motion.edit import OPERATIONS, evaluate, load
from emo2.motion.formats import FORMATS, load_npz, save_npz
from emo2.types import NETWORK_SAMPLE_RATE_HZ

COMMANDS = (
    "animate",
    "gesture",
    "preview",
    "edit",
    "check",
    "convert",
    "render",
    "doctor",
)


def facts(capsys) -> dict:
    """The last line that was printed, as JSON."""
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def printed(capsys) -> str:
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def hands(tmp_path_factory):
    """A folder with two seconds of speech, speech.wav, and hands that gesture to it, hands.npz."""
    folder = tmp_path_factory.mktemp("hands")
    samples = (syllables(2.0) * 32767).astype("<i2")
    wavfile.write(folder / "speech.wav", NETWORK_SAMPLE_RATE_HZ, samples)
    words = ["gesture", "--audio", folder / "speech.wav", "--out", folder / "hands.npz"]
    assert run(*words, "--speed", 0.9, "--json") == 0
    return folder


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


def test_a_motion_is_edited_checked_shown_and_carried_away(hands, capsys):
    """gesture -> edit -> check -> preview -> convert."""
    audio, ops, edited = hands / "speech.wav", hands / "ops.json", hands / "edited.npz"
    ops.write_text(json.dumps([{"op": "height", "metres": 0.05}, {"op": "smooth"}]))
    document = hands / "document.json"
    command = ["edit", "--motion", hands / "hands.npz", "--ops", ops, "--out", edited]
    assert run(*command, "--document", document, "--json") == 0
    made = facts(capsys)
    base, motion = load_npz(hands / "hands.npz"), load_npz(edited)
    assert motion.num_frames == made["frames"] == 48
    raised = motion.translation_m[..., 1].mean() - base.translation_m[..., 1].mean()
    assert abs(raised - 0.05) < 0.01
    assert load(document).base_hash == made["base"]
    np.testing.assert_array_equal(evaluate(load(document), base).quaternions, motion.quaternions)

    assert run("check", edited, "--json") in (0, 1)
    found = facts(capsys)
    assert found["ok"] == (found["errors"] == 0)

    clip = hands / "clip.mp4"
    command = ["preview", "--motion", edited, "--audio", audio, "--trails", "--out", clip]
    assert run(*command, "--json") == 0
    shown = probe(clip)
    assert shown.frames == facts(capsys)["frames"] == 48
    assert shown.fps == pytest.approx(24)
    assert shown.audio_codec == "aac"
    assert abs(shown.audio_duration_s - 2.0) < 1 / 24
    without = hands / "picture.mp4"
    assert run(*command[:-1], without, "--no-strip") == 0
    assert probe(without).width == shown.width
    assert probe(without).height < shown.height


@pytest.mark.parametrize("suffix", sorted({s for f in FORMATS if f.writer for s in f.suffixes}))
def test_convert_writes_every_format_and_reads_it_back(hands, suffix, capsys):
    out, back = hands / f"carried{suffix}", hands / f"back{suffix or '.poses'}.npz"
    code = run("convert", "--from", hands / "hands.npz", "--to", out)
    if suffix.startswith(".usd") and find_spec("pxr") is None:
        assert code == 2
        assert "pip install usd-core" in capsys.readouterr().err
        return
    assert code == 0
    assert printed(capsys).splitlines()[-1] == str(out)
    assert out.is_dir() if suffix == "" else out.is_file()
    if not any(f.reader and suffix in f.suffixes for f in FORMATS):
        return
    assert run("convert", "--from", out, "--to", back, "--json") == 0
    read = facts(capsys)["read"]
    assert read["source_fps"] == 24
    assert read["convention"]
    motion, again = load_npz(hands / "hands.npz"), load_npz(back)
    assert again.num_frames == 48
    if suffix == ".npz":
        np.testing.assert_array_equal(again.quaternions, motion.quaternions)
    if read["error_px"] is None:
        np.testing.assert_allclose(again.translation_m, motion.translation_m, atol=2e-3)


def test_convert_keeps_or_changes_the_frame_rate(hands, capsys):
    slow = hands / "slow.npz"
    save_npz(replace(load_npz(hands / "hands.npz"), fps=12.0), slow)
    for word, fps, frames in (("24", 24, 96), ("source", 12, 48), ("30", 30, 120)):
        words = ["--from", slow, "--to", hands / "rate.npz", "--fps", word]
        assert run("convert", *words, "--json") == 0
        made = facts(capsys)
        assert (made["fps"], made["frames"]) == (fps, frames)
        assert bool(made["read"]["lost"]) == (fps != 12)
        assert made["read"]["source_fps"] == 12


def test_edits_and_checks_count_the_files_own_frames(hands, capsys):
    slow = hands / "twelve.npz"
    save_npz(replace(load_npz(hands / "hands.npz"), fps=12.0), slow)
    (hands / "mirror.json").write_text('[{"op": "mirror"}]')
    command = ["edit", "--motion", slow, "--ops", hands / "mirror.json", "--out", hands / "m.npz"]
    assert run(*command, "--json") == 0
    made = facts(capsys)
    assert (made["fps"], made["frames"]) == (12, 48)
    assert run("check", slow, "--json") in (0, 1)
    assert facts(capsys)["frames"] == 48


def test_a_motion_of_another_format_is_shown_with_what_was_lost(hands, capsys):
    assert run("convert", "--from", hands / "hands.npz", "--to", hands / "shown.bvh") == 0
    clip = hands / "silent.mp4"
    capsys.readouterr()
    assert run("preview", "--motion", hands / "shown.bvh", "--out", clip) == 0
    assert "note: bvh, 24 frames per second" in printed(capsys)
    assert probe(clip).audio_codec == ""
    assert probe(clip).frames == 48
    assert probe(clip).height == 480, "no strip without a recording, unless it is asked for"


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg"])
def test_a_contact_sheet_names_its_frames(hands, name, capsys):
    command = ["preview", "--motion", hands / "hands.npz", "--sheet", "--out", hands / name]
    assert run(*command, "--frames", 4, "--audio", hands / "speech.wav", "--json") == 0
    shown = facts(capsys)["shown"]
    assert len(shown) == 4
    assert all(0 <= t < 48 for t in shown)
    with Image.open(hands / name) as page:
        assert page.size[0] == 1600
        assert page.format == ("PNG" if name.endswith("png") else "JPEG")


def test_snap_finds_its_own_onset(hands, capsys):
    """Without onset_s the nearest onset is taken, and the document says which."""
    ops, document = hands / "snap.json", hands / "snapped.json"
    ops.write_text('[{"op": "snap"}]')
    command = ["edit", "--motion", hands / "hands.npz", "--ops", ops, "--out", hands / "s.npz"]
    assert run(*command) == 2
    assert "--audio" in capsys.readouterr().err
    assert run(*command, "--audio", hands / "speech.wav", "--document", document) == 0
    (snap,) = load(document).operations
    onsets_s, _ = speech_onsets(load_audio(hands / "speech.wav"))
    assert np.abs(onsets_s - snap["onset_s"]).min() < 1e-3
    # After a trim the motion's time begins later than the recording's.
    trimmed = [{"op": "trim", "start": 12, "stop": 48}, {"op": "snap", "start": 0}]
    ops.write_text(json.dumps(trimmed))
    assert run(*command, "--audio", hands / "speech.wav", "--document", document) == 0
    later = load(document).operations[1]["onset_s"]
    assert np.abs(onsets_s - 0.5 - later).min() < 1e-3


def test_all_operations_are_listed_with_their_parameters(capsys):
    assert run("edit", "--list") == 0
    text = printed(capsys)
    for name, operation in OPERATIONS.items():
        assert f"{name}: {operation.help}" in text
    assert "factor (number 0.1..4, default 1.0)" in text
    assert run("edit", "--list", "--json") == 0
    assert {op["op"] for op in facts(capsys)["operations"]} == set(OPERATIONS)


@pytest.fixture(scope="module")
def broken(hands):
    """The hands change sides at once, and back."""
    motion = load_npz(hands / "hands.npz")
    places = motion.translation_m.copy()
    places[20:30] = places[20:30, ::-1]
    return save_npz(replace(motion, translation_m=places), hands / "broken.npz")


def test_check_ends_with_code_1_on_errors_and_fixes_them(broken, tmp_path, capsys):
    motion, fixed = load_npz(broken), tmp_path / "fixed.npz"
    assert run("check", broken) == 1
    said = printed(capsys)
    assert "error: " in said
    assert "Fix: " in said
    assert run("check", "--motion", broken, "--json", "--fix", fixed) in (0, 1)
    found = facts(capsys)
    assert found["errors"] > 0
    assert all(f["start"] <= f["worst_frame"] < f["stop"] for f in found["findings"])
    assert found["left"]["errors"] < found["errors"]
    assert load_npz(fixed).num_frames == motion.num_frames
    assert not np.array_equal(load_npz(fixed).translation_m, motion.translation_m)
    np.testing.assert_array_equal(load_npz(broken).translation_m, motion.translation_m)


def test_strict_counts_warnings(hands, broken, monkeypatch):
    findings = checks.check(load_npz(broken), fixes=False)
    mild = tuple(replace(f, severity="warning") for f in findings)
    assert mild
    monkeypatch.setattr(checks, "check", lambda *_, **__: mild)
    assert run("check", hands / "hands.npz") == 0
    assert run("check", hands / "hands.npz", "--strict") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("preview --motion absent.npz --out x.mp4", "absent.npz"),
        ("preview --motion hands.npz --audio absent.wav --out x.mp4", "--audio"),
        ("preview --motion hands.npz --sheet --out x.mp4", "x.png"),
        ("preview --motion hands.npz --frames 3 --out x.mp4", "--sheet"),
        ("preview --motion hands.npz --sheet --frames 0 --out x.png", "--frames"),
        ("preview --motion hands.npz --out hands.npz/deep/x.mp4", "writable"),
        ("edit --motion hands.npz --out x.npz", "--ops"),
        ("edit --motion hands.npz --ops speech.wav --out x.npz", "JSON"),
        ("edit --motion hands.npz --ops good.json --out hands.npz", "must not be the input"),
        ("edit --motion hands.npz --ops unknown.json --out x.npz", "tap-dance"),
        ("edit --motion hands.npz --ops foreign.json --out x.npz", "made for"),
        ("check", "one motion"),
        ("check hands.npz --motion hands.npz", "one motion"),
        ("check hands.npz --fix hands.npz", "must not be the input"),
        ("convert --from hands.npz --to x.fbx", ".bvh"),
        ("convert --from hands.npz --to ./hands.npz", "must not be the input"),
        ("convert --from speech.wav --to x.npz", "must end in"),
        ("convert --from hands.npz --to x.bvh --mano .", "MANO_LEFT"),
        ("convert --from broken.bvh --to x.npz", "motion"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(hands, monkeypatch, capsys, words, said):
    monkeypatch.chdir(hands)
    (hands / "good.json").write_text('[{"op": "mirror"}]')
    (hands / "unknown.json").write_text('[{"op": "tap-dance"}]')
    foreign = {"format": "emo2-motion-edits", "version": 1, "base": "0" * 16, "operations": []}
    (hands / "foreign.json").write_text(json.dumps(foreign))
    (hands / "broken.bvh").write_text("HIERARCHY\nROOT")
    before = (hands / "hands.npz").read_bytes()
    assert run(*words.split()) == 2
    complaint = capsys.readouterr().err.strip().splitlines()[-1]
    assert complaint.startswith("emo2: error: ")
    assert said in complaint
    assert not list(hands.glob("x.*"))
    assert (hands / "hands.npz").read_bytes() == before


def test_a_frame_rate_is_a_number_or_source(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", "--from", "a.npz", "--to", "b.npz", "--fps", "fast"])
    assert stop.value.code == 2
    assert "word source" in capsys.readouterr().err


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
