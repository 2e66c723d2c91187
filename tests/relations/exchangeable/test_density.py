"""The recorded log joint density against scipy."""

import numpy as np
import pytest

from tests.oracles.states import RELATIONS, Setting, make, random_state, recorded
from tests.oracles.states_density import oracle


@pytest.fixture(
    params=[(kind, "hierarchical") for kind in RELATIONS]
    + [("joint", "shared"), ("joint", "fixed"), ("diagonal", "shared"), ("separate", "fixed")],
    ids="-".join,
)
def setting(request: pytest.FixtureRequest) -> Setting:
    return make(*request.param)


def test_differences_equal_those_of_scipy(setting: Setting) -> None:
    rng = np.random.default_rng(5)
    states = [random_state(setting, rng) for _ in range(4)]
    gaps = [recorded(setting, state) - oracle(setting, state) for state in states]
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9, atol=1e-8)
