"""Training Stage 2 at toy size: it learns, resumes exactly, and trains what the product runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from emo2.errors import InputError
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training import video, video_gate
from emo2.training.video import fit_latents, save_checkpoint, train
from emo2.training.video_corpus import Still, build_corpus
from emo2.training.video_gate import choose_strength, film_of, judge, psnr, without
from emo2.training.video_loss import VideoLoss, draw_batch, finished, recolouring, reference
from emo2.training.video_model import VideoConfig, VideoSize, build_pipeline
from emo2.training.video_shot import shoot
from emo2.types import AudioFeatures, Camera, GuidanceMaps, Portrait

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
CONFIG = VideoConfig(
    size=SIZE, steps=4, accumulate=2, near_clip=(SIDE, 2), wide_clip=(SIDE, 2),
    long_clip=(16, 4), long_share=0.4, warmup_steps=1, save_every=2,
)  # fmt: skip
LEFT, RIGHT = 1, 2


def still_of(seed: int = 0) -> Still:
    """Two discs over a gradient: plain as drawn, striped in truth, gone from the bare picture; and
    lips."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    scene = np.stack([x, y, x + y], axis=-1) * 3
    colour = rng.integers(90, 160, 3)
    stripes = 1 + 0.4 * np.sin(x / 2)[..., None]
    owner = np.where(x < SIDE // 2, LEFT, RIGHT)
    discs = np.minimum(abs(x - 8), abs(x - 24)) ** 2 + (y - 20) ** 2 < 36
    lips = (abs(x - 16) < 3) & (y < 3)
    change = 255 * (discs | lips)
    draft = np.where(discs[..., None], colour, scene)
    truth = np.where(discs[..., None], colour * stripes, scene)
    normal = np.where(discs[..., None], (128, 128, 255), 0)
    bytes_ = {
        "portrait": truth, "bare": scene, "draft": draft, "truth": truth, "change": change,
        "belief": change, "owner": np.where(lips, 0, owner), "mano": normal,
        "keypoints": normal // 2,
    }  # fmt: skip
    return Still(
        **{name: picture.clip(0, 255).astype(np.uint8) for name, picture in bytes_.items()},
        confidence=np.ones(2, dtype=np.float32),
        sound=np.random.default_rng(9).standard_normal((48, AUDIO_DIM)).astype(np.float16),
    )


def fresh(stills: list[Still], seed: int = 0) -> Stage2Pipeline:
    torch.manual_seed(seed)
    return build_pipeline(SIZE, fit_latents(stills), AUDIO_DIM)


def weights(pipeline: Stage2Pipeline) -> torch.Tensor:
    parts = (pipeline.reference_net, pipeline.unet, pipeline.guidance_encoder)
    return torch.cat([p.detach().flatten() for part in parts for p in part.parameters()])


def plainly(rng):
    return lambda pictures: pictures / np.float32(255)


# ---- the pairs -----------------------------------------------------------------------------------


def test_a_number_is_one_batch():
    stills = [still_of(0), still_of(1)]
    pipeline = fresh(stills)
    first, again, other = (draw_batch(CONFIG, pipeline, stills, number) for number in (5, 5, 6))
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.draft, again.draft)
    assert first.draft.shape != other.draft.shape or not torch.equal(first.draft, other.draft)


def test_colours_change_together():
    develop = recolouring(np.random.default_rng(0))
    frames = np.stack([still_of(0).draft, still_of(1).draft])
    np.testing.assert_array_equal(develop(frames)[0], develop(frames[0]))
    assert np.abs(develop(frames) - frames / 255).max() > 0.02
    assert develop(frames).dtype == np.float32


@pytest.mark.parametrize("hand", [LEFT, RIGHT])
def test_the_residual_makes_the_truth_of_the_hand_that_is_asked_for(hand):
    still = still_of()
    for seed in range(6):
        shot = shoot(still, hand, 3, SIDE, np.random.default_rng(seed), plainly(None))
        film = finished(shot)
        sure = (shot.belief > 0.99) & (shot.change > 0.99)
        assert sure.any()
        np.testing.assert_allclose(film[sure], shot.truth[sure], atol=2e-3)
        np.testing.assert_array_equal(film[shot.change == 0], shot.draft[shot.change == 0])
        unasked = shot.belief == 0
        np.testing.assert_array_equal(film[unasked], shot.draft[unasked])


def test_a_camera_that_stands_still_sees_the_still(monkeypatch):
    still = still_of()
    middle = np.array((SIDE / 2, SIDE / 2))
    monkeypatch.setattr(
        "emo2.training.video_shot._path", lambda *_: [(middle, 0.0, 1.0), (middle, np.pi / 2, 1.0)]
    )
    monkeypatch.setattr("emo2.training.video_shot.MOVED_SHARE", 0.0)
    shot = shoot(still, LEFT, 2, SIDE, np.random.default_rng(0), plainly(None))
    np.testing.assert_allclose(shot.draft[0] * 255, still.draft, atol=1e-3)
    np.testing.assert_allclose(shot.mano[0] * 255, still.mano, atol=1)
    # A quarter turn of the picture turns what it shows; a normal towards the camera stays one.
    np.testing.assert_allclose(shot.change[1, 1:, 1:], np.rot90(shot.change[0], -1)[1:, :-1])
    covered = (shot.mano[1].max(-1) > 0.9) & (shot.change[1] == 1)
    np.testing.assert_allclose(shot.mano[1][covered], [[0.5, 0.5, 1.0]] * covered.sum(), atol=0.01)


def test_normals_turn_with_the_picture():
    from emo2.training.video_shot import _turn_normals

    right = np.array([[[1.0, 0.5, 0.5]]])  # points to the picture's right
    down = _turn_normals(right, np.pi / 2)  # pictures' rows go down: a quarter turn, clockwise
    np.testing.assert_allclose(down, [[[0.5, 0.0, 0.5]]], atol=1e-9)


def test_the_reference_never_shows_the_hand_that_is_asked_for():
    still = still_of()
    striped = np.abs(still.portrait.astype(int) - still.bare).max(-1) > 8
    for hand, other in ((LEFT, RIGHT), (RIGHT, LEFT)):
        np.testing.assert_array_equal(
            without(still, hand)[still.owner == hand], still.bare[still.owner == hand]
        )
        theirs = still.owner == other
        np.testing.assert_array_equal(without(still, hand)[theirs], still.portrait[theirs])
    mine = still.bare.copy()
    mine[(still.owner == LEFT) & striped] = still.portrait[(still.owner == LEFT) & striped]
    colours = {tuple(c) for c in still.portrait[(still.owner == LEFT) & striped].tolist()}
    colours -= {tuple(c) for c in still.bare.reshape(-1, 3).tolist()}
    colours -= {tuple(c) for c in still.portrait[still.owner == RIGHT].tolist()}
    assert colours
    shapes = set()
    for seed in range(30):
        seen = reference(still, LEFT, np.random.default_rng(seed))
        shapes.add(seen.shape)
        assert not colours & {tuple(c) for c in seen.reshape(-1, 3).tolist()}
    assert shapes == {(side, side, 3) for side in (SIDE, SIDE // 2, SIDE // 4)}


def test_past_is_what_came_before():
    stills = [still_of(0)]
    pipeline = fresh(stills)
    batches = [draw_batch(CONFIG, pipeline, stills, number) for number in range(40)]
    assert {batch.draft.shape[1] for batch in batches} == {2, 4}
    given = [batch for batch in batches if batch.past is not None]
    assert 0 < len(given) < sum(batch.draft.shape[1] == 4 for batch in batches)
    assert all(batch.past.shape == (1, 2, 3, 16, 16) for batch in given)
    apart = lambda a, b: (a - b).abs().mean().item()  # noqa: E731
    for batch in given:  # the frame before is the likest
        film = batch.draft[0] + batch.maps[0, -1][:, None] * batch.residual[0]
        gaps = [apart(batch.past[0, -1], film[t]) for t in range(4)]
        assert gaps[0] <= gaps[3] + 1e-3


def test_what_was_drawn_but_not_seen_counts_nothing():
    stills = [still_of()]
    pipeline = fresh(stills)
    loss = VideoLoss(pipeline)
    batch = draw_batch(CONFIG, pipeline, stills, 0)
    blind = replace(batch, belief=torch.zeros_like(batch.belief))
    blind.maps[:, -1] = 1
    assert loss(blind).item() == 0
    assert loss(batch).item() > 0


# ---- the loop ------------------------------------------------------------------------------------


def test_it_learns(tmp_path, monkeypatch):
    """One clip again and again: the residual of this very hand must be found."""
    stills = [still_of(0)]
    pipeline = fresh(stills)
    batch = draw_batch(CONFIG, pipeline, stills, 0)
    monkeypatch.setattr(video, "draw_batch", lambda *_: batch)
    config = replace(CONFIG, steps=24, learning_rate=2e-2, save_every=1000, ema_decay=0.5)
    train(config, pipeline, stills, tmp_path, resume=False)
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "learning_rate", "seconds"]
    assert [int(row[0]) for row in rows[1:]] == list(range(24))
    assert float(rows[-1][1]) < 0.5 * float(rows[1][1])


def test_a_resumed_run_is_the_run_it_resumes(tmp_path, monkeypatch):
    stills = [still_of(0), still_of(1)]
    whole, broken = fresh(stills), fresh(stills)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    train(CONFIG, whole, stills, tmp_path / "whole", resume=False)

    class Pulled(Exception):
        pass

    def pull(config, pipeline, stills, number):
        if number == 3 * CONFIG.accumulate:
            raise Pulled
        return draw_batch(config, pipeline, stills, number)

    monkeypatch.setattr(video, "draw_batch", pull)
    with pytest.raises(Pulled):
        train(CONFIG, broken, stills, tmp_path / "broken", resume=False)
    monkeypatch.undo()
    resumed = fresh(stills, seed=7)  # all comes from the saved state
    train(CONFIG, resumed, stills, tmp_path / "broken", resume=True)
    assert torch.equal(weights(whole), weights(resumed))
    logs = [(tmp_path / name / "log.csv").read_text() for name in ("whole", "broken")]
    losses = [[row.split(",")[:2] for row in log.splitlines()] for log in logs]
    assert losses[0] == losses[1]
    assert not torch.equal(weights(whole), weights(fresh(stills)))


def test_resuming_nothing_is_refused(tmp_path):
    stills = [still_of()]
    with pytest.raises(InputError, match="--resume"):
        train(CONFIG, fresh(stills), stills, tmp_path, resume=True)


def test_a_trained_checkpoint_is_the_product_s(tmp_path):
    pipeline = fresh([still_of()])
    save_checkpoint(pipeline, tmp_path)
    loaded = Stage2Pipeline.from_pretrained(tmp_path)
    assert torch.equal(loaded.vae.basis, pipeline.vae.basis)
    assert loaded.unet.dtype == torch.float32
    torch.testing.assert_close(weights(loaded), weights(pipeline), rtol=1e-3, atol=1e-4)
    assert pipeline.unet.dtype == torch.float32  # saving left the run's own weights alone


# ---- what is trained is what is run --------------------------------------------------------------


def test_untrained_it_leaves_the_draft():
    stills = [still_of(0), still_of(1)]
    pipeline = fresh(stills)
    report = judge(pipeline, stills, seed=4)
    assert report["hands"] == 4
    assert report["film_db"] == report["draft_db"] == report["wrong_reference_db"] < 40
    assert report["hands_nearer"] == 0


def test_the_strength_that_comes_nearest_is_chosen(monkeypatch):
    pipeline = fresh([still_of()])

    def judged(pipeline, stills, seed):
        return {"film_db": 20 - abs(pipeline.config.residual_strength - 0.7)}

    monkeypatch.setattr(video_gate, "judge", judged)
    chosen = choose_strength(pipeline, [], 0)
    assert chosen["residual_strength"] == pipeline.config.residual_strength == 0.7


def test_the_gate_sees_what_the_pipeline_films():
    still = still_of()
    pipeline = fresh([still])
    torch.manual_seed(1)
    for parameter in pipeline.unet.parameters():
        if not parameter.any():
            parameter.data.normal_(std=0.1)
    judged = film_of(pipeline, still, still.portrait, seed=5)
    none = np.zeros
    portrait = Portrait(
        image=still.portrait, face_landmarks=none((478, 3)), shoulders=none((2, 2)), neck=none(2),
        elbows=none((2, 2)), wrists=none((2, 2)), hands=none((2, 21, 2)),
        person_mask=none((SIDE, SIDE)), skin_rgb=none(3), sleeve_rgb=none(3), bare_forearms=True,
        camera=Camera((0.0, 0.0), 100.0, SIDE, SIDE), source_box=(0, 0, 1, 1),
    )  # fmt: skip

    def planes(picture):
        picture = np.stack([picture] * video_gate.FRAMES)
        return picture.transpose(0, 3, 1, 2) / np.float32(255)

    maps = GuidanceMaps(
        planes(still.mano), planes(still.keypoints), np.ones((video_gate.FRAMES, 2)),
        planes(still.draft), planes(still.change[..., None]),
    )  # fmt: skip
    pipeline.register_to_config(clip_length=video_gate.FRAMES)
    filmed = next(pipeline(portrait, AudioFeatures(still.sound, 24.0), [maps], seed=5))
    assert np.abs(judged * 255 - still.draft).max() > 5
    assert np.abs(filmed - judged * 255).max() <= 1


def test_psnr_by_hand():
    truth = np.zeros((2, 1, 3))
    picture = truth + np.array([0.1, 0.5])[:, None, None]
    weight = np.array([1.0, 0.0])[:, None]
    assert psnr(picture, truth, weight) == pytest.approx(20.0)
    assert psnr(truth, truth, weight) == pytest.approx(60.0)


# ---- the command ---------------------------------------------------------------------------------


def test_a_still_survives_the_disk(tmp_path):
    still = still_of()
    still.save(tmp_path / "still")
    loaded = Still.load(tmp_path / "still")
    for name in Still.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(still, name))
    assert loaded.hands == [LEFT, RIGHT]


def test_no_people_no_corpus(tmp_path):
    with pytest.raises(InputError, match="hands are in view"):
        build_corpus(tmp_path, tmp_path / "corpus", 0, None, None)


@pytest.mark.slow
def test_train_video_from_the_command_line(tmp_path):
    people = video.Path(__file__).parents[1] / "assets"
    arguments = ["--people", str(people), "--held-out", str(people), "--out", str(tmp_path)]
    assert video.main([*arguments, "--steps", "2"]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["hands"] > 0
    assert Stage2Pipeline.from_pretrained(tmp_path / "checkpoint").clip_length == 24
