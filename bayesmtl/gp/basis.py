"""How many functions a basis needs, from where the length-scales may lie."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bayesmtl.errors import InvalidModelError, warn
from bayesmtl.gp.data import FunctionProblem, noise_prior
from bayesmtl.gp.dense import DenseMarginal
from bayesmtl.gp.hyperparameters import HUANG_WAND, LOW_RANK, HyperPrior
from bayesmtl.gp.posterior import LogPosterior
from bayesmtl.gp.problem import FunctionRows
from bayesmtl.gp.projected import AnyBasis, ProjectedBasis, project
from bayesmtl.gp.weight_space import HilbertBasis, NystroemBasis, WeightMarginal, basis_sites
from bayesmtl.inference.approximations import maximise
from bayesmtl.numerics.bases import pivoted_centers
from bayesmtl.numerics.densities import FIXED
from bayesmtl.numerics.kernels import (
    hilbert_basis,
    hilbert_frequencies,
    kernel_matrix,
    kernel_values,
    spectral_density,
)
from bayesmtl.priors import table_row

__all__ = ["Lengths", "choose_basis", "likely_lengths", "residual_share"]

MOST_INPUTS = 3
# Largest share of the variance of a function, averaged over the box, that a basis may leave out: at
# the shortest likely length-scale, and at the likeliest. Largest kernel value that the boundary of
# the box may mirror.
_LEFT_OUT, _LIKELY_LEFT_OUT, _MIRRORED = 0.01, 0.001, 0.02
_MOST_FUNCTIONS, _MOST_FINE, _MOST_OF_INPUT = 512, 2000, 200
# Weights of all tasks that are drawn at once, under a Gaussian and another likelihood; operations
# of a sweep where tasks share factors.
_MOST_WEIGHTS, _MOST_OF_ROWS, _MOST_OPERATIONS = 2400, 1200, 3e9
_MOST_WIDTH = 2.5
# Rows by which length-scales are guessed, at so many scales, and bounds of their factor either way.
_PILOT_ROWS, _SCALES, _FACTORS = 300, 3, (1.2, 2.0)
_STEP, _LEAST_CURVATURE = 1e-4, 0.3
_ITERATIONS = 200
_GRID = 200
_SMALLER = 0.98
# Rows that choose points, and those that choose principal functions.
_SAMPLE, _MANY = 3000, 100_000
# Projections at most, and the change of the logs of length-scales that ends them.
_PROJECTIONS, _SETTLED = 6, 0.05


class Lengths(NamedTuple):
    """Where the length-scales may lie, internal units, (input,) each, and the noise of the rows.

    Its variance as a share of that of a function.
    """

    low: np.ndarray
    high: np.ndarray
    noise: float


def likely_lengths(problem: FunctionProblem, rng: np.random.Generator) -> Lengths:
    """From the mode of the marginal likelihood of some rows as if they were Gaussian.

    It sets how fine the basis is, not what is said of the length-scales.
    """
    prior = problem.prior
    rows = prior.lengthscale_rows[0]
    counts = np.bincount(problem.rows.task, minlength=problem.rows.n_tasks)
    most = np.argsort(-counts, kind="stable")[: max(1, _PILOT_ROWS // 25)]
    share = max(1, _PILOT_ROWS // len(most))
    chosen = np.concatenate([_some(problem, t, share, rng) for t in np.sort(most)])
    # A task that only a given covariance names has no rows.
    some = _standard_rows(problem.rows, chosen)
    own = _alone(prior, some.n_tasks)
    target = LogPosterior(own, DenseMarginal(some, problem.kernel))
    found = maximise(target.or_nothing, own.start(rng), _ITERATIONS)
    values = own.values(found.x)
    free = rows[:, 0] != FIXED
    lengthscale = values.lengthscale[0]
    lengthscale[free] = np.clip(lengthscale[free], 0.02, 3.0)
    factor = np.ones(len(lengthscale))
    factor[free] = _factors(target, found.x)[own.n_covariance :][: int(free.sum())]
    noise = float(np.median(values.noise) ** 2)
    return Lengths(lengthscale / factor, lengthscale * factor, noise)


def _factors(target: LogPosterior, vector: np.ndarray) -> np.ndarray:
    """Two standard errors of scales at a mode, as factors, from differences of the gradient."""
    steps = _STEP * np.eye(vector.size)
    columns = [target.or_nothing(vector - s)[1] - target.or_nothing(vector + s)[1] for s in steps]
    curvature = np.array(columns) / (2.0 * _STEP)
    values, vectors = np.linalg.eigh(0.5 * (curvature + curvature.T))
    variance = vectors**2 @ (1.0 / np.maximum(values, _LEAST_CURVATURE))
    return np.asarray(np.exp(np.clip(2.0 * np.sqrt(variance), *np.log(_FACTORS))))


def _some(problem: FunctionProblem, task: int, share: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of a task: at random, and around one of them, where short length-scales show too."""
    mine = np.flatnonzero(problem.rows.task == task)
    if len(mine) <= share:
        return mine
    inputs, part = problem.rows.inputs, -(-share // _SCALES)
    center, chosen = inputs[rng.choice(mine)], []
    for scale in np.linspace(0.0, 1.0, _SCALES).tolist():
        some = rng.choice(mine, int(part * (len(mine) / part) ** scale), replace=False)
        distance = ((inputs[some] - center) ** 2).sum(axis=1)
        chosen.append(some[np.argsort(distance, kind="stable")[:part]])
    return np.unique(np.concatenate(chosen))


def _standard_rows(rows: FunctionRows, chosen: np.ndarray) -> FunctionRows:
    """Some rows, and the tasks that these are of, with standardised responses."""
    tasks, task, count = np.unique(rows.task[chosen], return_inverse=True, return_counts=True)
    response = rows.response[chosen]
    centred = response - (np.bincount(task, response) / count)[task]
    sd = np.sqrt(np.bincount(task, centred**2) / count)
    return rows._replace(
        inputs=rows.inputs[chosen],
        task=task,
        response=centred / np.where(sd > 0.0, sd, 1.0)[task],
        n_tasks=len(tasks),
        level_sd=np.ones(len(tasks)),
    )


def _at_random(candidates: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """All candidates, or as many of them as are allowed, in their order."""
    if len(candidates) <= most:
        return candidates
    return np.asarray(candidates[np.sort(rng.choice(len(candidates), most, replace=False))])


def _alone(prior: HyperPrior, n_tasks: int) -> HyperPrior:
    """The prior of so many tasks in standard units, one kernel."""
    return prior._replace(
        kind=HUANG_WAND,
        given=np.broadcast_to(np.eye(n_tasks), (1, n_tasks, n_tasks)),
        lengthscale_rows=prior.lengthscale_rows[:1],
        noise_rows=np.tile(table_row(noise_prior(1.0)), (n_tasks, 1)),
        noise_unit=np.ones(n_tasks),
        shared_noise=False,
    )


def residual_share(kernel: str, count: int, half_width: float, lengthscale: float) -> float:
    """Share of the variance of a function of one input that a basis leaves out, on average."""
    half = np.array([half_width])
    grid = np.linspace(-1.0, 1.0, _GRID)[:, None]
    frequencies = hilbert_frequencies((count,), half)
    variance = spectral_density(kernel, frequencies, np.array([lengthscale]))
    return float(np.abs(1.0 - hilbert_basis(grid, frequencies, half) ** 2 @ variance).mean())


def _half_width(kernel: str, lengthscale: float) -> float:
    """Half width at which the box mirrors little of a kernel."""
    distance = np.linspace(0.0, 20.0, 2001)
    far = distance[np.argmax(kernel_values(kernel, distance) < _MIRRORED)]
    return float(np.clip(1.0 + 0.5 * far * lengthscale, 1.2, _MOST_WIDTH))


def _count(kernel: str, half_width: float, lengthscale: float, allowed: float) -> int:
    """Fewest functions that leave out no more than is allowed, at most `_MOST_OF_INPUT`."""
    # The box adds an error that more functions do not take away.
    limit = residual_share(kernel, 2 * _MOST_OF_INPUT, half_width, lengthscale) + allowed
    low, high = 3, _MOST_OF_INPUT
    while low < high:
        middle = (low + high) // 2
        if residual_share(kernel, middle, half_width, lengthscale) <= limit:
            high = middle
        else:
            low = middle + 1
    return high


def _told_counts(
    problem: FunctionProblem, lengthscale: np.ndarray, widths: list[float], noise: float
) -> tuple[int, ...]:
    """Functions along each input of which the rows of a task tell more than the prior.

    What they tell of those that are left out would be taken for noise and for other functions.
    """
    half = np.array(widths)
    rows = len(problem.order) / problem.rows.n_tasks
    out = []
    for j in range(len(half)):
        frequencies = np.tile(math.pi / (2.0 * half), (_MOST_OF_INPUT, 1))
        frequencies[:, j] *= np.arange(1, _MOST_OF_INPUT + 1)
        variance = spectral_density(problem.kernel, frequencies, lengthscale) / half.prod()
        # Of no more functions than there are rows.
        out.append(max(3, min(int((rows * variance > noise).sum()), int(rows))))
    return tuple(out)


def _needed(problem: FunctionProblem, lengths: Lengths, widths: list[float]) -> list[int]:
    """Functions along each input for the length-scales."""
    n_inputs, likely = len(widths), np.sqrt(lengths.low * lengths.high)
    return [
        max(
            _count(problem.kernel, width, low, _LEFT_OUT / n_inputs),
            _count(problem.kernel, width, middle, _LIKELY_LEFT_OUT / n_inputs),
        )
        for width, low, middle in zip(widths, lengths.low.tolist(), likely.tolist(), strict=True)
    ]


def _within(
    problem: FunctionProblem, counts: list[int], widths: list[float], most: int
) -> HilbertBasis:
    """As many functions as are allowed, in the same proportions."""
    # A grid has less than four times as many functions as are left without its corners.
    bound = (4.0 * most / math.prod(counts)) ** (1.0 / len(counts))
    steps = math.floor(math.log(bound) / math.log(_SMALLER)) if bound < 1.0 else 0
    share = _SMALLER**steps
    while True:
        some = tuple(max(1, int(share * count)) for count in counts)
        basis = HilbertBasis(problem.kernel, some, tuple(widths))
        if basis.size <= most or max(some) == 1:
            return basis
        share *= _SMALLER


def _around_points(
    problem: FunctionProblem,
    lengthscale: np.ndarray,
    basis_size: tuple[int, ...] | None,
    most: int,
    rng: np.random.Generator,
) -> NystroemBasis:
    """Rows that determine the process best, until they leave out little of it."""
    if basis_size is not None and len(set(basis_size)) > 1:
        raise InvalidModelError(
            f"basis_size of more than {MOST_INPUTS} inputs is one number, that of all functions, "
            f"got {basis_size}"
        )
    inputs = _at_random(problem.rows.inputs, _SAMPLE, rng)
    most = most if basis_size is None else basis_size[0]

    def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return kernel_matrix(problem.kernel, left, right, lengthscale)

    centers = pivoted_centers(inputs, most, kernel, 0.0 if basis_size else _LEFT_OUT)
    basis = NystroemBasis(problem.kernel, centers, lengthscale)
    left = 1.0 - (basis.columns(inputs) ** 2).sum(axis=1).mean()
    if left > 2.0 * _LEFT_OUT:
        warn(
            f"{basis.size:,} basis functions leave out {left:.0%} of the variance of functions of "
            f"{len(problem.inputs)} inputs at the likeliest length-scales: use inference='nuts' or "
            "'svgp', or basis_size="
        )
    return basis


def _most_functions(prior: HyperPrior, *, gaussian: bool) -> int:
    """Functions with which a sweep takes less than about a second."""
    if prior.kind == LOW_RANK:
        return min(_MOST_FUNCTIONS, int((_MOST_OPERATIONS / prior.n_tasks) ** (1.0 / 3.0)))
    most = _MOST_WEIGHTS if gaussian else _MOST_OF_ROWS
    return min(_MOST_FUNCTIONS, max(most // prior.n_tasks, 1))


def choose_basis(
    problem: FunctionProblem,
    basis_size: tuple[int, ...] | None,
    rng: np.random.Generator,
    *,
    gaussian: bool = True,
) -> AnyBasis:
    """A box and numbers of functions for the length-scales that the data make likely.

    Of many inputs, points at the likeliest length-scales.

    Parameters
    ----------
    problem : FunctionProblem
    basis_size : tuple of int or None
        Functions along each input, where they are given.
    rng : numpy.random.Generator
    gaussian : bool
        Whether the likelihood is.

    Raises
    ------
    InvalidModelError
        For numbers of functions that differ between many inputs.

    Warns
    -----
    BayesMTLWarning
        When more functions would be needed than are allowed.
    """
    n_inputs = len(problem.inputs)
    lengths = likely_lengths(problem, rng)
    likely = np.sqrt(lengths.low * lengths.high)
    most = _most_functions(problem.prior, gaussian=gaussian)
    if n_inputs > MOST_INPUTS:
        return _around_points(problem, likely, basis_size, most, rng)
    widths = [_half_width(problem.kernel, one) for one in lengths.high.tolist()]
    if basis_size is not None:
        return HilbertBasis(problem.kernel, basis_size, tuple(widths))
    counts = _needed(problem, lengths, widths)
    told = HilbertBasis(
        problem.kernel, _told_counts(problem, likely, widths, lengths.noise), tuple(widths)
    )
    finer = [max(pair) for pair in zip(counts, told.counts, strict=True)]
    if told.size > most:
        fine = _within(problem, finer, widths, _MOST_FINE)
        principal, n_told = _principal(problem, fine, likely, lengths.noise, most, rng)
        if n_told > principal.size or fine.size < told.size:
            warn(
                f"so many rows tell of more functions than the {principal.size:,} that are used: "
                "what these leave out counts as noise; fewer tasks or inference='svgp' can follow "
                "more"
            )
        return principal
    basis = _within(problem, finer, widths, most)
    if any(own < count for own, count in zip(basis.counts, counts, strict=True)):
        needed = HilbertBasis(problem.kernel, tuple(counts), tuple(widths)).size
        shares = [
            residual_share(problem.kernel, count, width, low)
            for count, width, low in zip(basis.counts, widths, lengths.low.tolist(), strict=True)
        ]
        warn(
            f"functions of {n_inputs} inputs as rough as the data suggest need {needed:,} basis "
            f"functions; {basis.size:,} are used, which leave out {min(sum(shares), 1.0):.0%} of "
            "the variance at the shortest likely length-scales: use inference='nuts' or 'svgp', or "
            "basis_size="
        )
    return basis


def _principal(
    problem: FunctionProblem,
    fine: HilbertBasis,
    lengthscale: np.ndarray,
    noise: float,
    most: int,
    rng: np.random.Generator,
) -> tuple[ProjectedBasis, int]:
    """Principal functions at length-scales that the best known task makes likely; see `project`.

    These and the functions are found in turn.
    """
    rows = problem.rows
    inputs = _at_random(rows.inputs, _MANY, rng)
    gram = fine.sums(inputs, np.zeros(len(inputs)))[0] * len(rows.inputs) / len(inputs)
    mine = np.flatnonzero(rows.task == np.bincount(rows.task).argmax())
    some = _standard_rows(rows, _at_random(mine, _MANY, rng))
    own, sites = _alone(problem.prior, 1), basis_sites(some, fine)
    vector = own.start(rng)
    for _ in range(_PROJECTIONS):
        basis, n_told = project(fine, gram / rows.n_tasks, lengthscale, noise, most)
        target = LogPosterior(own, WeightMarginal(basis.reduced(sites), basis))
        vector = maximise(target.or_nothing, vector, _ITERATIONS).x
        values, last = own.values(vector), lengthscale
        lengthscale = values.lengthscale[0]
        noise = float(values.noise[0] ** 2 / values.covariance[0, 0, 0])
        if np.abs(np.log(lengthscale / last)).max() < _SETTLED:
            break
    return basis, n_told
