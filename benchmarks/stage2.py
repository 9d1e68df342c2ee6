"""What Stage 2 costs: seconds a frame, memory by length, and whether the preflight is right.

    python -m benchmarks.stage2 [--size demo|full]       seconds a frame, and the arithmetic floor
    python -m benchmarks.stage2 --memory 5 15 60 180     peak memory of films of so many seconds
    python -m benchmarks.stage2 --preflight              predicted against measured, four sizes

Prints JSON lines. Seconds are CPU seconds of one thread, so that a busy machine does not lie; on a
GPU they are by the clock. The floor is the work's floating-point operations over the rate of a
matrix product measured in the same run.

`--size full` has random weights of the paper's size. On a CPU one evaluation of a few frames is
measured and the rest follows from shapes: evaluations a frame times operations over that rate.

Films of `--memory` are whole: `emo2.cli animate --renderer film` in a process of its own, sampled
while it runs. Their network is tiny, so that minutes of film take minutes: what could grow with
length (sound, motion, drafts, maps, frames) is all there. `--demo` takes the demo's network.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch

from emo2.media import load_audio
from emo2.pipeline import DEMO_CHECKPOINT
from emo2.stage2.clip_cost import clip_cost, meta_twin
from emo2.stage2.conditions import Conditions
from emo2.stage2.devices import choose_device, choose_dtype
from emo2.stage2.dry_run import dry_run
from emo2.stage2.latents import LinearAutoencoder
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.preflight import matmul_rate
from emo2.stage2.sampling import Sampling
from emo2.training.video_model import FULL, VideoSize, build_pipeline
from emo2.types import AudioClip

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MIB = 2**20
TINY = VideoSize(
    block_out_channels=(8, 16),
    levels=(False, True),
    norm_num_groups=4,
    attention_heads=2,
    cross_attention_dim=8,
    guidance_channels=4,
    guidance_widths=(4, 4, 4, 4),
    long_side_px=128,
    num_inference_steps=1,
)
ECHOMIMIC = {"evaluations_a_frame": 30 * 2 * 1.4, "accelerated": 6 * 1 * 1.4}
"""EchoMimicV2's own code: steps x classifier-free guidance x windows of 12 that overlap by 3 (1.4
evaluations a frame at 120 frames)."""


def clocked(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of this thread's CPU, or by the clock on a GPU."""
    now = time.process_time if device.type == "cpu" else time.perf_counter
    start = now()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return now() - start


# Seconds a frame ------------------------------------------------------------------------------


def full_size() -> Stage2Pipeline:
    """The paper's size without weights; its latents are AutoencoderKL's of Stable Diffusion."""
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
        return build_pipeline(FULL, vae, audio_dim=768)


@torch.no_grad()
def speed(pipeline: Stage2Pipeline, size: tuple[int, int], frames: int, device: torch.device):
    """Facts of one evaluation of `frames` frames at the working size (H, W), and of a film."""
    dtype = choose_dtype(device)
    cost, sampling = clip_cost(pipeline, size, dtype), Sampling.of(pipeline.config)
    length, evaluations = pipeline.clip_length, sampling.evaluations(pipeline.scheduler)
    unet = pipeline.unet
    if unet.device.type == "meta":
        unet = copy.deepcopy(unet).to(dtype).to_empty(device=device)
        for parameter in unet.parameters():
            parameter.normal_(std=0.02)
    latents = torch.randn(1, unet.config.in_channels, frames, *(n // 8 for n in size))
    tokens = torch.randn(frames, 5, unet.config.cross_attention_dim)
    channels = unet.config.guidance_channels
    guidance = torch.randn(1, channels, frames, *latents.shape[3:])
    inputs = [x.to(device, dtype) for x in (tokens, guidance)]

    def evaluate() -> None:
        unet.denoise(latents.to(device, dtype), torch.tensor(500, device=device), *inputs)

    twin = meta_twin(pipeline, dtype).unet
    shapes = [x.to("meta") for x in (latents, torch.tensor(500), *inputs)]
    measured_flops = dry_run(lambda: twin.denoise(*shapes)).flops
    rate = matmul_rate(device, dtype)
    seconds = [clocked(evaluate, device) for _ in range(3 if frames == length else 2)]
    rate = max(rate, matmul_rate(device, dtype))
    per_frame = cost.flops(evaluations, length) / length
    reached = measured_flops / min(seconds)
    return {
        "size": size,
        "measured_frames": frames,
        "evaluation_s": round(min(seconds), 3),
        "evaluation_gflop": round(measured_flops / 1e9, 1),
        "matmul_gflop_s": round(rate / 1e9, 1),
        "reached_gflop_s": round(reached / 1e9, 1),
        "evaluations_a_frame": evaluations,
        "gflop_a_frame": round(per_frame / 1e9, 1),
        "s_a_frame": round(per_frame / reached, 3),
        "floor_s_a_frame": round(per_frame / rate, 3),
        "peak_mib_of_tensors": round(cost.peak_bytes / MIB, 1),
        "echomimic_v2_s_a_frame": {
            name: round(count * cost.evaluation.flops / length / reached, 3)
            for name, count in ECHOMIMIC.items()
        },
    }


# Memory by length -----------------------------------------------------------------------------


def weight_set(folder: Path, tiny: bool, side: int) -> Path:
    """A weight set like the demo's, of films `side` pixels long, perhaps with a tiny film model."""
    for part in ("audio", "gesture", "hands", "visemes", *([] if tiny else ["video"])):
        (folder / part).symlink_to(DEMO_CHECKPOINT / part)
    (folder / "config.json").write_text(json.dumps({"fps": 24.0, "max_side_px": side}))
    if tiny:
        torch.manual_seed(0)
        build_pipeline(TINY, LinearAutoencoder(16, 8), 128).save_pretrained(folder / "video")
    return folder


def speech(path: Path, seconds: float) -> Path:
    """A recording of the demo's speech, said again and again."""
    clip: AudioClip = load_audio(ASSETS / "welcome.flac")
    samples = np.resize(clip.samples, round(seconds * clip.sample_rate_hz))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clip.sample_rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def film_memory(checkpoint: Path, audio: Path, out: Path) -> dict[str, float]:
    """Peak and last-quarter resident memory of one whole film, its encoder's beside it."""
    command = [sys.executable, "-m", "emo2", "animate", "--renderer", "film", "--json"]
    command += ["--checkpoint", str(checkpoint), "--portrait", str(ASSETS / "amara.jpg")]
    command += ["--audio", str(audio), "--out", str(out)]
    start, seen, encoder = time.perf_counter(), [], 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            seen.append(process.memory_info().rss)
            encoder = max([encoder, *(c.memory_info().rss for c in process.children())])
        except psutil.Error:
            pass  # it has just ended
        time.sleep(0.2)
    if process.returncode:
        raise RuntimeError(f"the film of {audio} failed with {process.returncode}")
    return {
        "peak_mib": round(max(seen) / MIB),
        "last_quarter_peak_mib": round(max(seen[-len(seen) // 4 :]) / MIB),
        "encoder_mib": round(encoder / MIB),
        "wall_s": round(time.perf_counter() - start, 1),
    }


# Is the preflight right -----------------------------------------------------------------------


@torch.no_grad()
def clip_memory(pipeline: Stage2Pipeline, size: tuple[int, int]) -> dict[str, float]:
    """Tensors of one clip at the working size: counted from shapes, and what the process grew by
    at most while it was denoised. For a fresh process: memory that was freed hides growth."""
    predicted, length = clip_cost(pipeline, size, torch.float32).peak_bytes, pipeline.clip_length
    process, leans = psutil.Process(), pipeline.config.leans_on_draft
    warm = torch.randn(1, 3, 64, 64)
    pipeline.reference_net.extract(pipeline.encode(warm))  # kernels are compiled and kept
    before = process.memory_info().rss
    heard = pipeline.audio_projection.config
    conditions: Conditions = pipeline.condition(
        torch.rand(1, 7 if leans else 6, length, *size),
        torch.ones(1, length, 2),
        torch.randn(1, length, 2 * heard.radius + 1, heard.audio_dim),
        pipeline.reference_net.extract(pipeline.encode(torch.randn(1, 3, *size))),
        past=torch.randn(1, pipeline.config.motion_frames, 3, *size),
        draft=torch.randn(1, length, 3, *size) if leans else None,
    )
    channels, side = pipeline.vae.config.latent_channels, pipeline.latent_stride
    noise = torch.randn(1, channels, length, *(n // side for n in size))
    pipeline.denoise(noise, conditions, 1, Sampling.of(pipeline.config).scale)
    peak = high_water_bytes()
    return {
        "size": size,
        "predicted_tensors_mib": round(predicted / MIB, 1),
        "measured_growth_mib": round((peak - before) / MIB, 1),
        "ratio": round((peak - before) / predicted, 2),
    }


def high_water_bytes() -> int:
    """The most resident memory this process ever had."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """One of three measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=("demo", "full"), default="demo")
    parser.add_argument("--frames", type=int, help="of the measured evaluation; default: a clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", type=float, nargs="+", metavar="SECONDS")
    parser.add_argument("--demo", action="store_true", help="--memory with the demo's network")
    parser.add_argument("--side", type=int, default=512, help="of the films of --memory")
    parser.add_argument("--preflight", action="store_true")
    parser.add_argument("--clip", type=int, nargs=2, metavar=("H", "W"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    video = DEMO_CHECKPOINT / "video"
    if options.clip:
        torch.set_num_threads(1)
        facts = clip_memory(Stage2Pipeline.from_pretrained(video), tuple(options.clip))
        print(json.dumps(facts))
    elif options.preflight:
        for size in ((192, 160), (256, 208), (384, 320), (512, 416)):
            command = [sys.executable, "-m", "benchmarks.stage2", "--clip", *map(str, size)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    elif options.memory:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "set").mkdir()
            checkpoint = weight_set(folder / "set", not options.demo, options.side)
            for seconds in options.memory:
                audio = speech(folder / "speech.wav", seconds)
                facts = film_memory(checkpoint, audio, folder / "film.mp4")
                print(json.dumps({"film_s": seconds, **facts}), flush=True)
    else:
        device = choose_device(options.device)
        torch.set_num_threads(1)
        demo = options.size == "demo"
        pipeline = Stage2Pipeline.from_pretrained(video).to(device) if demo else full_size()
        size = pipeline.working_size(640, 512) if demo else (704, 512)
        frames = options.frames or pipeline.clip_length
        print(json.dumps({"network": options.size, **speed(pipeline, size, frames, device)}))


if __name__ == "__main__":
    main()
