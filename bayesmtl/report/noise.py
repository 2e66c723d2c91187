"""The scatter of the rows in words, and the intervals of draws that sentences are made of."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.likelihoods import Mixed
from bayesmtl.likelihoods.groups import mixed_blocks
from bayesmtl.posterior.settings import fit_settings

__all__ = ["by_label", "describe_noise", "describe_response", "draws_interval"]


def draws_interval(draws: xr.DataArray) -> tuple[float, float, float]:
    """Mean and 90% interval of one quantity."""
    values = draws.to_numpy()
    lower, upper = np.quantile(values, [0.05, 0.95])
    return float(values.mean()), float(lower), float(upper)


def by_label(draws: xr.DataArray, dim: str) -> dict[str, xr.DataArray]:
    """Draws at each label of a dimension."""
    return {label: draws.isel({dim: k}) for k, label in enumerate(label_texts(draws[dim]))}


def describe_noise(posterior: xr.Dataset) -> str:
    """Scatter of the rows around what is expected of them."""
    if "noise_sd" not in posterior:
        return "known standard errors"
    noise = posterior["noise_sd"]
    if "task" not in noise.dims:
        mean, lower, upper = draws_interval(noise)
        return f"sd {mean:.3g} (90% interval {lower:.3g} to {upper:.3g}), the same for every task"
    means = noise.mean(("chain", "draw")).to_numpy()
    labels = label_texts(noise["task"])
    low, high = int(means.argmin()), int(means.argmax())
    return (
        f"sd {np.median(means):.3g} in the median task, from {means[low]:.3g} "
        f"(task {labels[low]}) to {means[high]:.3g} (task {labels[high]})"
    )


def describe_response(idata: xr.DataTree) -> str:
    """The likelihood, and its parameters that all tasks share."""
    likelihood = fit_settings(idata).likelihood
    posterior = idata["posterior"].to_dataset()
    if isinstance(likelihood, Mixed):
        labels = idata["posterior"]["task"].to_numpy()
        kinds = sorted({type(one).__name__ for _, one in likelihood.tasks})
        parts = [f"that of {_and(kinds)} responses"]
        blocks = mixed_blocks(likelihood, labels)
    else:
        parts = [f"that of a {type(likelihood).__name__} response"]
        blocks = likelihood.parameters  # type: ignore[union-attr]
    for block in blocks:
        draws = posterior[block.name]
        numbers = {"": draws} if block.dim is None else by_label(draws, block.dim)
        for label, values in numbers.items():
            mean, lower, upper = draws_interval(values)
            name = f"{block.name} {label}".strip()
            parts.append(f"{name} {mean:.3g} (90% interval {lower:.3g} to {upper:.3g})")
    return ", ".join(parts)


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
