"""The whole examination at toy size: every row, every criterion, the page and the command."""

import json
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from conftest import syllables
from diffusers import DDIMScheduler

from emo2.cli import WORKSHOPS, main
from emo2.evaluation import cast, examination, motion, variety
from emo2.evaluation.columns import TABLE
from emo2.evaluation.examination import Examiner, short_clips
from emo2.evaluation.reference import Reference, find_references
from emo2.evaluation.report.page import write_report
from emo2.evaluation.takes import Speech
from emo2.motion.formats import write_motion
from emo2.motion.rest import REST_PLACE_M, rest_pose
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import to_channels
from emo2.types import AudioClip, AudioFeatures

STYLES = ("talk-calm", "talk-lively")


@dataclass
class Toy:
    """A pipeline of the real classes with a tiny random network; its ears hear loudness alone."""

    stage1: Stage1Pipeline
    fps: float = 24.0

    def hear(self, audio: AudioClip) -> AudioFeatures:
        frames = int(np.ceil(audio.duration_s * self.fps))
        level = np.abs(np.resize(audio.samples, frames * 600)).reshape(frames, -1).mean(axis=1)
        return AudioFeatures(np.stack([level * k for k in range(1, 9)], axis=1), self.fps)


@pytest.fixture(scope="module")
def toy() -> Toy:
    torch.manual_seed(0)
    rest = [rest_pose(hand) for hand in (0, 1)]
    dit = MotionDiT(
        width=32, num_layers=1, num_heads=2, patch_size=4, num_frames=60, audio_width=8,
        styles=STYLES, style_speeds=(0.4, 0.6), rest_m=tuple(tuple(p) for _, p in rest),
    )  # fmt: skip
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    quaternions, places = (np.stack(part)[None] for part in zip(*rest, strict=True))
    dit.channel_mean.copy_(torch.from_numpy(to_channels(quaternions, places)[0]))
    dit.channel_std.fill_(0.05)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False,
        timestep_spacing="trailing",
    )  # fmt: skip
    return Toy(Stage1Pipeline(dit, scheduler, num_inference_steps=2))


@pytest.fixture(scope="module")
def found(toy) -> examination.Examination:
    groups = {
        name: [AudioClip(syllables(8.2, seed)) for seed in seeds]
        for name, seeds in {"english": (0, 1), "mandarin": (2, 3)}.items()
    }
    real = groups["english"][0]
    motion_of_real = examination.Teacher()(real, "talk-lively", 5)
    references = [Reference("take", motion_of_real, real)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examination, "SHORT_S", 5.0)
        patch.setattr(examination, "NUM_SHORT", 2)
        patch.setattr(variety, "NUM_VARIANTS", 3)
        patch.setattr(cast, "baselines", lambda style: {})  # real networks take their time
        return Examiner(toy, groups, references=references)()


def test_every_row_is_there_with_its_figures(found):
    kinds = [row.kind for row in found.rows]
    assert kinds[:2] == ["model", "model"]
    assert {"teacher", "deaf", "floor", "real"} <= set(kinds)
    names = {row.name for row in found.rows}
    assert {"shuffled audio", "other speech", "smooth noise", "trembling", "frozen"} <= names
    keys = [column.key for group in TABLE for column in group.columns]
    optional = {key for key in keys if key.startswith("frechet_network")}
    measured = {key for row in found.rows for key, value in row.facts.items() if value == value}
    assert set(keys) - optional <= measured


def test_every_line_of_the_issue_is_judged(found):
    judged = {line.name: line for line in found.criteria}
    for needle in (
        "Beat alignment z", "shuffled audio", "other speech", "Beats per second", "Speed control",
        "Style recognised", "Seam ratio", "Jerk", "joint limits", "in each other",
        "frames outside", "at its joins", "Pinned wrist", "Pinned handshape", "Diversity",
        "Silence", "shout", "english", "mandarin",
    ):  # fmt: skip
        lines = [line for name, line in judged.items() if needle in name]
        assert lines, needle
        assert lines[0].passed is not None, needle
    assert judged["Re-generated span: frames outside"].passed
    # A network of random weights cannot hear.
    assert not judged["Beat alignment z, default settings"].passed


def test_pck_against_real_motion_knows_its_own(found):
    """The reference is the teacher's take number five: the teacher's own rows come nearer to it
    than a frozen pose that it never takes."""
    pck = {row.name: row.facts.get("pck") for row in found.rows}
    assert 0 <= pck["frozen"] <= 1
    assert pck["teacher, talk-lively"] > 0.02


class Page(HTMLParser):
    """Counts what a page holds, and notes what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_the_report_stands_alone(found, toy, tmp_path):
    path = write_report(found, tmp_path / "report", toy)
    text = path.read_text()
    page = Page()
    page.feed(text)
    assert page.links == []
    assert not re.search(r"url\(|@import|https?://", text)
    assert page.tags["svg"] == page.tags["figure"] >= 6
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan", "", text.lower())
    assert "not comparable" in text
    for row in found.rows:
        assert row.name in text
    facts = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(facts["criteria"]) == len(found.criteria)
    assert {row["name"] for row in facts["rows"]} == {row.name for row in found.rows}


def test_text_tables_line_up(found):
    lines = motion.table_lines(TABLE[0], found.rows)
    assert len(lines) == len(found.rows) + 1
    assert len({len(line) for line in lines}) == 1
    assert re.fullmatch(r"\d+ of \d+ criteria hold", motion.verdict(found))


def test_the_command_measures_writes_and_tells(toy, monkeypatch, tmp_path, speech_file, capsys):
    speech = tmp_path / "speech"
    speech.mkdir()
    for number in range(6):
        shutil.copy(speech_file, speech / f"{number}.wav")
    monkeypatch.setattr("emo2.pipeline.EMO2Pipeline.from_pretrained", lambda folder: toy)
    monkeypatch.setattr(variety, "NUM_VARIANTS", 2)
    monkeypatch.setattr(cast, "baselines", lambda style: {})
    arguments = ["--speech", speech, "--out", tmp_path / "out", "--quick", "--seeds", "1"]
    code = main(["evaluate", "motion", *map(str, arguments), "--clip", "3"])
    printed, complaints = capsys.readouterr()
    assert code == 1, complaints  # random weights are not right, and the exit code says so
    assert "Beat alignment z, default settings" in printed
    assert "FAIL" in printed
    assert (tmp_path / "out" / "report.html").is_file()


def test_bad_folders_are_refused(tmp_path, capsys):
    assert WORKSHOPS["evaluate"]["motion"] == "emo2.evaluation.motion"
    assert main(["evaluate", "motion", "--speech", str(tmp_path)]) == 2
    assert "--speech" in capsys.readouterr().err
    assert main(["evaluate", "motion", "--speech", str(tmp_path), "--seeds", "0"]) == 2
    assert "--seeds: must be at least 1" in capsys.readouterr().err


def test_references_are_found_with_their_sound(tmp_path, speech_file):
    take = examination.Teacher()(AudioClip(np.zeros(48_000, np.float32)), "talk-calm", 0)
    write_motion(take, tmp_path / "speaker" / "a.npz")
    write_motion(take, tmp_path / "b.npz")
    shutil.copy(speech_file, tmp_path / "b.wav")
    (tmp_path / "notes.txt").write_text("no motion")
    references = {found.name: found for found in find_references(tmp_path)}
    assert set(references) == {"a", "b"}
    assert references["a"].audio is None
    assert references["b"].audio.duration_s == 1
    assert references["a"].motion.num_frames == 72
    assert np.allclose(references["a"].motion.translation_m[0, 0], REST_PLACE_M, atol=0.05)


def test_short_clips_come_from_different_recordings():
    speech = [Speech(AudioClip(np.full(16_000 * 30, n, np.float32))) for n in (0.1, 0.2, 0.3)]
    clips = short_clips(speech)
    assert [clip.duration_s for clip in clips] == [12] * 4
    assert [round(float(clip.samples[0]), 1) for clip in clips] == [0.1, 0.2, 0.3, 0.1]
