"""Silence for other packages: nested, from several threads, and where there is no console."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from pocketface.quiet import quiet


def test_what_is_said_inside_is_lost_and_afterwards_heard(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet():
        print("one")
        os.write(1, b"two")
        os.write(2, b"three")
        warnings.warn("four", stacklevel=1)
        logging.getLogger("other").warning("five")
        with quiet():
            print("six")
        print("seven")
    print("heard")
    os.write(2, b"heard too")
    assert capfd.readouterr() == ("heard\n", "heard too")
    with pytest.warns(UserWarning, match="eight"):
        warnings.warn("eight", stacklevel=1)


def test_threads_may_be_in_it_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    stdout, together = sys.stdout, threading.Barrier(8)

    def inside(_: int) -> None:
        for _ in range(50):
            together.wait()
            with quiet():
                print("lost")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(inside, range(8)))
    assert sys.stdout is stdout
    print("heard")
    os.write(1, b"heard too")
    sys.stdout.flush()
    out = capfd.readouterr().out
    assert "lost" not in out
    assert "heard\n" in out
    assert "heard too" in out


def test_an_exception_passes_and_ends_the_silence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), quiet():
        raise ValueError("inside")
    print("heard")
    assert capfd.readouterr().out == "heard\n"


@pytest.mark.parametrize(
    "gone", ["sys.stdout = sys.stderr = None", "os.close(1)", "sys.stdout.close()"]
)
def test_without_a_console(gone: str) -> None:
    code = f"import os, sys\nfrom pocketface.quiet import quiet\n{gone}\nwith quiet():\n    pass\n"
    code += "os.write(2, b'well')\nos._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "well")
