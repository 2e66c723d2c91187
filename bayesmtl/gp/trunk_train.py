"""Training of hidden layers that the tasks share, with a linear head for each task."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch

from bayesmtl.gp.expected import sensible_start
from bayesmtl.gp.torch_backend import torch_generator

__all__ = ["TrunkRows", "train_trunk"]

_EPOCHS = 500
_BATCH = 256
_PATIENCE = 40
_LEARNING_RATE = 0.01
_HELD_OUT = 0.2


class TrunkRows(NamedTuple):
    """Rows for a trunk.

    Parameters
    ----------
    inputs : (row, input)
        Standardised.
    task : (row,)
        Codes.
    response : (row,)
    size : (row,)
        Trials, or exposure, or 1.
    """

    inputs: np.ndarray
    task: np.ndarray
    response: np.ndarray
    size: np.ndarray

    def take(self, rows: np.ndarray) -> TrunkRows:
        """Some of the rows."""
        return TrunkRows(*(value[rows] for value in self))


def _row_losses(loss: str, response: Any, size: Any, f: Any) -> Any:
    """Negative log-likelihoods of rows, up to constants."""
    if loss == "binomial":
        log_sigmoid = torch.nn.functional.logsigmoid
        return -(response * log_sigmoid(f) + (size - response) * log_sigmoid(-f))
    if loss == "poisson":
        return size * torch.exp(f) - response * f
    if loss == "huber":
        return torch.nn.functional.huber_loss(f, response, reduction="none")
    return 0.5 * (response - f) ** 2


class _Network:
    """Trunk and heads; the head of a task is a common one and what the task adds to it."""

    def __init__(self, widths: tuple[int, ...], start: np.ndarray, generator: Any) -> None:
        def normal(*shape: int) -> Any:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.weights = [normal(a, b) / a**0.5 for a, b in pairwise(widths)]
        self.biases = [0.1 * normal(b) for b in widths[1:]]
        self.common = normal(widths[-1]) / widths[-1] ** 0.5
        self.own = torch.zeros((len(start), widths[-1]), dtype=torch.float64)
        self.intercept = torch.tensor(start)
        self.parameters = [
            *self.weights,
            *self.biases,
            self.common,
            self.own,
            self.intercept,
        ]

    def features(self, x: Any) -> Any:
        for weights, bias in zip(self.weights, self.biases, strict=True):
            x = torch.tanh(x @ weights + bias)
        return x

    def predictor(self, x: Any, task: Any) -> Any:
        return self.intercept[task] + (self.features(x) * (self.common + self.own[task])).sum(1)

    def penalty(self) -> Any:
        """Negative log density of Normal(0, 1) heads and Normal(0, 1 / inputs) weights."""
        total = self.common.square().sum() + self.own.square().sum()
        for weights in self.weights:
            total = total + len(weights) * weights.square().sum()
        return 0.5 * total


def train_trunk(
    rows: TrunkRows,
    n_tasks: int,
    *,
    loss: str,
    hidden: tuple[int, ...],
    n_features: int,
    rng: np.random.Generator,
) -> list[dict[str, np.ndarray]]:
    """Train tanh layers by Adam, stopped early on a fifth of the rows.

    Parameters
    ----------
    rows : TrunkRows
    n_tasks : int
    loss : {"squared", "huber", "binomial", "poisson"}
        The first two on responses in units of their task.
    hidden : tuple of int
    n_features : int
        Width of the last layer.
    rng : numpy.random.Generator

    Returns
    -------
    list of dict
        ``weights`` (in, out) and ``bias`` (out,) of each layer.

    References
    ----------
    Caruana (1997), "Multitask learning".
    """
    kind = {"binomial": "bernoulli", "poisson": "poisson"}.get(loss, "gaussian")
    ones = np.ones(len(rows.task))
    center, spread = sensible_start(kind, rows.response / rows.size, rows.task, n_tasks, ones)
    if kind == "gaussian":
        scaled = (rows.response - center[rows.task]) / spread[rows.task]
        rows, center = rows._replace(response=scaled), np.zeros(n_tasks)
    widths = (rows.inputs.shape[1], *hidden, n_features)
    network = _Network(widths, center, torch_generator(torch, rng))
    order = rng.permutation(len(rows.task))
    n_held = max(1, round(_HELD_OUT * len(order)))
    held, fitted = (_tensors(rows.take(part)) for part in (order[:n_held], order[n_held:]))
    best, since = np.inf, 0
    kept = [value.clone() for value in network.parameters]
    for value in network.parameters:
        value.requires_grad_(True)
    adam = torch.optim.Adam(network.parameters, lr=_LEARNING_RATE)
    for _ in range(_EPOCHS):
        _epoch(network, adam, fitted, loss, rng)
        with torch.no_grad():
            found = float(_mean_loss(network, held, loss))
        if found < best:
            best, since = found, 0
            kept = [value.detach().clone() for value in network.parameters]
        else:
            since += 1
            if since == _PATIENCE:
                break
    n_layers = len(network.weights)
    arrays = [value.numpy() for value in kept[: 2 * n_layers]]
    return [
        {"weights": weights, "bias": bias}
        for weights, bias in zip(arrays[:n_layers], arrays[n_layers:], strict=True)
    ]


def _tensors(rows: TrunkRows) -> tuple[Any, ...]:
    return tuple(torch.as_tensor(value) for value in rows)


def _mean_loss(network: _Network, rows: tuple[Any, ...], loss: str) -> Any:
    x, task, response, size = rows
    return _row_losses(loss, response, size, network.predictor(x, task)).mean()


def _epoch(
    network: _Network, adam: Any, rows: tuple[Any, ...], loss: str, rng: np.random.Generator
) -> None:
    """One pass over the rows in batches of about equal size."""
    n = len(rows[0])
    for part in np.array_split(rng.permutation(n), -(-n // _BATCH)):
        batch = tuple(value[torch.as_tensor(part)] for value in rows)
        total = _mean_loss(network, batch, loss) + network.penalty() / n
        gradients = torch.autograd.grad(total, network.parameters)
        for value, gradient in zip(network.parameters, gradients, strict=True):
            value.grad = gradient
        adam.step()
