"""The corpus, its teacher, and the training of Stage 1 at toy size."""

import csv
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emo2.errors import InputError, MissingCheckpoint
from emo2.evaluation.beats import alignment, motion_beats, rest_share, wrist_speed
from emo2.features.audio import AudioEncoder
from emo2.motion.anatomy import bend_angle
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import NUM_CHANNELS, from_channels, swap_hands, to_channels
from emo2.training import corpus as corpora
from emo2.training.batches import draw
from emo2.training.build import build_encoder
from emo2.training.config import AudioSize, GestureConfig, MotionSize
from emo2.training.corpus_folder import Corpus
from emo2.training.gesture import GestureTraining, main
from emo2.training.listening import open_encoder
from emo2.training.mixture import Mixture
from emo2.training.prosody import Prosody, analyse
from emo2.training.run_folder import RunFolder
from emo2.training.styles import STYLES
from emo2.training.teacher import choose_accents, gesture, minimum_jerk
from emo2.types import AudioClip, HandMotion

RATE = 16_000
DURATION_S = 6.0
CONFIG = GestureConfig(
    audio=AudioSize(conv_dim=(16, 16), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=16, num_conv_pos_embeddings=8,
                    num_conv_pos_embedding_groups=2),
    motion=MotionSize(width=32, num_layers=1, num_heads=2, num_frames=24, num_lookahead_frames=4),
    steps=40, batch_audio=2, batch_motions=2, batch_frozen=3, distil_steps=3, distil_batch=3,
    joint_steps=6, warmup_steps=1, log_every=2, monitor_every=8,
)  # fmt: skip


def syllables(rng: np.random.Generator, duration_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Bursts of a buzz, some much stronger, a pause in the middle; when the strong ones begin."""
    time = np.arange(round(duration_s * RATE)) / RATE
    sound, strong, moment = np.zeros_like(time), [], 0.7
    while moment < duration_s - 0.4:
        loud = rng.random() < 0.35
        inside = (time >= moment) & (time < moment + (0.22 if loud else 0.12))
        level = 0.5 if loud else 0.08
        sound[inside] += level * np.sign(np.sin(2 * np.pi * (170 if loud else 120) * time[inside]))
        strong += [moment] if loud else []
        moment += rng.uniform(0.25, 0.45)
        if 0.4 * duration_s < moment < 0.6 * duration_s:
            moment += 0.6
    return sound.astype(np.float32), np.array(strong)


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory) -> Path:
    """A corpus of made-up syllables, so that no synthesiser is needed."""
    patch = pytest.MonkeyPatch()
    patch.setattr(corpora, "speak", lambda rng, seconds, real: syllables(rng, seconds)[0])
    patch.setattr(corpora, "ProcessPoolExecutor", InThisProcess)
    folder = tmp_path_factory.mktemp("corpus")
    corpora.build(folder, clips=8, duration_s=DURATION_S, seed=0, workers=1)
    patch.undo()
    return folder


class InThisProcess:
    """As a pool of processes, but patched functions stay patched."""

    def __init__(self, workers: int) -> None:
        self.map = map

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass


@pytest.fixture(scope="module")
def corpus(corpus_folder) -> Corpus:
    return Corpus.load(corpus_folder)


@pytest.fixture(scope="module")
def mixture(corpus) -> Mixture:
    return Mixture.of([corpus])


def as_motion(performance) -> HandMotion:
    frames = len(performance.translation_m)
    return HandMotion(
        performance.quaternions, performance.translation_m, np.ones((frames, 2), bool),
        np.zeros((2, 10)), 24.0,
    )  # fmt: skip


# The teacher


def test_prosody_hears_the_loud_syllables():
    sound, strong = syllables(np.random.default_rng(3), 12.0)
    prosody = analyse(sound)
    distance = np.abs(prosody.times_s[:, None] - strong)
    assert (distance.min(axis=0) < 0.15).mean() > 0.8
    stands_out = distance.min(axis=1) < 0.15
    assert prosody.salience[stands_out].mean() > prosody.salience[~stands_out].mean() + 0.25
    assert len(prosody.phrases_s) >= 2


def test_silence_has_no_prosody_and_no_gestures():
    prosody = analyse(np.zeros(3 * RATE, np.float32))
    assert not len(prosody.times_s)
    assert not prosody.curves(72, 24.0).any()
    for style in STYLES.values():
        motion = as_motion(gesture(prosody, style, 1.0, 3.0, 24.0, np.random.default_rng(0)))
        assert wrist_speed(motion).max() == 0


def test_minimum_jerk_starts_and_ends_at_rest():
    place = np.linspace(-0.5, 1.5, 401)
    path = minimum_jerk(place)
    assert path[0] == 0
    assert path[-1] == 1
    assert (np.diff(path) >= 0).all()
    assert np.abs(np.diff(path)[[100, 299]]).max() < 1e-5


def test_when_is_fixed_and_how_is_free():
    """Two performances of one speech stop their strokes at the same moments, elsewhere."""
    prosody = analyse(syllables(np.random.default_rng(1), 12.0)[0])
    for style in STYLES.values():
        one, two = (
            gesture(prosody, style, 1.0, 12.0, 24.0, np.random.default_rng(seed)) for seed in (0, 1)
        )
        assert np.array_equal(one.strokes_s, two.strokes_s)
        assert np.abs(one.translation_m - two.translation_m).max() > 0.02


def test_more_gain_means_more_strokes():
    prosody = analyse(syllables(np.random.default_rng(1), 20.0)[0])
    style = STYLES["talk-calm"]
    counts = [len(choose_accents(prosody, style, gain)) for gain in (0.3, 1.0, 3.0)]
    assert counts[0] < counts[1] < counts[2]


def test_styles_differ_and_stay_humane():
    """Width and energy of the styles, rests, wrists; speeds as real speakers have them."""
    facts = {}
    prosody = analyse(syllables(np.random.default_rng(0), 20.0)[0])
    for name, style in STYLES.items():
        motions = [
            as_motion(gesture(prosody, style, 1.0, 20.0, 24.0, np.random.default_rng(seed)))
            for seed in range(3)
        ]
        bends = [np.max(bend_angle(m.quaternions[:, :, 0], m.translation_m)) for m in motions]
        assert max(bends) < np.deg2rad(56)
        width = np.mean([np.abs(m.translation_m[..., 0]).max() for m in motions])
        facts[name] = (
            np.mean([wrist_speed(m).mean() for m in motions]),
            np.mean([rest_share(m) for m in motions]),
            width,
        )
    calm, lively, present = (facts[name] for name in ("talk-calm", "talk-lively", "present"))
    assert 0.07 < calm[0] < 0.6 * lively[0]  # real speakers: .07 to .36 m/s
    assert lively[0] < 0.5
    assert calm[1] > 0.15
    assert present[2] > calm[2] + 0.05


def test_strokes_stop_at_accents():
    own, chance = [], []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        sound, _ = syllables(rng, 20.0)
        prosody = analyse(sound)
        motion = as_motion(gesture(prosody, STYLES["talk-calm"], 1.0, 20.0, 24.0, rng))
        strong = prosody.times_s[prosody.salience > 0.6]
        fit = alignment(motion_beats(motion), strong, 20.0)
        own.append(fit.score)
        chance.append(fit.chance)
    assert np.mean(own) > np.mean(chance) + 0.1


# The corpus


def test_corpus_is_what_its_seed_says(corpus, monkeypatch):
    monkeypatch.setattr(corpora, "speak", lambda rng, seconds, real: syllables(rng, seconds)[0])
    clip = corpora.make_clip(3, 0, DURATION_S)
    assert np.array_equal(clip[0], corpus.audio[3])
    assert np.array_equal(clip[1], corpus.channels[3])
    assert corpus.channels.shape == (8, 4, 144, NUM_CHANNELS)
    assert sorted(corpus.facts["speed_quantiles"]) == corpus.facts["speed_quantiles"]
    assert corpus.facts["mean"][:99] == corpus.facts["mean"][99:]


def test_no_corpus_is_said(tmp_path):
    with pytest.raises(InputError, match="corpus gesture"):
        Corpus.load(tmp_path)


def test_swapping_hands_is_a_mirror(corpus):
    quaternions, places = from_channels(np.asarray(corpus.channels[0, 1], dtype=np.float32))
    swapped_q, swapped = from_channels(swap_hands(to_channels(quaternions, places)))
    assert np.allclose(swapped, places[:, ::-1] * [-1, 1, 1], atol=1e-5)
    again = swap_hands(swap_hands(to_channels(quaternions, places)))
    assert np.allclose(again, to_channels(quaternions, places))
    assert np.allclose(swapped_q[0, 0, 3, :2], quaternions[0, 1, 3, :2], atol=1e-4)


# Batches


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    return build_encoder(CONFIG.audio)


def test_batches_depend_on_seed_and_number_alone(mixture, encoder):
    one, again, other = (draw(mixture, encoder, CONFIG, number) for number in (5, 5, 6))
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(again, field.name)
        assert torch.equal(a.nan_to_num(), b.nan_to_num()), field.name
    assert not torch.equal(one.frames, other.frames)
    assert one.samples.shape == (2, round(40 / 24 * RATE))
    assert one.frames.shape == (4, 36, NUM_CHANNELS)


def test_conditions_are_dropped_about_as_often_as_asked(mixture, encoder):
    batches = [draw(mixture, encoder, CONFIG, number) for number in range(100)]
    share = {
        "drop_audio": np.mean([b.deaf.float().mean() for b in batches]),
        "drop_style": np.mean([(b.style == 0).all(1).float().mean() for b in batches]),
        "drop_offset": np.mean([b.offset_m.isnan().any(2).any(1).float().mean() for b in batches]),
        "drop_context": np.mean([(~b.context_mask).float().mean() for b in batches]),
        "keep_some": np.mean([b.kept.flatten(1).any(1).float().mean() for b in batches]),
    }
    for name, value in share.items():
        assert value == pytest.approx(getattr(CONFIG, name), abs=0.08), name
    assert all(b.loss_mask.any(1).all() for b in batches)


# Training


def parameters(training: GestureTraining) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in training.networks.parameters()])


def test_a_resumed_run_is_the_same_run_to_the_bit(mixture, tmp_path):
    """Through all parts of a run: the encoder alone, both networks, the frozen encoder. What other
    code draws from the global generators meanwhile plays no part."""
    whole = GestureTraining(CONFIG, mixture, tmp_path / "whole")
    whole.run(9)
    for stop in (2, 5, 8, 9):
        training = GestureTraining(CONFIG, mixture, tmp_path / "parts")
        if stop > 2:
            training.resume()
        torch.manual_seed(stop)
        np.random.seed(stop)  # noqa: NPY002 - the global one is meant
        training.run(stop)
    assert torch.equal(parameters(training), parameters(whole))
    for one, two in zip(training.average.shadow_params, whole.average.shadow_params, strict=True):
        assert torch.equal(one, two)
    moments = (t.optimiser.state_dict()["state"] for t in (training, whole))
    for one, two in zip(*(state.values() for state in moments), strict=True):
        assert all(torch.equal(one[name], two[name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [row.split(",")[0] for row in logs[0]] == [row.split(",")[0] for row in logs[1]]
    assert [row.split(",")[3:] for row in logs[0]] == [row.split(",")[3:] for row in logs[1]]


def test_a_resumed_run_keeps_its_settings(mixture, tmp_path):
    GestureTraining(CONFIG, mixture, tmp_path).run(1)
    (tmp_path / "heard-0.npy").touch()
    longer = dataclasses.replace(CONFIG, steps=50, joint_steps=8)
    training = GestureTraining(longer, mixture, tmp_path)
    training.resume()
    assert training.step == 1
    assert not (tmp_path / "heard-0.npy").exists()  # of another encoder than will be frozen
    with pytest.raises(InputError, match="learning_rate"):
        GestureTraining(dataclasses.replace(CONFIG, learning_rate=1.0), mixture, tmp_path).resume()


def test_a_step_is_as_many_batches_as_asked(mixture, tmp_path):
    """Two batches a step: the mean of their gradients, as one step of each would have them."""
    config = dataclasses.replace(CONFIG, distil_steps=0, grad_clip=1e9)
    twice = GestureTraining(dataclasses.replace(config, accumulate=2), mixture, tmp_path)
    seen = []
    twice.optimiser.step = lambda: seen.append(
        [p.grad.clone() for p in twice.networks.dit.parameters()]
    )
    twice.advance()
    once = GestureTraining(config, mixture, tmp_path)
    once.optimiser.step = lambda: seen.append(
        [p.grad.clone() for p in once.networks.dit.parameters()]
    )
    once.advance(), once.advance()
    for both, first, second in zip(*seen, strict=True):
        assert torch.allclose(both, (first + second) / 2, atol=1e-6)


def test_a_run_folder_tells_everything(mixture, tmp_path):
    training = GestureTraining(CONFIG, mixture, tmp_path)
    training.run(8)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["motion"]["width"] == 32
    assert len(config["code"]["git_commit"]) == 40
    assert config["code"]["git_dirty"] in (True, False)
    assert config["machine"]["torch"] == torch.__version__
    assert config["corpora"][0]["clips"] == 8
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    assert all(float(rows[-1][name]) > 0 for name in ("loss", "validation", "ratio"))
    encoder = AudioEncoder.from_pretrained(tmp_path / "checkpoint" / "audio")
    pipeline = Stage1Pipeline.from_pretrained(tmp_path / "checkpoint" / "gesture")
    sound = syllables(np.random.default_rng(0), 2.0)[0]
    motion = pipeline(encoder(AudioClip(sound), 24.0), num_inference_steps=2)
    assert motion.num_frames == 48
    assert pipeline.styles == tuple(STYLES)


def test_workers_draw_the_same_batches(mixture, tmp_path):
    losses = []
    for workers in (0, 1):
        config = dataclasses.replace(CONFIG, workers=workers, distil_steps=1, joint_steps=2)
        training = GestureTraining(config, mixture, tmp_path / str(workers))
        losses.append([training.advance()["loss"].item() for _ in range(3)])
    assert losses[0] == losses[1]


def test_ctrl_c_ends_a_run_after_a_whole_step(mixture, tmp_path, monkeypatch):
    training = GestureTraining(CONFIG, mixture, tmp_path)
    advance = training.advance

    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        return advance()

    monkeypatch.setattr(training, "advance", interrupted)
    training.run(9)
    assert training.step == 1
    again = GestureTraining(CONFIG, mixture, tmp_path)
    again.resume()
    assert again.step == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_few_steps_learn_one_batch(mixture, tmp_path, monkeypatch):
    config = dataclasses.replace(
        CONFIG, distil_steps=0, joint_steps=1000, steps=1000, geodesic_weight=1.0
    )
    training = GestureTraining(config, mixture, tmp_path)
    batch = draw(mixture, training.encoder, config, 0)
    monkeypatch.setattr(training, "_next", lambda part: batch)
    losses = [training.advance() for _ in range(20)]
    for name in ("loss", "places", "angles"):
        values = [step[name].item() for step in losses]
        assert np.mean(values[-5:]) < 0.8 * np.mean(values[:3]), name


def test_command_line(corpus_folder, tmp_path, capsys):
    where = ["--corpus", str(corpus_folder), "--out", str(tmp_path)]
    with pytest.raises(InputError, match=r"state\.pt"):
        main([*where, "--resume"])
    (tmp_path / "state.pt").touch()
    with pytest.raises(InputError, match="--resume"):
        main(where)
    with pytest.raises(InputError, match="accumulate"):
        main([*where, "--resume", "--accumulate", "0"])
    with pytest.raises(InputError, match="weights"):
        main([*where, "--resume", "--weights", "1", "2"])
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "optimiser steps (3600 / 300000)" in " ".join(capsys.readouterr().out.split())


def test_an_encoder_is_a_folder_or_a_name(mixture, encoder, tmp_path):
    """Frozen ears: no part of what is trained, and saved with it."""
    with pytest.raises(MissingCheckpoint, match="--audio-checkpoint"):
        open_encoder("nobody/nothing")
    with pytest.raises(MissingCheckpoint, match=r"config\.json"):
        open_encoder(str(tmp_path))
    encoder.save_pretrained(tmp_path / "ears")
    config = dataclasses.replace(CONFIG, audio_checkpoint=str(tmp_path / "ears"))
    training = GestureTraining(config, mixture, tmp_path / "run")
    training.run(1)
    assert training.networks.encoder is None
    kept = AudioEncoder.from_pretrained(tmp_path / "run" / "checkpoint" / "audio")
    for one, two in zip(encoder.model.parameters(), kept.model.parameters(), strict=True):
        assert torch.equal(one, two)
    heard = encoder(AudioClip(np.asarray(mixture.corpora[0].audio[2]) / np.float32(32768)), 24.0)
    assert np.array_equal(training.heard[0][2], heard.hidden_states.astype(np.float16))


def test_tensorboard_is_written_or_missed_with_a_word(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"pip install .tensorboard"):
        RunFolder(tmp_path, ("step", "loss"), tensorboard=True)
    written = []
    board = SimpleNamespace(
        add_scalar=lambda *values: written.append(values), flush=lambda: None, close=lambda: None
    )
    made = SimpleNamespace(SummaryWriter=lambda folder, purge_step: board)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", made)
    folder = RunFolder(tmp_path, ("step", "loss"), tensorboard=True)
    folder.log({"step": 3, "loss": 0.5})
    assert written == [("loss", 0.5, 3)]


def test_curves_follow_accents():
    prosody = Prosody(
        times_s=np.array([1.0]),
        salience=np.array([0.8]),
        effort=np.array([1.0]),
        phrases_s=np.array([[0.5, 1.5]]),
    )
    curves = prosody.curves(48, 24.0)
    assert curves[:, 0].argmax() == 24
    assert curves[:, 0].max() == pytest.approx(0.8)
    assert curves[:, 1].sum() == pytest.approx(25)
