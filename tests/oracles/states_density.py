"""The log joint density of random states, on the user's scale."""

from typing import Any

import numpy as np
from scipy import stats

from bayesmtl.inference.gibbs import ChainState
from bayesmtl.numerics.lanes import unpack_tasks
from tests.oracles import joint_density
from tests.oracles.joint_density import Point
from tests.oracles.states import N_TASKS, Setting

__all__ = ["centers", "oracle", "user_point"]

MEAN_LAW, SCALE_LAW = stats.norm(0.3, 1.5), stats.gamma(2, scale=1 / 1.5)


class _HalfT:
    @staticmethod
    def logpdf(x: float) -> float:
        return float(stats.t(3, scale=2).logpdf(x))


NOISE_LAWS: dict[str, dict[str, Any]] = {
    "hierarchical": {
        "median": stats.lognorm(0.7, scale=np.exp(0.1)),
        "spread": stats.halfnorm(scale=0.6),
        "hierarchical": True,
    },
    "shared": {"median": _HalfT},
    "fixed": {},
}


def user_point(setting: Setting, chain: ChainState) -> Point:
    """The state on the user's scale, by the definitions."""
    data, population, noise = setting.data, chain.population, chain.noise
    s_y, s_z = data["y"].std(ddof=0), data["z"].groupby(data["task"]).first().std(ddof=0)
    unit = s_y / np.array([1.0, data["x0"].std(ddof=0), data["x1"].std(ddof=0)])
    location = np.array([data["y"].mean(), 0.0, 0.0])
    means = unit[:, None] * population.means / np.array([1.0, s_z])
    means[:, 0] += location
    sds = np.sqrt(np.diag(population.covariance))
    return Point(
        means=means,
        sds=unit * population.scale * sds,
        correlation=population.covariance / np.outer(sds, sds),
        shared=float(population.shared[0]),
        median=float(s_y * np.exp(noise.log_median[0])),
        spread=float(noise.spread[0]),
        noise=s_y * np.exp(unpack_tasks(noise.log_sd, N_TASKS)),
        weights=location + unit * unpack_tasks(population.weights, N_TASKS),
    )


def centers(setting: Setting, point: Point) -> np.ndarray:
    """Population mean (task, p) of each task."""
    z = setting.data["z"].groupby(setting.data["task"]).first()
    return np.column_stack([np.ones(N_TASKS), z - z.mean()]) @ point.means.T


def _structure(setting: Setting, point: Point) -> float:
    data = setting.data
    value = MEAN_LAW.logpdf(point.means[0]).sum() + SCALE_LAW.logpdf(point.sds[0])
    means, sds = point.means[1:], point.sds[1:]
    feature_sd = np.array([data["x0"].std(ddof=0), data["x1"].std(ddof=0)])
    s_z = data["z"].groupby(data["task"]).first().std(ddof=0)
    if setting.kind == "joint":
        standard = means * feature_sd[:, None] * np.array([1.0, s_z])
        laws = (stats.beta(2, 3), stats.beta(1.5, 2))
        reference = 0.8 if setting.noise == "fixed" else point.median
        return value + joint_density.joint_prior_log_density(
            standard, sds * feature_sd, point.shared, reference, laws
        )
    value += MEAN_LAW.logpdf(means[:, 0]).sum()
    correlation = point.correlation[1:, 1:]
    if setting.kind == "huang_wand":
        value += MEAN_LAW.logpdf(means[:, 1]).sum()
        scales = data["y"].std(ddof=0) / feature_sd
        return value + joint_density.huang_wand_log_density(
            correlation * np.outer(sds, sds), scales
        )
    default = 2.5 * data["y"].std(ddof=0) / (feature_sd * s_z)
    value += stats.norm(0.0, default).logpdf(means[:, 1]).sum() + SCALE_LAW.logpdf(sds).sum()
    if setting.kind == "separate":
        value += 1.5 * np.linalg.slogdet(correlation)[1]
    return value


def oracle(setting: Setting, chain: ChainState) -> float:
    data = setting.data
    x, z = data[["x0", "x1"]], data["z"].groupby(data["task"]).first()
    return joint_density.log_joint(
        user_point(setting, chain),
        columns=np.column_stack([np.ones(len(data)), x - x.mean()]),
        response=data["y"].to_numpy(),
        task=data["task"].to_numpy(),
        task_columns=np.column_stack([np.ones(N_TASKS), z - z.mean()]),
        row_weight=data["w"].to_numpy(),
        structure=lambda point: _structure(setting, point),
        noise=NOISE_LAWS[setting.noise],
    )
