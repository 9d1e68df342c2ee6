"""The frozen autoencoder: its training at toy size, strict loading, and what the committed weights
see in good and in spoilt motion."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from motions import smooth_motion
from toy_corpus import toy_corpus

from emo2.errors import InputError, MissingCheckpoint
from emo2.evaluation.autoencoder import FOLDER, MotionAutoencoder, cosines, part_means
from emo2.evaluation.frechet import against
from emo2.evaluation.geometry import geometric_features
from emo2.evaluation.performers import Teacher
from emo2.evaluation.points import Bones
from emo2.evaluation.windows import cut
from emo2.motion.edit import mirror
from emo2.stage1.representation import NUM_CHANNELS, swap_hands, to_channels
from emo2.training.corpus_folder import Corpus
from emo2.training.motion_autoencoder import AutoencoderConfig, AutoencoderTraining, main
from emo2.types import HandMotion

TOY = AutoencoderConfig(
    latent_size=12,
    widths=(8, 12),
    steps=60,
    batch=16,
    learning_rate=2e-2,
    warmup_steps=5,
    fitted_windows=64,
    log_every=20,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Corpus:
    return Corpus.load(toy_corpus(tmp_path_factory.mktemp("corpus"), clips=8, seconds=4))


def weights(training: AutoencoderTraining) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in training.model.parameters()])


def test_training_learns_and_logs(corpus, tmp_path):
    training = AutoencoderTraining(TOY, corpus, tmp_path)
    first = training.advance()
    training.run(TOY.steps)
    report = training.finish()
    assert training.last["loss"] < 0.9 * first
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == [20, 40, 60]
    assert json.loads((tmp_path / "config.json").read_text())["latent_size"] == 12
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert set(report) == {"windows", "autoencoder", "window's own mean pose", "corpus mean pose"}


def test_a_resumed_run_is_the_run_it_resumes(corpus, tmp_path):
    whole = AutoencoderTraining(TOY, corpus, tmp_path / "whole")
    whole.run(10)
    AutoencoderTraining(TOY, corpus, tmp_path / "part").run(5)
    resumed = AutoencoderTraining(TOY, corpus, tmp_path / "part")
    resumed.resume()
    resumed.run(10)
    assert torch.equal(weights(whole), weights(resumed))
    with pytest.raises(InputError, match="resume"):
        AutoencoderTraining(TOY, corpus, tmp_path / "none").resume()


def test_the_command_and_strict_loading(tmp_path):
    folder = toy_corpus(tmp_path / "corpus", clips=4, seconds=4)
    assert main(["--corpus", str(folder), "--out", str(tmp_path / "run"), "--steps", "2"]) == 0
    checkpoint = tmp_path / "run" / "checkpoint"
    model = MotionAutoencoder.from_pretrained(checkpoint)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "latent_size": 9}))
    with pytest.raises((MissingCheckpoint, ValueError, RuntimeError)):
        MotionAutoencoder.from_pretrained(checkpoint)
    with pytest.raises(MissingCheckpoint):
        MotionAutoencoder.from_pretrained(tmp_path)


def test_a_missing_weight_is_named(tmp_path):
    from safetensors.torch import load_file, save_file

    MotionAutoencoder(latent_size=4, widths=(8,)).save_pretrained(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    kept = load_file(file)
    kept.pop("down_linear.bias")
    save_file(kept, file)
    with pytest.raises(MissingCheckpoint, match=r"down_linear\.bias"):
        MotionAutoencoder.from_pretrained(tmp_path)


def test_the_linear_path_alone_is_principal_components():
    """Frames that lie in P directions and move in slow waves pass whiten and colour unharmed."""
    rng = torch.Generator().manual_seed(0)
    model = MotionAutoencoder(latent_size=4, num_directions=5, num_waves=6, widths=(8,))
    frames = torch.randn(400, 5, generator=rng) @ torch.randn(5, NUM_CHANNELS, generator=rng)
    model.fit_frames(frames, frames.mean(dim=0), torch.full((NUM_CHANNELS,), 2.0))
    track = ((frames - model.channel_mean) / model.channel_std) @ model.whiten
    torch.testing.assert_close(track.T.cov(), torch.eye(5), atol=1e-3, rtol=0)
    back = track @ model.colour * model.channel_std + model.channel_mean
    torch.testing.assert_close(back, frames, atol=1e-3, rtol=1e-3)
    waves = cosines(64)
    torch.testing.assert_close(waves.T @ waves, torch.eye(64), atol=1e-4, rtol=0)


def test_every_channel_belongs_to_one_part():
    members = part_means() > 0
    assert (members.sum(dim=1) == 1).all()
    assert members.sum(dim=0).tolist() == [6, 12, 180]


# The committed weights -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network() -> MotionAutoencoder:
    return MotionAutoencoder.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def taught(speech_clips) -> list[list[HandMotion]]:
    """Eight clips of speech, four styles each, by the teacher."""
    teacher = Teacher()
    styles = ("talk-calm", "talk-lively", "present", "sing")
    return [[teacher(clip, style, 0) for style in styles] for clip in speech_clips]


@pytest.fixture(scope="module")
def speech_clips():
    from conftest import syllables

    from emo2.types import AudioClip

    return [AudioClip(syllables(9.0, seed)) for seed in range(8)]


def test_committed_weights_are_small_and_keep_their_scale(network):
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1.5e6
    assert (network.feature_std > 0.02).all(), "no latent is dead"
    features = network.features(smooth_motion(200))
    assert features.shape == (5, network.num_features)
    assert np.array_equal(features, network.features(smooth_motion(200)))
    with pytest.raises(InputError, match="motion"):
        network.features(smooth_motion(50))


def test_windows_are_the_motion_s(network):
    motion = smooth_motion(160)
    channels = to_channels(motion.quaternions, motion.translation_m)
    alone = network.features_of_windows(channels[None, 32:96])
    np.testing.assert_allclose(network.features(motion)[1:2], alone, atol=1e-4)
    there = mirror(motion)
    np.testing.assert_allclose(
        to_channels(there.quaternions, there.translation_m), swap_hands(channels), atol=1e-5
    )


def test_motion_is_rebuilt_better_than_by_its_mean_pose(network, taught):
    """Of places and wrists, half the error at most; hands change their shape little in a window."""
    tracks = (to_channels(m.quaternions, m.translation_m) for clip in taught for m in clip)
    windows = torch.from_numpy(np.concatenate([cut(track) for track in tracks]))
    with torch.no_grad():
        rebuilt = network.decode(network.encode(windows)[0])
    held = windows.mean(dim=1, keepdim=True).expand_as(windows)
    ours, theirs = (
        ((made - windows) / network.channel_std).square().mean(dim=(0, 1)) @ part_means()
        for made in (rebuilt, held)
    )
    assert (ours[:2] < 0.5 * theirs[:2]).all(), (ours, theirs)
    assert ours[2] < theirs[2]


def trembling(motion: HandMotion, size_m: float) -> HandMotion:
    noise = np.random.default_rng(motion.num_frames).normal(0, 1, motion.translation_m.shape)
    return replace(motion, translation_m=motion.translation_m + size_m * noise)


def shuffled_in_time(motion: HandMotion, piece: int = 6) -> HandMotion:
    starts = np.random.default_rng(0).permutation(np.arange(0, motion.num_frames, piece))
    order = np.concatenate([np.arange(s, min(s + piece, motion.num_frames)) for s in starts])
    return replace(
        motion, quaternions=motion.quaternions[order], translation_m=motion.translation_m[order]
    )


def spoilt(motion: HandMotion, how: str) -> HandMotion:
    if how.startswith("tremble"):
        return trembling(motion, float(how.split()[1]) * 1e-3)
    if how == "shuffled":
        return shuffled_in_time(motion)
    return replace(
        motion,
        quaternions=np.repeat(motion.quaternions[:1], motion.num_frames, 0),
        translation_m=np.repeat(motion.translation_m[:1], motion.num_frames, 0),
    )


@pytest.mark.parametrize("kind", ["geometry", "network"])
def test_spoilt_motion_lies_further_than_the_teacher_s_other_half(kind, network, taught):
    """The same motions are further from the teacher's other half once they are spoilt, by however
    little; more tremble is further; what is spoilt badly lies above the floor of so few rows."""
    features = network.features if kind == "network" else lambda m: geometric_features(m, Bones())

    def tables(motions):
        return [np.concatenate([features(m) for m in clip]) for clip in motions]

    half, other = tables(taught[:4]), tables(taught[4:])
    good = against(other, half, splits=4)
    distances = {}
    for how in ("tremble 1", "tremble 3", "tremble 9", "shuffled", "frozen"):
        made = tables([[spoilt(m, how) for m in clip] for clip in taught[4:]])
        distances[how] = against(made, half, splits=4).frechet
        assert distances[how] > good.frechet, (how, distances, good)
    assert distances["tremble 1"] < distances["tremble 3"] < distances["tremble 9"]
    worst = [distances[how] for how in ("tremble 9", "shuffled", "frozen")]
    assert min(worst) > 1.2 * good.floor, (distances, good)
