"""Stage 2 on real classes at toy size: equivalences, laws, windows, and the demo checkpoint."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNetMotionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from safetensors.torch import load_file, save_file

from emo2.errors import Cancelled, InputError, MissingCheckpoint
from emo2.stage2.guidance_encoder import AudioProjection, GuidanceEncoder
from emo2.stage2.guidance_scale import GuidanceScale
from emo2.stage2.latents import LinearAutoencoder
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.processors import ConditionedAttention
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import AddingConv2d, BackboneUNet, PerFrameGroupNorm
from emo2.stage2.windows import audio_windows, clips
from emo2.training.video_model import FULL, VideoSize, build_networks, build_pipeline
from emo2.types import AudioFeatures, Camera, GuidanceMaps, Portrait

DEMO = Path(__file__).parents[1] / "checkpoints" / "demo" / "video"
AUDIO_DIM = 6
TOY = VideoSize(
    block_out_channels=(8, 16),
    levels=(False, True),
    norm_num_groups=4,
    attention_heads=2,
    cross_attention_dim=8,
    guidance_channels=4,
    guidance_widths=(4, 4, 4, 4),
    long_side_px=32,
    num_inference_steps=2,
    prior_noise=1.0,
)


def randomise(pipeline: Stage2Pipeline, seed: int = 0) -> Stage2Pipeline:
    """Untrained networks begin with zeros in places; a test needs every path to carry something."""
    generator = torch.Generator().manual_seed(seed)
    for part in (pipeline.reference_net, pipeline.unet, pipeline.guidance_encoder):
        for parameter in part.parameters():
            if not parameter.any():
                parameter.data = 0.2 * torch.randn(parameter.shape, generator=generator)
    return pipeline


def toy_pipeline(size: VideoSize = TOY, seed: int = 0) -> Stage2Pipeline:
    torch.manual_seed(seed)
    return randomise(build_pipeline(size, LinearAutoencoder(4, 8), AUDIO_DIM))


@pytest.fixture(scope="module")
def pipeline() -> Stage2Pipeline:
    return toy_pipeline()


def portrait_of(height: int, width: int, seed: int = 0) -> Portrait:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    none = np.zeros
    return Portrait(
        image=image,
        face_landmarks=none((478, 3)),
        shoulders=none((2, 2)),
        neck=none(2),
        elbows=none((2, 2)),
        wrists=none((2, 2)),
        hands=none((2, 21, 2)),
        person_mask=none((height, width)),
        skin_rgb=none(3),
        sleeve_rgb=none(3),
        bare_forearms=True,
        camera=Camera((0.0, 0.0), 100.0, width, height),
        source_box=(0, 0, 1, 1),
    )


def maps_of(frames: int, height: int, width: int, seed: int = 0) -> GuidanceMaps:
    rng = np.random.default_rng(seed)
    draft = rng.integers(0, 256, (frames, 3, height, width)).astype(np.float32) / np.float32(255)
    return GuidanceMaps(
        mano=rng.random((frames, 3, height, width), dtype=np.float32),
        keypoints=rng.random((frames, 3, height, width), dtype=np.float32),
        confidence=rng.random((frames, 2)),
        draft=draft,
        change=np.full((frames, 1, height, width), 0.5, np.float32),
    )


def sound_of(frames: int) -> AudioFeatures:
    return AudioFeatures(np.random.default_rng(1).standard_normal((frames, AUDIO_DIM)), 24.0)


def film(pipe: Stage2Pipeline, frames: int = 24, size: tuple[int, int] = (32, 32), **options):
    portrait = portrait_of(*size)
    chunks = (maps_of(min(24, frames - start), *size, seed=start) for start in range(0, frames, 24))
    return pipe(portrait, sound_of(frames), chunks, **options)


def features_of(pipe: Stage2Pipeline, pictures: int = 1, seed: int = 0):
    latents = torch.randn(pictures, 4, 4, 4, generator=torch.Generator().manual_seed(seed))
    return pipe.reference_net.extract(latents)


def clip_inputs(pipe: Stage2Pipeline, frames: int = 3) -> tuple:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(1, 8, frames, 4, 4, generator=generator)
    tokens = torch.randn(frames, 5, 8, generator=generator)
    guidance = torch.randn(1, 4, frames, 4, 4, generator=generator)
    return latents, torch.tensor(500), tokens, guidance


# ---- attention -----------------------------------------------------------------------------------


@torch.no_grad()
def test_without_reference_it_is_stock_attention(pipeline):
    stock = toy_pipeline()
    stock.unet.set_attn_processor(AttnProcessor2_0())
    inputs = clip_inputs(pipeline)
    torch.testing.assert_close(pipeline.unet.denoise(*inputs), stock.unet.denoise(*inputs))


@torch.no_grad()
def test_reference_and_motion_frames_change_the_output(pipeline):
    inputs = clip_inputs(pipeline)
    reference = features_of(pipeline)
    motion = {k: v[None] for k, v in features_of(pipeline, 12, seed=1).items()}
    plain = pipeline.unet.denoise(*inputs)
    seen = pipeline.unet.denoise(*inputs, reference)
    moved = pipeline.unet.denoise(*inputs, reference, motion)
    assert (plain - seen).abs().max() > 1e-3
    assert (seen - moved).abs().max() > 1e-3
    assert torch.equal(plain, pipeline.unet.denoise(*inputs))  # nothing was kept between calls


def test_both_networks_name_the_same_layers(pipeline):
    spatial = {
        name.removesuffix(".processor")
        for name, processor in pipeline.unet.attn_processors.items()
        if processor.layer is not None
    }
    assert spatial == set(features_of(pipeline))


@torch.no_grad()
def test_reference_attention_by_hand():
    torch.manual_seed(0)
    attn = Attention(8, heads=2, dim_head=4, processor=ConditionedAttention("here"))
    hidden, portrait = torch.randn(3, 5, 8), torch.randn(1, 7, 8)
    out = attn(hidden, reference={"here": portrait})
    for frame in range(3):
        context = torch.cat([hidden[frame], portrait[0]])
        query, key, value = attn.to_q(hidden[frame]), attn.to_k(context), attn.to_v(context)
        heads = [
            torch.softmax(query[:, h] @ key[:, h].T / 4**0.5, dim=-1) @ value[:, h]
            for h in (slice(0, 4), slice(4, 8))
        ]
        torch.testing.assert_close(out[frame], attn.to_out[0](torch.cat(heads, dim=-1)))
    elsewhere = attn(hidden, reference={"another layer": portrait})
    assert torch.equal(elsewhere, attn(hidden))


@torch.no_grad()
def test_motion_frames_are_seen_at_the_same_pixel_and_start_silent():
    torch.manual_seed(0)
    processor = ConditionedAttention("here", width=8, heads=2, max_distance=20)
    attn = Attention(8, heads=2, dim_head=4, processor=processor)
    hidden, past = torch.randn(6, 5, 8), torch.randn(2, 4, 5, 8)  # 2 clips of 3 frames, 4 before
    assert torch.equal(attn(hidden, motion={"here": past}), attn(hidden))
    torch.nn.init.normal_(processor.to_v_motion.weight)
    before = attn(hidden, motion={"here": past})
    changed = past.clone()
    changed[1, 2, 3] += 1  # second clip, pixel 3
    difference = (attn(hidden, motion={"here": changed}) - before).abs().amax(-1)  # (6, 5)
    assert (difference[3:, 3] > 1e-4).all()
    difference[3:, 3] = 0
    assert difference.max() == 0


@torch.no_grad()
def test_distance_bias_tells_motion_frames_apart():
    torch.manual_seed(0)
    processor = ConditionedAttention("here", width=8, heads=2, max_distance=20)
    attn = Attention(8, heads=2, dim_head=4, processor=processor)
    torch.nn.init.normal_(processor.to_v_motion.weight)
    hidden, past = torch.randn(3, 5, 8), torch.randn(1, 4, 5, 8)
    processor.distance_bias[:] = -1e4
    processor.distance_bias[:, 1] = 0  # two frames back: index = distance - 1
    last_seen = past.clone()
    last_seen[:, :3] = 0  # frame 1 of the clip is two after the last motion frame
    torch.testing.assert_close(
        attn(hidden, motion={"here": past})[1], attn(hidden, motion={"here": last_seen})[1]
    )


# ---- backbone ------------------------------------------------------------------------------------


@torch.no_grad()
def test_temporal_modules_normalise_each_frame():
    norm = PerFrameGroupNorm(2, 4, eps=1e-6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 4, 3, 5, 6) * torch.tensor([1.0, 10.0, 0.1]).view(1, 1, 3, 1, 1)
    out = norm(x)
    for b, f, g in np.ndindex(2, 3, 2):
        group = x[b, 2 * g : 2 * g + 2, f]
        normed = (group - group.mean()) / (group.var(correction=0) + 1e-6).sqrt()
        scale, shift = (p[2 * g : 2 * g + 2, None, None] for p in (norm.weight, norm.bias))
        torch.testing.assert_close(out[b, 2 * g : 2 * g + 2, f], normed * scale + shift)
    across = F.group_norm(x, 2, norm.weight, norm.bias, 1e-6)
    assert (across - out).abs().max() > 0.1


def test_every_temporal_module_has_that_norm(pipeline):
    modules = [m for m in pipeline.unet.modules() if isinstance(m, AnimateDiffTransformer3D)]
    assert modules
    assert all(type(module.norm) is PerFrameGroupNorm for module in modules)


@torch.no_grad()
def test_guidance_is_fused_by_concatenation_or_addition():
    torch.manual_seed(0)
    shape = {
        "down_block_types": ("CrossAttnDownBlockMotion",),
        "up_block_types": ("CrossAttnUpBlockMotion",),
        "block_out_channels": (8,),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_heads": 2,
        "cross_attention_dim": 8,
        "motion_frames": 0,
    }
    adding = BackboneUNet(guidance_channels=8, guidance_fusion="add", **shape)
    concatenating = BackboneUNet(guidance_channels=6, guidance_fusion="concat", **shape)
    assert concatenating.conv_in.weight.shape == (8, 10, 3, 3)
    latents, guidance = torch.randn(2, 4, 4, 4), torch.randn(2, 8, 4, 4)
    assert isinstance(adding.conv_in, AddingConv2d)
    by_hand = F.conv2d(latents, adding.conv_in.weight, adding.conv_in.bias, padding=1) + guidance
    torch.testing.assert_close(adding.conv_in(torch.cat([latents, guidance], dim=1)), by_hand)
    with pytest.raises(ValueError, match="guidance_channels"):
        BackboneUNet(guidance_channels=6, guidance_fusion="add", **shape)


def test_full_size_holds_the_published_layouts():
    """Counts of EchoMimicV2's networks: theirs must fit ours tensor by tensor."""
    with torch.device("meta"):
        reference, backbone, encoder, _ = build_networks(FULL, 4, 768)
        theirs = BackboneUNet(
            guidance_fusion="add",
            cross_attention_dim=384,
            audio_attention_scale=3.0,
            motion_frames=0,
        )
        stock = UNetMotionModel(cross_attention_dim=384, num_attention_heads=8)
    assert len(reference.state_dict()) == 570
    assert round(sum(p.numel() for p in reference.parameters()) / 1e6, 1) == 815.5
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {
        k: v.shape for k, v in stock.state_dict().items()
    }
    learned = {k: v for k, v in theirs.state_dict().items() if "pos_embed" not in k}
    motion = [v.numel() for k, v in learned.items() if ".motion_modules." in k]
    assert (len(learned), len(motion)) == (686 + 546, 546)
    assert round(sum(motion) / 1e6, 1) == 453.2
    assert backbone.conv_in.weight.shape == (320, 4 + 320, 3, 3)
    own = sum(p.numel() for k, p in backbone.named_parameters() if ".processor." in k)
    assert 24e6 < own < 26e6  # what the motion frames add
    assert len(encoder.maps.state_dict()) == 16


# ---- conditions ----------------------------------------------------------------------------------


@torch.no_grad()
def test_guidance_encoder_in_chunks_is_the_same():
    encoder = GuidanceEncoder(7, 4, (4, 4, 4, 4))
    torch.nn.init.normal_(encoder.maps.conv_out.weight)
    maps, confidence = torch.rand(1, 7, 5, 32, 16), torch.rand(1, 5, 2)
    whole = encoder(maps, confidence, chunk=5)
    assert whole.shape == (1, 4, 5, 4, 2)
    torch.testing.assert_close(encoder(maps, confidence, chunk=2), whole)


@torch.no_grad()
def test_confidence_is_interpolated_per_hand():
    encoder = GuidanceEncoder(6, 3, (4, 4), confidence_bins=5)
    torch.nn.init.normal_(encoder.confidence)
    left, right = encoder.confidence
    got = encoder.embed_confidence(torch.tensor([[[0.0, 1.0], [0.3125, 0.5]]]))[0]
    torch.testing.assert_close(got[0], left[0] + right[4])
    torch.testing.assert_close(got[1], 0.75 * left[1] + 0.25 * left[2] + right[2])


@torch.no_grad()
def test_audio_tokens_know_their_place():
    projection = AudioProjection(AUDIO_DIM, 8, radius=2)
    heard = torch.randn(1, 3, 5, AUDIO_DIM)
    tokens = projection(heard)
    assert tokens.shape == (3, 5, 8)
    swapped = projection(heard.flip(2)).flip(1)
    assert (swapped - tokens).abs().max() > 1e-3
    windows = audio_windows(sound_of(4), 3, 2, 1)
    rows = sound_of(4).hidden_states
    np.testing.assert_array_equal(windows, rows[[[2, 3, 3], [3, 3, 3]]])


@pytest.mark.parametrize(
    ("scale", "weights"),
    [((1, 1, 1), [1]), ((2.5, 2.5, 2.5), [-1.5, 2.5]), ((1, 2, 3), [-1, -1, 3]), ((0, 0, 0), [1])],
)
def test_guidance_scales_telescope(scale, weights):
    scale = GuidanceScale(*scale)
    terms = scale.terms()
    assert [term.weight for term in terms] == weights
    told = {(0, 0, 0): 5.0, (1, 0, 0): 7.0, (1, 1, 0): 11.0, (1, 1, 1): 13.0}
    got = sum(t.weight * told[t.guidance, t.reference, t.audio] for t in terms)
    assert got == 5 + 2 * scale.guidance + 4 * scale.reference + 2 * scale.audio


def test_each_scale_matters_on_its_own(pipeline):
    frames = [
        next(film(pipeline, guidance_scale=scale))
        for scale in (None, GuidanceScale(3, 1, 1), GuidanceScale(1, 3, 1), GuidanceScale(1, 1, 3))
    ]
    for i in range(4):
        for j in range(i):
            assert (frames[i] != frames[j]).any(), (i, j)
    with pytest.raises(InputError, match="reference must be 0 to 20"):
        GuidanceScale(reference=-1)


# ---- latents -------------------------------------------------------------------------------------


def test_from_the_mean_of_the_noise_a_film_knows_no_seed():
    pipes = [toy_pipeline(replace(TOY, prior_noise=noise)) for noise in (0.0, 1.0)]
    frames = [[next(film(pipe, seed=seed)) for seed in (0, 1)] for pipe in pipes]
    assert (frames[0][0] == frames[0][1]).all()
    assert (frames[1][0] != frames[1][1]).any()


@torch.no_grad()
def test_latents_are_linear_and_orthonormal():
    generator = torch.Generator().manual_seed(0)
    pictures = F.avg_pool2d(torch.randn(4, 3, 64, 64, generator=generator), 5, 1, 2)
    vae = LinearAutoencoder.fit(pictures, latent_channels=12, patch_size=4)
    basis = vae.basis.flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(12), atol=1e-6, rtol=0)
    a, b = (vae.encode(pictures[i : i + 1]).latent_dist.mode() for i in (0, 1))
    both = vae.encode(pictures[:1] + 2 * pictures[1:2]).latent_dist
    torch.testing.assert_close(both.mode(), a + 2 * b)
    assert torch.equal(both.sample(torch.Generator().manual_seed(1)), both.mode())
    decoded = vae.decode(both.mode()).sample
    assert decoded.shape == (1, 3, 64, 64)
    torch.testing.assert_close(decoded, vae.decode(a).sample + 2 * vae.decode(b).sample)
    torch.testing.assert_close(vae.encode(decoded).latent_dist.mode(), both.mode())  # a projection
    std = vae.encode(pictures).latent_dist.mode().square().mean((0, 2, 3)).sqrt()
    torch.testing.assert_close(std, torch.tensor(vae.config.latents_std), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_fitted_latents_keep_the_most_energy_and_all_of_them_lose_nothing():
    generator = torch.Generator().manual_seed(0)
    pictures = F.avg_pool2d(torch.randn(4, 3, 64, 64, generator=generator), 5, 1, 2)

    def loss(vae):
        kept = vae.decode(vae.encode(pictures).latent_dist.mode()).sample
        return (kept - pictures).square().mean()

    fitted = loss(LinearAutoencoder.fit(pictures, 6, 4))
    other = LinearAutoencoder(6, 4)
    turned = torch.linalg.qr(torch.randn(48, 48, generator=generator))[0][:6]
    other.basis.data = turned.reshape(6, 3, 4, 4)
    assert fitted < 0.5 * loss(other)
    assert loss(LinearAutoencoder.fit(pictures, 48, 4)) < 1e-10


# ---- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 23, 24, 25, 60])
@pytest.mark.parametrize("chunk", [1, 7, 24, 100])
def test_windows_cover_every_frame_once(frames, chunk):
    whole = maps_of(frames, 2, 2)
    parts = (
        replace(
            whole,
            **{
                name: getattr(whole, name)[start : start + chunk]
                for name in ("mano", "keypoints", "confidence", "draft", "change")
            },
        )
        for start in range(0, frames, chunk)
    )
    made = list(clips(parts, 24))
    assert [clip.start for clip in made] == list(range(0, frames, 24))
    assert all(clip.guidance.num_frames == 24 for clip in made)
    kept = np.concatenate([clip.guidance.mano[: clip.keep] for clip in made])
    np.testing.assert_array_equal(kept, whole.mano)
    np.testing.assert_array_equal(made[-1].guidance.draft[-1], whole.draft[-1])


def test_windows_do_not_read_ahead():
    asked = []

    def chunks():
        for number in range(5):
            asked.append(number)
            yield maps_of(24, 2, 2)

    for number, _ in enumerate(clips(chunks(), 24)):
        assert len(asked) == number + 1


# ---- the pipeline --------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 23, 24, 25, 60])
def test_film_has_as_many_frames_as_guidance(pipeline, frames):
    made = list(film(pipeline, frames, num_inference_steps=1))
    assert len(made) == frames
    assert all(frame.shape == (32, 32, 3) and frame.dtype == np.uint8 for frame in made)


@pytest.mark.parametrize("size", [(48, 32), (16, 80), (96, 96)])
def test_any_size_that_is_a_multiple_of_16(pipeline, size):
    assert next(film(pipeline, 3, size)).shape == (*size, 3)


def test_same_seed_same_bytes(pipeline):
    first = np.stack(list(film(pipeline, 30, seed=3)))
    again = np.stack(list(film(pipeline, 30, seed=3)))
    other = np.stack(list(film(pipeline, 30, seed=4)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_network_that_says_nothing_leaves_the_draft():
    torch.manual_seed(0)
    silent = build_pipeline(TOY, LinearAutoencoder(4, 8), AUDIO_DIM)
    made = np.stack(list(film(silent, 24, (48, 64))))
    draft = np.round(maps_of(24, 48, 64).draft * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(made, draft)


def test_residual_stays_within_its_limit_and_its_mask(pipeline):
    limited = toy_pipeline(replace(TOY, residual_limit=0.1, residual_gain=0.01))
    made = np.stack(list(film(limited, 24))).astype(int)
    draft = np.round(maps_of(24, 32, 32).draft * 255).transpose(0, 2, 3, 1)
    changed = np.abs(made - draft).max()
    assert 10 <= changed <= 14  # 0.1 of 255 under a mask of one half, rounded
    weak = toy_pipeline(replace(TOY, residual_strength=0.0))
    np.testing.assert_array_equal(np.stack(list(film(weak, 24))), draft)
    untouched = replace(maps_of(24, 32, 32), change=np.zeros((24, 1, 32, 32)))
    made = np.stack(list(limited(portrait_of(32, 32), sound_of(24), [untouched])))
    np.testing.assert_array_equal(made, draft)


def test_the_past_reaches_the_next_clip(pipeline):
    portrait, sound = portrait_of(32, 32), sound_of(48)
    second = maps_of(24, 32, 32, seed=9)
    films = [
        list(pipeline(portrait, sound, [maps_of(24, 32, 32, seed), second])) for seed in (1, 2)
    ]
    assert (np.stack(films[0][24:]) != np.stack(films[1][24:])).any()


def test_stop_frees_the_worker_within_a_step(pipeline):
    heard = []

    def stop_at_third(progress):
        heard.append(progress)
        if progress.done == 3:
            raise Cancelled

    frames = film(pipeline, 60, on_step=stop_at_third)
    assert len(list(islice(frames, 24))) == 24  # the first clip's frames are out
    with pytest.raises(Cancelled):
        next(frames)
    assert [(p.done, p.total) for p in heard] == [(1, 6), (2, 6), (3, 6)]
    assert len(list(film(pipeline, 3))) == 3  # and the pipeline is as it was


def test_memory_does_not_grow_with_length(pipeline):
    def tensor_bytes() -> int:
        tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor]
        return sum(t.numel() * t.element_size() for t in tensors)

    def peaks(frames: int) -> tuple[int, int]:
        """Of tensors alive while a clip's frames go out, and of numpy's arrays at any time."""
        gc.collect()
        tracemalloc.start()
        alive = max(
            tensor_bytes()
            for number, _ in enumerate(film(pipeline, frames, num_inference_steps=1))
            if number % 24 == 12
        )
        arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return alive, arrays

    short, long = peaks(72), peaks(216)
    assert long[0] <= 1.02 * short[0]
    assert long[1] <= 1.1 * short[1]  # how far the guidance's thread is ahead varies


def test_without_a_draft_it_decodes_whole_pictures():
    """The full model's way: a learned autoencoder, guidance behind conv_in, no draft."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
    )
    size = replace(
        TOY, leans_on_draft=False, long_side_px=None, guidance_fusion="add", guidance_channels=8
    )
    pipe = randomise(build_pipeline(size, vae, AUDIO_DIM))
    maps = replace(maps_of(24, 48, 32), draft=None, change=None)
    frames = list(pipe(portrait_of(48, 32), sound_of(24), [maps], guidance_scale=2.0))
    assert len(frames) == 24
    assert frames[0].shape == (48, 32, 3)
    assert frames[0].std() > 0


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("odd portrait", "multiples of 16"),
        ("other encoder", "audio features of width 6"),
        ("other size", "portrait's size 32 x 32"),
        ("too long", "longer than the sound, 5 frames"),
        ("no draft", "needs its frames"),
        ("no steps", "must be 1 to 1000"),
    ],
)
def test_what_does_not_fit_is_refused(pipeline, case, message):
    portrait, sound, maps, options = portrait_of(32, 32), sound_of(5), maps_of(5, 32, 32), {}
    if case == "odd portrait":
        portrait = portrait_of(32, 40)
    elif case == "other encoder":
        sound = AudioFeatures(np.zeros((5, 9)), 24.0)
    elif case == "other size":
        maps = maps_of(5, 48, 32)
    elif case == "too long":
        maps = maps_of(6, 32, 32)
    elif case == "no draft":
        maps = replace(maps, draft=None, change=None)
    else:
        options = {"num_inference_steps": 0}
    with pytest.raises(InputError, match=message):
        next(pipeline(portrait, sound, [maps], **options))


# ---- checkpoints ---------------------------------------------------------------------------------


def test_saved_and_loaded_it_is_the_same(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = Stage2Pipeline.from_pretrained(tmp_path)
    for name in ("reference_net", "unet", "guidance_encoder", "audio_projection", "vae"):
        ours, theirs = (getattr(p, name).state_dict() for p in (pipeline, loaded))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), name
    np.testing.assert_array_equal(
        np.stack(list(film(pipeline, 26))), np.stack(list(film(loaded, 26)))
    )


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape", "truncated", "gone"])
@pytest.mark.parametrize("part", ["unet", "vae"])
def test_damaged_weights_are_refused_by_name(pipeline, tmp_path, damage, part):
    pipeline.save_pretrained(tmp_path)
    path = tmp_path / part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    key = sorted(tensors)[0]
    if damage == "missing":
        del tensors[key]
    elif damage == "unexpected":
        tensors["stranger"] = torch.zeros(1)
    elif damage == "shape":
        tensors[key] = torch.zeros(1)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "gone":
        path.unlink()
    else:
        save_file(tensors, path)
    with pytest.raises(MissingCheckpoint) as error:
        Stage2Pipeline.from_pretrained(tmp_path)
    assert str(path) in str(error.value)
    if damage in ("missing", "shape"):
        assert key in str(error.value)


def test_a_folder_without_a_film_model_says_how_to_get_one(tmp_path):
    with pytest.raises(MissingCheckpoint, match="train video"):
        Stage2Pipeline.from_pretrained(tmp_path)


def test_the_demo_checkpoint_films():
    pipe = Stage2Pipeline.from_pretrained(DEMO)
    assert isinstance(pipe.reference_net, ReferenceNet)
    assert (pipe.clip_length, pipe.config.motion_frames) == (24, 12)
    assert all(path.stat().st_size < 10e6 for path in DEMO.rglob("*"))
    frames = 25
    sound = AudioFeatures(np.zeros((frames, pipe.audio_projection.config.audio_dim)), 24.0)
    portrait = portrait_of(96, 64)
    made = list(pipe(portrait, sound, [maps_of(frames, 96, 64)], num_inference_steps=2))
    assert len(made) == frames
    assert made[-1].shape == (96, 64, 3)
