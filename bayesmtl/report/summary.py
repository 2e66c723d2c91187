"""A fit in a few lines: can it be trusted, how much is shared, which tasks stand out.

Everything is read from the DataTree alone, so that a loaded fit reports like a fresh one.
"""

import json
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from bayesmtl.frames.labels import label_texts
from bayesmtl.plots.common import given_correlations
from bayesmtl.plots.sharing import full_sharing
from bayesmtl.posterior.access import has_gaussian_response, require_linear
from bayesmtl.report.clusters import describe_clusters
from bayesmtl.report.graphs import describe_graph
from bayesmtl.report.noise import by_label, describe_noise, describe_response, draws_interval
from bayesmtl.report.standouts import standout_tasks

__all__ = ["Report", "describe_correlations", "describe_draws", "summarize_fit"]

_NO_SPREAD = (float("nan"),) * 3  # an effect of a task feature is the same for every task
_SHARE_WORDS = {0.8: "nearly all", 0.6: "most", 0.4: "about half", 0.2: "some", 0.0: "little"}


class Report(NamedTuple):
    """What ``bayesmtl report`` prints.

    Attributes
    ----------
    heading, verdict, sharing, noise, clusters, correlations, features, parts
        One sentence or two each; ``clusters`` is empty where the tasks form none, ``correlations``
        where the relation has no covariance of the tasks, ``graph`` where no graph or tree links
        them, ``features`` where it selects none,
        ``parts`` where it has no sparse part.
    members
        The table of ``bayesmtl.report.clusters.describe_clusters``, else empty.
    population
        One row per feature, ``term``, with ``mean``, ``mean_lower``, ``mean_upper`` over the tasks
        and ``sd``, ``sd_lower``, ``sd_upper`` between the tasks; bounds are 90% intervals. Effects
        of task features, ``term`` = "feature x task feature", have no ``sd``.
    different, uncertain
        The two tables of ``bayesmtl.report.standouts.standout_tasks``.
    difference_unit
        What ``different`` is given in.
    """

    heading: str
    verdict: str
    sharing: str
    clusters: str
    correlations: str
    graph: str
    features: str
    parts: str
    members: pd.DataFrame
    population: pd.DataFrame
    noise: str
    different: pd.DataFrame
    uncertain: pd.DataFrame
    difference_unit: str


def summarize_fit(idata: xr.DataTree, n_listed: int = 5) -> Report:
    """Summarize a fit: diagnostics, sharing, population, noise, and the tasks that stand out.

    Parameters
    ----------
    idata
        What ``model.fit`` returned or ``bm.load`` read.
    n_listed
        Most tasks to list as different and as uncertain.

    Returns
    -------
    Report
        Sentences and small tables.

    Raises
    ------
    UnsupportedError
        For a fit of graphs.
    """
    require_linear(idata, "the report")
    posterior = idata["posterior"].to_dataset()
    different, uncertain = standout_tasks(idata, n_listed)
    relations = idata["task_relations"].to_dataset()
    clusters, members = describe_clusters(relations, n_listed)
    return Report(
        heading=_heading(idata),
        verdict=str(idata.attrs["verdict"]),
        sharing=_sharing(idata, posterior),
        clusters=clusters,
        correlations=describe_correlations(relations),
        graph=describe_graph(relations),
        features=_inclusion(relations, n_listed),
        parts=_parts(posterior),
        members=members,
        population=_population(posterior),
        noise=describe_noise(posterior)
        if has_gaussian_response(idata)
        else describe_response(idata),
        different=different,
        uncertain=uncertain,
        difference_unit=relations.attrs.get("difference_unit", "noise standard deviations"),
    )


def _heading(idata: xr.DataTree) -> str:
    model = json.loads(idata.attrs["model"])
    design = json.loads(idata.attrs["design"])["rows"]
    n_rows = idata["constant_data"]["n_rows"]
    return (
        f"{design['formula']} for each of {n_rows.size:,} tasks ({model['task']}), "
        f"{int(n_rows.sum()):,} rows, relation {model['relation']['type']}\n{describe_draws(idata)}"
    )


def describe_draws(idata: xr.DataTree) -> str:
    """How many draws there are, and how they came about."""
    inference = json.loads(idata.attrs["inference"])
    sizes = idata["posterior"].sizes
    around = " around corrected sites" if inference.get("sites") == "corrected" else ""
    return (
        f"{sizes['chain']} x {sizes['draw']:,} draws by {inference['method']}{around} "
        f"in {idata.attrs['sampling_seconds']:.1f} s"
    )


def _sharing(idata: xr.DataTree, posterior: xr.Dataset) -> str:
    if "sharing" not in posterior:
        return "not defined for this model"
    mean, lower, upper = draws_interval(posterior["sharing"])
    if lower == upper:
        return f"{mean:.2f} by the choice of the relation"
    words = [next(w for bound, w in _SHARE_WORDS.items() if x >= bound) for x in (lower, upper)]
    word = " to ".join(dict.fromkeys(words))
    what = "what the features explain" if "feature" in posterior.dims else "the tasks' signal"
    full = full_sharing(idata)
    of = "common to the tasks" if full == "one common model" else full.replace("its", "a task's")
    return (
        f"{word} of {what} is {of}: "
        f"{mean:.2f} (90% interval {lower:.2f} to {upper:.2f}; 0 = nothing, 1 = everything)"
    )


def describe_correlations(relations: xr.Dataset) -> str:
    """How many pairs of tasks are correlated, and the pair that is most surely so."""
    if "task_correlation" not in relations or relations.sizes["task"] < 2:
        return ""
    if given_correlations(relations):
        return ""
    pairs = relations["task_correlation"].transpose("task", "task_bis", "statistic")
    row, column = np.triu_indices(pairs.sizes["task"], 1)
    mean, lower, upper = (
        pairs.sel(statistic=name).to_numpy()[row, column] for name in ("mean", "lower", "upper")
    )
    sure = np.maximum(lower, 0.0) - np.minimum(upper, 0.0)
    labels = label_texts(pairs["task"])
    if not np.isfinite(lower).any():
        best = int(np.abs(mean).argmax())
        return (
            f"point estimates without intervals; largest: {labels[row[best]]} and "
            f"{labels[column[best]]}, {mean[best]:.2f}"
        )
    best = int(sure.argmax()) if sure.any() else int(np.abs(mean).argmax())
    text = (
        f"90% interval without 0 in {int((sure > 0).sum()):,} of {sure.size:,} pairs of tasks; "
        f"{'surest' if sure.any() else 'largest'}: {labels[row[best]]} and {labels[column[best]]}, "
        f"{mean[best]:.2f} ({lower[best]:.2f} to {upper[best]:.2f})"
    )
    if "prior_task_correlation" in relations:
        prior = relations["prior_task_correlation"]
        low, high = (float(prior.sel(statistic=name)) for name in ("lower", "upper"))
        text += f"; prior of a pair {low:.2f} to {high:.2f}"
    return text


def _inclusion(relations: xr.Dataset, n_listed: int) -> str:
    """How many features matter, and which do most."""
    if "feature_inclusion" not in relations:
        return ""
    means = relations["feature_inclusion"].sel(part="any", statistic="mean")
    values, labels = means.to_numpy(), label_texts(means["feature"])
    order = np.argsort(-values, kind="stable")[:n_listed]
    most = ", ".join(f"{labels[i]} {values[i]:.2f}" for i in order)
    return (
        f"{int((values > 0.5).sum()):,} of {values.size:,} with an inclusion weight above 0.5; "
        f"largest: {most}"
    )


def _parts(posterior: xr.Dataset) -> str:
    """Share of each part of the weights, and the largest deviation of a task."""
    if "variance_share" not in posterior:
        return ""
    share = posterior["variance_share"]
    told = [
        f"{name} {mean:.0%} ({lower:.0%} to {upper:.0%})"
        for name, one in by_label(share, "part").items()
        for mean, lower, upper in [draws_interval(one)]
    ]
    part = posterior["sparse_part"]
    ratio = (part.mean(("chain", "draw")) / part.std(("chain", "draw"))).to_numpy()
    t, j = np.unravel_index(int(np.abs(ratio).argmax()), ratio.shape)
    mean, lower, upper = draws_interval(part.isel(task=t, feature=j))
    task, feature = label_texts(part["task"])[t], label_texts(part["feature"])[j]
    return (
        f"{', '.join(told)}; surest deviation: {feature} of task {task}, {mean:.3g} "
        f"({lower:.3g} to {upper:.3g})"
    )


def _population(posterior: xr.Dataset) -> pd.DataFrame:
    """One row per coefficient, and one per effect of a task feature on it."""
    rows: list[tuple[object, ...]] = []
    if "intercept_mean" in posterior:
        mean, sd = (
            draws_interval(posterior["intercept_mean"]),
            draws_interval(posterior["intercept_sd"]),
        )
        rows.append(("Intercept (at the average features)", *mean, *sd))
    if "population_mean" in posterior:
        means = by_label(posterior["population_mean"], "feature")
        sds = by_label(posterior["population_sd"], "feature")
        rows += [(name, *draws_interval(means[name]), *draws_interval(sds[name])) for name in means]
    if "intercept_task_effects" in posterior:
        effects = by_label(posterior["intercept_task_effects"], "task_feature")
        rows += [(f"Intercept × {z}", *draws_interval(effects[z]), *_NO_SPREAD) for z in effects]
    if "task_effects" in posterior:
        for z, effect in by_label(posterior["task_effects"], "task_feature").items():
            by_name = by_label(effect, "feature")
            rows += [(f"{f} × {z}", *draws_interval(by_name[f]), *_NO_SPREAD) for f in by_name]
    columns = ["term", "mean", "mean_lower", "mean_upper", "sd", "sd_lower", "sd_upper"]
    return pd.DataFrame(rows, columns=columns)
