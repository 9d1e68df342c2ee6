"""EchoMimicV2 as a Stage 2: against its network written out in plain torch, and laws of what is
around it; a whole film from a tiny random set."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from itertools import pairwise

import cv2
import echomimic_reference
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emo2.cli import main
from emo2.errors import Cancelled, InputError, MissingCheckpoint
from emo2.features.portrait import analyse_portrait
from emo2.features.whisper import WhisperListener
from emo2.hands.model import HandModel
from emo2.media import load_image, probe
from emo2.motion.formats.echomimic_person import person_of
from emo2.motion.lift.bones import Bones, hand_points
from emo2.pipeline import EMO2Pipeline
from emo2.stage2.echomimic_v2 import EchoMimicV2
from emo2.stage2.echomimic_v2.inputs import check_room, work_bytes
from emo2.stage2.echomimic_v2.performance import Frameback, Hands
from emo2.stage2.echomimic_v2.pose_maps import draw_hands
from emo2.stage2.echomimic_v2.sampling import original_scheduler, wave, whole
from emo2.stage2.echomimic_v2.windows import Windows
from emo2.stage2.kinds import film_model
from emo2.types import AudioClip
from emo2.weight_set import DEMO_CHECKPOINT, WeightSet

SIDE = 64


@pytest.fixture(scope="module")
def dicts():
    return echomimic_reference.state_dicts()


@pytest.fixture(scope="module")
def model(dicts):
    return EchoMimicV2.from_state_dicts(**dicts)


def window(frames: int = 3, height: int = 8, width: int = 4, dtype=torch.float64) -> tuple:
    generator = torch.Generator().manual_seed(frames)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    maps = torch.rand(
        (1, 3, frames, 8 * height, 8 * width), generator=generator, dtype=torch.float64
    )
    return (
        draw(1, 4, frames, height, width),
        torch.tensor(499),
        draw(1, 4, height, width),
        maps.to(dtype),
        draw(1, frames, 50, 384),
    )


# ---- the network -------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize("frames", [1, 5])
@torch.no_grad()
def test_it_is_the_original_network(dicts, model, scale, frames):
    inputs = window(frames)
    expected = echomimic_reference.predict(dicts, *inputs, scale)
    got = model.predict_noise(*inputs, scale)
    assert got.shape == inputs[0].shape
    assert expected.std() > 0.1
    assert (got - expected).abs().max() < 1e-12 * expected.abs().max()


def test_every_condition_is_heard(model):
    latents, timestep, portrait, maps, tokens = window()
    base = model.predict_noise(latents, timestep, portrait, maps, tokens, 1.0)
    for changed in (
        (latents, timestep, portrait + 1, maps, tokens),
        (latents, timestep, portrait, 1 - maps, tokens),
        (latents, timestep, portrait, maps, -tokens),
        (latents, 20, portrait, maps, tokens),
    ):
        assert (model.predict_noise(*changed, 1.0) - base).abs().max() > 1e-3
    assert torch.equal(model.predict_noise(latents, timestep, portrait, maps, tokens, 0.0), base)


@pytest.mark.parametrize("given", [torch.float64, torch.float32, torch.float16])
def test_types_of_numbers(dicts, model, given):
    """Networks narrower than the latents are widened; the answer is of the latents' type."""
    narrow = {name: {k: v.float() for k, v in d.items()} for name, d in dicts.items()}
    other = EchoMimicV2.from_state_dicts(**narrow)
    assert other.unet.dtype == torch.float32
    inputs = window(dtype=given)
    got = other.predict_noise(*inputs, 2.5)
    assert got.dtype == given
    assert other.unet.dtype == torch.promote_types(torch.float32, given)
    exact = [x.double() if x.is_floating_point() else x for x in inputs]
    expected = model.predict_noise(*exact, 2.5)
    error = (got - expected).abs().max() / expected.abs().max()
    assert error < (1e-3 if given == torch.float16 else 1e-5)


def test_state_dicts_come_in_several_forms(dicts, model):
    inputs, pe = window(), {}
    for name in dicts["motion"]:
        if name.endswith("to_q.weight"):
            key = name.replace("to_q.weight", "pos_encoder.pe")
            pe[key] = torch.zeros(1, 32, dicts["motion"][name].shape[1])
    wrapped = {f"module.{k}": v for k, v in dicts["denoiser"].items()}
    whole_dict = {**dicts["denoiser"], **dicts["motion"], **pe}
    expected = model.predict_noise(*inputs, 2.5)
    for denoiser, motion in (
        (wrapped, {**dicts["motion"], **pe}),
        (whole_dict, None),
        (whole_dict, {k: torch.zeros_like(v) for k, v in dicts["motion"].items()}),
    ):
        other = EchoMimicV2.from_state_dicts(
            dicts["reference"], denoiser, motion, dicts["pose"],
            unet_config={"attention_head_dim": 8, "norm_num_groups": 32, "sample_size": 96},
        )  # fmt: skip
        assert torch.equal(other.predict_noise(*inputs, 2.5), expected)


def test_heads_are_told(dicts, model):
    four = {"attention_head_dim": 4, "motion_module_kwargs": {"num_attention_heads": 2}}
    other = EchoMimicV2.from_state_dicts(**dicts, unet_config=four)
    assert other.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1.heads == 4
    assert other.unet.mid_block.motion_modules[0].transformer_blocks[0].attn1.heads == 2
    difference = other.predict_noise(*window(), 1.0) - model.predict_noise(*window(), 1.0)
    assert difference.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "reference: 1 missing, such as 'conv_in.weight'"),
        ("unexpected", "1 unexpected, such as 'stranger'"),
        ("shape", "1 of another shape, such as 'mid_block.motion_modules.0.proj_in.weight'"),
        ("no motion", "denoiser and motion: .* missing, such as 'down_blocks.0.motion_modules"),
        ("other network", "must be EchoMimicV2's"),
    ],
)
def test_wrong_tensors_are_counted_and_named(dicts, damage, message):
    wrong = {name: dict(d) for name, d in dicts.items()}
    if damage == "missing":
        del wrong["reference"]["conv_in.weight"]
    elif damage == "unexpected":
        wrong["pose"]["stranger"] = torch.zeros(1)
    elif damage == "shape":
        name = "mid_block.motion_modules.0.temporal_transformer.proj_in.weight"
        wrong["motion"][name] = torch.zeros(2, 2)
    elif damage == "no motion":
        wrong["motion"] = {}
    else:
        wrong["denoiser"] = {"weight": torch.zeros(3)}
    with pytest.raises(MissingCheckpoint, match=message):
        EchoMimicV2.from_state_dicts(**wrong)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"norm_num_group": 4}, "norm_num_group"),
        ({"norm_num_groups": 24}, r"must divide the widths \(32, 64\)"),
        ({"attention_head_dim": (5, 10)}, "one number above 0"),
    ],
)
def test_wrong_configs_are_refused(dicts, config, message):
    with pytest.raises(InputError, match=message):
        EchoMimicV2.from_state_dicts(**dicts, unet_config=config)


def test_pose_features_in_chunks_are_the_same(model):
    maps = window(5)[3]
    assert torch.equal(model.pose_encoder.clip(maps, chunk=2), model.pose_encoder.clip(maps, 5))


# ---- windows and their order -------------------------------------------------------------------


def test_the_originals_windows():
    windows = Windows()
    assert windows.closed(0, 7) == [list(range(7))]
    first, second = windows.closed(0, 15)
    assert first == list(range(12))
    assert second == [9, 10, 11, 12, 13, 14, 0, 1, 2, 3, 4, 5]
    assert windows.closed(2, 15)[0] == [*range(6, 15), 0, 1, 2]
    assert (len(windows.closed(0, 120)), len(windows.closed(0, 240))) == (14, 27)


@pytest.mark.parametrize("num_frames", [1, 11, 12, 13, 24, 25, 100])
def test_open_windows_cover_the_film_in_order(num_frames):
    windows = Windows()
    seams = set()
    for step in range(6):
        made = windows.opened(step, num_frames)
        assert {frame for w in made for frame in w} == set(range(num_frames))
        assert all(len(w) == min(12, num_frames) for w in made)
        assert all(a[0] < b[0] <= a[-1] - 2 for a, b in pairwise(made))
        assert all(b - a == 1 for w in made for a, b in pairwise(w))
        seams |= {w[0] for w in made[1:-1]}
    if num_frames == 100:
        assert len(seams) > 20  # they move


def test_windows_fade_into_one_another():
    windows = Windows()
    left, right = windows.weights(list(range(12))), windows.weights(list(range(9, 21)))
    assert left[3:9] == [1.0] * 6
    np.testing.assert_allclose(np.add(left[9:], right[:3]), 1.0)


def moving_predict(latents, timestep, frames):
    """Depends on neighbours, on the frames' numbers and on the time, as a network does."""
    place = torch.tensor(frames, dtype=latents.dtype).view(1, 1, -1, 1, 1)
    mixed = latents.mean(dim=2, keepdim=True) + 0.3 * latents.roll(1, dims=2)
    return torch.sin(mixed + place) + timestep / 1000


@pytest.mark.parametrize("num_frames", [1, 12, 13, 40, 101])
@pytest.mark.parametrize("steps", [1, 6])
def test_the_wave_makes_the_same_film(num_frames, steps):
    scheduler, windows = original_scheduler(), Windows()
    scheduler.set_timesteps(steps)
    noise = torch.randn(1, 2, num_frames, 2, 2, dtype=torch.float64)
    expected = whole(noise, moving_predict, scheduler, windows.opened, windows.weights)
    columns = iter(noise.unbind(2))
    frames = wave(
        lambda: next(columns), num_frames, moving_predict, scheduler, windows.opened,
        windows.weights,
    )  # fmt: skip
    torch.testing.assert_close(torch.stack(list(frames), dim=2), expected, rtol=1e-12, atol=1e-12)
    assert next(columns, None) is None


def test_the_wave_is_as_long_whatever_the_film():
    """How many frames are under way when frames leave: it depends on the steps alone."""

    def under_way(num_frames: int) -> int:
        scheduler, windows = original_scheduler(), Windows()
        scheduler.set_timesteps(6)
        begun = most = 0

        def noise():
            nonlocal begun
            begun += 1
            return torch.zeros(1, 1, 1, 1)

        frames = wave(noise, num_frames, moving_predict, scheduler, windows.opened, windows.weights)
        for left, _ in enumerate(frames):
            most = max(most, begun - left)
        return most

    assert under_way(400) <= under_way(200) + 2 <= 6 * 8


def test_the_schedule_is_the_originals():
    scheduler = original_scheduler()
    scheduler.set_timesteps(6)
    assert scheduler.timesteps.tolist() == [999, 832, 666, 499, 332, 166]
    assert scheduler.alphas_cumprod[999] == 0
    scheduler.set_timesteps(30)
    assert scheduler.timesteps[:4].tolist() == [999, 966, 932, 899]


# ---- hands ---------------------------------------------------------------------------------------


def drawn_golden(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    points, scores = random.uniform(-0.1, 1.1, (2, 21, 2)), random.uniform(0, 1.3, (2, 21))
    return draw_hands(points, scores, height, width)


@pytest.mark.parametrize(
    ("seed", "size", "digest"),
    [
        (0, (768, 768), "deef9de12877b07a"),
        (1, (512, 384), "b4c520febca73509"),
        (2, (896, 832), "ff4a3f8ae62c6344"),
    ],
)
def test_pose_maps_are_to_the_byte_the_originals(seed, size, digest):
    """The digests are those of what the original's own painter drew of the same points."""
    drawn = drawn_golden(seed, *size)
    assert hashlib.sha256(drawn.tobytes()).hexdigest()[:16] == digest


def test_colours_and_absence():
    points, scores = np.zeros((2, 21, 2)), np.zeros((2, 21))
    points[0, 0], points[0, 1], scores[0, :2] = (0.25, 0.5), (0.5, 0.5), 1.0
    drawn = draw_hands(points, scores)
    assert drawn.shape == (768, 768, 3)
    assert tuple(drawn[384, 192]) == (255, 0, 0)  # a joint
    assert tuple(drawn[384, 288]) == (0, 0, 255)  # the thumb's first bone, red and blue exchanged
    scores[:] = 0
    assert not draw_hands(points, scores).any()
    points[0, 0] = (-0.1, 0.5)
    scores[:] = 1
    assert draw_hands(points, scores)[384, 192:280].max() == 0  # no bone to a point outside


@pytest.fixture(scope="module")
def portrait(example_portrait):
    return analyse_portrait(load_image(example_portrait), max_side_px=256)


@pytest.fixture(scope="module")
def motion():
    studio = EMO2Pipeline.from_pretrained()
    from conftest import syllables

    return studio.gesture(AudioClip(syllables(1.0)), seed=1, num_inference_steps=2)


def test_hands_land_where_the_camera_sees_them(portrait, motion):
    hand_model = HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")
    hidden = motion.visible.copy()
    hidden[3, 1] = False
    motion = replace(motion, visible=hidden)
    person = person_of(portrait)
    hands = Hands.of(motion, hand_model, person)
    pixels = portrait.camera.project(hand_points(Bones.of(hand_model), motion, slice(None)))
    back = hands.points * person.side_px + person.corner_px
    seen = motion.visible[..., None, None].repeat(21, 2).repeat(2, 3)
    np.testing.assert_allclose(back[seen], pixels[seen], atol=1e-6)
    assert not hands.scores[3, 1].any()
    assert not draw_hands(hands.points[3] * [[[0]], [[1]]], hands.scores[3]).any()


def test_a_square_goes_back_to_where_it_was_cut(portrait):
    person = person_of(portrait)
    back = Frameback(portrait.image, person)
    frame = back(person.reference).astype(int)
    assert frame.shape == portrait.image.shape
    assert np.abs(frame - portrait.image).mean() < 4  # 768 px and back
    white = back(np.full_like(person.reference, 255))
    (x, y), side = person.corner_px, person.side_px
    inside = white[max(y, 0) + side // 8 : y + side * 7 // 8, side // 8 + max(x, 0) : -side // 8]
    assert (inside == 255).all()


# ---- ears ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listener():
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=32,
        decoder_layers=1, num_mel_bins=80,
    )  # fmt: skip
    encoder = WhisperEncoder(config)
    for layer in [*encoder.layers, encoder]:
        torch.nn.init.normal_((layer.layer_norm if layer is encoder else layer.fc2).weight)
    return WhisperListener(encoder)


def test_every_layer_is_heard_before_the_last_norm(listener):
    mel = torch.randn(80, 3000)
    heard = listener.layers(mel)
    assert heard.shape == (1500, 5, 384)
    with torch.no_grad():
        x = torch.nn.functional.gelu(listener.encoder.conv1(mel[None]))
        x = torch.nn.functional.gelu(listener.encoder.conv2(x)).transpose(1, 2)
        x = x + listener.encoder.embed_positions.weight
        for n, layer in enumerate(listener.encoder.layers):
            torch.testing.assert_close(heard[:, n], x[0], atol=1e-4, rtol=1e-4)
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x
    torch.testing.assert_close(heard[:, 4], x[0], atol=1e-4, rtol=1e-4)


def test_a_frame_hears_ten_moments(listener, speech_like):
    audio = speech_like(1.0)
    tokens = listener(audio, 24.0)
    assert tokens.num_features == 50
    got = tokens([0, 12, 30])
    assert got.shape == (3, 50, 384)
    mel = torch.nn.functional.pad(tokens.log_mel(0, 100), (0, 2900))
    layers = listener.layers(mel)
    rows = [[0, 0, 0, 0, 0, 1, 2, 3, 4, 5], range(21, 31), [49] * 10]
    for mine, row in zip(got, rows, strict=True):
        if row == [49] * 10:  # beyond the end: 58 .. 67
            assert torch.equal(mine, layers[row].flatten(0, 1))
        else:
            torch.testing.assert_close(mine, layers[list(row)].flatten(0, 1))


def test_log_mel_is_the_whole_recordings(speech_like, listener):
    samples = speech_like(2.0).samples
    tokens = listener(AudioClip(samples), 24.0)
    window = torch.hann_window(400)
    spectrum = torch.stft(
        torch.from_numpy(samples.copy()), 400, 160, window=window, return_complex=True
    )[:, :-1]
    power = (listener.filters @ spectrum.abs() ** 2).clamp_min(1e-10).log10()
    expected = (power.maximum(power.max() - 8) + 4) / 4
    torch.testing.assert_close(tokens.log_mel(0, 200), expected, atol=1e-5, rtol=1e-5)
    parts = [tokens.log_mel(a, b) for a, b in ((0, 7), (7, 150), (150, 200))]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, atol=1e-5, rtol=1e-5)


# ---- a whole set ---------------------------------------------------------------------------------


def tiny_model(listener, dicts, **settings) -> EchoMimicV2:
    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
    ).eval()
    narrow = {name: {k: v.float() for k, v in d.items()} for name, d in dicts.items()}
    pipe = EchoMimicV2.from_state_dicts(**narrow, vae=vae)
    pipe.register_to_config(side_px=SIDE, num_inference_steps=2, guidance_scale=1.0, **settings)
    pipe.listener = listener
    return pipe


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory, listener, dicts):
    folder = tmp_path_factory.mktemp("sets") / "tiny"
    tiny_model(listener, dicts).save_pretrained(folder / "video")
    parts = {
        part: os.path.relpath(DEMO_CHECKPOINT / part, folder)
        for part in ("audio", "gesture", "hands", "visemes")
    }
    config = {"fps": 24.0, "max_side_px": 128, "parts": parts}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def hands_of(frames: int) -> Hands:
    random = np.random.default_rng(0)
    return Hands(random.uniform(0.1, 0.9, (frames, 2, 21, 2)), np.ones((frames, 2, 21)))


def picture_of(side: int = SIDE) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def test_saved_and_loaded_it_films_the_same(tiny_set, listener, dicts, speech_like):
    loaded = film_model(tiny_set / "video")
    assert type(loaded) is EchoMimicV2
    built = tiny_model(listener, dicts)
    hands, audio = hands_of(14), speech_like(0.6)
    built.listener = loaded.listener  # saved in float16
    films = [
        np.stack(list(pipe(picture_of(), pipe.listener(audio, 24.0), hands, seed=3)))
        for pipe in (built, loaded)
    ]
    # Where tensors lie in memory decides the order of a sum: the last digit of a colour.
    assert np.abs(films[0].astype(int) - films[1]).max() <= 1
    assert films[0].shape == (14, SIDE, SIDE, 3)
    assert films[0].std() > 0


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_offloaded_it_films_the_same(tiny_set, speech_like, offload):
    """accelerate's hooks with the CPU as their device: every weight is fetched when it is used."""
    plain, placed = (film_model(tiny_set / "video", "cpu", kind) for kind in ("none", offload))
    tokens = plain.listener(speech_like(0.2), 24.0)
    options = {"seed": 3, "guidance_scale": 2.0}
    films = [list(pipe(picture_of(), tokens, hands_of(3), **options)) for pipe in (plain, placed)]
    assert np.abs(np.array(films[0]).astype(int) - films[1]).max() <= 1


def test_modes_guidance_and_seeds_differ(tiny_set, speech_like):
    pipe, hands = film_model(tiny_set / "video"), hands_of(14)
    tokens = pipe.listener(speech_like(0.6), 24.0)

    def film(**options) -> np.ndarray:
        return np.stack(list(pipe(picture_of(), tokens, hands, **options)))

    base = film(seed=1)
    np.testing.assert_array_equal(film(seed=1), base)
    for options in ({"mode": "exact"}, {"guidance_scale": 3.0}, {"num_inference_steps": 3}):
        assert (film(seed=1, **options) != base).any(), options
    assert (film(seed=2) != base).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "best"}, "better, exact"),
        ({"num_inference_steps": 0}, "1 to 1000"),
        ({"guidance_scale": -1.0}, "0 to 20"),
    ],
)
def test_settings_out_of_range(tiny_set, options, message):
    pipe = film_model(tiny_set / "video")
    with pytest.raises(InputError, match=message):
        pipe(picture_of(), None, hands_of(1), **options)


def test_progress_counts_and_stop_stops(tiny_set, speech_like):
    pipe, heard = film_model(tiny_set / "video"), []
    tokens = pipe.listener(speech_like(2.0), 24.0)
    list(pipe(picture_of(), tokens, hands_of(30), on_step=heard.append))
    assert [p.done for p in heard] == list(range(1, heard[-1].total + 1))

    def stop(progress):
        if progress.done == 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(pipe(picture_of(), tokens, hands_of(30), on_step=stop))


def test_frames_leave_before_the_film_is_done(tiny_set, speech_like):
    pipe, heard = film_model(tiny_set / "video"), []
    tokens = pipe.listener(speech_like(3.0), 24.0)
    frames = pipe(picture_of(), tokens, hands_of(60), on_step=heard.append)
    next(frames)
    assert heard[-1].done < heard[-1].total / 2


def test_the_journey(tiny_set, tmp_path, example_portrait, speech_file, capsys):
    film = tmp_path / "film.mp4"
    code = main([
        "animate", "--checkpoint", str(tiny_set), "--renderer", "film", "--steps", "2",
        "--portrait", str(example_portrait), "--audio", str(speech_file), "--out", str(film),
        "--json",
    ])  # fmt: skip
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0
    found = probe(film)
    assert facts["frames"] == 24
    assert [found.width, found.height] == facts["size_px"]


def test_the_draft_needs_nothing_of_it(tiny_set, tmp_path):
    """A set without its film model still opens; what is missing says how to get it."""
    bare = tmp_path / "echomimic_v2"
    bare.mkdir()
    config = json.loads((tiny_set / "config.json").read_text())
    config["parts"]["gesture"] = str(DEMO_CHECKPOINT / "gesture")
    (bare / "config.json").write_text(json.dumps(config))
    studio = EMO2Pipeline.from_pretrained(bare)
    assert studio.styles == EMO2Pipeline.from_pretrained().styles
    with pytest.raises(MissingCheckpoint, match=r"model_index\.json"):
        _ = studio.stage2


def test_a_set_that_is_not_there_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    with pytest.raises(MissingCheckpoint, match="python -m emo2 weights get echomimic_v2"):
        WeightSet.open(tmp_path / "echomimic_v2")
    assert WeightSet.open("demo").folder == DEMO_CHECKPOINT
    with pytest.raises(MissingCheckpoint, match="--accelerated --to"):
        WeightSet.open(tmp_path / "echomimic_v2_accelerated")
    (tmp_path / "config.json").write_text('{"fps": 24}')
    with pytest.raises(MissingCheckpoint, match="max_side_px"):
        WeightSet.open(tmp_path)


def test_a_model_of_no_known_kind(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "Sora"}')
    with pytest.raises(MissingCheckpoint, match="Sora"):
        film_model(tmp_path)


def test_what_does_not_fit_is_refused_with_figures(model):
    small, large = (work_bytes(side, 12) for side in (384, 768))
    assert large == pytest.approx(4 * small)
    plan = check_room(model, (512, 512), "none", torch.float16, free_bytes=1 << 40)
    assert plan.needed_bytes > large
    assert "film of 512 x 512 on cpu" in str(plan)
    with pytest.raises(InputError, match=r"EchoMimicV2 takes about .* GiB on cpu"):
        check_room(model, (512, 512), "none", torch.float16, free_bytes=plan.needed_bytes - 1)
