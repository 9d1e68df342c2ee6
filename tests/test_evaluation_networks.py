"""The published measures' networks: whose weights, the architectures against references, refusals.

The golden numbers were made with the reference implementations (pytorch-fid, pytorch-i3d,
syncnet_python, python_speech_features) holding the same filled weights; ours agreed to the last
bit.
"""

import base64
import hashlib
import importlib.util
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from emo2.cli import main
from emo2.errors import InputError, MissingCheckpoint
from emo2.evaluation.networks import get as command
from emo2.evaluation.networks import sources
from emo2.evaluation.networks.arcface import UPRIGHT, ArcFace, similarity, upright
from emo2.evaluation.networks.dwpose import DWPose, decode, fit
from emo2.evaluation.networks.i3d import I3D
from emo2.evaluation.networks.inception import FIDInception
from emo2.evaluation.networks.loading import load, open_onnx
from emo2.evaluation.networks.sources import SOURCES, Source, find, get
from emo2.evaluation.networks.syncnet import (
    SyncNet,
    at_25,
    face_boxes,
    face_crop,
    mfcc,
)
from emo2.types import AudioClip


def numbers(*shape):
    """Evenly spread over [-1, 1), the same on every machine."""
    count = np.prod(shape, dtype=np.int64)
    return ((np.arange(count) * 2654435761 % 2**32) / 2**31 - 1).reshape(shape)


def filled(network):
    for key, tensor in network.state_dict().items():
        values = numbers(*tensor.shape)
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_var"):
            values = 1 + 0.5 * values
        elif tensor.ndim > 1:
            values = values * np.sqrt(6 / tensor[0].numel())
        else:
            values = 1 + 0.1 * values if key.endswith("weight") else 0.1 * values
        tensor.copy_(torch.from_numpy(values))
    return network.eval()


def given(*shape):
    return torch.from_numpy(numbers(*shape)).float()


def facts(output):
    values = output.flatten()
    return [*values[:3].tolist(), values.mean().item(), values.std().item()]


@torch.inference_mode()
def test_inception_is_the_one_of_fid():
    network = filled(FIDInception())
    # Two states of batch norm beside its weights; the counters are not counted.
    assert len([k for k in network.state_dict() if not k.endswith("tracked")]) == 472
    assert sum(p.numel() for p in network.parameters()) == 23_850_960
    assert network.Mixed_7c.branch3x3dbl_3b.conv.weight.shape == (384, 384, 3, 1)
    golden = [1.767006324371323e-05, 0.058382746, 0.004983438, 0.010987683, 0.014479894]
    found = network(given(1, 3, 90, 70) * 0.5 + 0.5)
    assert found.shape == (1, 2048)
    np.testing.assert_allclose(facts(found), golden, rtol=1e-3, atol=1e-6)


@torch.inference_mode()
def test_i3d_is_the_reference():
    network = filled(I3D())
    assert sum(p.numel() for p in network.parameters()) == 12_697_264
    found = network(given(1, 3, 16, 224, 224))
    golden = [-0.17608772, 0.04328931, -0.01341278, -0.00039164, 0.07656285]
    np.testing.assert_allclose(facts(found), golden, rtol=1e-3, atol=1e-6)


@torch.inference_mode()
def test_syncnet_is_the_reference():
    network = filled(SyncNet())
    assert sum(p.numel() for p in network.parameters()) == 13_631_616
    found = network.of_mouth(given(1, 3, 5, 224, 224) * 127 + 128)
    golden = [0.02258509, 0.16751085, 0.10373813, 0.00168722, 0.36933121]
    np.testing.assert_allclose(facts(found), golden, rtol=1e-3, atol=1e-5)
    found = network.of_sound(given(1, 1, 13, 20) * 5)
    golden = [0.13490957, -0.09072881, 0.14457406, -0.00048813, 0.22210309]
    np.testing.assert_allclose(facts(found), golden, rtol=1e-3, atol=1e-5)


def test_syncnet_takes_five_frames_and_their_sound():
    network = filled(SyncNet())
    faces = [np.full((224, 224, 3), (10 * t, 0, 0), np.uint8) for t in range(7)]
    tone = AudioClip(np.sin(np.arange(16000) / 20).astype(np.float32))
    mouths, sounds = network.embed(faces, tone)
    assert mouths.shape == sounds.shape == (2, 1024)
    second = torch.zeros(1, 3, 5, 224, 224)
    second[0, 2] = 10.0 * torch.arange(1, 6)[:, None, None]  # red comes last
    with torch.inference_mode():
        np.testing.assert_allclose(mouths[1], network.of_mouth(second)[0], rtol=1e-3, atol=1e-4)
        heard = torch.from_numpy(mfcc(tone)[4:24].T[None, None])
        np.testing.assert_allclose(sounds[1], network.of_sound(heard)[0], rtol=1e-3, atol=1e-4)
    assert network.embed(faces[:5], tone)[0].shape == (0, 1024)


def test_syncnet_hears_what_it_was_trained_on():
    t = np.arange(8000) / 16000
    tone = 12000 * np.sin(2 * np.pi * (200 * t + 900 * t * t)) + 3000 * np.sin(2 * np.pi * 3100 * t)
    found = mfcc(AudioClip((tone.astype(np.int16) / 32768).astype(np.float32)))
    assert found.shape == (49, 13)
    first = [20.9512, -2.0566, 4.2952, 41.0245, -24.6567, -17.0999, 17.6639]
    last = [21.7856, 2.6905, -30.5537, -4.1958, -22.6093, 19.2401, 49.2238]
    np.testing.assert_allclose(found[0, :7], first, atol=2e-3)
    np.testing.assert_allclose(found[-1, :7], last, atol=2e-3)


def test_a_film_is_shown_to_syncnet_at_25_frames():
    shown = at_25(48, 24.0)
    assert len(shown) == 50
    assert shown[0] == 0
    assert shown[-1] == 47
    assert np.diff(shown).max() == 1
    assert list(at_25(5, 25.0)) == [0, 1, 2, 3, 4]


def test_faces_are_cut_with_their_chin_and_gaps_are_bridged():
    mesh = np.array([[40.0, 30.0], [60.0, 70.0]])
    boxes = face_boxes([mesh] * 7 + [None] * 3 + [mesh + 6] * 7)
    assert boxes.shape == (17, 3)
    assert np.isfinite(boxes).all()
    np.testing.assert_allclose(boxes[3], [50, 50, 20])
    assert face_boxes([None, None]) is None
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[30:70, 30:70] = 255  # the square of the longer side
    crop = face_crop(frame, np.array([50.0, 50.0, 20.0]))
    assert crop.shape == (224, 224, 3)
    # 0.4 of half a side to the left, and 0.8 of it below.
    rows, columns = crop[:, 112, 0] > 128, crop[60, :, 0] > 128
    assert rows[:150].all()
    assert not rows[170:].any()
    assert columns[45:180].all()
    assert not columns[np.r_[:25, 200:224]].any()
    at_the_rim = face_crop(frame, np.array([0.0, 0.0, 20.0]))
    assert (at_the_rim[0, 0] == 110).all()


# Loading ----------------------------------------------------------------------------------------


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(2, 3)
        self.norm = torch.nn.BatchNorm1d(3)


def test_loading_is_strict_but_for_counters(tmp_path):
    path, state = tmp_path / "small.pth", Small().state_dict()
    del state["norm.num_batches_tracked"]  # as files of old have it
    torch.save(state, path)
    loaded = load(Small(), path)
    assert torch.equal(loaded.line.weight, state["line.weight"])
    assert not loaded.training
    torch.save(state | {"line.weight": torch.zeros(3, 4)}, path)
    with pytest.raises(InputError, match=r"line\.weight"):
        load(Small(), path)
    torch.save({k: v for k, v in state.items() if k != "norm.bias"}, path)
    with pytest.raises(InputError, match=r"norm\.bias"):
        load(Small(), path)


class Planted:
    def __reduce__(self):
        return print, ("ran",)


def test_nothing_in_a_file_is_run(tmp_path, capsys):
    torch.save({"line.weight": Planted()}, tmp_path / "bad.pth")
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        load(Small(), tmp_path / "bad.pth")
    assert "ran" not in capsys.readouterr().out


def test_weights_that_are_not_there_are_named_with_the_command(tmp_path):
    for name, source in SOURCES.items():
        assert len(source.sha256) == 64
        with pytest.raises(MissingCheckpoint) as error:
            find(name, tmp_path)
        assert f"python -m emo2 weights get evaluation/{name}" in str(error.value)
        assert source.licence in str(error.value)
    with pytest.raises(InputError, match="inception"):
        find("nothing", tmp_path)


def test_a_file_of_that_name_with_other_bytes_is_refused(tmp_path):
    path = tmp_path / "syncnet" / SOURCES["syncnet"].file
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256"):
        find("syncnet", tmp_path)


def test_the_command_refuses_a_network_that_was_asked_for_by_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    words = ["evaluate", "video", "film.mp4", "--motion", "a.npz", "--portrait", "a.jpg"]
    assert main([*words, "--audio", "a.wav", "--networks", "syncnet"]) == 2
    assert "weights get evaluation/syncnet" in capsys.readouterr().err
    words = ["evaluate", "realism", "assets", "--real", "assets", "--measures", "fid"]
    assert main(words) == 2
    assert "weights get evaluation/inception" in capsys.readouterr().err


def of(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(tmp_path):
    """A folder over HTTP on this machine, and its address."""
    import functools
    import http.server
    import threading

    folder = tmp_path / "server"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def test_weights_are_fetched_where_they_are_looked_for(tmp_path, server, monkeypatch, capsys):
    folder, address = server
    (folder / "plain.pth").write_bytes(b"weights")
    with zipfile.ZipFile(folder / "pack.zip", "w") as pack:
        pack.writestr("pack/net.onnx", b"network")
        pack.writestr("../../other.onnx", b"never looked at")
    zipped = (folder / "pack.zip").read_bytes()
    common = {"measures": ("x",), "network": "a network", "licence": "none"}
    table = {
        "plain": Source(
            "plain", url=f"{address}/plain.pth", file="plain.pth", sha256=of(b"weights"), **common
        ),
        "packed": Source(
            "packed",
            url=f"{address}/pack.zip",
            file="net.onnx",
            sha256=of(b"network"),
            archive_sha256=of(zipped),
            size=len(zipped),
            **common,
        ),
        "wrong": Source(
            "wrong", url=f"{address}/plain.pth", file="a.pth", sha256=of(b"others"), **common
        ),
    }
    monkeypatch.setattr(sources, "SOURCES", table)
    monkeypatch.setattr(command, "SOURCES", table)
    home = tmp_path / "home"
    assert get("plain", home).read_bytes() == b"weights"
    assert get("packed", home).read_bytes() == b"network"
    assert [path.name for path in (home / "packed").iterdir()] == ["net.onnx"]
    assert not (tmp_path / "other.onnx").exists()
    with pytest.raises(InputError, match="sha256"):
        get("wrong", home)
    monkeypatch.setattr(sources, "FOLDER", tmp_path / "by_command")
    assert main(["weights", "get", "evaluation/plain"]) == 0
    assert "evaluate now prints x" in capsys.readouterr().out
    assert main(["weights", "get", "evaluation/nothing"]) == 2
    assert "plain, packed, wrong" in capsys.readouterr().err
    (folder / "plain.pth").unlink()  # what is there is not fetched again
    assert get("plain", home) == find("plain", home)


# ONNX -------------------------------------------------------------------------------------------


class FakeSession:
    """Stands where onnxruntime would: its answer is a function of what it is given."""

    def __init__(self, answer):
        self.answer, self.given = answer, None

    def get_inputs(self):
        return [SimpleNamespace(name="input.1")]

    def run(self, names, inputs):
        self.given = inputs["input.1"]
        return self.answer(self.given)


def test_faces_are_set_upright_for_arcface():
    turn = np.deg2rad(25)
    rotation = 3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = UPRIGHT @ rotation.T + [200, 90]
    found = similarity(points, UPRIGHT)
    np.testing.assert_allclose(points @ found[:, :2].T + found[:, 2], UPRIGHT, atol=1e-9)
    face = np.zeros((468, 2))
    for eye, place in zip(((33, 133), (362, 263)), points[:2], strict=True):
        face[list(eye)] = place + np.array([[-3, 1], [3, -1]])
    face[1], face[[61, 291]] = points[2], points[3:]
    frame = np.zeros((600, 700, 3), np.uint8)
    x, y = np.rint(points[2]).astype(int)
    frame[y - 5 : y + 6, x - 5 : x + 6] = (255, 0, 0)
    crop = upright(frame, face)
    assert crop.shape == (112, 112, 3)
    nose = np.argwhere(crop[..., 0] > 128).mean(axis=0)[::-1]
    np.testing.assert_allclose(nose, UPRIGHT[2], atol=1)
    session = FakeSession(lambda pixels: [np.arange(512.0)[None]])
    assert ArcFace(session).embed(frame, face).shape == (512,)
    assert session.given.shape == (1, 3, 112, 112)
    assert session.given.min() == -1
    assert session.given[0, 0].max() == 1  # red comes first


def test_dwpose_points_come_back_to_the_frame():
    into = fit(512, 704)
    corners = np.array([[0, 0], [512, 704]]) * into[0, 0] + into[:, 2]
    np.testing.assert_allclose(corners.mean(axis=0), [144, 192])
    assert (corners >= 0).all()
    rows_x, rows_y = np.zeros((133, 576), np.float32), np.zeros((133, 768), np.float32)
    target = np.array([100.0, 650.0])
    x, y = np.rint((target * into[0, 0] + into[:, 2]) * 2).astype(int)
    rows_x[:, x], rows_y[:, y] = 0.9, 0.7
    rows_y[91:112, y] = -0.1  # nothing seen
    session = FakeSession(lambda pixels: [rows_x[None], rows_y[None]])
    points, scores = DWPose(session).hands(np.zeros((704, 512, 3), np.uint8))
    assert session.given.shape == (1, 3, 384, 288)
    assert points.shape == (2, 21, 2)
    np.testing.assert_allclose(points[1], np.tile(target, (21, 1)), atol=1.5)
    np.testing.assert_allclose(scores[1], 0.7, rtol=1e-6)
    assert (scores[0] == 0).all()
    assert decode(rows_x, rows_y)[0].shape == (133, 2)


DOUBLER = (
    "CAgSADo5Cg4KAXgKAXgSAXkiA0FkZBIBZFoRCgF4EgwKCggBEgYKAAoCCANiEQoBeRIMCgoIARIGCgAKAggDQgQKABAN"
)
"""An ONNX file that doubles its input."""


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is None, reason="needs onnxruntime")
def test_onnx_files_are_run(tmp_path):
    (tmp_path / "double.onnx").write_bytes(base64.b64decode(DOUBLER))
    session = open_onnx(tmp_path / "double.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: np.ones((1, 3), np.float32)})
    assert (found == 2).all()


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime") is not None, reason="it is there")
def test_onnxruntime_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="pip install onnxruntime"):
        open_onnx(tmp_path / "any.onnx")
