"""One step of a sparse multi-task Gaussian process, in PyTorch: the bound and what moves q(u)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from bayesmtl.gp.expected import expected_log_likelihood
from bayesmtl.gp.sparse import JITTER, SparseSettings

__all__ = [
    "Batch",
    "Gaussians",
    "Points",
    "absorb",
    "divergence",
    "log_prior",
    "natural_terms",
    "predict_batch",
    "roots_of",
]


class Batch(NamedTuple):
    """Distinct inputs, and their rows: what tasks observe at one input costs no more than one."""

    inputs: Any  # (site, input)
    site: Any  # (row,) position of the row's input
    task: Any  # (row,)
    response: Any  # (row,)
    offset: Any  # (row,), added to the predictor


class Points(NamedTuple):
    """What has point estimates; kernels are one, or one for each latent function."""

    inducing: Any  # (inducing, input)
    log_lengthscale: Any  # (kernel, input)
    loadings: Any  # (task, latent)
    log_noise: Any  # (task,)
    intercept: Any  # (task,)
    log_df: Any  # ()


class Gaussians(NamedTuple):
    """q(v_q) by natural parameters: precision (latent, m, m) and shift (latent, m) = P mean."""

    precision: Any
    shift: Any


class Predicted(NamedTuple):
    """Of one batch: whitened kernels, means of the latent functions, moments of the predictor."""

    whitened: Any  # (kernel, m, site)
    latent_mean: Any  # (latent, site)
    mean: Any  # (row,)
    variance: Any  # (row,)


class Terms(NamedTuple):
    """What rows add to the natural parameters of q(v)."""

    precision: Any
    shift: Any


def _kernel(kernel: str, lengthscale: Any, left: Any, right: Any) -> Any:
    """The kernel of `bayesmtl.numerics.kernels`, (kernel, left, right)."""
    a, b = left / lengthscale[:, None], right / lengthscale[:, None]
    square = (a**2).sum(-1)[:, :, None] + (b**2).sum(-1)[:, None, :]
    square = torch.baddbmm(square, a, b.mT, alpha=-2.0)
    if kernel == "rbf":
        return torch.exp(-0.5 * square)
    # The square root has no derivative at zero.
    r = torch.sqrt(square.clamp_min(1e-20))
    if kernel == "matern12":
        return torch.exp(-r)
    if kernel == "matern32":
        r = 3.0**0.5 * r
        return (1.0 + r) * torch.exp(-r)
    r = 5.0**0.5 * r
    return (1.0 + r + r**2 / 3.0) * torch.exp(-r)


def roots_of(precision: Any) -> tuple[Any, Any]:
    """R (latent, m, m) with R R' = P^-1, upper triangular, and log det P (latent,)."""
    factor = torch.linalg.cholesky(precision)
    eye = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    log_det = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return inverse.mT, log_det


def _times(left: Any, right: Any) -> Any:
    """Product (latent, i, j) of ``left`` (latent, i, k) and ``right`` (kernel, k, j)."""
    if len(right) > 1:
        return torch.bmm(left, right)
    # One product instead of many: broadcasting would copy the right side for each.
    n, i, k = left.shape
    return (left.reshape(n * i, k) @ right[0]).reshape(n, i, -1)


def predict_batch(kernel: str, points: Points, mean: Any, root: Any, batch: Batch) -> Predicted:
    """Moments of the predictor of rows; gradients flow to the point estimates only."""
    lengthscale = points.log_lengthscale.exp()
    z = points.inducing
    inducing = _kernel(kernel, lengthscale, z, z)
    eye = torch.eye(len(z), dtype=z.dtype, device=z.device)
    # The diagonal is exact: rounding in it would cost more than the jitter mends.
    inducing = inducing * (1.0 - eye) + (1.0 + JITTER) * eye
    factor = torch.linalg.cholesky(inducing)
    cross = _kernel(kernel, lengthscale, z, batch.inputs)
    v = torch.linalg.solve_triangular(factor, cross, upper=False)
    latent_mean = _times(mean[:, None], v)[:, 0]
    spread = _times(root.mT, v).square().sum(1)
    latent_variance = (1.0 - v.square().sum(1) + spread).clamp_min(0.0)
    loadings = points.loadings[batch.task].T
    f = points.intercept[batch.task] + batch.offset
    f = f + (loadings * latent_mean[:, batch.site]).sum(0)
    variance = (loadings.square() * latent_variance[:, batch.site]).sum(0)
    return Predicted(v, latent_mean, f, variance)


def row_terms(likelihood: str, points: Points, predicted: Predicted, batch: Batch) -> Any:
    """Sum over rows of the expected log-likelihood."""
    noise = points.log_noise.exp()[batch.task]
    return expected_log_likelihood(
        likelihood,
        batch.response,
        predicted.mean,
        predicted.variance,
        noise,
        points.log_df.exp(),
    ).sum()


def natural_terms(
    predicted: Predicted, batch: Batch, loadings: Any, mean_gradient: Any, variance_gradient: Any
) -> Terms:
    """Natural gradient of the rows' terms, less the prior's.

    With g1, g2 the derivatives of a row's expected log-likelihood by the mean and the variance of
    its predictor and a its loading, ``sum -2 g2 a^2 v v'`` is added to the precision of q(v), and
    ``sum v (a g1 - 2 g2 a^2 v'mean)`` to its shift: each row is a Gaussian site.

    References
    ----------
    Khan & Lin (2017), "Conjugate-computation variational inference", equations 14 and 15;
    Salimbeni, Eleftheriadis & Hensman (2018), "Natural gradients in practice".
    """
    v = predicted.whitened
    a = loadings[batch.task].T
    # Negative where a likelihood is not log-concave: such a row then adds nothing.
    curvature = (-2.0 * variance_gradient * a**2).clamp_min(0.0)
    empty = torch.zeros_like(predicted.latent_mean)
    curvature = empty.index_add(1, batch.site, curvature)
    slope = empty.index_add(1, batch.site, a * mean_gradient)
    precision = _times(v * curvature[:, None], v.mT)
    weight = slope + curvature * predicted.latent_mean
    shift = _times(weight[:, None], v.mT)[:, 0]
    return Terms(precision, shift)


def absorb(q: Gaussians, terms: Terms, rate: float) -> Gaussians:
    """Step of size ``rate`` towards the prior and the rows' terms."""
    eye = torch.eye(q.shift.shape[-1], dtype=q.shift.dtype, device=q.shift.device)
    return Gaussians(
        (1.0 - rate) * q.precision + rate * (eye + terms.precision),
        (1.0 - rate) * q.shift + rate * terms.shift,
    )


def divergence(mean: Any, root: Any, log_det: Any) -> Any:
    """KL(q(v), p(v)), summed over the latent functions."""
    size = mean.shape[-1]
    parts = root.square().sum((-2, -1)) + mean.square().sum(-1) - size + log_det
    return 0.5 * parts.sum()


def log_prior(settings: SparseSettings, likelihood: str) -> Callable[[Points], Any]:
    """Log prior density of the point estimates, up to a constant."""

    def density(points: Points) -> Any:
        median = settings.lengthscale_median or (2.0 * points.inducing.shape[1]) ** 0.5
        log_ratio = points.log_lengthscale - torch.log(torch.as_tensor(median))
        out = -0.5 * (log_ratio / settings.lengthscale_log_sd).square().sum()
        out = out - 0.5 * (points.loadings / settings.loading_sd).square().sum()
        if likelihood in ("gaussian", "student_t"):
            out = out - 0.5 * (points.log_noise.exp() / settings.noise_scale).square().sum()
        if likelihood == "student_t":
            out = out + points.log_df - 0.1 * points.log_df.exp()  # Gamma(2, 0.1)
        return out

    return density
