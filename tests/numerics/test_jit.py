"""Compiled kernels that are cached stay those of their own module."""

import os
import subprocess
import sys
from pathlib import Path

_MODULE = """
from bayesmtl.numerics.jit import inner_kernel, kernel
from bayesmtl.numerics.slicing import slice_sampler

@inner_kernel
def log_target(x, args):
    return 0.0 if {low} < x < {high} else -1e300

step = slice_sampler(log_target)

@kernel
def draw(args, x, width, rng):
    return step(args, x, width, rng)
"""
_CALL = "draw((1.0,), {start}, 1.0, np.random.default_rng(1))"


def test_closures_of_two_modules_compiled_apart_are_not_mixed_up(tmp_path: Path) -> None:
    for name, low in (("first", 0.0), ("second", 10.0)):
        (tmp_path / f"{name}.py").write_text(_MODULE.format(low=low, high=low + 1.0))
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])]),
    }

    def run(code: str) -> str:
        code = f"import numpy as np, first, second; {code}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    one, two = f"first.{_CALL.format(start=0.5)}", f"second.{_CALL.format(start=10.5)}"
    run(one)
    run(two)
    first, second = (float(line) for line in run(f"print({one}); print({two})").split())
    assert 0.0 < first < 1.0
    assert 10.0 < second < 11.0
    assert second != 10.5
