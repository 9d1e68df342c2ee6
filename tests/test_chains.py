"""Whole arms as channels: kinematics, layout, and a network that learns and speaks them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import syllables
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from emo2.evaluation import representations
from emo2.evaluation.baselines import FOLDER, TITLES, Speaker, baselines
from emo2.motion import rotations
from emo2.motion.anatomy import (
    ELBOW_RANGE_M,
    FOREARM_M,
    SHOULDER_M,
    UPPER_ARM_M,
    VOLUME_M,
    elbow,
    limit_place,
    wrist_orientation,
)
from emo2.stage1.arm_chains import follow, solve, within_reach
from emo2.stage1.keeping import Keep
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import ARMS, HANDS, NUM_SLOTS, PARTS, swap_hands
from emo2.training.batches import draw
from emo2.training.config import AudioSize, GestureConfig, MotionSize
from emo2.training.gesture import GestureTraining
from emo2.training.mixture import Mixture
from emo2.training.moments import channel_moments
from emo2.types import AudioClip, AudioFeatures

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "checkpoints" / "demo"
FPS = 24.0
unit = st.floats(0, 1)
places = st.tuples(unit, unit, unit).map(
    lambda share: limit_place(VOLUME_M[0] + np.array(share) * (VOLUME_M[1] - VOLUME_M[0]))
)
turns = st.tuples(*[st.floats(-1, 1)] * 4).map(lambda q: rotations.normalise(np.array(q)))


def motions(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Wrists that wander through the whole volume, hands that turn, fingers that bend."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / FPS
    waves = np.sin(2 * np.pi * (rng.uniform(0.2, 0.6, (2, 9)) * time + rng.random((2, 9))))
    middle, half = VOLUME_M.mean(axis=0), np.diff(VOLUME_M, axis=0)[0] / 2
    left = limit_place(middle + 0.9 * half * waves[..., :3])
    wrists = wrist_orientation(left, waves[..., 3:6] * np.deg2rad([80, 50, 20]))
    bend = np.linspace(-0.2, 1.2, 15)[:, None] * waves[:, :, None, 6:]
    quaternions = np.concatenate([wrists[:, :, None], rotations.from_axis_angle(bend)], axis=2)
    quaternions[:, 1] = rotations.mirror(quaternions[:, 1])
    translation_m = left * np.array([[1.0, 1, 1], [-1.0, 1, 1]])
    return rotations.continuous(quaternions), translation_m


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.rad2deg(rotations.angle_between(a.astype(float), b.astype(float))).max())


# Kinematics


@settings(max_examples=60, deadline=None)
@given(places, turns)
def test_an_arm_ends_where_the_hand_is(place, turn):
    back, orientation = follow(*solve(place, turn))
    assert np.allclose(back, place, atol=1e-9)
    assert degrees_between(orientation, turn) < 1e-5


@settings(max_examples=60, deadline=None)
@given(places, turns)
def test_the_joints_are_those_of_an_arm(place, turn):
    upper, forearm, hand = solve(place, turn)
    joint = SHOULDER_M + UPPER_ARM_M * rotations.rotate(upper, np.array([1.0, 0, 0]))
    assert np.allclose(joint, elbow(place), atol=1e-9)
    # The elbow is a hinge: the forearm stays in its plane and bends one way only.
    along = rotations.rotate(forearm, np.array([1.0, 0, 0]))
    assert abs(along[1]) < 1e-9
    assert along[2] > 0
    assert abs(hand[1]) < 1e-9  # pronation is the forearm's


def test_forward_kinematics_are_those_of_transforms():
    """Against 4 x 4 matrices, one bone after the other, for any rotations."""
    rng = np.random.default_rng(1)
    chain = rotations.normalise(rng.normal(size=(3, 50, 4)))
    place, orientation = follow(*chain)
    bones = (SHOULDER_M, [UPPER_ARM_M, 0, 0], [FOREARM_M, 0, 0])
    for row in range(50):
        world = np.eye(4)
        for bone_m, turn in zip(bones, chain, strict=True):
            step = np.eye(4)
            step[:3, :3], step[:3, 3] = rotations.to_matrix(turn[row]), bone_m
            world = world @ step
        assert np.allclose(place[row], world[:3, 3])
        assert np.allclose(rotations.to_matrix(orientation[row]), world[:3, :3])


def test_the_t_pose_is_the_identity():
    place, orientation = follow(*np.broadcast_to(rotations.IDENTITY, (3, 4)))
    assert np.allclose(place - SHOULDER_M, [UPPER_ARM_M + FOREARM_M, 0, 0])
    assert np.allclose(orientation, rotations.IDENTITY)
    # An arm that is bent forward at the elbow only, as far as an elbow may straighten.
    upper, forearm, _ = solve(SHOULDER_M + np.array([0.2, -0.3, 0.3]), rotations.IDENTITY)
    assert np.degrees(rotations.angle_between(upper, forearm)) > 10


def test_a_hand_out_of_reach_is_brought_within():
    far = SHOULDER_M + np.array([[0.1, -0.5, 0.6], [0.9, 0.2, 0.1], [0.01, -0.02, 0.03]])
    turn = rotations.normalise(np.random.default_rng(0).normal(size=(3, 4)))
    back, orientation = follow(*solve(far, turn))
    assert np.allclose(back, within_reach(far))
    way, wanted = back - SHOULDER_M, far - SHOULDER_M
    assert np.allclose(np.cross(way, wanted), 0)  # along the same line
    longest, shortest = ELBOW_RANGE_M[1], ELBOW_RANGE_M[0]
    assert np.allclose(np.linalg.norm(way, axis=1), [longest, longest, shortest])
    assert degrees_between(orientation, turn) < 1e-5


def test_channels_do_not_jump():
    """A hand that wanders through its volume has an arm that wanders: no flip, no pole."""
    quaternions, translation_m = motions(2000)
    speed = np.linalg.norm(np.diff(translation_m, axis=0), axis=-1).max()
    turn = rotations.angle_between(quaternions[1:, :, 0], quaternions[:-1, :, 0]).max()
    channels = ARMS.to_channels(quaternions, translation_m).reshape(-1, 2, ARMS.channels_per_hand)
    steps = np.abs(np.diff(channels[..., :18], axis=0)).max()
    assert steps < 2 * (turn + speed / 0.1)


# Layout


@pytest.mark.parametrize("written", [HANDS, ARMS])
def test_motions_come_back(written):
    quaternions, translation_m = motions(200)
    channels = written.to_channels(quaternions, translation_m)
    assert channels.shape == (200, written.num_channels)
    back, places_m = written.from_channels(channels)
    assert np.abs(places_m - translation_m).max() < 1e-5
    assert degrees_between(back, quaternions) < 0.05
    assert np.allclose(written.places_m(channels), places_m, atol=1e-6)


def test_bones_keep_their_length_whatever_a_network_says():
    noise = np.random.default_rng(0).normal(size=(500, ARMS.num_channels))
    upper = rotations.from_6d(noise[:, :6])
    joint = SHOULDER_M + UPPER_ARM_M * rotations.rotate(upper, np.array([1.0, 0, 0]))
    left = ARMS.places_m(noise)[:, 0]
    assert np.allclose(np.linalg.norm(left - joint, axis=1), FOREARM_M, atol=1e-6)
    reach = np.linalg.norm(left - SHOULDER_M, axis=1)
    assert reach.max() < UPPER_ARM_M + FOREARM_M + 1e-6


def test_rewriting_is_what_a_motion_between_would_give():
    hands = HANDS.to_channels(*motions(50))
    arms = ARMS.rewrite(hands, HANDS)
    assert np.allclose(arms, ARMS.to_channels(*HANDS.from_channels(hands)), atol=1e-5)
    assert np.allclose(HANDS.rewrite(arms, ARMS), hands, atol=1e-5)
    fingers = arms.reshape(50, 2, -1)[..., -90:]
    assert np.array_equal(fingers, hands.reshape(50, 2, -1)[..., -90:])
    assert ARMS.rewrite(arms, ARMS) is arms


def test_hands_that_change_places_are_a_mirror():
    quaternions, translation_m = motions(30)
    mirrored = rotations.mirror(quaternions)[:, ::-1]
    swapped = ARMS.to_channels(mirrored, translation_m[:, ::-1] * [-1, 1, 1])
    assert np.allclose(swap_hands(ARMS.to_channels(quaternions, translation_m)), swapped, atol=1e-6)


@pytest.mark.parametrize("written", [HANDS, ARMS])
@pytest.mark.parametrize(("hand", "slot"), [(0, 0), (1, 0), (0, 1), (1, 2), (0, 16)])
def test_a_slot_moves_its_own_part(written, hand, slot):
    """The arm carries the wrist's place, and in a chain its orientation, too; a joint only itself;
    nothing the other hand."""
    channels = written.to_channels(*motions(5))
    mask = np.zeros((2, NUM_SLOTS))
    mask[hand, slot] = 1
    moved = channels + 0.2 * written.expand_slots(mask) * np.sin(np.arange(channels.shape[1]))
    before, after = written.from_channels(channels), written.from_channels(moved)
    joints = (np.abs(after[0] - before[0]) > 1e-4).any(axis=(0, 3))
    places_m = (np.abs(after[1] - before[1]) > 1e-4).any(axis=(0, 2))
    allowed = np.zeros((2, 16), dtype=bool)
    allowed[hand, max(slot - 1, 0)] = slot > 0 or written is ARMS
    assert np.array_equal(joints, allowed)
    assert np.array_equal(places_m, np.arange(2) == hand if slot == 0 else [False, False])


def test_parts_weigh_alike():
    weights = ARMS.part_weights()
    assert weights.mean() == pytest.approx(1)
    for part in PARTS.values():
        mask = np.zeros((2, NUM_SLOTS))
        mask[:, part] = 1
        assert weights[ARMS.expand_slots(mask) == 1].sum() == pytest.approx(len(weights) / 3)


# Networks


def arms_pipeline() -> Stage1Pipeline:
    """A toy network with random weights about a plausible pose."""
    torch.manual_seed(0)
    sizes = {"width": 32, "num_layers": 1, "num_heads": 2, "patch_size": 4, "num_frames": 24}
    dit = MotionDiT(**sizes, audio_width=8, representation="arms")
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    dit.channel_mean.copy_(torch.from_numpy(ARMS.to_channels(*motions(1))[0]))
    dit.channel_std.fill_(0.05)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=False,
        timestep_spacing="trailing",
    )  # fmt: skip
    return Stage1Pipeline(dit, scheduler, num_inference_steps=2)


def heard(frames: int) -> AudioFeatures:
    return AudioFeatures(np.random.default_rng(0).normal(size=(frames, 8)), FPS)


def test_a_network_of_arms_makes_hands(tmp_path):
    pipeline = arms_pipeline()
    motion = pipeline(heard(40), seed=1)
    assert motion.num_frames == 40
    assert np.allclose(np.linalg.norm(motion.quaternions, axis=-1), 1, atol=1e-5)
    assert np.ptp(motion.translation_m, axis=0).max() > 0.01
    pipeline.save_pretrained(tmp_path)
    again = Stage1Pipeline.from_pretrained(tmp_path)
    assert again.representation is ARMS
    assert np.array_equal(again(heard(40), seed=1).translation_m, motion.translation_m)


def test_a_network_of_arms_keeps_what_is_given():
    pipeline = arms_pipeline()
    made = pipeline(heard(40), seed=1)
    mask = np.zeros((40, 2, NUM_SLOTS), dtype=bool)
    mask[15:20, 0, 0] = True  # where the left wrist is
    mask[:, 1] = True  # the whole right hand
    kept = pipeline(heard(40), seed=2, keep=Keep(made, mask))
    assert np.array_equal(kept.translation_m[15:20, 0], made.translation_m[15:20, 0])
    assert np.array_equal(kept.quaternions[:, 1], made.quaternions[:, 1])
    assert np.array_equal(kept.translation_m[:, 1], made.translation_m[:, 1])
    assert not np.allclose(kept.translation_m[:, 0], made.translation_m[:, 0])


def test_the_demo_is_of_hands_and_loads_strictly():
    _, report = MotionDiT.from_pretrained(DEMO / "gesture" / "motion_dit", output_loading_info=True)
    assert not any(report.values())
    weights = Stage1Pipeline.from_pretrained(DEMO / "gesture").motion_dit
    assert weights.representation is HANDS
    told = {name: weights.config[name] for name in ("width", "num_layers", "patch_size")}
    with pytest.raises(RuntimeError, match="size mismatch for channel_mean"):
        MotionDiT(**told, representation="arms").load_state_dict(weights.state_dict())


# Training


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Mixture:
    """Six clips of two seconds with one motion per style."""
    folder = tmp_path_factory.mktemp("corpus")
    clips, styles, frames = 6, 2, 48
    made = [[motions(frames, 10 * n + k) for k in range(styles)] for n in range(clips)]
    arrays = {
        "audio": [syllables(frames / FPS, n) * 32767 for n in range(clips)],
        "channels": [[HANDS.to_channels(*motion) for motion in row] for row in made],
        "prosody": np.random.default_rng(0).random((clips, frames, 2)),
        "speed": np.random.default_rng(1).normal(-2, 0.5, (clips, styles)),
        "rest_m": [[places_m.mean(axis=0) for _, places_m in row] for row in made],
    }
    types = {"audio": np.int16, "channels": np.float16, "prosody": np.float16}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array).astype(types.get(name, np.float32)))
    facts = {
        "seed": 0,
        "clips": clips,
        "duration_s": frames / FPS,
        "fps": FPS,
        "styles": ["calm", "lively"],
        "speed_quantiles": [-3.0, -2.0, -1.0],
        "style_speeds": [0.3, 0.7],
        "rest_m": [[0.2, -0.2, 0.25], [-0.2, -0.2, 0.25]],
        **channel_moments(np.load(folder / "channels.npy"), HANDS),
    }
    (folder / "corpus.json").write_text(json.dumps(facts))
    return Mixture.load([folder])


CONFIG = GestureConfig(
    audio=AudioSize((8,), (400,), (320,), 16, 1, 2, 16, 4, 2),
    motion=MotionSize(32, 1, 2, 2.0, 4, 24, 4, 4),
    representation="arms",
    steps=4,
    joint_steps=2,
    distil_steps=0,
    batch_audio=2,
    batch_motions=2,
    batch_frozen=2,
    log_every=2,
    monitor_every=4,
)


def test_a_batch_holds_arms(corpus):
    training = GestureTraining(CONFIG, corpus, Path("unused"))
    arms = draw(corpus, training.encoder, CONFIG, 3)
    hands = draw(corpus, training.encoder, dataclasses.replace(CONFIG, representation="hands"), 3)
    assert arms.frames.shape == (4, 28, ARMS.num_channels)
    assert arms.kept.shape == (4, 24, ARMS.num_channels)
    assert torch.equal(arms.keep, hands.keep)
    assert np.allclose(
        ARMS.places_m(arms.frames.numpy()), HANDS.places_m(hands.frames.numpy()), atol=1e-4
    )


def test_channels_are_normalised_by_their_own_moments(corpus):
    dit = GestureTraining(CONFIG, corpus, Path("unused")).networks.dit
    channels = ARMS.rewrite(np.asarray(corpus.corpora[0].channels, dtype=np.float32), HANDS)
    normal = dit.normalise(torch.from_numpy(channels)).reshape(-1, 2, ARMS.channels_per_hand)
    spread = normal.flatten(0, 1).std(dim=0)
    assert normal.mean(dim=(0, 1)).abs().max() < 1e-3
    assert spread.max() < 1.001
    assert spread.median() > 0.9


def test_arms_are_learned_and_performed(corpus, tmp_path, monkeypatch):
    training = GestureTraining(CONFIG, corpus, tmp_path)
    training.run(4)
    assert json.loads((tmp_path / "config.json").read_text())["representation"] == "arms"
    pipeline = Stage1Pipeline.from_pretrained(tmp_path / "checkpoint" / "gesture")
    assert pipeline.representation is ARMS
    motion = pipeline(AudioFeatures(training.heard[0][0].astype(np.float32), FPS), style="calm")
    assert np.isfinite(motion.translation_m).all()

    config = dataclasses.replace(CONFIG, joint_steps=100, steps=100, warmup_steps=1)
    training = GestureTraining(config, corpus, tmp_path / "one")
    batch = draw(corpus, training.encoder, config, 0)
    monkeypatch.setattr(training, "_next", lambda part: batch)
    losses = [training.advance()["loss"].item() for _ in range(40)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])


# The pair that is compared


def test_the_pair_differs_in_nothing_but_the_representation():
    configs = []
    for name in TITLES:
        folder = ROOT / FOLDER / name / "gesture" / "motion_dit"
        assert (folder / "diffusion_pytorch_model.safetensors").stat().st_size < 2.6e6
        configs.append(json.loads((folder / "config.json").read_text()))
    assert [config.pop("representation") for config in configs] == ["hands", "arms"]
    assert configs[0] == configs[1]


def test_the_pair_performs(monkeypatch):
    monkeypatch.chdir(ROOT)
    clip = AudioClip(syllables(1.5))
    made = []
    for performer in baselines("talk-calm").values():
        made.append(performer(clip, "talk-calm", 3))
        assert made[-1].num_frames == 36
        again = performer(clip, "talk-calm", 3)
        assert np.array_equal(again.translation_m, made[-1].translation_m)
    assert not np.array_equal(made[0].translation_m, made[1].translation_m)
    assert not baselines("a style they never learnt")
    assert not baselines("talk-calm", Path("no such folder"))


def test_first_guesses_are_told_in_centimetres(corpus, monkeypatch):
    """Against a network that knows everything but the way: with the right speech it is 3 cm off,
    all the time; with another's it tells the other's motion; with none it does not move."""
    training = GestureTraining(
        dataclasses.replace(CONFIG, representation="hands"), corpus, Path("unused")
    )
    dit, hidden = training.networks.dit, []

    def know(_, heard, batch, noisy, timestep, context):
        hidden.append(heard)
        if batch.deaf.all():
            return dit.normalise(batch.frames[:, :1].expand_as(batch.frames))
        moved = batch.frames + torch.nn.functional.one_hot(torch.tensor(1), 198) * 0.03
        wrong = len(hidden) % 3 == 2
        return dit.normalise(moved.roll(1, dims=0) if wrong else moved)

    monkeypatch.setattr(representations, "predict", know)
    stage1 = Stage1Pipeline(dit, training.scheduler)
    found = representations.guesses(Speaker(training.encoder, stage1), corpus)
    assert found["right"] == pytest.approx(np.tile([1.5, 0, 0], (128, 1)), abs=0.05)  # one of two
    assert found["wrong"][:, 0].mean() > 3
    assert found["none"][:, 1].mean() > 3
    worse = {heard: errors + 1 for heard, errors in found.items()}
    lines = representations.guess_lines({"one": found, "two": worse})
    gain = next(line for line in lines if line.startswith("one, wrong less right"))
    told = float(gain.split("wrists ")[1].split()[0])
    assert told == pytest.approx(found["wrong"][:, 0].mean() - 1.5, abs=0.02)
    assert lines[-1].startswith("two less one, right")
    assert "wrists 1.00 +- 0.00 cm" in lines[-1]
    assert not torch.equal(hidden[0], hidden[1])
