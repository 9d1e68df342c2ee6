"""Long films on small machines: work ahead, guidance in one batch or in an interval, offloading,
and the preflight. Real classes at toy size, on the CPU."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from test_stage2 import DEMO, film, maps_of, portrait_of, sound_of, toy_pipeline
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from emo2.cli import main
from emo2.errors import InputError
from emo2.pipeline import EMO2Pipeline
from emo2.stage2 import preflight
from emo2.stage2.ahead import ahead
from emo2.stage2.clip_cost import clip_cost, meta_twin, resident_bytes
from emo2.stage2.conditions import Conditions
from emo2.stage2.devices import OFFLOADS, choose_device, choose_dtype, networks, place
from emo2.stage2.dry_run import dry_run
from emo2.stage2.guidance_scale import GuidanceInterval, GuidanceScale
from emo2.stage2.preflight import available_bytes, check_weights, plan_film
from emo2.stage2.sampling import Sampling
from emo2.stage2.stretches import Stretch, shrink, to_unit
from emo2.stage2.windows import audio_windows, pieces

CPU = torch.device("cpu")
GUIDED = GuidanceScale(1.0, 2.5, 2.5)


@pytest.fixture(scope="module")
def pipeline():
    return toy_pipeline()


@torch.no_grad()
def conditions_of(pipe) -> Conditions:
    """Of a clip with a past, at 32 x 32."""
    maps, portrait, size = maps_of(24, 32, 32), portrait_of(32, 32), (32, 32)
    return pipe.condition(
        pipe.maps(maps, size),
        torch.from_numpy(maps.confidence.copy())[None],
        torch.from_numpy(audio_windows(sound_of(24), 0, 24, 2))[None],
        pipe.reference_net.extract(pipe.encode(pipe.pictures([portrait.image], size))),
        past=pipe.pictures([portrait.image] * 12, size)[None],
        draft=shrink(maps.draft, size)[None] * 2 - 1,
    )


def noise_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 4, 24, 4, 4, generator=torch.Generator().manual_seed(seed))


# ---- ahead ---------------------------------------------------------------------------------------


def test_ahead_keeps_the_order_and_works_in_one_other_thread():
    threads = set()

    def items():
        for number in range(20):
            threads.add(threading.current_thread())
            yield number

    assert list(ahead(items(), 3)) == list(range(20))
    assert len(threads) == 1
    assert threading.current_thread() not in threads
    assert not threads.pop().is_alive()


def test_ahead_is_never_further_ahead_than_it_should_be():
    made = []
    items = ahead((made.append(number) or number for number in range(20)), 3)
    for number in range(5):
        assert next(items) == number
        time.sleep(0.05)
        assert len(made) == number + 4  # this one and three more
    items.close()
    count = len(made)
    time.sleep(0.05)
    assert len(made) == count <= 9


def test_what_goes_wrong_ahead_is_raised_in_its_place():
    def items():
        yield 1
        yield 2
        raise InputError("guidance", "must be drawn", "nothing", "Draw it.")

    made = ahead(items(), 4)
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(InputError, match="must be drawn"):
        next(made)


def test_a_film_that_is_left_ends_its_thread(pipeline):
    before = threading.active_count()
    frames = film(pipeline, 72)
    next(frames)
    assert threading.active_count() == before + 1
    frames.close()
    assert threading.active_count() == before


# ---- what is kept of guidance --------------------------------------------------------------------


def test_drafts_are_kept_exactly_and_maps_to_half_a_byte(pipeline):
    maps = maps_of(5, 48, 64)
    kept = Stretch.of(maps, pipeline.maps(maps, (16, 32)), (16, 32), with_draft=True)
    assert (kept.size, kept.num_frames) == ((48, 64), 5)
    assert {kept.maps.dtype, kept.draft.dtype, kept.change.dtype} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(to_unit(torch.from_numpy(kept.draft)), maps.draft)
    exact = pipeline.maps(maps, (16, 32))[0].transpose(0, 1)
    assert (to_unit(torch.from_numpy(kept.maps)) - exact).abs().max() <= 0.5001 / 255


def test_pieces_hold_the_same_frames():
    whole = maps_of(11, 2, 2)
    parts = list(pieces([whole, maps_of(3, 2, 2, seed=1)], 4))
    assert [part.num_frames for part in parts] == [4, 4, 3, 3]
    np.testing.assert_array_equal(np.concatenate([p.mano for p in parts[:3]]), whole.mano)


# ---- guidance ------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("scale", [(1.0, 2.5, 2.5), (2.0, 2.0, 2.0), (1.0, 2.0, 3.0), (3, 2, 1)])
def test_guidance_in_one_batch_is_the_same(pipeline, scale):
    conditions = conditions_of(pipeline)
    made = [
        Sampling(2, GuidanceScale(*scale), batched=batched).run(
            pipeline.predict, pipeline.scheduler, noise_of(), conditions
        )
        for batched in (False, True)
    ]
    scale = made[0].abs().max()
    assert (made[0] - made[1]).abs().max() <= 3e-6 * scale
    plain = pipeline.denoise(noise_of(), conditions, 2, GuidanceScale())
    assert (made[0] - plain).abs().max() > 1e-3 * scale


def test_a_batch_takes_those_without_a_portrait_first(pipeline):
    conditions = conditions_of(pipeline)
    without = replace(conditions, reference=None, motion=None)
    assert len(Conditions.stack([without, conditions]).guidance) == 2
    with pytest.raises(ValueError, match="must come first"):
        Conditions.stack([conditions, without])


@torch.no_grad()
def test_outside_the_interval_a_step_is_one_evaluation(pipeline):
    conditions, asked = conditions_of(pipeline), []

    def counting(noisy, timestep, given):
        asked.append(int(timestep))
        return pipeline.predict(noisy, timestep, given)

    sampling = Sampling(4, GUIDED, GuidanceInterval(0.2, 0.8))  # at 1, 3/4, 1/2, 1/4
    sampling.run(counting, pipeline.scheduler, noise_of(), conditions)
    assert asked == [999, 749, 749, 499, 499, 249, 249]
    assert sampling.evaluations(pipeline.scheduler) == len(asked)
    assert Sampling(4, GUIDED).evaluations(pipeline.scheduler) == 8
    never = Sampling(2, GUIDED, GuidanceInterval(0.0, 0.1))
    made = never.run(pipeline.predict, pipeline.scheduler, noise_of(), conditions)
    plain = pipeline.denoise(noise_of(), conditions, 2, GuidanceScale())
    assert torch.equal(made, plain)


def test_the_interval_is_the_checkpoints_or_the_callers(pipeline):
    assert Sampling.of(pipeline.config).interval == GuidanceInterval(0.0, 1.0)
    asked = Sampling.of(pipeline.config, guidance_interval=(0.1, 0.7))
    assert asked.interval == GuidanceInterval(0.1, 0.7)
    frames = [
        next(film(pipeline, guidance_scale=3.0, guidance_interval=interval))
        for interval in ((0.0, 1.0), (0.0, 0.3))
    ]
    assert (frames[0] != frames[1]).any()
    with pytest.raises(InputError, match="two noise levels in order"):
        film(pipeline, guidance_interval=(0.5, 0.2))


# ---- devices -------------------------------------------------------------------------------------


@pytest.mark.parametrize("offload", OFFLOADS)
def test_offloaded_networks_film_the_same(pipeline, offload):
    """accelerate's hooks with the CPU as their device: every weight is fetched when it is used."""
    expected = np.stack(list(film(pipeline, 30, guidance_scale=2.0)))
    placed = place(copy.deepcopy(pipeline), CPU, offload)
    if offload == "sequential":
        kinds = {p.device.type for p in placed.unet.parameters()}
        assert kinds == {"meta", "cpu"}  # all layers rest, the biases stay
    made = np.stack(list(film(placed, 30, guidance_scale=2.0)))
    np.testing.assert_array_equal(made, expected)


def test_precision_is_the_networks_own(pipeline):
    expected = np.stack(list(film(pipeline, 3))).astype(int)
    doubled = place(copy.deepcopy(pipeline), CPU, dtype=torch.float64)
    assert doubled.unet.dtype == torch.float64
    assert doubled.vae.dtype == torch.float32  # fixed linear latents stay
    made = np.stack(list(film(doubled, 3))).astype(int)
    assert np.abs(made - expected).max() <= 1


def test_devices_that_are_not_there_are_refused():
    assert choose_device(None) == choose_device("auto")
    assert choose_device("cpu") == CPU
    assert choose_dtype(CPU) == torch.float32
    with pytest.raises(InputError, match="must be auto, cpu"):
        choose_device("toaster")
    with pytest.raises(InputError, match="must be on this machine"):
        choose_device(f"cuda:{torch.cuda.device_count()}")
    with pytest.raises(InputError, match="none, model, sequential"):
        place(toy_pipeline(), CPU, "everything")


@pytest.mark.gpu
@pytest.mark.parametrize("offload", OFFLOADS)
def test_on_a_gpu_it_films_nearly_the_same(pipeline, offload):
    expected = np.stack(list(film(pipeline, 30))).astype(int)
    placed = place(copy.deepcopy(pipeline), torch.device("cuda"), offload)
    made = np.stack(list(film(placed, 30, batched_guidance=True))).astype(int)
    assert np.abs(made - expected).mean() < 2


# ---- the preflight -------------------------------------------------------------------------------


def test_a_dry_run_counts_what_is_computed_and_held():
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 30), nn.Linear(30, 5))
    cost = dry_run(lambda: network(torch.empty(7, 10, device="meta")))
    assert cost.flops == 2 * 7 * (10 * 20 + 20 * 30 + 30 * 5)
    assert cost.peak_bytes == 4 * 7 * (10 + 20 + 30)  # in place of 5, when 10 may go


def test_attention_is_counted_as_fused():
    query, key = (torch.empty(2, 3, length, 8, device="meta") for length in (50, 70))
    cost = dry_run(lambda: nn.functional.scaled_dot_product_attention(query, key, key))
    assert cost.flops == 2 * 2 * (2 * 3 * 50 * 70 * 8)
    assert cost.peak_bytes == query.nbytes


def test_a_twin_has_the_same_networks_and_no_numbers(pipeline):
    twin = meta_twin(pipeline, torch.float16)
    told = {k: v for k, v in pipeline.config.items() if not k.startswith("_")}
    assert dict(twin.config) == told
    for name, part in networks(pipeline).items():
        ours, theirs = part.state_dict(), networks(twin)[name].state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
        assert all(tensor.is_meta for tensor in theirs.values())
    assert twin.unet.dtype == torch.float16
    assert pipeline.unet.dtype == torch.float32


def test_the_flops_are_those_of_a_real_evaluation(pipeline):
    cost, conditions = clip_cost(pipeline, (32, 32), torch.float32), conditions_of(pipeline)
    spelt_out = sdpa_kernel(SDPBackend.MATH)  # the counter does not know the CPU's fused kernel
    with FlopCounterMode(display=False) as counter, torch.no_grad(), spelt_out:
        pipeline.predict(noise_of(), torch.tensor(500), conditions)
    assert cost.evaluation.flops == pytest.approx(counter.get_total_flops(), rel=0.02)
    twice = clip_cost(pipeline, (32, 32), torch.float32, batched=2)
    assert twice.evaluation.flops == pytest.approx(2 * cost.evaluation.flops, rel=0.01)
    assert twice.evaluation.peak_bytes > 1.8 * cost.evaluation.peak_bytes
    assert clip_cost(pipeline, (64, 64), torch.float32).peak_bytes > 2 * cost.peak_bytes
    assert cost.flops(3, 10) == (
        cost.conditions.flops + 3 * cost.evaluation.flops + 10 * cost.decode.flops
    )


def test_a_plan_says_what_it_chose(pipeline):
    plan = plan_film(pipeline, (64, 48), 24.0)
    assert 0 < plan.needed_bytes < plan.free_bytes
    assert plan.free_bytes <= psutil.virtual_memory().total
    assert not plan.batched_guidance  # on a CPU it is not faster
    assert plan.seconds_per_second > 0
    assert "film of 48 x 64 on cpu in float32: at most" in str(plan)
    larger = plan_film(pipeline, (640, 480), 24.0)
    assert larger.needed_bytes > plan.needed_bytes


def test_too_small_a_machine_is_told_both_figures_and_the_way_out(pipeline):
    need = [plan_film(pipeline, size, 24.0).needed_bytes for size in ((320, 240), (640, 480))]
    between = sum(need) // 2
    with pytest.raises(InputError) as error:
        plan_film(pipeline, (640, 480), 24.0, free_bytes=between)
    text = str(error.value)
    assert f"takes about {need[1] / 2**30:.2f} GiB on cpu" in text
    assert f"got {between / 2**30:.2f} GiB free" in text
    side = int(text.split("--max-side ")[1].split()[0])
    smaller = (side, side * 3 // 4)
    assert plan_film(pipeline, smaller, 24.0, free_bytes=between).needed_bytes <= between
    with pytest.raises(InputError, match="Nothing smaller fits"):
        plan_film(pipeline, (640, 480), 24.0, free_bytes=1000)


def test_a_small_card_is_shown_offloading(pipeline, monkeypatch):
    """The arithmetic of a GPU, with no GPU asked: what only it can say is given."""
    monkeypatch.setattr(preflight, "choose_dtype", lambda device: torch.float32)
    monkeypatch.setattr(preflight, "matmul_rate", lambda device, dtype: 1e12)
    card, size = torch.device("cuda"), (64, 48)
    weights = {kind: resident_bytes(pipeline, kind, torch.float32) for kind in OFFLOADS}
    assert weights["none"] > weights["model"] > weights["sequential"]
    total = sum(p.numel() * 4 for part in networks(pipeline).values() for p in part.parameters())
    assert weights["none"] == total
    with pytest.raises(InputError, match="the weights take") as error:
        check_weights(pipeline, card, "none", free_bytes=int(0.6 * 2**30) + weights["model"] + 9)
    assert "--offload model" in str(error.value)
    assert "--offload sequential" in str(error.value)
    check_weights(pipeline, card, "none", free_bytes=2**30)
    guided = Sampling(2, GUIDED)
    roomy = plan_film(pipeline, size, 24.0, sampling=guided, device=card, free_bytes=8 * 2**30)
    assert roomy.batched_guidance
    tight = plan_film(
        pipeline, size, 24.0, sampling=guided, device=card, free_bytes=roomy.needed_bytes
    )
    assert not tight.batched_guidance
    needed = tight.needed_bytes
    with pytest.raises(InputError, match="--offload model"):
        plan_film(pipeline, size, 24.0, device=card, free_bytes=needed - 1000)


def test_a_machine_has_memory():
    assert 0 < available_bytes(CPU) <= psutil.virtual_memory().total


def test_a_films_settings_reach_the_studio(tmp_path, capsys, example_portrait, speech_file):
    studio = EMO2Pipeline.from_pretrained(device="cpu", offload="none", max_side_px=96)
    assert (studio.device, studio.max_side_px, studio.fps) == ("cpu", 96, 24)
    assert studio.stage2._execution_device == CPU
    asked = ["animate", "--portrait", str(example_portrait), "--audio", str(speech_file)]
    asked += ["--renderer", "film", "--out", str(tmp_path / "film.mp4")]
    assert main([*asked, "--device", "cuda:63"]) == 2
    assert "must be on this machine" in capsys.readouterr().err
    assert main([*asked, "--max-side", "7"]) == 2
    assert main([*asked, "--max-side", "160", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "film of 128 x 160 on cpu in float32: at most" in said


def test_the_demo_checkpoint_fits_a_small_machine():
    from emo2.stage2.pipeline import Stage2Pipeline

    plan = plan_film(Stage2Pipeline.from_pretrained(DEMO), (640, 512), 24.0)
    assert plan.needed_bytes < 2**31
