"""Stage 2 at the paper's size, whole: Stable Diffusion 1.5's widths at 704 x 512, audio features of
wav2vec2-base's width, an autoencoder of sd-vae-ft-mse's shape. Weights are random; what is tested
is that all of it works and fits together, from the files it starts from to the film.

    python -m pytest -m slow tests/test_full_size_film.py    (20 GB of memory, 12 GB of disk)

Clips have 2 frames and 2 motion frames here, of the paper's 24 and 12: on a CPU that is what time
and memory allow. The networks are those of 24 and 12.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import syllables
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from moving_hands import speaker
from test_initialise import animatediff_of
from test_stage2 import maps_of, portrait_of
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emo2.errors import MissingCheckpoint
from emo2.features.audio import AudioEncoder
from emo2.hands.model import HandModel
from emo2.motion.formats import save_npz
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training.film import save, save_memory
from emo2.training.film_loss import EVERYTHING, FilmLoss, make_film_batch
from emo2.training.footage import FootageTake
from emo2.training.initialise import initialise
from emo2.training.video_model import FULL, build_pipeline
from emo2.types import AudioClip, AudioFeatures

pytestmark = pytest.mark.slow
HEIGHT, WIDTH = 704, 512
CLIP_LENGTH, MOTION_FRAMES = 2, 2
HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
MILLION, GB = 1e6, 1e9


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """Gigabytes that are not to stay."""
    made = tmp_path_factory.mktemp("full-film")
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def hidden_states() -> np.ndarray:
    """(T, 768): what a network of wav2vec2-base's size hears."""
    torch.manual_seed(0)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    encoder = AudioEncoder(Wav2Vec2Model(Wav2Vec2Config()), extractor)
    return encoder(AudioClip(syllables(0.5)), 24.0).hidden_states


@pytest.fixture(scope="module")
def pipeline(folder) -> Stage2Pipeline:
    """Started from files of the published sizes, in half precision, as they are published."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float16)
    try:
        UNet2DConditionModel(cross_attention_dim=768).save_pretrained(folder / "sd" / "unet")
    finally:
        torch.set_default_dtype(torch.float32)
    motion = animatediff_of(MotionAdapter().half().state_dict())
    torch.save({"state_dict": motion}, folder / "mm_sd_v15_v2.ckpt")
    del motion
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
    )
    made = build_pipeline(FULL, vae.eval().requires_grad_(False), 768)
    landings = initialise(made, folder / "sd", folder / "mm_sd_v15_v2.ckpt")
    assert [len(landing.landed) for landing in landings] == [570, 686, 546]
    shutil.rmtree(folder / "sd")
    made.register_to_config(clip_length=CLIP_LENGTH, motion_frames=MOTION_FRAMES)
    # What starts at zero would keep gradients from what lies before it, in the first step alone.
    for part in (made.unet, made.guidance_encoder):
        for parameter in part.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.02)
    return made


@pytest.fixture(scope="module")
def take(folder, hidden_states) -> FootageTake:
    """Six frames of footage."""
    rng = np.random.default_rng(0)
    place = folder / "take"
    (place / "frames").mkdir(parents=True)
    for number in range(6):
        small = rng.integers(0, 256, (11, 8, 3), dtype=np.uint8)
        picture = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(place / "frames" / f"{number:06d}.jpg"), picture)
    middle = np.array([WIDTH / 2, 0.4 * HEIGHT])
    half = np.array([0.18 * 700, 0])
    np.savez(
        place / "body.npz",
        shoulders=np.tile([middle + half, middle - half], (6, 1, 1)),
        neck=np.tile(middle - (0, 40), (6, 1)),
        pixels_per_metre=700.0,
    )
    np.save(place / "sound.npy", hidden_states[:6].astype(np.float16))
    save_npz(speaker(6), place / "motion.npz")
    return FootageTake(place, HandModel.from_pretrained(HANDS))


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB


def test_the_networks_are_the_papers(pipeline):
    config = pipeline.unet.config
    assert tuple(config.block_out_channels) == (320, 640, 1280, 1280)
    assert (config.motion_frames, config.cross_attention_dim) == (12, 768)
    assert config.guidance_fusion == "concat"
    counts = {
        name: sum(p.numel() for p in getattr(pipeline, name).parameters()) / MILLION
        for name in ("reference_net", "unet", "vae")
    }
    assert counts["reference_net"] == pytest.approx(815.5, abs=0.1)
    assert counts["unet"] == pytest.approx(859.5 + 0.9 + 453.2 + 25, abs=1)
    assert counts["vae"] == pytest.approx(83.65, abs=0.1)


def test_a_step_reaches_every_block(pipeline, take):
    save_memory(pipeline)
    loss = FilmLoss(pipeline, hand_weight=3.0)
    norms: dict[str, float] = {}

    def watch(name: str):
        def look(parameter: torch.Tensor) -> None:
            norms[name] = parameter.grad.norm().item()
            parameter.grad = None  # all together would be as large as the networks

        return look

    wanted = []
    for name, parameter in loss.networks.named_parameters():
        parameter.register_post_accumulate_grad_hook(watch(name))
        wanted.append(name)
    rng = np.random.default_rng(0)
    batch = make_film_batch(pipeline, take, CLIP_LENGTH, 500, EVERYTHING, True, rng)
    assert batch.frames.shape == (1, CLIP_LENGTH, 3, HEIGHT, WIDTH)
    assert batch.noise.shape == (1, 4, CLIP_LENGTH, HEIGHT // 8, WIDTH // 8)
    assert batch.maps[:, :3].any()
    value = loss(batch)
    assert np.isfinite(value.item())
    value.backward()
    silent = [name for name in wanted if not norms.get(name, 0) > 0]
    # The ReferenceNet is asked for its attention layers' inputs: what comes after the last one of
    # them is not used.
    last = "0.up_blocks.3.attentions.2."
    assert len(silent) == 13
    assert all(name.startswith(last) for name in silent), silent[:5]
    assert np.isfinite(list(norms.values())).all()
    print(f"forward and back: {len(norms)} gradients, peak {peak_gb():.1f} GB")
    assert peak_gb() < 20


def test_a_checkpoint_comes_back_strictly_and_films(pipeline, folder, hidden_states):
    save(pipeline, folder / "checkpoint")
    loaded = Stage2Pipeline.from_pretrained(folder / "checkpoint", torch_dtype=torch.float16)
    assert not loaded.config.leans_on_draft
    for name in ("reference_net", "unet", "guidance_encoder", "audio_projection", "vae"):
        ours = getattr(pipeline, name).half().state_dict()
        theirs = getattr(loaded, name).state_dict()
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.equal(tensor, theirs[key]), f"{name}: {key}"
    for part in ("reference_net", "unet", "guidance_encoder", "audio_projection", "vae"):
        getattr(loaded, part).float()  # never half precision on a CPU
    maps = maps_of(CLIP_LENGTH, HEIGHT, WIDTH)
    sound = AudioFeatures(hidden_states[:CLIP_LENGTH], 24.0)
    portrait = portrait_of(HEIGHT, WIDTH)
    options = {"num_inference_steps": 2, "guidance_scale": 1.0}
    frames = list(loaded(portrait, sound, [maps], **options))
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * CLIP_LENGTH
    assert frames[0].std() > 1
    assert (frames[0] != frames[1]).any()
    print(f"film: peak {peak_gb():.1f} GB")
    assert peak_gb() < 20
    file = next((folder / "checkpoint" / "unet").glob("*.safetensors"))
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - 4000)
    with pytest.raises(MissingCheckpoint, match="whole safetensors file"):
        Stage2Pipeline.from_pretrained(folder / "checkpoint")
