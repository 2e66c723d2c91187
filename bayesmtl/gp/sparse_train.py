"""Training of a sparse multi-task Gaussian process: natural gradients for q(u), Adam beside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from bayesmtl.gp.sparse import SparseFit, SparseSettings, SparseStart
from bayesmtl.gp.sparse_steps import (
    Batch,
    Gaussians,
    Points,
    Predicted,
    Terms,
    absorb,
    divergence,
    log_prior,
    natural_terms,
    predict_batch,
    roots_of,
    row_terms,
)

__all__ = ["Choices", "Trainer", "train"]

_BLOCK_STEPS = 25  # the bound is judged over blocks of at least so many steps
# Factor of the step sizes, and the share of the epochs after which the next one follows at the
# latest: large steps may be cut off where a bad one has just thrown the bound back.
_STAGES = ((1.0, 0.7), (0.3, 0.9), (0.1, 1.0))
_FINAL_PASSES = 100
_FINAL_TOLERANCE = 1e-6  # nats per row


class Choices(NamedTuple):
    """What is trained."""

    kernel: str
    coregionalization: str
    likelihood: str
    settings: SparseSettings


class Trainer:
    """State of one training."""

    def __init__(
        self, choices: Choices, rows: Batch, start: SparseStart, rng: np.random.Generator
    ) -> None:
        self.choices, self.rows, self.rng = choices, rows, rng
        counts = np.bincount(rows.site.cpu().numpy())
        self.first = np.concatenate([[0], np.cumsum(counts)])  # row of each site
        self.points = Points(
            *(
                torch.tensor(value, dtype=torch.float64, device=rows.inputs.device)
                for value in (
                    start.inducing,
                    np.log(start.lengthscale),
                    start.loadings,
                    np.log(start.noise_sd),
                    start.intercept,
                    math.log(start.degrees_of_freedom),
                )
            )
        )
        n_latents, size = start.loadings.shape[1], len(start.inducing)
        eye = torch.eye(size, dtype=torch.float64, device=rows.inputs.device)
        self.q = Gaussians(eye.repeat(n_latents, 1, 1), eye.new_zeros((n_latents, size)))
        self.prior = log_prior(choices.settings, choices.likelihood)
        self.trained = [
            value for name, value in self.points._asdict().items() if name in self._trained_names()
        ]
        self.adam = torch.optim.Adam(self.trained, lr=choices.settings.learning_rate)

    def _trained_names(self) -> set[str]:
        names = {"log_lengthscale", "loadings", "intercept"}
        if self.choices.settings.learn_inducing:
            names.add("inducing")
        if self.choices.likelihood in ("gaussian", "student_t"):
            names.add("log_noise")
        if self.choices.likelihood == "student_t":
            names.add("log_df")
        return names

    def batches(self, shuffle: bool) -> Iterator[Batch]:
        """All rows: distinct inputs in batches of about equal size, each with all of its rows."""
        n = len(self.rows.inputs)
        count = -(-n // self.choices.settings.batch_size)
        if count == 1:
            yield self.rows
            return
        order = self.rng.permutation(n) if shuffle else np.arange(n)
        for part in np.array_split(order, count):
            sizes = self.first[part + 1] - self.first[part]
            ends = np.cumsum(sizes)
            rows = np.repeat(self.first[part] - ends + sizes, sizes) + np.arange(ends[-1])
            index, site, chosen = (
                torch.as_tensor(value, device=self.rows.inputs.device)
                for value in (rows, np.repeat(np.arange(len(part)), sizes), part)
            )
            yield Batch(
                inputs=self.rows.inputs[chosen],
                site=site,
                task=self.rows.task[index],
                response=self.rows.response[index],
                offset=self.rows.offset[index],
            )

    def step(self, batch: Batch, slowdown: float) -> float:
        """One step of everything; returns the estimate of the bound before it."""
        scale = len(self.rows.inputs) / len(batch.inputs)
        root, log_det = roots_of(self.q.precision)
        mean = torch.einsum("qij,qkj,qk->qi", root, root, self.q.shift)
        for value in self.trained:
            value.requires_grad_(True)
        predicted = predict_batch(self.choices.kernel, self.points, mean, root, batch)
        rows = scale * row_terms(self.choices.likelihood, self.points, predicted, batch)
        wanted = (*self.trained, predicted.mean, predicted.variance)
        gradients = torch.autograd.grad(rows + self.prior(self.points), wanted)
        for value, gradient in zip(self.trained, gradients, strict=False):
            value.grad = -gradient
            value.requires_grad_(False)
        terms = self._terms(predicted, batch, gradients[-2], gradients[-1])
        self.q = absorb(self.q, terms, slowdown * self.choices.settings.natural_rate)
        self.adam.param_groups[0]["lr"] = slowdown * self.choices.settings.learning_rate
        self.adam.step()
        return float(rows.detach() - divergence(mean, root, log_det))

    def _terms(
        self, predicted: Predicted, batch: Batch, mean_gradient: Any, variance_gradient: Any
    ) -> Terms:
        detached = Predicted(*(value.detach() for value in predicted))
        loadings = self.points.loadings
        return natural_terms(detached, batch, loadings, mean_gradient, variance_gradient)

    def full_pass(self) -> tuple[float, Terms]:
        """The bound over all rows, and what they add to the natural parameters of q(v)."""
        root, log_det = roots_of(self.q.precision)
        mean = torch.einsum("qij,qkj,qk->qi", root, root, self.q.shift)
        total = -divergence(mean, root, log_det)
        sums = Terms(torch.zeros_like(self.q.precision), torch.zeros_like(self.q.shift))
        for batch in self.batches(shuffle=False):
            found = predict_batch(self.choices.kernel, self.points, mean, root, batch)
            moments = (found.mean.requires_grad_(True), found.variance.requires_grad_(True))
            rows = row_terms(self.choices.likelihood, self.points, found, batch)
            gradients = torch.autograd.grad(rows, moments)
            more = self._terms(found, batch, *gradients)
            sums = Terms(sums.precision + more.precision, sums.shift + more.shift)
            total = total + rows.detach()
        return float(total), sums

    def polish(self) -> float:
        """Ascend in q(v) alone, over all rows, and return the bound."""
        if len(self.points.log_lengthscale) == 1:
            self._rotate()
        rate = 1.0  # exact where rows are Gaussian and latent functions independent given them
        best, terms = self.full_pass()
        for _ in range(_FINAL_PASSES):
            kept = self.q
            self.q = absorb(kept, terms, rate)
            bound, found = self.full_pass()
            if not bound > best:
                self.q, rate = kept, 0.5 * rate
                continue
            gain, best, terms = bound - best, bound, found
            if gain < _FINAL_TOLERANCE * len(self.rows.response):
                break
        return best

    def _rotate(self) -> None:
        """Turn latent functions of one kernel so that the rows couple them as little as may be.

        ``A R`` with orthogonal R gives the same covariance of the tasks and the same prior density;
        R diagonalises the rows' information about the latent functions, ``sum_i a_i a_i' / s_i^2``,
        and so q(v), independent over functions, loses least.
        """
        weight = torch.bincount(self.rows.task, minlength=len(self.points.intercept)).double()
        if self.choices.likelihood in ("gaussian", "student_t"):
            weight = weight * torch.exp(-2.0 * self.points.log_noise.detach())
        loadings = self.points.loadings.detach()
        _, turn = torch.linalg.eigh(loadings.T @ (weight[:, None] * loadings))
        mean = torch.linalg.solve(self.q.precision, self.q.shift[:, :, None])[:, :, 0]
        precision = torch.einsum("qr,qij->rij", turn.square(), self.q.precision)
        shift = torch.einsum("rij,qr,qj->ri", precision, turn, mean)
        self.points = self.points._replace(loadings=loadings @ turn)
        self.q = Gaussians(precision, shift)

    def finish(self, elbo: float, trace: list[float], interrupted: bool) -> SparseFit:
        """Arrays."""
        root, _ = roots_of(self.q.precision)
        covariance = root @ root.mT
        mean = torch.einsum("qij,qj->qi", covariance, self.q.shift)
        points = Points(*(value.detach().cpu().numpy() for value in self.points))
        n_latents = points.loadings.shape[1]
        noisy = self.choices.likelihood in ("gaussian", "student_t")
        student = self.choices.likelihood == "student_t"
        lengthscale = np.exp(points.log_lengthscale)
        return SparseFit(
            kernel=self.choices.kernel,
            likelihood=self.choices.likelihood,
            inducing=points.inducing,
            lengthscale=np.repeat(lengthscale, n_latents // len(lengthscale), axis=0),
            loadings=points.loadings,
            noise_sd=np.exp(points.log_noise) if noisy else np.full(len(points.intercept), np.nan),
            intercept=points.intercept,
            degrees_of_freedom=float(np.exp(points.log_df)) if student else math.nan,
            mean=mean.cpu().numpy(),
            root=torch.linalg.cholesky(covariance).cpu().numpy(),
            elbo=elbo,
            elbo_trace=np.array(trace),
            interrupted=interrupted,
        )


def train(
    choices: Choices,
    rows: Batch,
    start: SparseStart,
    rng: np.random.Generator,
    show: Callable[[int, float], None],
) -> SparseFit:
    """Train until the bound rises no more at three step sizes, or Ctrl-C.

    Parameters
    ----------
    choices : Choices
    rows : Batch
        All rows, sorted by their inputs.
    start : SparseStart
    rng : numpy.random.Generator
        Order of the rows.
    show : callable
        Called with the number of finished epochs and their last bound.

    Returns
    -------
    SparseFit
    """
    trainer = Trainer(choices, rows, start, rng)
    trace: list[float] = []
    interrupted = False
    try:
        for slowdown, share in _STAGES:
            limit = math.ceil(share * choices.settings.epochs)
            _ascend(trainer, slowdown, limit, trace, show)
    except KeyboardInterrupt:
        interrupted = True
    return trainer.finish(trainer.polish(), trace, interrupted)


def _ascend(
    trainer: Trainer,
    slowdown: float,
    limit: int,
    trace: list[float],
    show: Callable[[int, float], None],
) -> None:
    """Epochs at one step size, until two blocks of them in a row bring too little."""
    settings, n = trainer.choices.settings, len(trainer.rows.response)
    per_epoch = -(-len(trainer.rows.inputs) // settings.batch_size)
    block = max(1, -(-_BLOCK_STEPS // per_epoch))
    best, poor = -math.inf, 0
    while len(trace) < limit:
        bounds = []
        for _ in range(min(block, limit - len(trace))):
            trace.append(
                float(np.mean([trainer.step(batch, slowdown) for batch in trainer.batches(True)]))
            )
            bounds.append(trace[-1])
            show(len(trace), trace[-1])
        found = float(np.mean(bounds))
        poor = 0 if found > best + settings.tolerance * n else poor + 1
        best = max(best, found)
        if poor == 2:
            return
