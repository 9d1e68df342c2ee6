"""Training Stage 2 at toy size: it learns, resumes exactly, and trains what the product runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from emo2.errors import InputError
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training import video, video_gate, video_loss
from emo2.training.video import fit_latents, save_checkpoint, train
from emo2.training.video_corpus import VideoClip, build_corpus, busiest, vary
from emo2.training.video_degradation import spoil
from emo2.training.video_gate import choose_strength, judge, mend, psnr
from emo2.training.video_loss import Batch, draw_batch, recolouring
from emo2.training.video_model import VideoConfig, VideoSize, build_pipeline
from emo2.types import AudioFeatures, Camera, GuidanceMaps, HandMotion, Portrait

SIDE, AUDIO_DIM = 32, 6
SIZE = VideoSize(
    block_out_channels=(8,),
    levels=(True,),
    norm_num_groups=4,
    attention_heads=2,
    cross_attention_dim=8,
    guidance_channels=4,
    guidance_widths=(4, 4, 4, 4),
    motion_frames=2,
    clip_length=4,
    long_side_px=SIDE,
    num_inference_steps=2,
)
CONFIG = VideoConfig(size=SIZE, steps=4, short_frames=2, warmup_steps=1, save_every=2)


def clip_of(seed: int = 0, frames: int = 6) -> VideoClip:
    """A disc of one colour that moves over a gradient."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    scene = np.stack([x, y, x + y], axis=-1) * 3
    colour = rng.integers(60, 200, 3)
    shading = 1 + 0.3 * np.sin(x / 3)
    draft, change = [], []
    for t in range(frames):
        inside = (x - 10 - t) ** 2 + (y - 16) ** 2 < 80
        painted = (colour * shading[..., None]).clip(0, 255)
        draft.append(np.where(inside[..., None], painted, scene))
        change.append(255 * inside)
    disc = np.repeat(np.array(change)[..., None], 3, axis=-1)
    sound = np.random.default_rng(9).standard_normal((frames, AUDIO_DIM)).astype(np.float16)
    return VideoClip(
        portrait=np.array(draft[0], dtype=np.uint8),
        draft=np.array(draft, dtype=np.uint8),
        change=np.array(change, dtype=np.uint8),
        mano=disc.astype(np.uint8),
        keypoints=(disc // 2).astype(np.uint8),
        confidence=np.ones((frames, 2), dtype=np.float32),
        sound=sound,
    )


def fresh(clips: list[VideoClip], seed: int = 0) -> Stage2Pipeline:
    torch.manual_seed(seed)
    return build_pipeline(SIZE, fit_latents(clips), AUDIO_DIM)


def weights(pipeline: Stage2Pipeline) -> torch.Tensor:
    parts = (pipeline.reference_net, pipeline.unet, pipeline.guidance_encoder)
    return torch.cat([p.detach().flatten() for part in parts for p in part.parameters()])


# ---- the pairs -----------------------------------------------------------------------------------


def test_only_what_was_drawn_is_spoilt():
    clip = clip_of()
    draft, change = clip.draft / np.float32(255), clip.change / np.float32(255)
    changed = 0
    for seed in range(12):
        spoilt = spoil(draft, change, np.random.default_rng(seed))
        assert spoilt.dtype == np.float32
        assert spoilt.min() >= 0
        assert spoilt.max() <= 1
        np.testing.assert_array_equal(spoilt[change == 0], draft[change == 0])
        again = spoil(draft, change, np.random.default_rng(seed))
        np.testing.assert_array_equal(spoilt, again)
        changed += np.abs(spoilt - draft).max() > 0.02
    assert 6 <= changed < 12  # most are spoilt, some are left alone


def test_a_step_has_one_batch():
    clips = [clip_of(0), clip_of(1)]
    pipeline = fresh(clips)
    first, again, other = (draw_batch(CONFIG, pipeline, clips, step) for step in (5, 5, 6))
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.spoilt, again.spoilt)
    assert first.spoilt.shape != other.spoilt.shape or not torch.equal(first.spoilt, other.spoilt)


def test_colours_change_together():
    develop = recolouring(np.random.default_rng(0))
    frames = clip_of(0).draft
    np.testing.assert_array_equal(develop(frames)[0], develop(frames[0]))
    assert np.abs(develop(frames) - frames / 255).max() > 0.02
    assert develop(frames).dtype == np.float32


def test_past_is_what_came_before(monkeypatch):
    monkeypatch.setattr(video_loss, "recolouring", lambda rng: lambda x: x / np.float32(255))
    clips = [clip_of(0)]
    pipeline = fresh(clips)
    batches = [draw_batch(CONFIG, pipeline, clips, step) for step in range(30)]
    assert {batch.spoilt.shape[1] for batch in batches} == {2, 4}
    given = [batch for batch in batches if batch.past is not None]
    assert 0 < len(given) < 30
    frames = torch.from_numpy(clips[0].draft / np.float32(255) * 2 - 1).permute(0, 3, 1, 2)
    for batch in given:
        starts = [s for s in range(2, 6) if torch.allclose(frames[s], batch.draft[0, 0])]
        assert any(torch.allclose(frames[s - 2 : s], batch.past[0]) for s in starts)


def test_the_clip_is_cut_where_hands_are_highest():
    height = np.zeros((20, 2, 3))
    height[8:12, :, 1] = 1
    motion = HandMotion(
        np.tile(np.array([1.0, 0, 0, 0]), (20, 2, 16, 1)), height, np.ones((20, 2)),
        np.zeros((2, 10)), 24.0,
    )  # fmt: skip
    assert busiest(motion, 4) == 8


def test_another_photographer_keeps_the_picture():
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)
    seen = [vary(image, np.random.default_rng(seed)) for seed in range(8)]
    assert all(picture.shape == image.shape and picture.dtype == np.uint8 for picture in seen)
    assert len({picture.tobytes() for picture in seen}) == 8


# ---- the loop ------------------------------------------------------------------------------------


def test_it_learns(tmp_path, monkeypatch):
    """One clip again and again: the residual of this very fault must be found."""
    clips = [clip_of(0)]
    pipeline = fresh(clips)
    batch = next(b for b in (draw_batch(CONFIG, pipeline, clips, s) for s in range(20)) if fault(b))
    monkeypatch.setattr(video, "draw_batch", lambda *_: batch)
    config = replace(CONFIG, steps=16, learning_rate=2e-2, save_every=1000)
    train(config, pipeline, clips, tmp_path, resume=False)
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "learning_rate", "seconds"]
    assert [int(row[0]) for row in rows[1:]] == list(range(16))
    assert float(rows[-1][1]) < 0.5 * float(rows[1][1])


def fault(batch: Batch) -> bool:
    return bool((batch.spoilt - batch.draft).abs().max() > 0.2)


def test_a_resumed_run_is_the_run_it_resumes(tmp_path, monkeypatch):
    clips = [clip_of(0), clip_of(1)]
    whole, broken = fresh(clips), fresh(clips)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    train(CONFIG, whole, clips, tmp_path / "whole", resume=False)

    class Pulled(Exception):
        pass

    def pull(config, pipeline, clips, step):
        if step == 3:
            raise Pulled
        return draw_batch(config, pipeline, clips, step)

    monkeypatch.setattr(video, "draw_batch", pull)
    with pytest.raises(Pulled):
        train(CONFIG, broken, clips, tmp_path / "broken", resume=False)
    monkeypatch.undo()
    resumed = fresh(clips, seed=7)  # all comes from the saved state
    train(CONFIG, resumed, clips, tmp_path / "broken", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    losses = [[row.split(",")[:2] for row in log.splitlines()] for log in logs]
    assert losses[0] == losses[1]
    assert not torch.equal(weights(whole), weights(fresh(clips)))


def test_resuming_nothing_is_refused(tmp_path):
    clips = [clip_of()]
    with pytest.raises(InputError, match="--resume"):
        train(CONFIG, fresh(clips), clips, tmp_path, resume=True)


def test_a_trained_checkpoint_is_the_product_s(tmp_path):
    clips = [clip_of()]
    pipeline = fresh(clips)
    save_checkpoint(pipeline, tmp_path)
    loaded = Stage2Pipeline.from_pretrained(tmp_path)
    assert torch.equal(loaded.vae.basis, pipeline.vae.basis)
    assert loaded.unet.dtype == torch.float32
    torch.testing.assert_close(weights(loaded), weights(pipeline), rtol=1e-3, atol=1e-4)
    assert pipeline.unet.dtype == torch.float32  # saving left the run's own weights alone


# ---- what is trained is what is run --------------------------------------------------------------


def test_untrained_it_leaves_the_draft():
    clips = [clip_of()]
    pipeline = fresh(clips)
    report = judge(pipeline, clips, seed=4)
    assert report["film_db"] == report["spoilt_db"] < 40
    assert report["unspoilt_film_db"] == 60.0
    assert report["clips_mended"] == 0
    chosen = choose_strength(pipeline, clips, seed=4)
    assert not chosen["mends"]
    assert chosen["residual_strength"] == pipeline.config.residual_strength == 0.25


def test_the_strongest_film_that_mends_is_chosen(monkeypatch):
    pipeline = fresh([clip_of()])
    told = {1.0: (21.0, 30.0), 0.5: (20.5, 40.0), 0.25: (20.2, 45.0)}

    def judged(pipeline, clips, seed):
        film_db, unspoilt_db = told[pipeline.config.residual_strength]
        return {"spoilt_db": 20.0, "film_db": film_db, "unspoilt_film_db": unspoilt_db}

    monkeypatch.setattr(video_gate, "judge", judged)
    chosen = choose_strength(pipeline, [], 0)
    assert (chosen["residual_strength"], chosen["mends"]) == (0.5, True)


def test_the_gate_sees_what_the_pipeline_films():
    clip = clip_of(frames=4)
    pipeline = fresh([clip])
    torch.manual_seed(1)
    for parameter in pipeline.unet.parameters():
        if not parameter.any():
            parameter.data.normal_(std=0.1)
    _, draft, _, judged = mend(pipeline, clip, None, seed=5)
    none = np.zeros
    portrait = Portrait(
        image=clip.portrait, face_landmarks=none((478, 3)), shoulders=none((2, 2)), neck=none(2),
        elbows=none((2, 2)), wrists=none((2, 2)), hands=none((2, 21, 2)),
        person_mask=none((SIDE, SIDE)), skin_rgb=none(3), sleeve_rgb=none(3), bare_forearms=True,
        camera=Camera((0.0, 0.0), 100.0, SIDE, SIDE), source_box=(0, 0, 1, 1),
    )  # fmt: skip

    def planes(pictures):
        return pictures.transpose(0, 3, 1, 2) / np.float32(255)

    maps = GuidanceMaps(
        planes(clip.mano), planes(clip.keypoints), clip.confidence, planes(clip.draft),
        planes(clip.change[..., None]),
    )  # fmt: skip
    filmed = np.stack(list(pipeline(portrait, AudioFeatures(clip.sound, 24.0), [maps], seed=5)))
    assert np.abs(judged - draft).max() > 0.02
    assert np.abs(filmed - judged * 255).max() <= 1


def test_psnr_by_hand():
    truth = np.zeros((1, 2, 1, 3))
    picture = truth + np.array([0.1, 0.5])[None, :, None, None]
    weight = np.array([1.0, 0.0])[None, :, None, None]
    assert psnr(picture, truth, weight) == pytest.approx(20.0)
    assert psnr(truth, truth, weight) == pytest.approx(60.0)


# ---- the command ---------------------------------------------------------------------------------


def test_a_clip_survives_the_disk(tmp_path):
    clip = clip_of()
    clip.save(tmp_path / "clip")
    loaded = VideoClip.load(tmp_path / "clip")
    for name in VideoClip.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(clip, name))


def test_no_people_no_corpus(tmp_path):
    with pytest.raises(InputError, match="make_people"):
        build_corpus(tmp_path, tmp_path / "corpus", 1, 0, None, None)


@pytest.mark.slow
def test_train_video_from_the_command_line(tmp_path):
    people = video.Path(__file__).parents[1] / "assets"
    arguments = ["--people", str(people), "--held-out", str(people), "--out", str(tmp_path)]
    assert video.main([*arguments, "--steps", "2", "--clips", "1"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["clips"] > 0
    assert Stage2Pipeline.from_pretrained(tmp_path / "checkpoint").clip_length == 24
