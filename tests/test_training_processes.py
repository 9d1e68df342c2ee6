"""Several processes train as one: two on this CPU, over gloo, at toy size, through the command
line.

    python -m pytest -m slow tests/test_training_processes.py
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from motions import smooth_motion
from recorded_takes import sound
from safetensors.torch import load_file

from emo2.motion.formats import save_npz
from emo2.training.recorded import build

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
STEPS = ["--steps", "7", "--distil-steps", "2", "--joint-steps", "4"]
SHAPE = ["--batch-audio", "1", "--batch-motions", "2", "--batch-frozen", "2", "--warmup-steps", "2"]
LOGS = ["--log-every", "1", "--monitor-every", "7"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(4):
        sound(folder / "takes", f"{seed}", 6.0, seed=seed)
        save_npz(smooth_motion(144, seed), folder / "takes" / f"{seed}.npz")
    build(folder / "takes", folder / "corpus")
    return folder / "corpus"


def train(processes: int, corpus: Path, out: Path, *more: str) -> None:
    """`emo2 train gesture` in so many processes, as `accelerate launch` starts them."""
    arguments = ["--corpus", str(corpus), "--out", str(out), "--size", "small"]
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        launcher += ["-m"]
    command = [*launcher, "emo2", "train", "gesture", *arguments, *STEPS, *SHAPE, *LOGS, *more]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def two(corpus, tmp_path_factory) -> Path:
    """A whole run of two processes."""
    out = tmp_path_factory.mktemp("two")
    train(2, corpus, out)
    return out


def weights(out: Path) -> torch.Tensor:
    state = torch.load(out / "state.pt", weights_only=True)
    return torch.cat([value.double().flatten() for value in state["networks"].values()])


def test_two_processes_are_one_with_twice_the_batches(corpus, two, tmp_path):
    folders = {"two": two, "one": tmp_path / "one", "start": tmp_path / "start"}
    train(1, corpus, folders["one"], "--accumulate", "2")
    train(1, corpus, folders["start"], "--steps", "1", "--learning-rate", "0")
    way = (weights(folders["one"]) - weights(folders["start"])).norm()
    assert way > 0.05
    assert (weights(two) - weights(folders["one"])).norm() < 0.02 * way

    # One log and one checkpoint: the main process's. Losses in it are of all processes.
    config = json.loads((two / "config.json").read_text())
    assert config["processes"] == 2
    rows = {
        name: list(csv.DictReader((folders[name] / "log.csv").open())) for name in ("one", "two")
    }
    assert [int(row["step"]) for row in rows["two"]] == list(range(1, 8))
    assert float(rows["two"][-1]["validation"]) == pytest.approx(
        float(rows["one"][-1]["validation"]), rel=1e-2
    )
    files = "checkpoint/gesture/motion_dit/diffusion_pytorch_model.safetensors"
    one, both = (load_file(folders[name] / files) for name in ("one", "two"))
    assert one.keys() == both.keys()  # no name of a wrapper in it


def test_two_processes_stop_and_go_on_to_the_bit_and_stay_equal(corpus, two, tmp_path):
    """Across the joint part's end; each process writes down what it has in the end."""
    script = tmp_path / "part.py"
    script.write_text(PART)
    for until, resume in ((3, False), (7, True)):
        arguments = [str(corpus), str(tmp_path), str(until), str(resume)]
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", "2", str(script), *arguments]
        environment = {
            **os.environ,
            "ACCELERATE_USE_CPU": "true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        ranks = [np.load(tmp_path / f"rank{rank}.npy") for rank in (0, 1)]
        np.testing.assert_array_equal(ranks[0], ranks[1])
    assert torch.equal(weights(two), weights(tmp_path / "parts"))


PART = f"""
import sys
from pathlib import Path
import numpy as np
from emo2.training.gesture import GestureTraining
from emo2.training.mixture import Mixture
from emo2.training.options import parse

corpus, folder, until, resume = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
arguments = ["--corpus", corpus, "--out", str(folder / "parts"), "--size", "small"]
more = {[*STEPS, *SHAPE, *LOGS]!r}
options, config = parse([*arguments, *more, "--resume"])
training = GestureTraining(config, Mixture.load([corpus]), folder / "parts")
if resume == "True":
    training.resume()
training.run(until)
values = [p.detach().numpy().ravel() for p in training.networks.parameters()]
values += [p.numpy().ravel() for p in training.average.shadow_params]
np.save(folder / f"rank{{training.accelerator.process_index}}.npy", np.concatenate(values))
"""
