"""Process photos in threads, a few ahead of the caller, who gets the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .images import read_image

Item = TypeVar("Item")
Result = TypeVar("Result")


def work_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1, ahead: int = 1
) -> Generator[Result]:
    """Yield the result of `work` for each item, in order.

    Args:
        work: Function of an item; called in several threads if `threads` is more than 1.
        items: The items; a generator is read only as far as work goes ahead, by the caller's
            thread.
        threads: Number of threads.
        ahead: Number of results made ahead of the one asked for.

    Yields:
        The result. What `work` raised is raised at its turn.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                del item  # the caller's memory may hold few of them
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def read_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1, ahead: int = 1
) -> Iterator[Result | ImageError]:
    """As `work_ahead`, but an `ImageError` is a result: unreadable photos can be counted."""

    def tried(item: Item) -> Result | ImageError:
        try:
            return work(item)
        except ImageError as error:
            return error

    return work_ahead(tried, items, threads=threads, ahead=ahead)


def decoded(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8] | ImageError]:
    """Decode photos, one ahead: each is uint8 (H, W, 3) BGR, or an error of `read_image`."""
    return read_ahead(read_image, paths)
