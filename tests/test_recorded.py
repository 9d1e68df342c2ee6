"""Corpora of real people's takes: every format that can be imported, labels, what is left out, and
training on one or several of them."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import recorded_takes as files
import torch
from motions import smooth_motion
from recorded_takes import sound

from emo2.errors import InputError
from emo2.features.audio import AudioEncoder
from emo2.motion.formats import FORMATS, read_motion, save_npz
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import angle_between
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import HANDS, from_channels
from emo2.training.batches import draw
from emo2.training.build import build_encoder, build_motion_dit, build_scheduler
from emo2.training.config import AudioSize, GestureConfig, MotionSize
from emo2.training.corpus_folder import Corpus, speed_scale, weighted_quantile
from emo2.training.gesture import GestureTraining
from emo2.training.losses import motion_loss
from emo2.training.mixture import Mixture
from emo2.training.recorded import Reading, build, held_out, main, resting_places
from emo2.training.takes import find_takes
from emo2.types import AudioClip

CONFIG = GestureConfig(
    audio=AudioSize((8,), (400,), (320,), 16, 1, 2, 16, 4, 2),
    motion=MotionSize(32, 1, 2, 2.0, 4, 24, 4, 4),
    steps=6,
    distil_steps=1,
    distil_batch=2,
    joint_steps=3,
    batch_audio=2,
    batch_motions=2,
    batch_frozen=2,
    warmup_steps=1,
    log_every=3,
    monitor_every=6,
)


@pytest.fixture(scope="module")
def encoder() -> AudioEncoder:
    return build_encoder(CONFIG.audio)


def take(folder: Path, name: str, seconds: float = 3.0, seed: int = 0, write=files.npz) -> None:
    sound(folder, name, seconds, seed=seed)
    write(folder, name, seconds, seed)


# Every format ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", files.FORMATS)
def test_every_format_is_trained_on_and_performed(tmp_path, name):
    source = tmp_path / "takes" / "lively"
    for seed in range(2):
        take(source, f"take{seed}", 2.2, seed, files.FORMATS[name])
    facts, rejected = build(tmp_path / "takes", tmp_path / "corpus")
    assert not rejected
    assert (facts["takes"], facts["styles"], facts["speakers"]) == (2, ["lively"], ["one"])
    mixture = Mixture.load([tmp_path / "corpus"])
    training = GestureTraining(CONFIG, mixture, tmp_path / "run")
    training.run(6)
    assert np.isfinite(training.last["loss"])
    encoder = AudioEncoder.from_pretrained(tmp_path / "run" / "checkpoint" / "audio")
    pipeline = Stage1Pipeline.from_pretrained(tmp_path / "run" / "checkpoint" / "gesture")
    assert pipeline.styles == ("lively",)
    heard = encoder(AudioClip(files.syllables(1.5)), 24.0)
    motion = pipeline(heard, num_inference_steps=2)
    assert motion.num_frames == 36
    assert np.isfinite(motion.quaternions).all()


def test_every_format_has_a_stand_in():
    readable = {f.name for f in FORMATS if f.reader}
    assert readable <= files.FORMATS.keys()


# What is in a corpus --------------------------------------------------------------------------


def test_motion_and_sound_stay_in_step(tmp_path):
    """Where a burst sounds the hand is up, in whichever clip the moment ends up."""
    seconds, fps, rate = 30.0, 30.0, 44_100
    motion = smooth_motion(round(seconds * fps), 0, fps)
    marks = np.array([2.0, 11.0, 17.5, 29.0])
    times = np.arange(motion.num_frames) / fps
    places = np.zeros_like(motion.translation_m)
    places[:, 0, 1] = np.exp(-0.5 * ((times[:, None] - marks) / 0.05) ** 2).sum(axis=1)
    visible = np.ones_like(motion.visible)
    motion = dataclasses.replace(motion, translation_m=places, visible=visible)
    folder = tmp_path / "takes"
    sound(folder, "a", seconds, rate)
    save_npz(motion, folder / "a.npz")
    clock = np.arange(round(seconds * rate)) / rate
    bursts = (np.abs(clock[:, None] - marks).min(axis=1) < 0.02) * np.sin(2 * np.pi * 800 * clock)
    files.write_wave(folder / "a.wav", bursts, rate)
    build(folder, tmp_path / "corpus")
    corpus = Corpus.load(tmp_path / "corpus")
    assert len(corpus.length) == 3
    assert corpus.length.tolist() == [240, 240, 240]
    found = []
    for clip in range(3):
        height = from_channels(np.asarray(corpus.channels[clip, 0], np.float32))[1][:, 0, 1]
        loud = np.abs(np.asarray(corpus.audio[clip], np.float32))
        for mark in marks - 10 * clip:
            if 0 < mark < 10:
                near = slice(round((mark - 0.3) * 24), round((mark + 0.3) * 24))
                peak = (near.start + height[near].argmax()) / 24
                heard = slice(round((mark - 0.3) * 16_000), round((mark + 0.3) * 16_000))
                weights = loud[heard] ** 2
                middle = (weights * np.arange(len(weights))).sum() / weights.sum()
                found.append(((heard.start + middle) / 16_000, peak))
    assert len(found) == 4
    assert np.abs(np.diff(found, axis=1)).max() < 0.5 / 24 + 1e-3


def test_what_goes_in_comes_out(tmp_path):
    """At 24 frames per second nothing is resampled: channels hold the motion to half precision."""
    motion = smooth_motion(72, 3, 24.0)
    save_npz(motion, tmp_path / "takes" / "a.npz")
    sound(tmp_path / "takes", "a", 3.0)
    build(tmp_path / "takes", tmp_path / "corpus")
    corpus = Corpus.load(tmp_path / "corpus")
    quaternions, places = from_channels(np.asarray(corpus.channels[0, 0, :72], np.float32))
    assert np.abs(places - motion.translation_m).max() < 1e-3
    assert angle_between(quaternions.astype(float), motion.quaternions).max() < 3e-3
    assert np.array_equal(corpus.visible[0, 0, :72], motion.visible)
    assert not corpus.visible[0, 0, 72:].any()


def test_statistics_are_of_what_is_seen(tmp_path):
    """A hidden hand's numbers, whatever they are, change neither mean nor speed nor rest."""
    folder = tmp_path / "takes"
    motion = smooth_motion(96, 0, 24.0)
    visible = np.ones_like(motion.visible)
    visible[:40, 1] = False
    wild = motion.translation_m.copy()
    wild[:40, 1] += 5.0
    sound(folder, "a", 4.0)
    facts = []
    for places in (motion.translation_m, wild):
        changed = dataclasses.replace(motion, translation_m=places, visible=visible)
        save_npz(changed, folder / "a.npz")
        facts.append(build(folder, tmp_path / "corpus")[0])
    for name in ("mean", "std", "speed_quantiles", "rest_m"):
        np.testing.assert_allclose(facts[0][name], facts[1][name], err_msg=name)


def test_a_hand_rests_where_it_is_slow_and_a_hidden_one_where_hands_rest():
    places = np.zeros((100, 2, 3), np.float32)
    places[:, :, 1] = -0.3
    places[60:, 0, 0] = np.linspace(0, 0.5, 40)
    visible = np.ones((100, 2), bool)
    visible[:, 1] = False
    rest = resting_places(places, visible)
    np.testing.assert_allclose(rest[0], [0, -0.3, 0], atol=1e-6)
    np.testing.assert_allclose(rest[1], rest_pose(1)[1])


def test_hidden_hands_teach_nothing(tmp_path, encoder):
    """The loss and its gradient are the same, whatever a hidden hand does."""
    folder = tmp_path / "takes"
    for seed in range(2):
        take(folder, f"take{seed}", 3.0, seed, files.mano)
    build(folder, tmp_path / "corpus")
    mixture = Mixture.load([tmp_path / "corpus"])
    assert not mixture.corpora[0].visible[0, 0, :60].all()
    config = dataclasses.replace(
        CONFIG, keep_some=0.0, hide_hand=0.0, geodesic_weight=1.0, batch_audio=8
    )
    batch = draw(mixture, encoder, config, 0)
    assert not batch.visible.all()
    facts = mixture.facts | mixture.moments(HANDS)
    dit = build_motion_dit(config, encoder.width, facts)
    dit.forward = lambda noisy, *rest, **named: dit.normalise(batch.frames)
    hidden = torch.zeros(8, batch.audio_mask.shape[1], encoder.width)
    losses = []
    for shift in (0.0, 3.0):
        wild = batch.frames.unflatten(2, (2, -1)) + shift * (~batch.visible)[..., None]
        changed = dataclasses.replace(batch, frames=wild.flatten(2))
        generator = torch.Generator().manual_seed(0)
        even = pytest.MonkeyPatch()
        even.setattr("emo2.training.losses._even", lambda clean: torch.ones(1, 1, 1))
        losses.append(motion_loss(dit, hidden, changed, build_scheduler(), config, generator))
        even.undo()
    assert losses[0].places < 1e-8
    assert losses[1].places == losses[0].places
    assert losses[1].velocities == losses[0].velocities
    assert losses[1].angles == losses[0].angles


# Labels ---------------------------------------------------------------------------------------


def labels(takes) -> dict[str, tuple[str, str]]:
    return {t.name: (t.style, t.speaker) for t in takes}


def empty(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_labels_come_from_folders(tmp_path):
    empty(tmp_path, "ann/calm/1.npz", "ann/calm/1.wav", "bob/wild/x/2.bvh", "bob/wild/x/2.wav")
    for levels, expected in {
        "style": {"ann/calm/1": ("ann", "one"), "bob/wild/x/2": ("bob", "one")},
        "speaker": {"ann/calm/1": ("speech", "ann"), "bob/wild/x/2": ("speech", "bob")},
        "speaker/style": {"ann/calm/1": ("calm", "ann"), "bob/wild/x/2": ("wild", "bob")},
        "style/speaker": {"ann/calm/1": ("ann", "calm"), "bob/wild/x/2": ("bob", "wild")},
    }.items():
        assert labels(find_takes(tmp_path, levels=levels)[0]) == expected


def test_beat2_is_found_as_it_is_laid_out(tmp_path):
    """Motions in one folder, sounds in another, the speaker in the name; a face beside BEAT's."""
    empty(tmp_path, "smplxflame_30/2_scott_0_1_1.npz", "wave16k/2_scott_0_1_1.wav")
    empty(tmp_path, "wave16k/3_solomon_0_2_2.wav", "textgrid/2_scott_0_1_1.TextGrid")
    empty(tmp_path, "1/1_wayne_0_9_9.json", "1/1_wayne_0_9_9.bvh", "1/1_wayne_0_9_9.wav")
    takes, rejected = find_takes(tmp_path)
    assert labels(takes) == {
        "1/1_wayne_0_9_9": ("speech", "wayne"),
        "smplxflame_30/2_scott_0_1_1": ("speech", "scott"),
    }
    assert takes[0].motions[0].suffix == ".bvh"
    assert [(r.name, r.reason) for r in rejected] == [
        ("wave16k/3_solomon_0_2_2.wav", "no motion of this name")
    ]


def test_show_is_found_as_it_is_laid_out(tmp_path):
    clip = "oliver/video/214438-00_00_32/214438-00_00_32"
    empty(tmp_path, f"{clip}.pkl", f"{clip}.wav", f"{clip}.mp4")
    takes, _ = find_takes(tmp_path, levels="speaker")
    assert labels(takes) == {clip: ("speech", "oliver")}
    assert takes[0].sound.suffix == ".wav"


def test_a_table_of_labels_has_the_last_word(tmp_path):
    empty(tmp_path, "calm/1.npz", "calm/1.wav", "calm/2.npz", "calm/2.wav", "3_ann_0_1_1.npz")
    empty(tmp_path, "3_ann_0_1_1.wav")
    table = (
        "file,style,speaker\ncalm/1.npz,angry,\n2, sad ,bob\n3_ann_0_1_1,happy,\nnone.wav,sad,x\n"
    )
    (tmp_path / "labels.csv").write_text(table)
    takes, rejected = find_takes(tmp_path)
    assert labels(takes) == {
        "calm/1": ("angry", "one"),
        "calm/2": ("sad", "bob"),
        "3_ann_0_1_1": ("happy", "ann"),
    }
    assert [r.name for r in rejected] == ["labels.csv: none.wav"]
    (tmp_path / "labels.csv").write_text("name,mood\n1,x\n")
    with pytest.raises(InputError, match="file,style"):
        find_takes(tmp_path)


# What is left out -----------------------------------------------------------------------------


def test_what_cannot_be_used_is_listed_and_not_fatal(tmp_path):
    folder = tmp_path / "takes"
    take(folder, "good", 4.0)
    take(folder, "short", 1.0)
    take(folder, "unequal", 3.0)
    sound(folder, "unequal", 9.0)
    take(folder, "alone", 3.0)
    (folder / "alone.wav").unlink()
    sound(folder, "silent film", 3.0)
    take(folder, "broken", 3.0)
    (folder / "broken.npz").write_bytes((folder / "broken.npz").read_bytes()[:500])
    take(folder, "no sound", 3.0)
    (folder / "no sound.wav").write_bytes(b"RIFF")
    sound(folder, "hidden", 3.0)
    hidden = smooth_motion(90, 0, 30.0)
    hidden = dataclasses.replace(hidden, visible=np.zeros_like(hidden.visible))
    save_npz(hidden, folder / "hidden.npz")
    facts, rejected = build(folder, tmp_path / "corpus")
    assert (facts["takes"], facts["clips"]) == (1, 1)
    reasons = {one.name: one.reason for one in rejected}
    for name, words in {
        "short": "shorter than 2 s",
        "unequal": "motion lasts 3.0 s, its recording 9.0 s",
        "alone": "no recording of this name",
        "silent film.wav": "no motion of this name",
        "broken": "broken.npz",
        "no sound": "no sound.wav",
        "hidden": "no hand is seen",
    }.items():
        assert words in reasons.pop(name), name
    assert not reasons
    rows = list(csv.DictReader((tmp_path / "corpus" / "takes.csv").open()))
    assert [row["take"] for row in rows if row["used"] == "yes"] == ["good"]
    assert len(rows) == 8


def test_nothing_to_use_is_an_error_and_leaves_no_corpus(tmp_path):
    (tmp_path / "takes").mkdir()
    with pytest.raises(InputError, match="recording of the same name"):
        build(tmp_path / "takes", tmp_path / "corpus")
    with pytest.raises(InputError, match="corpus folder"):
        Corpus.load(tmp_path / "corpus")
    with pytest.raises(InputError, match="must be a folder"):
        build(tmp_path / "nowhere", tmp_path / "corpus")
    with pytest.raises(InputError, match="--format"):
        find_takes(tmp_path, format="fbx")


def test_a_wrong_frame_rate_can_be_put_right(tmp_path):
    """A track without a frame rate, of 50 frames per second: taken for 30 it would outlast its
    sound."""
    folder = tmp_path / "takes"
    sound(folder, "a", 4.0)
    files.mano(folder, "a", 200 / 30.0)
    held = dict(np.load(folder / "a.npz"))
    del held["fps"]
    np.savez(folder / "a.npz", **held)
    with pytest.raises(InputError, match="frame rate"):
        build(folder, tmp_path / "corpus")
    facts, _ = build(folder, tmp_path / "corpus", reading=Reading(motion_fps=50.0))
    assert facts["hours"] * 3600 == pytest.approx(4.0, abs=0.05)


# Mixing and training --------------------------------------------------------------------------


def test_validation_has_whole_takes():
    assert held_out(np.zeros(40, int)).sum() == 2
    for takes in (2, 3, 12, 45):
        clips = np.repeat(np.arange(takes), 3)
        chosen = held_out(clips)
        assert 0 < chosen.sum() <= len(clips) // 2
        assert all(len(set(chosen[clips == t])) == 1 for t in range(takes))
    assert held_out(np.arange(100)).mean() == 0.05


def test_weighted_quantiles_are_numpys_where_weights_are_equal():
    rng = np.random.default_rng(0)
    values, shares = rng.normal(size=57), np.linspace(0, 1, 21)
    np.testing.assert_allclose(
        weighted_quantile(values, np.full(57, 0.3), shares), np.quantile(values, shares)
    )
    twice = weighted_quantile(np.r_[values, values], np.r_[np.full(57, 2.0), np.zeros(57)], 0.5)
    assert twice == pytest.approx(np.median(values))
    scale = speed_scale(np.full(3, -2.0), np.zeros(3, int), 2)
    assert np.ptp(scale["speed_quantiles"]) >= 0.5
    assert scale["style_speeds"] == pytest.approx([0.5, 0.5])


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, Path]:
    """Ann is calm and sad, Bob is calm."""
    folder = tmp_path_factory.mktemp("two")
    for seed, place in enumerate(("ann/calm", "ann/sad", "bob/calm")):
        for n in range(2):
            take(folder / "takes" / place, f"{n}", 3.0, 10 * seed + n)
    (folder / "bob").mkdir()
    (folder / "takes" / "bob").rename(folder / "bob" / "bob")
    for name in ("takes", "bob"):
        build(folder / name, folder / f"{name} corpus", levels="speaker/style")
    return folder / "takes corpus", folder / "bob corpus"


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("style", {"calm", "sad"}),
        ("speaker", {"ann", "bob"}),
        ("both", {"ann calm", "ann sad", "bob calm"}),
    ],
)
def test_corpora_are_mixed_by_weight_and_label(two, encoder, label, names):
    mixture = Mixture.load(two, [3, 1], label)
    assert set(mixture.names) == names
    rng = np.random.default_rng(0)
    picked = [mixture.pick(rng, 4) for _ in range(500)]
    assert np.mean([source for four in picked for source, _ in four]) == pytest.approx(
        0.25, abs=0.04
    )
    for source, corpus in enumerate(mixture.corpora):
        chosen = {clip for four in picked for s, clip in four if s == source}
        assert chosen == set(np.flatnonzero(~corpus.held_out))
    batch = draw(mixture, encoder, dataclasses.replace(CONFIG, drop_style=0.0), 0)
    assert batch.style.shape == (4, len(names))
    assert torch.equal(batch.style.sum(dim=1), torch.ones(4))


def test_a_mixture_of_one_is_that_corpus(two):
    corpus = Corpus.load(two[0])
    facts = Mixture.of([corpus]).facts
    for name in ("styles", "speed_quantiles", "style_speeds", "rest_m"):
        np.testing.assert_array_equal(facts[name], corpus.facts[name])
    doubled = Mixture.of([corpus, corpus], [1, 5])
    np.testing.assert_allclose(doubled.moments(HANDS)["std"], corpus.facts["std"], rtol=1e-6)


def test_mixtures_that_cannot_be_are_refused(two, tmp_path):
    for weights in ([1], [0, 0], [1, -1], [1, float("nan")]):
        with pytest.raises(InputError, match="weights"):
            Mixture.load(two, weights)
    take(tmp_path / "takes", "a", 3.0)
    build(tmp_path / "takes", tmp_path / "corpus")
    with pytest.raises(InputError, match="held out"):
        Mixture.load([tmp_path / "corpus"])


def test_the_commonest_label_is_the_products_default(two, tmp_path):
    mixture = Mixture.load(two, label="both")
    training = GestureTraining(dataclasses.replace(CONFIG, label="both"), mixture, tmp_path)
    training.export(tmp_path)
    pipeline = Stage1Pipeline.from_pretrained(tmp_path / "gesture")
    assert pipeline.config.default_style in pipeline.styles


def test_clips_of_any_length_are_drawn(tmp_path, encoder):
    """Shorter than a window or longer: nothing beyond a clip's end is learnt or heard."""
    folder = tmp_path / "takes"
    for seed, seconds in enumerate((2.0, 2.6, 13.0)):
        take(folder, f"take{seed}", seconds, seed)
    build(folder, tmp_path / "corpus")
    mixture = Mixture.load([tmp_path / "corpus"])
    config = dataclasses.replace(CONFIG, motion=MotionSize(32, 1, 2, 2.0, 4, 96, 12, 12))
    corpus = mixture.corpora[0]
    assert corpus.length.tolist() == [48, 62, 156, 156]
    for number in range(20):
        batch = draw(mixture, encoder, config, number)
        learnt = batch.loss_mask.reshape(2, 2, -1)[:, 0]
        assert learnt.any(dim=1).all()
        assert not (learnt & ~batch.audio_mask[:, : learnt.shape[1]]).any()
        quiet = ~batch.audio_mask
        rate = 16_000 / 24
        for row, mask in zip(batch.samples, quiet, strict=True):
            outside = [row[round(f * rate) : round((f + 1) * rate)] for f in np.flatnonzero(mask)]
            if outside and not config.rerecord:
                assert torch.cat(outside).abs().max() == 0


def test_command_line(tmp_path, capsys):
    for name in ("ann", "bob"):
        take(tmp_path / "takes" / name, "a", 3.0)
    sound(tmp_path / "takes", "lonely", 3.0)
    where = ["--from", str(tmp_path / "takes"), "--out", str(tmp_path / "corpus")]
    assert main([*where, "--folders", "speaker"]) == 0
    told = capsys.readouterr().out
    assert "left out: lonely.wav: no motion of this name" in told
    assert "speakers: ann, bob; styles: speech" in told
    assert "--label speaker" in told
    with pytest.raises(InputError, match="--duration"):
        main([*where, "--duration", "1"])
    with pytest.raises(InputError, match="takes that can be used"):
        main([*where, "--format", "bvh"])


def test_imports_say_what_they_lost(tmp_path):
    take(tmp_path / "takes", "a", 3.0, write=files.beat2)
    build(tmp_path / "takes", tmp_path / "corpus")
    (row,) = csv.DictReader((tmp_path / "corpus" / "takes.csv").open())
    lost = read_motion(tmp_path / "takes" / "a.npz").report.lost
    assert row["notes"].startswith(lost[0])
