"""Chains as threads: streams of random numbers, order, failure and Ctrl-C."""

import io
import threading
import time
from typing import Any

import numpy as np
import pytest
import rich.console

import bayesmtl.inference.chains as chains_module
from bayesmtl.inference.chains import ChainControl, available_cores, run_chains


def count(iterations: int) -> Any:
    def chain(rng: np.random.Generator, control: ChainControl) -> tuple[int, float]:
        for _ in range(iterations):
            if control.stop.is_set():
                break
            control.advance()
        return control.chain, float(rng.random())

    return chain


def run(chain: Any, **settings: Any) -> Any:
    defaults = {"chains": 3, "cores": 2, "iterations": 5, "random_seed": 1, "progressbar": False}
    return run_chains(chain, **{**defaults, **settings})


def test_results_come_in_the_order_of_the_chains() -> None:
    def chain(rng: np.random.Generator, control: ChainControl) -> int:
        time.sleep(0.02 * (2 - control.chain))
        return control.chain

    result = run(chain, cores=3)
    assert result.results == [0, 1, 2]
    assert not result.interrupted


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_streams_do_not_depend_on_the_number_of_cores(cores: int) -> None:
    values = [value for _, value in run(count(5), cores=cores).results]
    expected = [np.random.default_rng(seed).random() for seed in np.random.SeedSequence(1).spawn(3)]
    assert values == expected
    assert len(set(values)) == 3


def test_without_a_seed_runs_differ() -> None:
    first, second = (run(count(1), random_seed=None).results for _ in range(2))
    assert first != second


def test_no_more_threads_than_cores() -> None:
    running, most, lock = [0], [0], threading.Lock()

    def chain(rng: np.random.Generator, control: ChainControl) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1

    run(chain, chains=5, cores=2)
    assert most[0] == 2


def test_ctrl_c_stops_every_chain_and_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    started = threading.Event()

    def chain(rng: np.random.Generator, control: ChainControl) -> str:
        started.set()
        assert control.stop.wait(10)
        return f"stopped {control.chain}"

    def press(*arguments: Any, **settings: Any) -> Any:
        assert started.wait(10)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(chains_module, "wait", press)
    result = run(chain, chains=2)
    assert result.interrupted
    assert result.results == ["stopped 0", "stopped 1"]


def test_chains_that_had_not_begun_are_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    original = chains_module._watch

    def press(*arguments: Any) -> None:
        monkeypatch.setattr(chains_module, "_watch", original)
        raise KeyboardInterrupt

    monkeypatch.setattr(chains_module, "_watch", press)

    def chain(rng: np.random.Generator, control: ChainControl) -> bool:
        return control.stop.wait(10)

    assert run(chain, chains=3, cores=1).results == [True, True, True]


def test_a_chain_that_fails_stops_the_others_and_its_error_is_raised() -> None:
    stopped = []

    def chain(rng: np.random.Generator, control: ChainControl) -> None:
        if control.chain == 1:
            raise ValueError("chain 1 broke")
        stopped.append(control.stop.wait(10))

    with pytest.raises(ValueError, match="chain 1 broke"):
        run(chain, chains=2)
    assert stopped == [True]


def test_progress_counts_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    original = rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda: original(file=out, force_terminal=True, width=100)
    )
    run(count(5), chains=2, progressbar=True)
    assert "chain 1" in out.getvalue()
    assert "chain 2" in out.getvalue()
    assert "5/5" in out.getvalue()


@pytest.mark.parametrize("enabled", [True, False])
def test_logs_stay_quiet(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    original = rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda: original(file=out, force_terminal=not enabled)
    )
    run(count(5), progressbar=enabled)
    assert out.getvalue() == ""


def test_cores_of_this_process() -> None:
    assert available_cores() >= 1
