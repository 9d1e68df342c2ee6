"""Downloads from a server of our own, conversion of pickles we make, and the list of sets."""

from __future__ import annotations

import hashlib
import json
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import echomimic_reference
import huggingface_hub.constants
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperModel

from emo2.cli import main
from emo2.errors import Cancelled, InputError, MissingCheckpoint
from emo2.stage2.echomimic_v2 import EchoMimicV2
from emo2.stage2.kinds import film_model
from emo2.weights import download
from emo2.weights.download import fetch
from emo2.weights.echomimic_v2 import ECHOMIMIC, VAE, WHISPER, Recipe, get
from emo2.weights.hub import Lock, pinned
from emo2.weights.list import sets
from emo2.weights.pickles import halved, read_state_dict

DATA = bytes(range(256)) * 4000
SHA = hashlib.sha256(DATA).hexdigest()


class Server:
    """Files by path over HTTP; `drop_after` ends each answer after so many bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges, self.drop_after, self.failures = True, None, 0
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *args) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, wanted = request.path.split("?")[0], request.headers.get("Range")
        self.asked.append((path, wanted))
        if self.failures:
            self.failures -= 1
            return request.send_error(503)
        if path not in self.files:
            return request.send_error(404)
        data = self.files[path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start and start >= len(data):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(data)}")
            request.send_header("Content-Length", "0")
            return request.end_headers()
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        request.send_header("Content-Length", str(len(data) - start))
        request.end_headers()
        request.wfile.write(data[start:][: self.drop_after])
        return None


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "RETRY_WAIT_S", 0.0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    made.files["/file"] = DATA
    yield made
    made.http.shutdown()
    made.http.server_close()


# ---- one file ------------------------------------------------------------------------------------


def test_a_file_is_fetched_checked_and_left_alone_after(server, tmp_path):
    heard = []
    path = fetch(
        f"{server.url}/file", tmp_path / "a" / "b", sha256=SHA, size=len(DATA),
        on_step=heard.append,
    )  # fmt: skip
    assert path.read_bytes() == DATA
    assert (heard[-1].stage, heard[-1].done, heard[-1].total) == ("download", len(DATA), len(DATA))
    assert [p.name for p in path.parent.iterdir()] == ["b"]
    fetch(f"{server.url}/file", path, sha256=SHA)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_it_goes_on_where_it_stopped(server, tmp_path, ranges):
    server.ranges = ranges

    def stop(progress):
        if progress.done >= 1:
            raise Cancelled

    path = tmp_path / "file"
    with pytest.raises(Cancelled):
        fetch(f"{server.url}/file", path, on_step=stop)
    partial = tmp_path / "file.partial"
    got = partial.stat().st_size
    assert 0 < got <= len(DATA)
    assert not path.exists()
    partial.write_bytes(DATA[:100_000])
    assert fetch(f"{server.url}/file", path, sha256=SHA).read_bytes() == DATA
    assert server.asked[-1] == ("/file", "bytes=100000-")


def test_dropped_connections_are_taken_up_again(server, tmp_path):
    server.drop_after = 300_000
    assert fetch(f"{server.url}/file", tmp_path / "file", sha256=SHA).read_bytes() == DATA
    assert [r for _, r in server.asked] == [None, *(f"bytes={n}00000-" for n in (3, 6, 9))]
    server.drop_after, server.failures = None, 2
    assert fetch(f"{server.url}/file", tmp_path / "again", sha256=SHA).read_bytes() == DATA


def test_what_comes_wrong_is_thrown_away(server, tmp_path):
    path = tmp_path / "file"
    with pytest.raises(InputError, match=f"sha256 {'0' * 64}.*/file"):
        fetch(f"{server.url}/file", path, sha256="0" * 64)
    with pytest.raises(InputError, match=f"must be 5 bytes; got {len(DATA)} bytes"):
        fetch(f"{server.url}/file", path, size=5)
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"old")
    assert fetch(f"{server.url}/file", path, sha256=SHA).read_bytes() == DATA
    (tmp_path / "whole.partial").write_bytes(DATA)
    assert fetch(f"{server.url}/file", tmp_path / "whole").read_bytes() == DATA
    (tmp_path / "long.partial").write_bytes(DATA + b"more")
    assert fetch(f"{server.url}/file", tmp_path / "long", sha256=SHA).read_bytes() == DATA


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("none", "HTTP 404.*--revision"),
        ("server", "connection to the server.*503"),
        ("truncated", "connection to the server.*0 bytes so far"),
        ("network", "connection to the server.*Check the network"),
        ("disk", "disk: needs .* GB more.*free in"),
        ("address", "http or https address"),
    ],
)
def test_clear_errors(server, tmp_path, monkeypatch, case, message):
    url, size = f"{server.url}/file", None
    if case == "none":
        url = f"{server.url}/nothing"
    elif case == "server":
        server.failures = 99
    elif case == "truncated":
        server.drop_after = 0
    elif case == "network":
        server.http.shutdown()
        server.http.server_close()
    elif case == "disk":
        size = 10**18
    else:
        url = "not an address"
    with pytest.raises(InputError, match=message):
        fetch(url, tmp_path / "file", size=size)
    assert not (tmp_path / "file").exists()


# ---- pickles -------------------------------------------------------------------------------------


def test_views_of_one_buffer_become_tensors_of_their_own(tmp_path):
    flat = torch.arange(1000.0).half()
    views = {"a": flat[10:16].view(2, 3), "b": flat[500:501]}
    torch.save(views, tmp_path / "views.pth")
    assert (tmp_path / "views.pth").stat().st_size > 2000
    read = read_state_dict(tmp_path / "views.pth")
    own = halved(read, "views")
    save_file(own, tmp_path / "own.safetensors")
    assert (tmp_path / "own.safetensors").stat().st_size < 300
    for name, tensor in load_file(tmp_path / "own.safetensors").items():
        assert torch.equal(tensor, views[name])
    torch.save(views, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert torch.equal(read_state_dict(tmp_path / "old.pth")["a"], views["a"])


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("owned"),))


@pytest.mark.parametrize("case", ["truncated", "old truncated", "code", "list", "empty", "text"])
def test_files_that_are_no_state_dicts(tmp_path, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    path, tensors = tmp_path / "weights.pth", {"a": torch.zeros(1000)}
    if case == "truncated":
        torch.save(tensors, path)
        path.write_bytes(path.read_bytes()[:-700])
    elif case == "old truncated":
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:-700])
    elif case == "code":
        path.write_bytes(pickle.dumps(Evil()))
    elif case == "text":
        path.write_text("<html>sign in</html>")
    else:
        torch.save([torch.zeros(1)] if case == "list" else {}, path)
    with pytest.raises(MissingCheckpoint, match=r"weights\.pth"):
        read_state_dict(path)
    assert not (tmp_path / "owned").exists()


def test_what_float16_cannot_hold():
    with pytest.raises(MissingCheckpoint, match=r"finite.*some file: a"):
        halved({"a": torch.tensor([1e6])}, "some file")


# ---- the set -------------------------------------------------------------------------------------


@pytest.fixture
def hub(server, tmp_path) -> Server:
    """A hub with EchoMimicV2's three repositories at toy size."""
    source = tmp_path / "published"
    dicts = echomimic_reference.state_dicts(torch.float16)
    flat = torch.cat([t.flatten() for t in dicts["pose"].values()])
    parts = flat.split([t.numel() for t in dicts["pose"].values()])
    pose = {k: p.view_as(t) for (k, t), p in zip(dicts["pose"].items(), parts, strict=True)}
    source.mkdir()
    for name, tensors in {
        "reference_unet": dicts["reference"],
        "denoising_unet": dicts["denoiser"],
        "motion_module": dicts["motion"],
        "pose_encoder": pose,
        "denoising_unet_acc": {k: 2 * v.float() for k, v in dicts["denoiser"].items()},
        "motion_module_acc": {k: v.float() for k, v in dicts["motion"].items()},
    }.items():
        torch.save(tensors, source / f"{name}.pth")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        norm_num_groups=2,
    ).save_pretrained(source / "vae")
    whisper = WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=8,
        decoder_layers=1, decoder_ffn_dim=8, vocab_size=8, num_mel_bins=80, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, max_target_positions=4,
    )  # fmt: skip
    WhisperModel(whisper).save_pretrained(source / "whisper")
    tensors = load_file(source / "whisper" / "model.safetensors")
    save_file({f"model.{k}": v for k, v in tensors.items()}, source / "whisper/model.safetensors")
    publish(server, ECHOMIMIC, source, source.glob("*.pth"))
    publish(server, VAE, source / "vae", (source / "vae").iterdir(), "mit")
    publish(server, WHISPER, source / "whisper", (source / "whisper").iterdir(), "apache-2.0")
    server.dicts = dicts
    return server


def publish(server, repository, folder, paths, licence=None, commit="c" * 40) -> None:
    siblings = []
    for path in paths:
        data = path.read_bytes()
        server.files[f"/{repository}/resolve/{commit}/{path.name}"] = data
        entry = {"rfilename": path.name, "size": len(data), "blobId": "b" * 40}
        if path.suffix != ".json":
            entry["lfs"] = {
                "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 1
            }  # fmt: skip
        siblings.append(entry)
    info = {"id": repository, "modelId": repository, "sha": commit, "siblings": siblings}
    info |= {"private": False, "tags": [], "downloads": 0, "likes": 0}
    info["cardData"] = {"license": licence} if licence else {}
    for end in ("", "/revision/main", f"/revision/{commit}"):
        server.files[f"/api/models/{repository}{end}"] = json.dumps(info).encode()


def recipe(hub, folder, **options) -> Recipe:
    unet = {"norm_num_groups": 32}
    return Recipe(folder, endpoint=hub.url, unet_config=unet, settings={"side_px": 64}, **options)


def test_a_set_is_fetched_converted_and_films(hub, tmp_path, speech_like):
    folder = get(recipe(hub, tmp_path / "set"))
    lock = json.loads((folder / "source.json").read_text())
    assert {f["revision"] for f in lock["files"]} == {"c" * 40}
    assert lock["licences"] == {ECHOMIMIC: None, VAE: "mit", WHISPER: "apache-2.0"}
    assert not (folder / "downloads").exists()
    for path in folder.rglob("*.safetensors"):
        assert all(t.dtype == torch.float16 for t in load_file(path).values()), path
    pipe = film_model(folder / "video")
    assert (pipe.config.num_inference_steps, pipe.config.guidance_scale) == (30, 2.5)
    direct = EchoMimicV2.from_state_dicts(
        **{name: {k: v.float() for k, v in d.items()} for name, d in hub.dicts.items()}
    )
    theirs, ours = direct.unet.state_dict(), pipe.unet.state_dict()
    assert all(
        torch.equal(v, ours[k]) if "pos_embed" not in k else torch.allclose(v, ours[k], atol=1e-3)
        for k, v in theirs.items()
    )
    config = json.loads((folder / "config.json").read_text())
    assert config["fps"] == 24
    assert (folder / config["parts"]["gesture"] / "model_index.json").is_file()
    asked = len(hub.asked)
    get(recipe(hub, folder))
    assert len(hub.asked) == asked  # all is there


def test_the_accelerated_weights(hub, tmp_path):
    folder = get(recipe(hub, tmp_path / "set", accelerated=True, keep=True))
    pipe = film_model(folder / "video")
    assert (pipe.config.num_inference_steps, pipe.config.guidance_scale) == (6, 1.0)
    expected = 2 * hub.dicts["denoiser"]["conv_in.weight"].float()
    assert torch.equal(pipe.unet.conv_in.weight, expected)
    assert len(list((folder / "downloads").rglob("*.pth"))) == 4


def test_it_goes_on_after_a_stop_at_the_commit_it_began_with(hub, tmp_path):
    folder, seen = tmp_path / "set", []

    def watch(name):
        seen.append(name)
        if name == "motion_module.pth":
            raise Cancelled
        return lambda progress: None

    with pytest.raises(Cancelled):
        get(recipe(hub, folder), watch)
    assert not (folder / "config.json").exists()
    for repository in (ECHOMIMIC, VAE, WHISPER):  # the repository moves on meanwhile
        hub.files[f"/api/models/{repository}"] = b"{}"
    hub.asked.clear()
    get(recipe(hub, folder))
    fetched = [path for path, _ in hub.asked]
    assert not any("reference_unet" in path or "/api/" in path for path in fetched)
    assert film_model(folder / "video").unet.dtype == torch.float32


def test_another_revision_is_pinned_anew(hub, tmp_path):
    wanted = {WHISPER: ("config.json",)}
    first = pinned(tmp_path / "source.json", wanted, {}, hub.url)
    publish(hub, WHISPER, tmp_path, [tmp_path / "published/whisper/config.json"], commit="d" * 40)
    assert pinned(tmp_path / "source.json", wanted, {}, hub.url) == first
    second = pinned(tmp_path / "source.json", wanted, {WHISPER: "d" * 40}, hub.url)
    assert second.files[0].revision == "d" * 40
    assert Lock.read(tmp_path / "source.json") == second
    with pytest.raises(InputError, match=r"must hold none\.bin"):
        pinned(tmp_path / "new.json", {WHISPER: ("none.bin",)}, {}, hub.url)
    with pytest.raises(InputError, match="HTTP 404"):
        pinned(tmp_path / "new.json", {"nobody/nothing": ("a",)}, {}, hub.url)


@pytest.mark.parametrize("case", ["wrong bytes", "other network", "truncated pickle", "vae"])
def test_wrong_weights_name_the_file(hub, tmp_path, case):
    published, commit = tmp_path / "published", "c" * 40
    if case == "wrong bytes":
        hub.files[f"/{ECHOMIMIC}/resolve/{commit}/motion_module.pth"] += b"!"
        message = r"must be \d+ bytes|sha256|motion_module"
    elif case == "other network":
        tensors = torch.load(published / "motion_module.pth")
        tensors.popitem()
        torch.save(tensors, published / "motion_module.pth")
        message = r"1 missing.*|denoising_unet\.pth and motion_module\.pth"
    elif case == "truncated pickle":
        path = published / "pose_encoder.pth"
        path.write_bytes(path.read_bytes()[:-300])
        message = r"whole file.*|pose_encoder\.pth"
    else:
        path = published / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        tensors.pop("decoder.conv_in.weight")
        save_file(tensors, path)
        publish(hub, VAE, published, (published / "vae").iterdir())
        message = r"decoder\.conv_in\.weight"
    if case in ("other network", "truncated pickle"):
        publish(hub, ECHOMIMIC, published, published.glob("*.pth"))
    with pytest.raises(InputError, match=message):
        get(recipe(hub, tmp_path / "set"))
    assert not (tmp_path / "set" / "config.json").exists()


def test_no_network_and_offline(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.http.shutdown()
    hub.http.server_close()
    assert main(["weights", "get", "echomimic_v2", "--to", str(tmp_path / "set")]) == 2
    assert "needs a connection" in capsys.readouterr().err
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert main(["weights", "get", "echomimic_v2", "--to", str(tmp_path / "set")]) == 2
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err


def test_the_command_line_gets_and_lists(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setattr("emo2.weights.echomimic_v2.CONVERTED_BYTES", 0)
    folder = tmp_path / "sets" / "echomimic_v2"
    before, after = sets(tmp_path / "sets"), None
    assert [(e.name, e.lacks) for e in before] == [
        ("echomimic_v2", ("all",)), ("echomimic_v2_accelerated", ("all",))
    ]  # fmt: skip
    assert main(["weights", "get", "echomimic_v2", "--to", str(folder)]) == 0
    assert f"--checkpoint {folder}" in capsys.readouterr().out
    after = sets(tmp_path / "sets")[0]
    assert after.lacks == ()
    assert after.bytes > 100_000
    assert "mit" in after.licence
    assert main(["weights", "list", "--in", str(tmp_path / "sets")]) == 0
    out = capsys.readouterr().out
    assert "ready" in out
    assert "weights get echomimic_v2 --accelerated" in out
