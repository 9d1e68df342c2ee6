"""The paper's size, whole: 24 blocks of width 512 over 300 frames, hearing through a network of
wav2vec2-base's size. Weights are random; what is tested is that all of it works and fits together.

    python -m pytest -m slow tests/test_full_size.py      (8 GB of memory, a few minutes)
"""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import syllables
from motions import smooth_motion
from recorded_takes import sound
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emo2.features.audio import AudioEncoder
from emo2.motion.formats import save_npz
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.training.config import SIZES
from emo2.training.gesture import GestureTraining
from emo2.training.mixture import Mixture
from emo2.training.recorded import Reading, build
from emo2.types import AudioClip

pytestmark = pytest.mark.slow
MILLION = 1e6


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """Gigabytes that are not to stay."""
    made = tmp_path_factory.mktemp("full")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def training(folder) -> GestureTraining:
    """One step of a run at full size: two takes of 14 s, one window."""
    torch.manual_seed(0)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    AudioEncoder(Wav2Vec2Model(Wav2Vec2Config()), extractor).save_pretrained(folder / "base")
    for seed in range(2):
        sound(folder / "takes", f"{seed}", 14.0, seed=seed)
        save_npz(smooth_motion(14 * 24, seed), folder / "takes" / f"{seed}.npz")
    build(folder / "takes", folder / "corpus", reading=Reading(clip_s=14.0))
    changes = {"audio_checkpoint": str(folder / "base"), "batch_frozen": 1, "workers": 0}
    changes |= {"warmup_steps": 1, "geodesic_weight": 0.1}
    config = dataclasses.replace(SIZES["full"], **changes)
    return GestureTraining(config, Mixture.load([folder / "corpus"]), folder / "run")


def test_the_networks_are_the_papers(training):
    config = training.networks.dit.config
    assert (config.num_layers, config.width, config.num_frames) == (24, 512, 300)
    assert (config.num_context_frames, config.audio_width) == (12, 768)
    assert training.networks.encoder is None  # frozen: no part of what learns
    counts = {
        "blocks": sum(p.numel() for p in training.networks.dit.blocks.parameters()),
        "all": sum(p.numel() for p in training.networks.dit.parameters()),
        "encoder": sum(p.numel() for p in training.encoder.model.parameters()),
    }
    assert counts["blocks"] / MILLION == pytest.approx(100.9, abs=0.1)
    assert counts["all"] / MILLION == pytest.approx(105.06, abs=0.02)
    assert counts["encoder"] / MILLION == pytest.approx(94.4, abs=0.1)


def test_a_step_moves_every_block(training):
    before = [p.detach().clone() for p in training.networks.dit.parameters()]
    gradients = {}
    zero_grad = training.optimiser.zero_grad

    def look(*args) -> None:
        for name, p in training.networks.dit.named_parameters():
            gradients[name] = None if p.grad is None else p.grad.norm().item()
        zero_grad(*args)

    training.optimiser.zero_grad = look
    for _ in range(2):  # the last layers begin at zero, so the first step moves them alone
        losses = training.advance()
        assert all(np.isfinite(value.item()) for value in losses.values())
    deep = [norm for name, norm in gradients.items() if name.startswith("blocks")]
    assert len(deep) == 24 * len(list(training.networks.dit.blocks[0].parameters()))
    assert np.isfinite(deep).all()
    assert min(deep) > 0
    after = training.networks.dit.parameters()
    moved = [not torch.equal(one, two) for one, two in zip(before, after, strict=True)]
    assert np.mean(moved) > 0.9


def test_a_checkpoint_comes_back_strictly_and_performs(training, folder):
    training.export(folder / "checkpoint")
    encoder = AudioEncoder.from_pretrained(folder / "checkpoint" / "audio")
    pipeline = Stage1Pipeline.from_pretrained(folder / "checkpoint" / "gesture")
    for (name, one), two in zip(
        pipeline.motion_dit.named_parameters(), training.average.shadow_params, strict=True
    ):
        assert torch.equal(one, two), name
    heard = encoder(AudioClip(syllables(13.0)), 24.0)
    motion = pipeline(heard, num_inference_steps=2)
    assert motion.num_frames == 312  # two windows: 300 and what is left
    numbers = motion.quaternions[0].size + motion.translation_m[0].size
    assert numbers == 134
    assert np.isfinite(motion.quaternions).all()
    weights = folder / "checkpoint" / "gesture" / "motion_dit"
    file = next(weights.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:-4000])
    with pytest.raises(OSError, match="Unable to load weights"):
        Stage1Pipeline.from_pretrained(folder / "checkpoint" / "gesture")
