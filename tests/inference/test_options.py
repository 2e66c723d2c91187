"""Options of inference methods: defaults, values that are wrong, names that are unknown."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

import bayesmtl as bm
from bayesmtl.inference.options import METHODS, NutsOptions, PathfinderOptions, read_options


def test_given_and_default() -> None:
    assert read_options("nuts", {"target_accept": 0.9}) == NutsOptions("nutpie", 0.9, 10)
    assert read_options("pathfinder", {"paths": 3}) == PathfinderOptions(3, 1000)
    assert [type(read_options(name, {})) for name in METHODS] == list(METHODS.values())


@pytest.mark.parametrize(
    ("method", "given", "match"),
    [
        ("vi", {}, "inference must be 'gibbs', .* or 'laplace', got 'vi'"),
        ("gibbs", {"draw": 3}, "'gibbs' does not know 'draw': it has no .*; did you mean 'draws'"),
        ("gibbs", {"seed": 3}, "does not know 'seed': .* did you mean 'random_seed'"),
        ("advi", {"iteration": 3}, "does not know 'iteration': .* did you mean 'iterations'"),
        ("nuts", {"accept": 0.9}, "'accept': its options are sampler, target_accept, max_tree"),
        ("nuts", {"sampler": "stan"}, "sampler must be one of 'nutpie', .*, got 'stan'"),
        ("nuts", {"target_accept": 1.0}, "target_accept must be a number between 0 and 1, got 1"),
        ("nuts", {"max_treedepth": 0}, "max_treedepth must be an integer of at least 1, got 0"),
        ("advi", {"elbo_draws": 1}, "elbo_draws must be an integer of at least 2, got 1"),
        ("advi", {"iterations": 1e3}, "iterations must be an integer of at least 1, got 1000.0"),
        ("pathfinder", {"paths": True}, "paths must be an integer of at least 1, got True"),
        ("laplace", {"paths": 3}, "does not know 'paths': its options are iterations"),
    ],
)
def test_wrong(method: str, given: dict[str, Any], match: str) -> None:
    with pytest.raises(bm.InvalidModelError, match=match):
        read_options(method, given)


def test_sampler_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesmtl.inference.options.find_spec", lambda _: None)
    with pytest.raises(bm.UnsupportedError, match="install it with `pip install numpyro`"):
        read_options("nuts", {"sampler": "numpyro"})


def test_integers_of_numpy_become_plain_ones() -> None:
    options = read_options("advi", {"iterations": np.int64(7), "elbo_draws": np.int32(4)})
    assert json.dumps(asdict(options)) == '{"elbo_draws": 4, "iterations": 7}'
