"""Items made in a thread of their own while the ones before are in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterable[T], depth: int) -> Iterator[T]:
    """The same items in the same order, at most `depth` of them made before they are asked for.

    All of `items` runs in one other thread. What it raises is raised here, when the item would have
    come. Closing this generator ends that thread as soon as the item in the making is done.
    """
    source, coming = iter(items), deque()
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        try:
            coming.extend(thread.submit(next, source, _END) for _ in range(depth))
            while (item := coming.popleft().result()) is not _END:
                coming.append(thread.submit(next, source, _END))
                yield item
        finally:
            for future in coming:
                future.cancel()
