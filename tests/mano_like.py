"""Files that look like MANO's own to the byte, with made-up hands in them.

MANO's are Python-2 pickles of protocol 2: text and bytes are one type, `shapedirs` is a chumpy node
over a wider array, `J_regressor` a SciPy matrix under a module name of long ago.
"""

import pickle
import struct
import sys
import types
from pathlib import Path

import numpy as np
from scipy.sparse import csc_matrix

FREE = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its one kind of string."""

    def __init__(self, file):
        super().__init__(file, protocol=2)

    def save_text(self, text):
        data = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)


Python2Pickler.dispatch = {
    **pickle._Pickler.dispatch,
    bytes: Python2Pickler.save_text,
    str: Python2Pickler.save_text,
}


def hand_arrays(side: str, *, left_bug: bool = True) -> dict[str, np.ndarray]:
    """A made-up hand, double precision like MANO's: our free hand's surface, with a mean hand and
    principal components of its own; the left `shapedirs` are the right hand's, as in MANO."""
    arrays = {k: v.copy() for k, v in np.load(FREE / f"MANO_{side}.npz").items()}
    arrays = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in arrays.items()}
    arrays["kintree_table"] = arrays["kintree_table"].astype(np.uint32)  # the root is 2^32 - 1
    if side == "LEFT" and left_bug:
        arrays["shapedirs"][:, 0] *= -1
    random = np.random.default_rng(7)
    arrays["hands_components"], _ = np.linalg.qr(random.normal(size=(45, 45)))
    mean = 0.3 * random.normal(size=45)
    flip = np.tile([1.0, -1.0, -1.0], 15)
    arrays["hands_mean"] = mean * flip if side == "LEFT" else mean
    if side == "LEFT":
        arrays["hands_components"] = arrays["hands_components"] * flip
    return arrays


def write_pickle(path: Path, arrays: dict[str, object], monkeypatch) -> None:
    """`arrays` as MANO's pickle: chumpy and SciPy classes that exist only while it is written."""

    def stub(module: str, name: str) -> type:
        made = sys.modules.get(module)
        if not getattr(made, "IS_STUB", False):
            made = types.ModuleType(module)
            made.IS_STUB = True
            monkeypatch.setitem(sys.modules, module, made)
        made.__dict__[name] = type(name, (), {"__module__": module})
        return made.__dict__[name]

    stub("chumpy", "none")
    ch, select = stub("chumpy.ch", "Ch"), stub("chumpy.reordering", "Select")
    matrix = stub("scipy.sparse.csc", "csc_matrix")
    held = {**arrays, "bs_style": "lbs", "bs_type": "lrotmin", "hands_coeffs": np.ones((5, 45))}
    if isinstance(arrays.get("shapedirs"), np.ndarray) and arrays["shapedirs"].ndim == 3:
        wide = np.concatenate([arrays["shapedirs"], np.ones((778, 3, 10))], axis=2)
        inner, outer = ch(), select()
        inner.__dict__.update(x=wide, _dirty_vars=set(), _itr=None)
        idxs = np.arange(wide.size).reshape(wide.shape)[..., :10].ravel()
        outer.__dict__.update(a=inner, idxs=idxs, preferred_shape=(778, 3, 10))
        held["shapedirs"] = outer
    if isinstance(arrays.get("J_regressor"), np.ndarray):
        columns, made = csc_matrix(arrays["J_regressor"]), matrix()
        made.__dict__.update(
            _shape=columns.shape,
            data=columns.data,
            indices=columns.indices,
            indptr=columns.indptr,
            format="csc",
            maxprint=50,
        )
        held["J_regressor"] = made
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Python2Pickler(file).dump(held)
    for module in [name for name, m in sys.modules.items() if getattr(m, "IS_STUB", False)]:
        monkeypatch.delitem(sys.modules, module)


def write_folder(folder: Path, monkeypatch, **changes) -> Path:
    """Both hands as pickles."""
    for side in ("LEFT", "RIGHT"):
        write_pickle(folder / f"MANO_{side}.pkl", hand_arrays(side, **changes), monkeypatch)
    return folder
