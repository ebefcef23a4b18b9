"""Work on photos in threads, a few ahead of whoever takes the results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import ImageError
from .images import read_image

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1, ahead: int = 1
) -> Iterator[Result | ImageError]:
    """The result of `work` for each item, in their order.

    Args:
        work: Reads or makes something; called in several threads if `threads` is more than 1.
        items: Taken from a generator only as far as is worked ahead.
        threads: At work at once.
        ahead: Results made before they are asked for, the one asked for not counted.

    Yields:
        The result, or the `ImageError` that `work` raised: a photo that cannot be read is the
        caller's to count. Any other exception is raised when its turn comes.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        made: Result | ImageError
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > ahead:
                    made = _result_of(waiting.popleft())
                    yield made
            while waiting:
                made = _result_of(waiting.popleft())
                yield made
        finally:
            for one in waiting:
                one.cancel()


def decoded(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8] | ImageError]:
    """Photos as `read_image` gives them, uint8 (H, W, 3) BGR, or why it does not; one ahead."""
    return read_ahead(read_image, paths)


def _result_of(one: Future[Result]) -> Result | ImageError:
    try:
        return one.result()
    except ImageError as error:
        return error
