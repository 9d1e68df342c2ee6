"""The moving node tree of a glTF file: where every bone is at any time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.motion.formats.gltf_file import GltfFile
from emo2.motion.rotations import continuous, from_matrix, multiply, normalise, rotate, slerp

ON_KEY = 1e-3
"""How near, as a share of the time between keys, is on the key."""
_WIDTHS = {"rotation": 4, "translation": 3, "scale": 3}
_RESTS = {"rotation": (0.0, 0.0, 0.0, 1.0), "translation": (0.0,) * 3, "scale": (1.0,) * 3}


@dataclass(frozen=True)
class Channel:
    """One animated property of one node."""

    times_s: np.ndarray
    """(K,) rising."""
    values: np.ndarray
    """(K, width), or (3 K, width) for cubic splines: tangent in, value, tangent out."""
    interpolation: str

    def at(self, times_s: np.ndarray, is_rotation: bool) -> np.ndarray:
        """Values (N, width) at times (N,), held before the first key and after the last."""
        keys = self.times_s
        cubic = self.interpolation == "CUBICSPLINE"
        values = self.values[1::3] if cubic else self.values
        if len(keys) == 1:
            return np.repeat(values, len(times_s), axis=0)
        times_s = np.clip(times_s, keys[0], keys[-1])
        before = np.clip(np.searchsorted(keys, times_s, side="right") - 1, 0, len(keys) - 2)
        span = keys[before + 1] - keys[before]
        share = (times_s - keys[before]) / span
        # Key times are float32: what is meant to be on a key is beside it by a little.
        share = np.where(share < ON_KEY, 0.0, np.where(share > 1 - ON_KEY, 1.0, share))
        if self.interpolation == "STEP":
            return values[np.where(share >= 1.0, before + 1, before)]
        if cubic:
            t, span = share[:, None], span[:, None]
            out = (
                (2 * t**3 - 3 * t**2 + 1) * values[before]
                + (t**3 - 2 * t**2 + t) * span * self.values[2::3][before]
                + (3 * t**2 - 2 * t**3) * values[before + 1]
                + (t**3 - t**2) * span * self.values[0::3][before + 1]
            )
        elif is_rotation:
            values = continuous(values)
            out = slerp(values[before], values[before + 1], share)
        else:
            out = values[before] + share[:, None] * (values[before + 1] - values[before])
        return out


class Scene:
    """The nodes of a file and the channels of its first animation."""

    def __init__(self, gltf: GltfFile) -> None:
        """Raises `InputError` where nodes do not form a tree or channels are broken."""
        self._gltf = gltf
        self.nodes = gltf.items("nodes")
        self.names = [str(node.get("name", "")) for node in self.nodes]
        self.parents = self._tree()
        self.channels = self._channels()

    def value(self, node: int, path: str, times_s: np.ndarray) -> np.ndarray:
        """A node's "rotation" (N, 4) xyzw, "translation" or "scale" (N, 3), relative to its
        parent."""
        channel = self.channels.get((node, path))
        if channel is None:
            return np.repeat(self._rest(node, path)[None], len(times_s), axis=0)
        return channel.at(times_s, path == "rotation")

    def world(self, nodes: list[int], times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, len(nodes), 4) unit wxyz and places (N, len(nodes), 3) in the scene.

        Scales move children along, but are no part of a bone's rotation; hidden hands (scale 0)
        have places nevertheless, for only what hangs on them collapses.
        """
        known: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for node in nodes:
            chain = [node]
            while self.parents[chain[-1]] >= 0 and self.parents[chain[-1]] not in known:
                chain.append(self.parents[chain[-1]])
            for k in reversed(chain):
                xyzw = normalise(self.value(k, "rotation", times_s))
                turn = xyzw[:, [3, 0, 1, 2]]
                place = self.value(k, "translation", times_s)
                scale = self.value(k, "scale", times_s)
                if self.parents[k] >= 0:
                    above, there, size = known[self.parents[k]]
                    turn = multiply(above, turn)
                    place = there + rotate(above, size * place)
                    scale = size * scale
                known[k] = (turn, place, scale)
        turns = np.stack([known[k][0] for k in nodes], axis=1)
        return turns, np.stack([known[k][1] for k in nodes], axis=1)

    def rest(self, nodes: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The pose nothing is applied to: rotations (len(nodes), 4) wxyz and places.

        A skin's bind pose where one holds all these nodes, since exporters leave the nodes as they
        stood when the file was saved; else the nodes themselves.
        """
        for skin in self._gltf.items("skins"):
            joints = self._gltf.numbered(skin, "joints", "nodes")
            if "inverseBindMatrices" in skin and set(nodes) <= set(joints):
                columns = self._gltf.numbers(skin["inverseBindMatrices"], 16)
                rows = [joints.index(node) for node in nodes]
                if max(rows) < len(columns):
                    inverse = columns[rows].reshape(-1, 4, 4).transpose(0, 2, 1)
                    return self._decomposed(np.linalg.pinv(inverse))
        still, self.channels = self.channels, {}
        try:
            turns, places = self.world(nodes, np.zeros(1))
        finally:
            self.channels = still
        return turns[0], places[0]

    def _rest(self, node: int, path: str) -> np.ndarray:
        item = self.nodes[node]
        if "matrix" in item:
            matrix = self._vector(item["matrix"], 16, node).reshape(4, 4).T
            turn, place = self._decomposed(matrix[None])
            return {
                "rotation": turn[0, [1, 2, 3, 0]],
                "translation": place[0],
                "scale": np.linalg.norm(matrix[:3, :3], axis=0),
            }[path]
        return self._vector(item.get(path, _RESTS[path]), _WIDTHS[path], node)

    def _vector(self, value: object, width: int, node: int) -> np.ndarray:
        try:
            vector = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            vector = np.zeros(0)
        if vector.shape != (width,) or not np.isfinite(vector).all():
            raise self._gltf.refuse(f"node {node} must be placed by {width} numbers", value)
        return vector

    def _decomposed(self, matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = matrices[:, :3, :3]
        sizes = np.linalg.norm(columns, axis=1, keepdims=True)
        return from_matrix(columns / np.maximum(sizes, 1e-12)), matrices[:, :3, 3]

    def _tree(self) -> list[int]:
        parents = [-1] * len(self.nodes)
        for k, node in enumerate(self.nodes):
            for child in self._gltf.numbered(node, "children", "nodes"):
                if parents[child] >= 0:
                    raise self._gltf.refuse("must have one parent a node", f"node {child} has two")
                parents[child] = k
        for k in range(len(parents)):
            above, steps = k, 0
            while above >= 0:
                above, steps = parents[above], steps + 1
                if steps > len(parents):
                    raise self._gltf.refuse("must have a tree of nodes", f"a ring at node {k}")
        return parents

    def _channels(self) -> dict[tuple[int, str], Channel]:
        animations = self._gltf.items("animations")
        if not animations:
            raise self._gltf.refuse("must have an animation", "none")
        samplers = self._gltf.objects(animations[0], "samplers")
        times: dict[int, np.ndarray] = {}
        found = {}
        for channel in self._gltf.objects(animations[0], "channels"):
            target = self._gltf.object(channel, "target")
            path, node = str(target.get("path")), target.get("node")
            if path not in _WIDTHS or node is None:
                continue  # morph targets and pointers move no bone
            self._gltf.item("nodes", node)
            index = channel.get("sampler")
            if type(index) is not int or not 0 <= index < len(samplers):
                raise self._gltf.refuse(f"must refer to one of {len(samplers)} samplers", index)
            sampler = samplers[index]
            key = sampler.get("input")
            self._gltf.item("accessors", key)
            if key not in times:
                times[key] = self._gltf.numbers(key, 1)[:, 0]
            found[node, path] = self._channel(times[key], sampler, path)
        if not found:
            raise self._gltf.refuse("must move its bones", "an animation without such channels")
        return found

    def _channel(self, times_s: np.ndarray, sampler: dict, path: str) -> Channel:
        values = self._gltf.numbers(sampler.get("output"), _WIDTHS[path])
        kind = str(sampler.get("interpolation", "LINEAR"))
        rows = len(times_s) * (3 if kind == "CUBICSPLINE" else 1)
        if kind not in ("LINEAR", "STEP", "CUBICSPLINE") or len(values) != rows:
            raise self._gltf.refuse(f"must have {rows} {kind} keys", len(values))
        if (np.diff(times_s) <= 0).any():
            raise self._gltf.refuse("key times must rise", "times that stand or fall")
        return Channel(times_s, values, kind)
