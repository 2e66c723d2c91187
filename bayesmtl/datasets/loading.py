"""The shipped data sets: small, tidy, one row per observation.

``eight_schools``
    Effects of coaching on the SAT-V score in eight schools, each with its standard error:
    Rubin (1981), Estimation in parallel randomized experiments, J. Educ. Stat. 6, 377-401.
``rats``
    Weights of 30 young rats, weekly from day 8 to day 36: Gelfand, Hills, Racine-Poon and Smith
    (1990), J. Am. Stat. Assoc. 85, 972-985.
``radon``
    Log radon of 919 houses in the 85 counties of Minnesota: Gelman and Hill (2007), Data Analysis
    Using Regression and Multilevel/Hierarchical Models, chapter 12.

All three were converted from posteriordb (stan-dev/posteriordb, commit 28f8d3d6e,
licence BSD-3-Clause); only columns were renamed.
"""

from importlib.resources import files
from typing import NamedTuple

import pandas as pd

from bayesmtl.errors import InvalidDataError

__all__ = ["list_datasets", "load_dataset"]

_POSTERIORDB = "posteriordb (stan-dev/posteriordb)"


class _Shipped(NamedTuple):
    """What ``list_datasets`` says about one data set."""

    name: str
    rows: int
    tasks: int
    task: str
    description: str
    source: str
    licence: str


_SHIPPED = (
    _Shipped(
        name="eight_schools",
        rows=8,
        tasks=8,
        task="school",
        description="Coaching effect y of each school, with its known standard error sigma",
        source=f"Rubin (1981), from {_POSTERIORDB}",
        licence="BSD-3-Clause",
    ),
    _Shipped(
        name="rats",
        rows=150,
        tasks=30,
        task="rat",
        description="Weight (g) of young rats on five days of age (day 8 to 36)",
        source=f"Gelfand et al. (1990), from {_POSTERIORDB}",
        licence="BSD-3-Clause",
    ),
    _Shipped(
        name="radon",
        rows=919,
        tasks=85,
        task="county",
        description="Log radon of houses in Minnesota, floor of measurement, county log uranium",
        source=f"Gelman and Hill (2007), from {_POSTERIORDB}",
        licence="BSD-3-Clause",
    ),
)


def list_datasets() -> pd.DataFrame:
    """List the data sets that ship with the package.

    Returns
    -------
    pandas.DataFrame
        One row per data set: ``name``, ``rows``, ``tasks`` (their number), ``task`` (the column
        that names the task), ``description``, ``source`` and ``licence``.
    """
    return pd.DataFrame(_SHIPPED)


def load_dataset(name: str) -> pd.DataFrame:
    """Load a data set that ships with the package.

    Parameters
    ----------
    name
        ``"eight_schools"`` (columns ``school``, ``y``, ``sigma``; points of the SAT-V),
        ``"rats"`` (``rat``, ``day`` of age, ``weight`` in g) or
        ``"radon"`` (``county`` 1 to 85, ``log_radon`` in log pCi/L, ``floor`` 0 = basement and
        1 = first floor, ``log_uranium`` of the county's soil in log ppm).

    Returns
    -------
    pandas.DataFrame
        A fresh copy, one row per observation. Sources and licence: ``bm.list_datasets()``.

    Raises
    ------
    InvalidDataError
        If no data set has this name.
    """
    names = [shipped.name for shipped in _SHIPPED]
    if name not in names:
        raise InvalidDataError(
            f"no shipped data set is called {name!r}; the names are {', '.join(names)}"
        )
    with files("bayesmtl.datasets").joinpath(f"{name}.csv").open("rb") as file:
        return pd.read_csv(file)
