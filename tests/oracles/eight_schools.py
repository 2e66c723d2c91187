"""Posterior of the eight schools by quadrature: mu ~ Normal(0, 5), tau ~ HalfCauchy(5)."""

import numpy as np

__all__ = ["EFFECT", "SCHOOLS", "STANDARD_ERROR", "moments"]

SCHOOLS = list("ABCDEFGH")
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
STANDARD_ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def moments() -> dict[str, tuple[float, float]]:
    """First and second moments of tau, mu, each theta and each share sigma^2 / (sigma^2 + tau^2).

    tau by the midpoint rule on its prior quantiles, mu by the same rule on a grid.
    """
    quantile = (np.arange(4000) + 0.5) / 4000
    tau = (5.0 * np.tan(0.5 * np.pi * quantile))[:, None]
    mu = np.linspace(-30.0, 30.0, 1201)[None, :]
    log_weight = np.zeros((tau.size, mu.size)) - 0.5 * (mu / 5.0) ** 2
    for y, se in zip(EFFECT, STANDARD_ERROR, strict=True):
        variance = se**2 + tau**2
        log_weight -= 0.5 * np.log(variance) + 0.5 * (y - mu) ** 2 / variance
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()

    def both(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
        return float((weight * first).sum()), float((weight * second).sum())

    out = {"tau": both(tau, tau**2), "mu": both(mu, mu**2)}
    for school, y, se in zip(SCHOOLS, EFFECT, STANDARD_ERROR, strict=True):
        share = se**2 / (se**2 + tau**2)
        center = share * mu + (1.0 - share) * y
        variance = share * tau**2
        out[f"theta {school}"] = both(center, center**2 + variance)
        out[f"share {school}"] = both(share, share**2)
    return out
