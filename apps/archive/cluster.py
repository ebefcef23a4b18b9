"""Photos blurred by Ray's actors, one model in each.

Actors get paths, never pixels. A block of paths is the unit that is lost with an actor: Ray gives
it to another one. A block that is lost again and again holds a photo that ends the process, so its
photos are tried once more one by one.
"""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ...errors import MissingPackageError, PocketfaceError, UserError
from ..blur.manifest import Failed
from .job import Answer, Job, Photo, Worker

_log = logging.getLogger(__name__)

_BLOCK = 32
"""Photos that are handed out together: their lines are written together, and lost together."""

_RETRIES = 2
"""Times that a block is given to another actor after its own died."""

_REACHED = 5.0
"""Seconds until a cluster has to answer."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""With which a client of HTTP/2, that Ray speaks, begins (RFC 9113, section 3.4): empty settings.
A server answers with its own, whose fourth byte is the same 4."""


@contextmanager
def on_ray(address: str) -> Iterator[None]:
    """Connect to a cluster, or begin one on this machine that ends with the block.

    Args:
        address: HOST:PORT; "" for what RAY_ADDRESS or this machine has, else a new one.

    Raises:
        MissingPackageError: Ray is not installed.
        UserError: The address is none, or nobody answers there.
    """
    # It would tell its makers of each run, names of machines' resources among it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingPackageError("ray") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if address:
        _check_answers(address, f"--ray {address}")
    if ray.is_initialized():
        yield
        return
    known = os.environ.get("RAY_ADDRESS", "")
    if not address and known not in ("", "auto", "local"):
        _check_answers(known, f"RAY_ADDRESS {known}")
    try:
        ray.init(address=address or None, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"--ray {address}: cannot be used: {said}",
            hint="its token may be missing: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _check_answers(address: str, named: str) -> None:
    """Ray itself tries for minutes, deaf to Ctrl-C, and ends the process then."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise UserError(f"{named}: expected HOST:PORT of a cluster's head, as head:6379")
    try:
        line = socket.create_connection((host, int(port)), timeout=_REACHED)
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"{named}: no cluster answers there: {error}") from error
    with line:
        if os.environ.get("RAY_USE_TLS", "0") != "0":  # it begins otherwise
            return
        answer = b""
        with suppress(OSError):
            line.sendall(_HELLO)
            answer = line.recv(4, socket.MSG_WAITALL)
    if answer[3:] != _HELLO[-6:-5]:
        raise UserError(f"{named}: what answers there is no Ray cluster")


def blurred_by_ray(job: Job, photos: Sequence[Photo]) -> Iterator[list[Answer]]:
    """Blur photos on all of a cluster; the answers of each block as they come.

    Raises:
        PocketfaceError: No actor can start: its machine lacks a package, for example.
    """
    left = {job.where(photo.name): photo for photo in photos}
    for block in (_BLOCK, 1):
        for answers in _one_round(job, list(left.values()), block):
            for answer in answers:
                left.pop(answer.line.source, None)
            yield answers
        if not left:
            return
        _log.warning("%d photos were lost with the processes that blurred them", len(left))
    yield [Answer(Failed(where, "the process that blurred it died")) for where in left]


def _one_round(job: Job, photos: Sequence[Photo], block: int) -> Iterator[list[Answer]]:
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1
    threads = job.request.threads or 1
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = resources.get("CPU", 1)
    most = max(1, int(cpus // threads))
    # Fewer in a block where there are few, so that all actors have some.
    rows = max(1, min(block, len(photos) // (2 * most)))
    table = ray.data.from_items(
        [{"photo": photo.to_json()} for photo in photos],
        override_num_blocks=-(-len(photos) // rows),
    )
    with warnings.catch_warnings():
        # Of `max_task_retries`, which has no other place: setup.cfg has the last version.
        warnings.simplefilter("ignore", DeprecationWarning)
        answers = table.map_batches(
            Worker,
            fn_constructor_args=(job,),
            compute=ActorPoolStrategy(min_size=1, max_size=most),
            batch_size=None,
            batch_format="numpy",
            num_cpus=threads,
            max_task_retries=_RETRIES,
        )
    try:
        for batch in answers.iter_batches(batch_size=None, batch_format="numpy"):
            yield [Answer.from_json(text) for text in batch["answer"].tolist()]
    except ray.exceptions.RayError as error:
        raise PocketfaceError(f"--ray: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """The last line of what Ray tells, which is the exception of the actor."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix(f"{PocketfaceError.__module__}.PocketfaceError: ")
