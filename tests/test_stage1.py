"""Stage 1: representation, network, pipeline, windows, keep-mask; and whether the demo checkpoint
hears speech."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from emo2.errors import Cancelled, InputError, MissingCheckpoint
from emo2.evaluation.beats import alignment, motion_beats, seam_ratio, wrist_speed
from emo2.features.audio import AudioEncoder
from emo2.motion import rotations
from emo2.motion.anatomy import (
    MAX_BEND_RAD,
    MAX_REACH_M,
    SHOULDER_M,
    VOLUME_M,
    bend_angle,
    elbow,
    limit,
    wrist_orientation,
)
from emo2.stage1.keeping import Keep
from emo2.stage1.long_audio import Hearing, cross_fade, joins
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import (
    NUM_CHANNELS,
    expand_slots,
    from_channels,
    part_weights,
    pool_parts,
    to_channels,
)
from emo2.stage1.smoothing import calm
from emo2.types import AudioClip, AudioFeatures, HandMotion

DEMO = Path(__file__).parents[1] / "checkpoints" / "demo"
REST_M = ((0.14, -0.33, 0.16), (-0.14, -0.33, 0.16))
FPS = 24.0


def random_pose(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quaternions = rotations.continuous(rotations.normalise(rng.normal(size=(frames, 2, 16, 4))))
    return quaternions, rng.normal(0, 0.2, (frames, 2, 3))


def toy_pipeline() -> Stage1Pipeline:
    """Random weights at toy size, but alive: every part of the network changes the output."""
    torch.manual_seed(0)
    dit = MotionDiT(
        width=32,
        num_layers=2,
        num_heads=2,
        patch_size=4,
        num_frames=24,
        audio_width=8,
        rest_m=REST_M,
    )
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    wrist = wrist_orientation(np.array(REST_M[0]), np.deg2rad([48.0, 20.0, 0.0]))
    quaternions = np.tile(rotations.IDENTITY, (1, 2, 16, 1))
    quaternions[0, :, 0] = wrist, rotations.mirror(wrist)
    dit.channel_mean.copy_(torch.from_numpy(to_channels(quaternions, np.array([REST_M]))[0]))
    dit.channel_std.fill_(0.05)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False,
        timestep_spacing="trailing",
    )  # fmt: skip
    return Stage1Pipeline(dit, scheduler, num_inference_steps=3)


@pytest.fixture(scope="module")
def toy() -> Stage1Pipeline:
    return toy_pipeline()


@pytest.fixture(scope="module")
def demo() -> tuple[AudioEncoder, Stage1Pipeline]:
    torch.set_num_threads(1)
    return (
        AudioEncoder.from_pretrained(DEMO / "audio"),
        Stage1Pipeline.from_pretrained(DEMO / "gesture"),
    )


def features(frames: int, seed: int = 0, width: int = 8) -> AudioFeatures:
    return AudioFeatures(np.random.default_rng(seed).normal(size=(frames, width)), FPS)


def assert_is_a_motion(motion: HandMotion, frames: int) -> None:
    assert motion.num_frames == frames
    assert np.allclose(np.linalg.norm(motion.quaternions, axis=-1), 1, atol=1e-5)
    dots = np.sum(motion.quaternions[1:] * motion.quaternions[:-1], axis=-1)
    assert (dots >= 0).all()
    assert np.isfinite(motion.translation_m).all()


# Representation


def test_channels_are_bijective():
    quaternions, translation = random_pose(30)
    channels = to_channels(quaternions, translation)
    assert channels.shape == (30, NUM_CHANNELS)
    back, places = from_channels(channels)
    assert np.max(rotations.angle_between(back, quaternions)) < 1e-3
    assert np.allclose(places, translation, atol=1e-6)


def test_mirrored_hands_have_equal_channels():
    quaternions, translation = random_pose(1)
    quaternions[:, 1] = rotations.mirror(quaternions[:, 0])
    translation[:, 1] = translation[:, 0] * [-1, 1, 1]
    left, right = np.split(to_channels(quaternions, translation)[0], 2)
    assert np.allclose(left, right, atol=1e-6)


def test_slots_and_parts():
    slots = np.zeros((2, 17))
    slots[1, 0] = slots[0, 16] = 1
    channels = expand_slots(slots)
    assert np.flatnonzero(channels).tolist() == [*range(93, 99), 99, 100, 101]
    assert pool_parts(slots).tolist() == pytest.approx([0, 0, 1 / 15, 1, 0, 0])
    weights = part_weights()
    sums = [weights[:3].sum(), weights[3:9].sum(), weights[9:99].sum()]
    assert sums == pytest.approx([33.0] * 3, rel=1e-5)


# Anatomy


def test_arms_keep_their_bones_and_wrists_stay_whole():
    rng = np.random.default_rng(0)
    quaternions, translation = random_pose(200)
    quaternions, translation = limit(quaternions, translation + rng.normal(0, 0.5, (200, 2, 3)))
    assert np.max(bend_angle(quaternions[:, :, 0], translation)) <= MAX_BEND_RAD + 1e-6
    left = translation[:, 0]
    assert (left[:, 2] > 0.04).all()  # in front of the chest
    assert (left[:, 1:] <= VOLUME_M[1, 1:] + 0.01).all()
    assert (np.linalg.norm(left - SHOULDER_M, axis=-1) <= MAX_REACH_M + 1e-6).all()
    elbows = elbow(left)
    assert np.allclose(np.linalg.norm(elbows - SHOULDER_M, axis=-1), 0.30, atol=1e-6)


def test_limits_leave_an_easy_pose_alone():
    place = np.array(REST_M)[None]
    wrist = wrist_orientation(place[:, 0], np.deg2rad([[45.0, 20.0, 0.0]]))
    quaternions = np.tile(rotations.IDENTITY, (1, 2, 16, 1))
    quaternions[:, 0, 0], quaternions[:, 1, 0] = wrist, rotations.mirror(wrist)
    limited, limited_place = limit(quaternions, place)
    assert np.allclose(limited_place, place, atol=1e-4)
    assert np.max(rotations.angle_between(limited, quaternions)) < 1e-3


def test_hands_do_not_pass_through_each_other():
    quaternions = np.tile(rotations.IDENTITY, (1, 2, 16, 1))
    place = np.array([[[0.05, -0.3, 0.2], [-0.05, -0.3, 0.2]]])
    inward = np.array([rotations.from_axis_angle(np.array([0, np.pi, 0]))] * 2)
    quaternions[0, :, 0] = inward  # fingers point across the middle
    _, apart = limit(quaternions, place)
    assert apart[0, 0, 0] - apart[0, 1, 0] > place[0, 0, 0] - place[0, 1, 0] + 0.05


# Network


def test_full_size_is_the_same_class():
    """The paper's 24 blocks of 512 over 300 frames, without memory."""
    with torch.device("meta"):
        dit = MotionDiT()
        out = dit(
            torch.zeros(1, 300, NUM_CHANNELS),
            torch.zeros(1),
            torch.zeros(1, 324, 768),
            audio_mask=torch.ones(1, 324, dtype=torch.bool),
            context=torch.zeros(1, 12, NUM_CHANNELS),
            context_mask=torch.ones(1, dtype=torch.bool),
            style=torch.zeros(1, 4),
            speed=torch.zeros(1),
            offset_m=torch.zeros(1, 2, 3),
            visible=torch.ones(1, 312, 2, dtype=torch.bool),
            keep=torch.zeros(1, 300, 6),
        )
    assert out.shape == (1, 312, NUM_CHANNELS)
    assert len(dit.blocks) == 24
    assert 80e6 < sum(p.numel() for p in dit.parameters()) < 120e6


CONDITIONS = {
    "audio": lambda x: x.flip(1),
    "audio_mask": torch.logical_not,
    "context": lambda x: x + 1,
    "context_mask": torch.logical_not,
    "style": lambda x: x.flip(1),
    "speed": lambda x: x + 0.5,
    "offset_m": lambda x: x + 0.02,
    "visible": torch.logical_not,
    "keep": lambda x: 1 - x,
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_matters(toy, name):
    dit = toy.motion_dit
    torch.manual_seed(1)
    inputs = {
        "audio": torch.randn(1, 48, 8),
        "audio_mask": torch.ones(1, 48, dtype=torch.bool),
        "context": torch.randn(1, 12, NUM_CHANNELS),
        "context_mask": torch.ones(1, dtype=torch.bool),
        "style": torch.tensor([[1.0, 0, 0, 0]]),
        "speed": torch.tensor([-3.0]),
        "offset_m": torch.tensor([REST_M]) + 0.01,
        "visible": torch.ones(1, 36, 2, dtype=torch.bool),
        "keep": torch.zeros(1, 24, 6),
    }
    noisy, timestep = torch.randn(1, 24, NUM_CHANNELS), torch.tensor([500])
    with torch.no_grad():
        plain = dit(noisy, timestep, **inputs)
        changed = dit(noisy, timestep, **{**inputs, name: CONDITIONS[name](inputs[name])})
        unknown = dit(noisy, timestep, **{**inputs, "speed": torch.tensor([float("nan")])})
    assert (plain - changed).abs().max() > 1e-4
    assert torch.isfinite(unknown).all()


def test_speed_is_the_share_of_the_corpus_that_moves_less():
    dit = MotionDiT(width=16, num_layers=1, num_heads=1, speed_quantiles=(-5.0, -3.0, -2.0))
    shares = [dit.speed_of_share(x) for x in (-1, 0, 0.25, 0.5, 0.75, 1, 2)]
    assert shares == pytest.approx([-5, -5, -4, -3, -2.5, -2, -2])


# Windows


def test_hearing_gives_what_is_there_and_forgets_what_was():
    rows = np.arange(50.0)[:, None]
    hearing = Hearing(AudioFeatures(rows[a : a + 7], FPS) for a in range(0, 50, 7))
    heard, inside = hearing.between(-3, 9)
    assert heard[:, 0].tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert inside.tolist() == [False] * 3 + [True] * 9
    assert hearing.between(20, 30)[0][:, 0].tolist() == list(range(20, 30))
    assert len(hearing._rows) < 20
    heard, inside = hearing.between(45, 60)
    assert heard[:, 0].tolist() == [45, 46, 47, 48] + [49] * 11
    assert inside.sum() == 5
    assert hearing.num_frames == 50


def test_windows_overlap_and_reach_the_end():
    assert joins(24, 24, FPS) == []
    assert joins(25, 24, FPS) == [18]
    assert joins(96, 96, FPS) == []
    assert joins(300, 96, FPS) == [72, 144, 216]  # the last window makes 216..312


def test_cross_fade_begins_old_and_ends_new():
    faded = cross_fade(np.zeros((12, 1)), np.ones((12, 1)))[:, 0]
    assert faded[0] < 0.03
    assert faded[-1] > 0.97
    assert (np.diff(faded) > 0).all()


def test_rests_are_calmed_and_strokes_are_not():
    rng = np.random.default_rng(0)
    time = np.arange(240) / FPS
    stroke = np.where(time > 5, 0.1 * np.sin(2 * np.pi * 1.2 * (time - 5)), 0.0)
    place = stroke[:, None] * np.ones(3) + rng.normal(0, 3e-4, (240, 3))
    calmed = calm(place, place, FPS)
    trembling, calm_rest = (np.abs(np.diff(x[:100], axis=0)).mean() for x in (place, calmed))
    assert calm_rest < 0.15 * trembling
    assert calmed[130:].std() > 0.93 * place[130:].std()
    assert np.array_equal(calm(place[:2], place[:2], FPS), place[:2])


# Pipeline


@pytest.mark.parametrize("frames", [1, 2, 8, 24, 25, 100])
def test_any_length(toy, frames):
    assert_is_a_motion(toy(features(frames)), frames)


def test_seed_decides(toy):
    heard = features(60)
    first, again, other = (toy(heard, seed=seed) for seed in (7, 7, 8))
    assert first.quaternions.tobytes() == again.quaternions.tobytes()
    assert first.translation_m.tobytes() == again.translation_m.tobytes()
    assert np.abs(first.translation_m - other.translation_m).max() > 1e-3


def test_meta_is_a_recipe(toy):
    motion = toy(features(10), style={"present": 3, "sing": 1}, speed=0.5, seed=4)
    assert motion.meta["seed"] == 4
    assert motion.meta["style"] == {
        "talk-calm": 0, "talk-lively": 0, "present": 0.75, "sing": 0.25,
    }  # fmt: skip
    assert motion.meta["speed"] == 0.5
    assert motion.meta["num_inference_steps"] == 3
    assert motion.meta["shoulder_breadth_m"] == 0.36


def test_kept_frames_and_joints_come_out_to_the_bit(toy):
    quaternions, translation = random_pose(60)
    given = HandMotion(quaternions, translation, np.ones((60, 2), bool), np.zeros((2, 10)), FPS)
    mask = np.zeros((60, 2, 17), dtype=bool)
    mask[:20] = True
    mask[30:40, 1, [0, 3, 5]] = True
    motion = toy(features(60), keep=Keep(given, mask))
    assert np.array_equal(motion.translation_m[mask[..., 0]], given.translation_m[mask[..., 0]])
    joints = mask[..., 1:]
    assert np.array_equal(motion.quaternions[joints], given.quaternions[joints])
    free = toy(features(60))
    assert np.abs(motion.translation_m[50:] - free.translation_m[50:]).max() < 1.0
    assert np.abs(motion.translation_m[25] - given.translation_m[25]).max() > 1e-3
    whole = toy(features(60), keep=Keep(given, np.ones(60, bool)))
    assert whole.quaternions.tobytes() == given.quaternions.tobytes()


def test_what_is_made_meets_what_is_kept(toy):
    """No jump at the edges of a span that is made anew, nor at a pinned pose."""
    given = toy(features(72, seed=1), seed=1)
    moved = HandMotion(
        given.quaternions, given.translation_m + np.float32([0.1, 0.1, 0]), given.visible,
        given.betas, FPS,
    )  # fmt: skip
    mask = np.zeros((72, 2, 17), dtype=bool)
    mask[:24] = mask[48:] = mask[36, 1] = True
    motion = toy(features(72), keep=Keep(moved, mask), seed=2)
    steps = np.linalg.norm(np.diff(motion.translation_m, axis=0), axis=-1)
    free = np.linalg.norm(np.diff(toy(features(72), seed=2).translation_m, axis=0), axis=-1)
    assert steps.max() < free.max() + 0.05
    turns = rotations.angle_between(motion.quaternions[1:], motion.quaternions[:-1])
    assert turns[[23, 47]].max() < turns.max() + 1e-9
    dots = np.sum(motion.quaternions[1:] * motion.quaternions[:-1], axis=-1)
    assert (dots[:47] > 0).all()


def test_guidance_off_and_on_styles_differ(toy):
    heard = features(24)
    plain = toy(heard, guidance_scale=1.0)
    assert np.abs(toy(heard, guidance_scale=3.0).translation_m - plain.translation_m).max() > 1e-5
    styled = toy(heard, guidance_scale=1.0, style_guidance_scale=3.0)
    assert np.abs(styled.translation_m - plain.translation_m).max() > 1e-5
    mixed = toy(heard, style={"talk-calm": 1.0})
    assert mixed.translation_m.tobytes() == toy(heard, style="talk-calm").translation_m.tobytes()


def test_progress_and_stop(toy):
    reports = []
    toy(features(60), on_step=reports.append)
    assert [(r.done, r.total) for r in reports] == [(n, 9) for n in range(1, 10)]

    def stop(progress):
        if progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        toy(features(60), on_step=stop)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"style": "opera"}, "style"),
        ({"style": {}}, "style"),
        ({"style": {"sing": -1.0}}, "style"),
        ({"style": {"sing": 1.6, "present": -0.6}}, "style"),
        ({"style": {"sing": float("nan")}}, "style"),
        ({"guidance_scale": -1.0}, "guidance_scale"),
        ({"style_guidance_scale": 99.0}, "style_guidance_scale"),
        ({"rest_m": np.zeros(3)}, "rest_m"),
        ({"speed": 1.2}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
    ],
)
def test_bad_values_are_said(toy, change, message):
    with pytest.raises(InputError, match=f"^{message}"):
        toy(features(8), **change)


def test_features_must_fit(toy):
    with pytest.raises(InputError, match="8 wide at 24 frames"):
        toy(features(8, width=9))
    with pytest.raises(InputError, match="must not be empty"):
        toy(AudioFeatures(np.zeros((0, 8)), FPS))
    motion = toy(features(8))
    with pytest.raises(InputError, match="keep"):
        toy(features(9), keep=Keep(motion, np.ones(8, bool)))
    with pytest.raises(InputError, match="keep"):
        Keep(motion, np.ones((8, 3), bool))


def test_saves_and_loads_strictly(toy, tmp_path):
    toy.save_pretrained(tmp_path)
    again = Stage1Pipeline.from_pretrained(tmp_path)
    assert again.styles == toy.styles
    motion = again(features(30))
    assert motion.translation_m.tobytes() == toy(features(30)).translation_m.tobytes()
    assert motion.meta["checkpoint"] == again.checkpoint_hash
    with pytest.raises(MissingCheckpoint, match="train gesture"):
        Stage1Pipeline.from_pretrained(tmp_path / "nowhere")


# The demo checkpoint


def bursts(seconds: float, seed: int) -> tuple[AudioClip, np.ndarray]:
    """Syllables at about four a second, every third or so much stronger, pauses; and when the
    strong ones begin."""
    rng = np.random.default_rng(seed)
    rate = 16_000
    samples = 0.002 * rng.normal(size=round(seconds * rate))
    strong, moment = [], 0.6
    while moment < seconds - 0.5:
        stressed = rng.random() < 0.33
        length = 0.26 if stressed else 0.13
        time = np.arange(round(length * rate)) / rate
        pitch = (150 if stressed else 115) * np.exp(-0.4 * time) * rng.uniform(0.95, 1.05)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        formants = rng.uniform(350, 750), rng.uniform(1000, 2200)
        voice = sum(
            np.exp(-0.5 * min(abs(k * 130 - f) for f in formants) / 90) * np.sin(k * phase)
            for k in range(1, 24)
        )
        voice *= np.sin(np.pi * time / length) ** 0.5 * (0.5 if stressed else 0.1)
        at = round(moment * rate)
        samples[at : at + len(voice)] += 0.3 * voice
        if stressed:
            strong.append(moment + 0.06)
        moment += length + rng.uniform(0.05, 0.16)
        if rng.random() < 0.1:
            moment += rng.uniform(0.5, 1.2)
    return AudioClip(np.clip(samples, -1, 1).astype(np.float32)), np.array(strong)


def test_demo_hands_move_with_the_stresses(demo):
    """Beats of motion lie nearer to the speech's own stresses than chance; motion for other speech
    does not."""
    encoder, pipeline = demo
    own, deaf = [], []
    for seed in range(2):
        (audio, strong), (other, _) = bursts(30.0, seed), bursts(30.0, seed + 10)
        for heard, margins in ((audio, own), (other, deaf)):
            for style in ("talk-calm", "talk-lively"):
                motion = pipeline(encoder(heard, FPS), style=style, seed=seed)
                margins.append(alignment(motion_beats(motion), strong, 30.0).margin)
    assert np.mean(own) > 0.05
    assert np.mean(own) > np.mean(deaf) + 0.05


def test_demo_rests_in_silence(demo):
    encoder, pipeline = demo
    silence = AudioClip(np.zeros(5 * 16_000, np.float32))
    for style in pipeline.styles:
        assert wrist_speed(pipeline(encoder(silence, FPS), style=style)).mean() < 0.02


def test_demo_speed_orders_motion(demo):
    encoder, pipeline = demo
    heard = encoder(bursts(12.0, 1)[0], FPS)
    for style in ("talk-calm", "present"):
        made = [
            [pipeline(heard, style=style, speed=x, seed=seed).translation_m for seed in (0, 1)]
            for x in (0.1, 0.5, 0.9)
        ]
        spread = [np.mean([places.std(axis=0).mean() for places in pair]) for pair in made]
        assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize(("seconds", "frames"), [(0.3, 8), (27.13, 652)])
def test_demo_lengths_seams_and_limits(demo, seconds, frames):
    encoder, pipeline = demo
    speech = bursts(28.0, 2)[0].samples[: round(seconds * 16_000)]
    motion = pipeline(encoder(AudioClip(speech), FPS))
    assert_is_a_motion(motion, frames)
    assert np.max(bend_angle(motion.quaternions[:, :, 0], motion.translation_m)) < np.deg2rad(60)
    if frames > 200:
        assert seam_ratio(motion, pipeline.joins(frames)) < 2.0
