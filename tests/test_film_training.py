"""Training a full film model at toy size, on footage we make: draft films of a person who sways,
with their own motions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ASSETS, syllables
from moving_hands import speaker
from test_initialise import TOY, adapter_of, animatediff_of, small_vae, stock_unet
from test_stage2 import maps_of, portrait_of, randomise

from emo2.errors import InputError
from emo2.features.portrait import analyse_portrait
from emo2.guidance.maps import draw_guidance
from emo2.media import load_image, read_frames, write_video
from emo2.motion.formats import save_npz
from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline
from emo2.stage2.guidance_scale import Term
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training import film, video
from emo2.training.film_loss import (
    EVERYTHING,
    FilmBatch,
    FilmLoss,
    draw_film_batch,
    hand_region,
    target,
    validate,
)
from emo2.training.footage import FPS, FootageTake, at_film_rate, prepare
from emo2.training.video_model import FULL, VideoConfig, build_pipeline, build_scheduler
from emo2.types import AudioClip, AudioFeatures, HandMotion

SIZE = replace(
    TOY, clip_length=3, motion_frames=2, prediction_type="v_prediction",
    beta_schedule="scaled_linear", num_inference_steps=2, shared_noise=0.0,
)  # fmt: skip
SMALL = replace(SIZE, block_out_channels=(8, 8), levels=(True, False), layers_per_block=1)
CONFIG = VideoConfig(
    size=SMALL, steps=3, warmup_steps=1, save_every=2,
    accumulate=2, drop_past=0.3, drop_reference=0.3,
)  # fmt: skip
FRAMES, SWAY_PX = 14, 16.0
AUDIO_DIM = 128


@pytest.fixture(scope="module")
def emo() -> EMO2Pipeline:
    return EMO2Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def portrait():
    return analyse_portrait(load_image(ASSETS / "amara.jpg"), max_side_px=256)


def sway(t: int) -> np.ndarray:
    """Pixels to the right and down."""
    return np.array([SWAY_PX * np.sin(t / 8), SWAY_PX / 4 * np.cos(t / 8)])


def gestures() -> HandMotion:
    """Hands that stay in the picture."""
    wander = 0.03 * np.sin(np.arange(FRAMES) / 4)[:, None, None] * [0, 1, 0]
    places = np.array([[0.13, -0.27, 0.2], [-0.13, -0.27, 0.2]]) + wander
    return replace(speaker(FRAMES), translation_m=places)


@pytest.fixture(scope="module")
def source(tmp_path_factory, emo, portrait) -> Path:
    """A film of a draft whose picture sways, and what cannot be used."""
    folder = tmp_path_factory.mktemp("films")
    audio, motion = AudioClip(syllables(FRAMES / FPS)), gestures()
    frames = []
    for t, drafted in enumerate(emo.draft(portrait, audio, motion, seed=0)):
        shift = np.array([[1, 0, sway(t)[0]], [0, 1, sway(t)[1]]])
        height, width = drafted.image.shape[:2]
        frames.append(
            cv2.warpAffine(drafted.image, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        )
    write_video(folder / "talk" / "one.mp4", iter(frames), FPS, audio)
    save_npz(motion, folder / "talk" / "one.npz")
    write_video(folder / "short.mp4", iter(frames[:4]), FPS, audio)
    save_npz(motion, folder / "short.npz")
    grey = [np.full((64, 64, 3), 128, np.uint8)] * FRAMES
    write_video(folder / "nobody.mp4", iter(grey), FPS, audio)
    save_npz(motion, folder / "nobody.npz")
    write_video(folder / "alone.mp4", iter(grey), FPS, audio)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, source, emo):
    out = tmp_path_factory.mktemp("ready")
    options = {"max_side_px": 128, "shortest": 6}
    takes, rejected = prepare(source, out, emo.audio_encoder, emo.hand_model, **options)
    return takes, rejected, out, options


@pytest.fixture(scope="module")
def takes(prepared) -> list[FootageTake]:
    return prepared[0]


def fresh(seed: int = 0, size=SMALL) -> Stage2Pipeline:
    torch.manual_seed(seed)
    return build_pipeline(size, small_vae().requires_grad_(False), AUDIO_DIM)


# ---- footage -------------------------------------------------------------------------------------


def test_a_take_is_the_video_framed(takes, source):
    (take,) = takes
    assert take.folder.relative_to(take.folder.parents[1]).as_posix() == "talk/one"
    assert take.num_frames == take.motion.num_frames == len(take.body.shoulders) == FRAMES
    assert take.sound.shape == (FRAMES, AUDIO_DIM)
    height, width = take.size
    assert max(take.size) <= 128
    assert not height % 16
    assert not width % 16
    original = list(read_frames(source / "talk" / "one.mp4"))
    shown = take.pictures([2, 9])
    for number, picture in zip((2, 9), shown, strict=True):
        small = cv2.resize(original[number], (width, height), interpolation=cv2.INTER_AREA)
        correlation = np.corrcoef(small.ravel(), picture.ravel())[0, 1]
        assert correlation > 0.9


def test_maps_are_where_the_hands_are(takes, portrait, emo):
    """The picture sways by a thirteenth of its width, and the maps with it."""
    (take,) = takes
    truth = draw_guidance(take.motion, emo.hand_model, portrait)
    found = take.guidance(0, FRAMES)
    height, width = portrait.image.shape[:2]
    offsets = []
    for t in range(FRAMES):
        wanted = middle(truth.mano[t]) + sway(t)[::-1] / (height, width)
        offsets.append(middle(found.mano[t]) - wanted)
    assert np.abs(offsets).max() < 0.03
    still = [middle(found.mano[t]) - middle(truth.mano[t]) for t in range(FRAMES)]
    assert np.abs(still).max() > 0.05  # without following they would be beside the hands
    np.testing.assert_allclose(found.confidence, truth.confidence, atol=0.1)


def middle(mano: np.ndarray) -> np.ndarray:
    """(row, column) of what is drawn, as shares of the picture."""
    drawn = mano.max(axis=0) > 0
    return (np.argwhere(drawn).mean(axis=0) + 0.5) / drawn.shape


def test_what_cannot_be_used_is_named(prepared):
    reasons = {one.name: one.reason for one in prepared[1]}
    assert reasons.keys() == {"short", "nobody", "alone.mp4"}
    assert "at least 6 frames" in reasons["short"]
    assert "0 of 4 looks" in reasons["nobody"]
    assert "no motion" in reasons["alone.mp4"]
    assert not list(prepared[2].rglob("*.jpg.part"))


def test_footage_is_made_ready_once(prepared, source, emo, monkeypatch):
    takes, _, out, options = prepared
    monkeypatch.setattr("emo2.training.footage.look_for_body", None)
    for name in ("short", "nobody"):
        (source / f"{name}.npz").rename(source / f"{name}.gone")
    try:
        again, _ = prepare(source, out, emo.audio_encoder, emo.hand_model, **options)
    finally:
        for name in ("short", "nobody"):
            (source / f"{name}.gone").rename(source / f"{name}.npz")
    assert [take.folder for take in again] == [take.folder for take in takes]


def test_no_footage_says_what_to_lay_where(tmp_path, emo):
    with pytest.raises(InputError, match="beside each video"):
        prepare(
            tmp_path, tmp_path / "o", emo.audio_encoder, emo.hand_model, max_side_px=64, shortest=6
        )


@pytest.mark.parametrize("fps", [12.0, 24.0, 30.0, 60.0])
def test_any_frame_rate_becomes_24(tmp_path, fps):
    count = round(fps)
    levels = np.linspace(0, 240, count)
    frames = (np.full((32, 32, 3), level, np.uint8) for level in levels)
    write_video(tmp_path / "a.mp4", frames, fps, None)
    seen = np.array([frame.mean() for frame in at_film_rate(tmp_path / "a.mp4")])
    assert len(seen) == 24
    wanted = levels[np.floor(np.arange(24) * fps / 24 + 1e-3).astype(int)]
    assert np.abs(seen - wanted).max() < 8


# ---- batches -------------------------------------------------------------------------------------


def test_batches_are_of_their_number_and_hold_what_they_say(takes):
    pipeline = fresh()
    batches = [draw_film_batch(CONFIG, pipeline, takes, number) for number in range(16)]
    again = draw_film_batch(CONFIG, pipeline, takes, 5)
    for name in ("portrait", "frames", "noise", "maps", "heard", "timestep"):
        assert torch.equal(getattr(batches[5], name), getattr(again, name))
    assert {batch.frames.shape[1] for batch in batches} == {CONFIG.size.clip_length}
    every = torch.from_numpy(takes[0].pictures(range(FRAMES))).permute(0, 3, 1, 2) / 127.5 - 1
    with_past = 0
    for batch in batches:
        length = batch.frames.shape[1]
        start = place_of(batch.frames[0, 0], every)
        assert torch.equal(batch.frames[0], every[start : start + length])
        portrait = place_of(batch.portrait[0], every)
        before = start - (0 if batch.past is None else 2)
        assert not before <= portrait < start + length
        if batch.past is not None:
            with_past += 1
            assert torch.equal(batch.past[0], every[start - 2 : start])
            assert batch.keep.reference
        guidance = takes[0].guidance(start, start + length)
        assert torch.equal(
            batch.maps[0, :3], torch.from_numpy(guidance.mano.copy()).transpose(0, 1)
        )
        heard = takes[0].sound[start : start + length].astype(np.float32)
        np.testing.assert_array_equal(batch.heard[0, :, 2], heard)
    assert 0 < with_past < 16
    assert {batch.keep.reference for batch in batches} == {True, False}


def place_of(picture: torch.Tensor, every: torch.Tensor) -> int:
    return int((every - picture).abs().flatten(1).mean(1).argmin())


# ---- the loss ------------------------------------------------------------------------------------


def batch_of(seed: int = 0, keep: Term = EVERYTHING, past: bool = True) -> FilmBatch:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    maps = torch.zeros(1, 6, 2, 64, 64)
    maps[:, :3, 0, 8:24, 40:48] = 0.7  # a hand, in the first frame alone
    return FilmBatch(
        portrait=uniform(1, 3, 64, 64) * 2 - 1,
        frames=uniform(1, 2, 3, 64, 64) * 2 - 1,
        maps=maps,
        confidence=uniform(1, 2, 2),
        heard=uniform(1, 2, 5, AUDIO_DIM),
        noise=torch.randn(1, 4, 2, 8, 8, generator=generator),
        timestep=torch.tensor([400]),
        keep=keep,
        past=uniform(1, 2, 3, 64, 64) if past else None,
    )


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon", "sample"])
def test_targets_take_the_noise_away(kind):
    """Whatever is predicted, DDIM's step with it goes back to the clean latents."""
    scheduler = build_scheduler(replace(SIZE, prediction_type=kind))
    scheduler.set_timesteps(1000)
    clean, noise = torch.randn(2, 1, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    timestep = torch.tensor([400])
    noisy = scheduler.add_noise(clean, noise, timestep)
    said = target(scheduler, clean, noise, timestep)
    step = scheduler.step(said, 400, noisy)
    torch.testing.assert_close(step.pred_original_sample, clean, rtol=1e-4, atol=1e-4)


def test_a_hand_s_region_is_its_latents_and_their_neighbours():
    region = hand_region(batch_of().maps, 8)
    wanted = torch.zeros(1, 1, 2, 8, 8)
    wanted[:, :, 0, 0:4, 4:7] = 1
    assert torch.equal(region, wanted)


def test_errors_weigh_more_where_hands_are():
    pipeline, batch = fresh(), batch_of()
    latents = pipeline.encode(batch.frames[0]).transpose(0, 1)[None]
    truth = target(pipeline.scheduler, latents, batch.noise, batch.timestep)

    def loss_of(weight: float, error: torch.Tensor) -> float:
        pipeline.predict = lambda *_: truth + error
        return float(FilmLoss(pipeline, weight)(batch))

    region = hand_region(batch.maps, 8)
    assert loss_of(3.0, torch.zeros_like(region)) == pytest.approx(0.0, abs=1e-12)
    assert loss_of(3.0, torch.full_like(region, 0.5)) == pytest.approx(0.25, rel=1e-5)
    on_hands, elsewhere = loss_of(3.0, region), loss_of(3.0, 1 - region)
    assert on_hands + elsewhere == pytest.approx(1.0, rel=1e-5)
    share = float(region.mean())
    assert on_hands == pytest.approx(3 * share / (1 + 2 * share), rel=1e-5)
    assert loss_of(1.0, region) == pytest.approx(share, rel=1e-5)


@torch.no_grad()
def test_each_condition_is_learnt_with_and_without():
    pipeline = randomise(fresh())
    loss = FilmLoss(pipeline, 3.0)
    names = ("guidance", "reference", "audio")
    values = [float(loss(batch_of()))]
    for out in names:
        keep = Term(1.0, **{name: name != out for name in names})
        values.append(float(loss(batch_of(keep=keep, past=keep.reference))))
    values.append(float(loss(batch_of(past=False))))
    assert len(set(values)) == 5


def test_recomputing_activations_changes_no_gradient():
    pipeline = randomise(fresh())
    loss = FilmLoss(pipeline, 3.0)
    loss(batch_of()).backward()
    plain = {name: p.grad.clone() for name, p in loss.named_parameters() if p.grad is not None}
    loss.zero_grad()
    film.save_memory(pipeline)
    value = loss(batch_of())
    value.backward()
    again = {
        name.replace("_checkpoint_wrapped_module.", ""): p.grad
        for name, p in loss.named_parameters()
        if p.grad is not None
    }
    assert plain.keys() == again.keys()
    assert sum(gradient.any() for gradient in plain.values()) > 300
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-4, atol=1e-6)


def test_full_scheduler_is_stable_diffusion_s_down_to_pure_noise():
    scheduler = build_scheduler(FULL)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    assert scheduler.config.prediction_type == "v_prediction"
    # Rescaled: the first level as in Stable Diffusion, the last without any signal.
    assert scheduler.alphas_cumprod[0].item() == pytest.approx(1 - betas[0].item(), abs=1e-6)
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0.0, abs=1e-6)


# ---- the run -------------------------------------------------------------------------------------


def test_it_learns(takes, tmp_path):
    pipeline = fresh()
    batch = draw_film_batch(replace(CONFIG, drop_reference=0.0), pipeline, takes, 0)
    config = replace(CONFIG, steps=14, accumulate=1, learning_rate=1e-2, save_every=1000)
    loss = FilmLoss(pipeline, 3.0)
    video.train(config, pipeline, takes, tmp_path, False, loss, lambda *_: batch)
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert len(rows) == 14
    assert float(rows[-1][1]) < 0.6 * float(rows[0][1])


def test_held_out_footage_is_judged_alike_every_time(takes):
    loss = FilmLoss(randomise(fresh()), 3.0)
    first, again = (validate(loss, takes, 3, seed=0) for _ in range(2))
    assert first == again
    assert first["held_out_takes"] == 1
    assert first["held_out_loss"] > 0


def command(tmp_path: Path, source: Path, *more: str) -> list[str]:
    return [
        "--config", "full", "--footage", str(source), "--out", str(tmp_path / "run"),
        "--from-sd", str(tmp_path / "sd"), "--from-animatediff", str(tmp_path / "mm.ckpt"),
        "--audio", str(DEMO_CHECKPOINT / "audio"), "--weights", str(DEMO_CHECKPOINT),
        "--max-side", "128", *more,
    ]  # fmt: skip


def test_from_files_and_footage_to_a_film(tmp_path, source, prepared, monkeypatch):
    """The whole command, and the same again for one step more."""
    monkeypatch.setitem(film.CONFIGS, "full", replace(CONFIG, size=SIZE, steps=1))
    torch.manual_seed(0)
    sd = stock_unet()
    sd.save_pretrained(tmp_path / "sd" / "unet")
    small_vae().save_pretrained(tmp_path / "sd" / "vae")
    torch.save(animatediff_of(adapter_of().state_dict()), tmp_path / "mm.ckpt")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "footage").symlink_to(prepared[2])

    assert video.main(command(tmp_path, source)) == 0
    run = tmp_path / "run"
    landed = json.loads((run / "initialised.json").read_text())
    assert [len(one["landed"]) for one in landed] == [
        568,
        684,
        546,
    ]  # narrow levels need no shortcuts
    report = json.loads((run / "report.json").read_text())
    assert report["held_out_is_seen"]
    assert np.isfinite(report["held_out_loss"])
    assert json.loads((run / "config.json").read_text())["hand_weight"] == 3.0
    whole = (run / "log.csv").read_text().splitlines()
    assert len(whole) == 2

    film_model = Stage2Pipeline.from_pretrained(run / "checkpoint")
    moved = film_model.unet.conv_in.weight[:, :4] - sd.conv_in.weight
    assert 0 < moved.abs().max() < 0.1  # it began at Stable Diffusion's and learnt since
    maps = replace(maps_of(3, 64, 48), draft=None, change=None)
    sound = AudioFeatures(np.zeros((3, AUDIO_DIM)), FPS)
    frames = list(film_model(portrait_of(64, 48), sound, [maps]))
    assert len(frames) == 3

    assert json.loads((run / "state" / "step.json").read_text()) == {"step": 1}
    assert video.main(command(tmp_path, source, "--resume", "--steps", "2")) == 0
    longer = (run / "log.csv").read_text().splitlines()
    assert longer[:2] == whole
    assert [row.split(",")[0] for row in longer] == ["step", "0", "1"]


@pytest.mark.parametrize(
    ("left_out", "argument"), [("--footage", "--footage"), ("--from-sd", "--vae")]
)
def test_what_a_full_run_needs_is_asked_for(tmp_path, source, left_out, argument):
    arguments = command(tmp_path, source)
    at = arguments.index(left_out)
    with pytest.raises(InputError, match=argument):
        video.main(arguments[:at] + arguments[at + 2 :])


def test_options_of_the_other_config_are_refused(tmp_path):
    demo = ["--out", str(tmp_path), "--people", "assets"]
    with pytest.raises(InputError, match="--people"):
        video.main(demo[:2])
    with pytest.raises(InputError, match="--from-sd: needs --config full"):
        video.main([*demo, "--from-sd", "sd"])
