"""Normal approximations of a smooth log density, known by its value and gradient."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import OptimizeResult, minimize

from bayesmtl.errors import UnsupportedError

__all__ = [
    "Normal",
    "Path",
    "Target",
    "draw_pathfinder",
    "evaluate",
    "fit_advi",
    "fit_laplace",
    "maximise",
]

_INSTEAD = "use inference='gibbs' or 'nuts'"
_MOST_DENSE = 2000
# ADVI: default number of draws, how many at least for each variable, and what is converged.
_ELBO_DRAWS, _DRAWS_PER_VARIABLE = 200, 4
_FIRST_SD = 0.1
_SLOPE, _LEAST_CURVATURE = 0.01, 0.1
# Laplace: starts, Newton steps and the gain of a Newton step at a maximum.
_STARTS, _NEWTON_STEPS, _NO_GAIN = 2, 50, 1e-10
_DIFFERENCE, _FLAT = 1e-4, 1e-6
# Pathfinder: pairs of the inverse Hessian, draws for each bound, width of the starts, candidates
# for each draw, and the relative gain at which a path ends.
_PAIRS, _BOUND_DRAWS, _WIDTH, _CANDIDATES, _PATH_GAIN = 20, 20, 2.0, 4, 1e-7


class Target(NamedTuple):
    """A log density, up to a constant.

    Parameters
    ----------
    value : callable
        From (n,) to the log density and its gradient (n,).
    start : (n,)
        Where it is finite.
    names : tuple of str
        Of the variable that each coordinate belongs to.
    """

    value: Callable[[np.ndarray], tuple[float, np.ndarray]]
    start: np.ndarray
    names: tuple[str, ...]


class Normal(NamedTuple):
    """``center + root u`` with u standard normal.

    Parameters
    ----------
    center : (n,)
    root : (n,) or (n, n)
        Standard deviations of independent coordinates, or a triangular matrix.
    """

    center: np.ndarray
    root: np.ndarray

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (draw, n) and their log densities (draw,)."""
        u = rng.normal(size=(n_draws, self.center.size))
        dense = self.root.ndim == 2
        scale = np.diagonal(self.root) if dense else self.root
        points = self.center + (u @ self.root.T if dense else u * self.root)
        return points, _standard(u) - np.log(np.abs(scale)).sum()


def _standard(u: np.ndarray) -> np.ndarray:
    """Log density of standard normal rows."""
    return np.asarray(-0.5 * (u**2).sum(axis=1) - 0.5 * u.shape[1] * math.log(2.0 * math.pi))


def evaluate(target: Target, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log densities (draw,) and gradients (draw, n)."""
    values, gradients = np.empty(len(points)), np.empty_like(points)
    for i, point in enumerate(points):
        values[i], gradients[i] = target.value(point)
    return values, gradients


def maximise(
    function: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    iterations: int,
    *,
    gain: float = 1e-11,
    slope: float = 1e-5,
    callback: Callable[[np.ndarray], None] | None = None,
) -> OptimizeResult:
    """Maximise by L-BFGS; where the function is not finite it is far below what was seen.

    Stops when a step gains a fraction of ``gain``, or the steepest slope is below ``slope``.
    """
    lowest = math.inf

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal lowest
        value, gradient = function(x)
        if np.isfinite(value) and np.isfinite(gradient).all():
            lowest = min(lowest, value)
            return -value, -gradient
        return (1e3 * (1.0 + abs(lowest)) if lowest < math.inf else math.inf), np.zeros_like(x)

    return minimize(
        negative,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={
            "maxiter": iterations,
            "maxfun": 20 * iterations,
            "maxcor": 20,
            "ftol": gain,
            "gtol": slope,
        },
    )


def _check_dense(method: str, n: int) -> None:
    """Raise UnsupportedError for more coordinates than a covariance matrix can have."""
    if n > _MOST_DENSE:
        raise UnsupportedError(
            f"inference={method!r} needs the covariances of {n:,} variables, more than "
            f"{_MOST_DENSE:,}: use inference='advi' or 'pathfinder', or 'gibbs'"
        )


def fit_advi(
    target: Target,
    *,
    full: bool,
    elbo_draws: int | None,
    iterations: int,
    rng: np.random.Generator,
) -> Normal:
    """The normal of the largest evidence lower bound, averaged over fixed draws.

    With the draws fixed the bound is a smooth function, and where its optimiser stops is no matter
    of luck. They come in pairs of opposite sign, and have the covariance of a standard normal where
    there are enough of them: a normal target is then found exactly.

    Parameters
    ----------
    target : Target
    full : bool
        Whether coordinates are correlated.
    elbo_draws : int or None
    iterations : int
    rng : numpy.random.Generator

    Raises
    ------
    UnsupportedError
        When the optimiser does not converge, for too few draws, or for covariances of too many
        variables.

    References
    ----------
    Kucukelbir, Tran, Ranganath, Gelman, Blei (2017), Automatic differentiation variational
    inference, JMLR 18. Giordano, Ingram, Broderick (2024), Black box variational inference with a
    deterministic objective, JMLR 25.
    """
    n, method = target.start.size, "fullrank_advi" if full else "advi"
    start = Normal(target.start, np.full(n, _FIRST_SD))
    if full:
        _check_dense(method, n)
        least = 2 * (n + 1)
        if elbo_draws is not None and elbo_draws < least:
            raise UnsupportedError(
                f"inference='fullrank_advi' with {n} variables needs elbo_draws= of at least "
                f"{least}, got {elbo_draws}"
            )
        alone = fit_advi(target, full=False, elbo_draws=None, iterations=iterations, rng=rng)
    n_draws = elbo_draws or max(_ELBO_DRAWS, _DRAWS_PER_VARIABLE * n * full)
    u = _paired(n_draws, n, rng)
    if full:
        start = _correlate(target, alone, u)
    x = np.zeros(n + (n * (n + 1) // 2 if full else n))
    result = maximise(
        lambda x: _bound(x, target, start, u), x, iterations, slope=_SLOPE / (10 if full else 1000)
    )
    bound, slope = _bound(result.x, target, start, u)
    if not np.isfinite(bound) or np.abs(slope).max() > _SLOPE:
        found = "is not finite" if not np.isfinite(bound) else "still rises"
        raise UnsupportedError(
            f"inference={method!r} did not converge: after {result.nit} iterations the bound "
            f"{found}; raise iterations= (now {iterations}), or {_INSTEAD}"
        )
    root = _root(result.x[n:], n, full)
    if full:
        return Normal(start.center + start.root @ result.x[:n], start.root @ root)
    return Normal(start.center + start.root * result.x[:n], start.root * root)


def _correlate(target: Target, alone: Normal, u: np.ndarray) -> Normal:
    """A start with correlations: the mean curvature over independent coordinates, inverted.

    It is ``-E[g u'] / sd`` by Stein's identity, with g the gradient at ``mean + sd u``.
    """
    _, gradients = evaluate(target, alone.center + alone.root * u)
    curvature = -(gradients * alone.root).T @ u / len(u)
    values, axes = np.linalg.eigh(0.5 * (curvature + curvature.T))
    covariance = axes / np.maximum(values, _LEAST_CURVATURE) @ axes.T
    return Normal(alone.center, alone.root[:, None] * np.linalg.cholesky(covariance))


def _paired(n_draws: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draws (draw, n) of mean zero and unit variances, uncorrelated where they are enough."""
    half = rng.normal(size=((n_draws + 1) // 2, n))
    if len(half) > n:
        root = np.linalg.cholesky(half.T @ half / len(half))
        half = solve_triangular(root, half.T, lower=True).T
    else:
        half /= np.sqrt((half**2).mean(axis=0))
    return np.concatenate([half, -half])


def _root(x: np.ndarray, n: int, full: bool) -> np.ndarray:
    """Sds (n,), or a lower triangular matrix; logs of the diagonal are free."""
    if not full:
        return np.exp(x)
    root = np.zeros((n, n))
    root[np.tril_indices(n)] = x
    np.fill_diagonal(root, np.exp(np.diagonal(root)))
    return root


def _bound(x: np.ndarray, target: Target, base: Normal, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Evidence lower bound up to a constant, and its gradient.

    Parameters
    ----------
    x : (n + n,) or (n + n (n + 1) / 2,)
        Mean and root in units of ``base``, see `_root`.
    target : Target
    base : Normal
        Its coordinates are independent if those of the result are.
    u : (draw, n)
        Fixed draws.
    """
    n, full = base.center.size, base.root.ndim == 2
    with np.errstate(over="ignore", invalid="ignore"):
        root = _root(x[n:], n, full)
        moved = x[:n] + (u @ root.T if full else u * root)
        moved = moved @ base.root.T if full else moved * base.root
        values, gradients = evaluate(target, base.center + moved)
        gradients = gradients @ base.root if full else gradients * base.root
        if full:
            scale = np.diagonal(root)
            by_root = gradients.T @ u / len(u)
            np.fill_diagonal(by_root, np.diagonal(by_root) * scale + 1.0)
            by_root = by_root[np.tril_indices(n)]
        else:
            scale = root
            by_root = (gradients * u).mean(axis=0) * root + 1.0
        bound = values.mean() + np.log(scale).sum()
    return float(bound), np.concatenate([gradients.mean(axis=0), by_root])


def fit_laplace(target: Target, *, iterations: int, rng: np.random.Generator) -> Normal:
    """The normal at the mode, with the inverse of minus the Hessian there as covariance.

    Hessians are central differences of the gradient. When the first start leads to no mode, others
    near it are tried.

    Parameters
    ----------
    target : Target
    iterations : int
    rng : numpy.random.Generator

    Raises
    ------
    UnsupportedError
        When no mode is found, or for covariances of too many variables.
    """
    n = target.start.size
    _check_dense("laplace", n)
    reasons = []
    for attempt in range(_STARTS):
        start = target.start + (rng.uniform(-1.0, 1.0, n) if attempt else 0.0)
        found = _newton(target, maximise(target.value, start, iterations).x)
        if isinstance(found, Normal):
            return found
        reasons.append(found)
    raise UnsupportedError(f"inference='laplace' found no mode: {reasons[0]}; {_INSTEAD}")


def _newton(target: Target, x: np.ndarray) -> Normal | str:
    """Climb to the mode by Newton steps; else the reason why there is none."""
    value, gradient = target.value(x)
    for _ in range(_NEWTON_STEPS):
        curvature = _curvature(target, x)
        if not np.isfinite(value) or not np.isfinite(curvature).all():
            return "the log density is not finite"
        along, axes = np.linalg.eigh(curvature)
        # Where the density curves upwards, away from the saddle.
        step = axes @ (axes.T @ gradient / np.maximum(np.abs(along), _FLAT))
        if gradient @ step < _NO_GAIN:
            if along[0] <= _FLAT:
                name = target.names[int(np.abs(axes[:, 0]).argmax())]
                return f"where the optimiser stops, the log density is not concave along {name!r}"
            root = np.linalg.cholesky(curvature)
            return Normal(x, np.asarray(solve_triangular(root, np.eye(x.size), lower=True).T))
        length = 1.0
        while length > 1e-6 and not target.value(x + length * step)[0] > value:
            length *= 0.5
        x = x + length * step
        value, gradient = target.value(x)
    return (
        f"no convergence in {_NEWTON_STEPS} Newton steps; the density may rise without a bound, as "
        "where a task has few rows and a noise sd of its own"
    )


def _curvature(target: Target, x: np.ndarray) -> np.ndarray:
    """Minus the Hessian."""
    steps = _DIFFERENCE * np.diag(np.maximum(1.0, np.abs(x)))
    _, above = evaluate(target, x + steps)
    _, below = evaluate(target, x - steps)
    hessian = (below - above) / (2.0 * np.diagonal(steps)[:, None])
    return np.asarray(0.5 * (hessian + hessian.T))


class Path(NamedTuple):
    """The normal at one point of an optimisation path.

    With S = diag(scale) and M = ``inner inner'``, its covariance is
    ``S^1/2 (I + Q (M - I) Q') S^1/2``.

    Parameters
    ----------
    center : (n,)
    scale : (n,)
    basis : (n, k)
        Q, orthonormal columns.
    inner : (k, k)
        Lower triangular.
    """

    center: np.ndarray
    scale: np.ndarray
    basis: np.ndarray
    inner: np.ndarray

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (draw, n) and their log densities (draw,)."""
        u = rng.normal(size=(n_draws, self.center.size))
        along = u @ self.basis
        turned = u + (along @ self.inner.T - along) @ self.basis.T
        log_det = 0.5 * np.log(self.scale).sum() + np.log(np.diagonal(self.inner)).sum()
        return self.center + np.sqrt(self.scale) * turned, _standard(u) - log_det


def draw_pathfinder(
    target: Target, n_draws: int, *, paths: int, iterations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates from the best normal of each path, to be resampled by their importance.

    Parameters
    ----------
    target : Target
    n_draws : int
        How many will be kept.
    paths, iterations : int
    rng : numpy.random.Generator

    Returns
    -------
    points : (candidate, n)
    log_density : (candidate,)
        Of the target.
    log_ratio : (candidate,)
        Of target over proposal, finite.

    Raises
    ------
    UnsupportedError
        When no path leads to a normal with a finite bound.

    References
    ----------
    Zhang, Carpenter, Gelman, Vehtari (2022), Pathfinder: parallel quasi-Newton variational
    inference, JMLR 23, algorithms 1 to 4 and section 2.3.
    """
    parts = []
    for _ in range(paths):
        start = target.start + rng.uniform(-_WIDTH, _WIDTH, target.start.size)
        best = _best(target, start, iterations, rng)
        if best is None:
            continue
        points, log_q = best.draw(-(-_CANDIDATES * n_draws // paths), rng)
        log_p, _ = evaluate(target, points)
        sound = np.isfinite(log_p)
        parts.append((points[sound], log_p[sound], (log_p - log_q)[sound]))
    if sum(len(log_p) for _, log_p, _ in parts) < n_draws:
        raise UnsupportedError(
            f"inference='pathfinder' failed: of {paths} paths {len(parts)} led to a normal with a "
            f"finite bound, with too few draws of finite density; raise paths=, or {_INSTEAD}"
        )
    points, log_p, log_ratio = (np.concatenate(part) for part in zip(*parts, strict=True))
    return points, log_p, log_ratio


def _best(
    target: Target, start: np.ndarray, iterations: int, rng: np.random.Generator
) -> Path | None:
    """The normal of the largest bound on the path from a start."""
    trail = [start]

    def trail_on(x: np.ndarray) -> None:
        trail.append(x.copy())

    maximise(target.value, start, iterations, gain=_PATH_GAIN, callback=trail_on)
    best, highest = None, -math.inf
    for normal in _normals(target, np.array(trail)):
        points, log_q = normal.draw(_BOUND_DRAWS, rng)
        bound = float((evaluate(target, points)[0] - log_q).mean())
        if bound > highest and bound < math.inf:
            best, highest = normal, bound
    return best


def _normals(target: Target, trail: np.ndarray) -> Iterator[Path]:
    """Normals at the points of a path (step, n), by the inverse Hessians of L-BFGS."""
    _, gradients = evaluate(target, trail)
    scale = np.ones(trail.shape[1])
    pairs: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_PAIRS)
    moves = zip(np.diff(trail, axis=0), -np.diff(gradients, axis=0), strict=True)
    for x, gradient, (s, y) in zip(trail[1:], gradients[1:], moves, strict=True):
        # A pair of no curvature would spoil the estimate.
        if s @ y > 1e-12 * (y @ y):
            pairs.append((s, y))
            a, b, c = y @ (scale * y), y @ s, s @ (s / scale)
            # Gilbert and Lemarechal (1989), Math. Program. 45, eq. 4.9.
            inverse = a / (b * scale) + y**2 / b - a * s**2 / (b * c * scale**2)
            scale = np.where(inverse > 0.0, 1.0 / inverse, scale)
        if pairs:
            normal = _normal_at(x, gradient, scale, pairs)
            if normal is not None:
                yield normal


def _normal_at(
    x: np.ndarray,
    gradient: np.ndarray,
    scale: np.ndarray,
    pairs: deque[tuple[np.ndarray, np.ndarray]],
) -> Path | None:
    """The compact form of the inverse Hessian (Byrd, Nocedal and Schnabel 1994, eq. 3.1)."""
    s, y = (np.array(part).T for part in zip(*pairs, strict=True))
    products = s.T @ y
    inverse = np.linalg.inv(np.triu(products))
    corner = inverse.T @ (np.diag(np.diagonal(products)) + y.T @ (scale[:, None] * y)) @ inverse
    middle = np.block([[np.zeros_like(inverse), -inverse], [-inverse.T, corner]])
    columns = np.hstack([np.sqrt(scale)[:, None] * y, s / np.sqrt(scale)[:, None]])
    basis = _orthonormal(columns)
    factor = basis.T @ columns
    square = np.eye(basis.shape[1]) + factor @ middle @ factor.T
    if not np.isfinite(square).all() or np.linalg.eigvalsh(square)[0] <= 0.0:
        return None
    inner = np.linalg.cholesky(square)
    rotated = np.sqrt(scale) * gradient
    along = rotated @ basis
    rotated = rotated + (along @ inner @ inner.T - along) @ basis.T
    return Path(x + np.sqrt(scale) * rotated, scale, basis, inner)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Basis (n, k) of the columns, by Gram-Schmidt done twice.

    Threads of LAPACK make a factorisation of a matrix as small as these a hundred times slower.
    """
    n, most = columns.shape
    basis = np.empty((n, min(n, most)))
    used = 0
    for column in columns.T:
        rest = column / np.linalg.norm(column)
        for _ in range(2):
            known = basis[:, :used]
            rest = rest - known @ (known.T @ rest)
        length = np.linalg.norm(rest)
        if used < basis.shape[1] and length > 1e-10:
            basis[:, used] = rest / length
            used += 1
    return basis[:, :used]
