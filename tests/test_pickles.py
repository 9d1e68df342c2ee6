"""Pickles: what is read out of them, and what never happens."""

import collections
import gzip
import io
import os
import pickle
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emo2.errors import InputError
from emo2.motion.formats import read_motion
from emo2.motion.formats.stand_ins import ARRAYS
from emo2.motion.formats.unpickling import TENSORS, load_pickle

GOOD = {
    "array": np.arange(12.0).reshape(3, 4),
    "columns": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "scalar": np.float32(2.5),
    "flags": np.array([True, False]),
    "words": np.array(["left", "r"]),
    "none at all": np.zeros((0, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "plain": [1, -2.5, None, True, "x", b"yy", {"k": (1, 2, 3, 4)}],
}


def same(a, b) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(b[key], value)
            assert b[key].dtype.newbyteorder("=") == value.dtype.newbyteorder("=")
        else:
            assert b[key] == value


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_come_out_of_every_protocol(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(GOOD, protocol))
    same(GOOD, load_pickle(tmp_path / "a.pkl", ARRAYS))


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_joblib_dumps_are_read(tmp_path, compress):
    import joblib

    joblib.dump(GOOD, tmp_path / "a.pkl", compress=compress)
    same(GOOD, load_pickle(tmp_path / "a.pkl", ARRAYS))


def test_what_users_save_beside_the_numbers_is_no_obstacle(tmp_path):
    held = collections.defaultdict(list, {"img": [Path("a/b.png")], "device": torch.device("cpu")})
    held["order"] = collections.OrderedDict(b=1, a=np.float64(2))
    held["seen"] = {"left"}
    for protocol in range(pickle.HIGHEST_PROTOCOL):  # sets have an opcode of their own from 4 on
        if protocol == 4:
            del held["seen"]
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(held, protocol))
        read = load_pickle(tmp_path / "a.pkl", {**ARRAYS, **TENSORS})
        assert read["img"] == ["a/b.png"]
        assert read["order"] == {"b": 1, "a": 2.0}
        assert read["device"] == "cpu"


def test_tensors_come_out_as_arrays(tmp_path):
    base = torch.arange(24.0).reshape(2, 3, 4)
    held = {
        "turned": base.permute(2, 0, 1)[1:],
        "repeated": torch.ones(1, 3).expand(4, 3),
        "half": torch.tensor([0.5, 1.5], dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "empty": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
        "numbers": torch.arange(3, dtype=torch.int16),
    }
    held["the same again"] = held["turned"]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
    torch.save({**held, "frames": [{"numpy": np.arange(3)}]}, tmp_path / "b.pkl")
    for name in ("a.pkl", "b.pkl"):
        read = load_pickle(tmp_path / name, {**ARRAYS, **TENSORS})
        for key, value in held.items():
            np.testing.assert_array_equal(read[key], value.detach().float().numpy(), err_msg=key)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def reference(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    data = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(data)) + data


def array_state(shape: bytes, data: bytes = b"C\x04abcd", dtype: bytes = b"U\x02f4") -> bytes:
    """The pickle of an array with any claims about it."""
    made = reference("numpy.core.multiarray", "_reconstruct") + reference("numpy", "ndarray")
    made += b"K\x00\x85U\x01b\x87R(K\x01" + shape + reference("numpy", "dtype") + dtype
    return made + b"\x89\x88\x87R\x89" + data + b"tb."


def attacks(canary: Path) -> dict[str, bytes]:
    shell = f"touch {canary}"
    python = f"open({str(canary)!r}, 'w')"
    inner = pickle.dumps(Call(os.system, shell), 2)
    objects = io.BytesIO()
    np.save(objects, np.array([Call(os.system, shell)], dtype=object), allow_pickle=True)
    archive = io.BytesIO()
    torch.save({"x": Call(os.system, shell)}, archive)
    command = text(shell) + b"\x85R."
    storage = reference("torch.storage", "_load_from_bytes") + pickle.BINBYTES
    bomb = b"}" + b")" + b"\x86".join([b"2"] * 40) + b"\x86K\x01s."
    return {
        **{f"system, protocol {p}": pickle.dumps(Call(os.system, shell), p) for p in range(6)},
        "eval": pickle.dumps(Call(eval, python), 0),
        "exec in a list in a dictionary": pickle.dumps({"a": [1, Call(exec, python)]}),
        "getattr": pickle.dumps(Call(getattr, "x", "upper")),
        "opcode INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "opcode OBJ": b"(" + reference("os", "system") + text(shell) + b"o.",
        "opcode NEWOBJ_EX": b"\x80\x04" + reference("os", "system") + b")}\x92.",
        "stack global": b"\x80\x04" + text("os") + text("system") + b"\x93" + command,
        "dotted name": b"\x80\x04" + text("numpy") + text("os.system") + b"\x93" + command,
        "numpy.load": reference("numpy", "load") + command,
        "numpy runstring": reference("numpy.testing._private.utils", "runstring")
        + text(python)
        + b"}\x86R.",
        "torch.load": reference("torch", "load") + command,
        "torch.hub": reference("torch.hub", "load") + command,
        "joblib.load": reference("joblib", "load") + command,
        "extension registry": b"\x82\x01.",
        "persistent id": b"Pabc\n.",
        "inside a tensor": storage + struct.pack("<I", len(inner)) + inner + b"\x85R.",
        "inside a torch archive": archive.getvalue(),
        "inside a tensor, later": storage
        + struct.pack("<I", 4 * len(inner))
        + pickle.dumps(1) * 3
        + inner * 4
        + b"\x85R.",
        "inside zlib": zlib.compress(inner),
        "inside gzip": gzip.compress(inner),
        "calls a string": text("os.system") + command,
        "calls a list": b"]" + command,
        "an array of objects": pickle.dumps(np.array([Call(os.system, shell)], dtype=object)),
        "an array file as a pickle": objects.getvalue(),
        "object dtype": reference("numpy", "dtype") + b"U\x02O8\x89\x88\x87R.",
        "structured dtype": reference("numpy", "dtype") + b"U\x03V99\x89\x88\x87R.",
        "subclass of an array": reference("numpy.core.multiarray", "_reconstruct")
        + reference("numpy", "dtype")
        + b"K\x00\x85U\x01b\x87R.",
        "codec": reference("_codecs", "encode") + text("os") + text("rot13") + b"\x86R.",
        "huge array": array_state(b"\x8a\x06\x00\x00\x00\x00\x00\x7f\x85"),
        "negative array": array_state(b"J\xff\xff\xff\xff\x85"),
        "shape of other than numbers": array_state(b"]\x85"),
        "array of a tuple bomb": array_state(b")" + b"2\x86" * 60),
        "array in other than bytes": array_state(b"K\x01\x85", b"]"),
        "state of a dictionary": b"}}b.",
        "state of a function": reference("numpy", "ndarray") + b"}b.",
        "attributes of a dtype": reference("numpy", "dtype")
        + b"U\x02f4\x89\x88\x87R}"
        + text("__class__")
        + b"K\x01sb.",
        "items of an array": array_state(b"K\x01\x85")[:-1] + b"K\x00K\x01s.",
        "tuples in tuples as a key": bomb,
        "one text encoded over and over": text("a" * 60_000)
        + b"q\x00(l"
        + 2000 * (reference("_codecs", "encode") + b"h\x00" + text("latin1") + b"\x86Ra")
        + b".",
        "one array filled over and over": array_state(
            b"M\x60\xea\x85", b"B\x80\xa9\x03\x00" + bytes(240_000)
        )[:-2]
        + b"q\x00b"
        + 2000 * b"h\x00b"
        + b".",
        "set of tuples": b"\x80\x04\x8f(" + b")" * 9 + b"\x90.",
        "bytearray of a petabyte": b"\x80\x05\x96" + struct.pack("<Q", 1 << 50) + b"x.",
        "text of 4 GB": b"X\xff\xff\xff\xffx.",
        "bytes of an exabyte": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
        "frame of an exabyte": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
        "number of 2 GB": b"\x8b\xff\xff\xff\x7fx.",
        "unknown protocol": b"\x80\x63N.",
        "no stop": b"K\x01",
        "empty stack": b"0.",
        "nothing": b"",
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "zeros": bytes(64),
    }


NAMES = list(attacks(Path("x")))


@pytest.mark.parametrize("name", NAMES)
def test_attacks_are_refused_before_anything_runs(tmp_path, name):
    canary = tmp_path / "canary"
    file = tmp_path / "attack.pkl"
    file.write_bytes(attacks(canary)[name])
    with pytest.raises(InputError) as caught:
        load_pickle(file, {**ARRAYS, **TENSORS})
    assert "attack.pkl" in str(caught.value)
    assert not canary.exists()
    with pytest.raises(InputError):
        read_motion(file)
    assert not canary.exists()


def test_the_attacks_are_real(tmp_path):
    """A plain unpickler falls for them; so the canary above would have been seen."""
    canary = tmp_path / "canary"
    for name in ("system, protocol 2", "eval", "opcode INST", "an array of objects"):
        pickle.loads(attacks(canary)[name])
        assert canary.exists(), name
        canary.unlink()


def test_tensors_cannot_claim_what_they_do_not_hold(tmp_path):
    whole = pickle.dumps(torch.arange(4.0), 2)
    assert whole.count(b"K\x04\x85") == 1
    file = tmp_path / "a.pkl"
    for size in (b"J\xff\xff\xff\x7f\x85", b"K\x05\x85", b"J\xff\xff\xff\xff\x85"):
        file.write_bytes(whole.replace(b"K\x04\x85", size))
        with pytest.raises(InputError, match="torch tensor of"):
            load_pickle(file, {**ARRAYS, **TENSORS})


def test_lists_that_hold_themselves_do_not_hang(tmp_path):
    nest = [1.0] * 10
    for _ in range(40):
        nest = [nest, nest]
    loop = []
    loop.append(loop)
    for held in (nest, loop):
        track = {"global_orient": held, "hand_pose": held, "right": [1]}
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(track))
        with pytest.raises(InputError):
            read_motion(tmp_path / "a.pkl", format="mano")
    wide = [None] * 3000
    for held in (nest, [[[wide] * 3000] * 3000] * 3000):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
        with pytest.raises(InputError, match="nested so deep"):
            read_motion(tmp_path / "a.pkl")


@cache
def whole_pickle(protocol):
    """Pickled once: torch writes the address of a tensor's storage into its pickle, in digits, so
    that the length may change from call to call; Hypothesis must be able to draw a place again."""
    return pickle.dumps({"a": torch.ones(3), "b": GOOD}, protocol)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_pickles_never_end_in_anything_but_an_input_error(tmp_path_factory, data):
    whole = bytearray(whole_pickle(data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    file = tmp_path_factory.mktemp("damaged") / "a.pkl"
    file.write_bytes(whole[:cut])
    try:
        load_pickle(file, {**ARRAYS, **TENSORS})
    except InputError:
        return
    assert cut > len(whole) - 3 or whole[:cut].count(b".") > 0
