"""What a computation costs, without computing: shapes alone are run, on PyTorch's meta device.

In: a function of meta tensors and meta networks. Out: `Cost`: the floating-point operations it
takes and the most bytes that its tensors hold at once. Attention is counted as the fused kernels
run it, which never hold the matrix of weights.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Of one computation."""

    flops: int
    """Multiplications and additions, of matrix products, convolutions and attention."""
    peak_bytes: int
    """Held at once by tensors that the computation made; neither its inputs nor weights."""


@torch.no_grad()
def dry_run(work: Callable[[], object]) -> Cost:
    """The cost of `work`, whose tensors are all on the meta device."""
    attention, memory = _FusedAttention(), _LiveBytes()
    with FlopCounterMode(display=False) as counter, memory, attention:
        result = work()
    del result
    return Cost(counter.get_total_flops() + attention.flops, memory.peak)


class _LiveBytes(TorchDispatchMode):
    """Follows every storage from its making to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakSet()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if _is_meta(x)}
        for tensor in tree_leaves(made):
            if _is_meta(tensor) and id(tensor.untyped_storage()) not in given:
                self._follow(tensor.untyped_storage())
        return made

    def _follow(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._end, size)

    def _end(self, size: int) -> None:
        self.now -= size


class _FusedAttention(TorchFunctionMode):
    """On the meta device attention would be spelt out: here it is one step of fused cost."""

    flops = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args[:3]
        pairs = math.prod(query.shape[:-1]) * key.shape[-2]
        self.flops += 2 * pairs * (query.shape[-1] + value.shape[-1])
        return query.new_empty((*query.shape[:-1], value.shape[-1]))


def _is_meta(value: object) -> bool:
    return isinstance(value, Tensor) and value.device.type == "meta"
