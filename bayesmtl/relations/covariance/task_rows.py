"""Non-centred update of a Huang-Wand covariance of tasks: its Cholesky factor, row by row.

With ``Omega = L L'`` and deviations ``L z`` for rows z of the population of the features, row t of
L enters the likelihood through the weights of task t alone, and linearly. Given the scales of the
prior its elements off the diagonal are jointly normal.
"""

import numpy as np

from bayesmtl.numerics.jit import kernel
from bayesmtl.relations.exchangeable.rows import update_row

__all__ = ["update_task_rows"]


@kernel
def update_task_rows(gram, score, lower, inverse, white, psi, rng):
    """Update a Cholesky factor of the covariance of tasks and its inverse, in place.

    Rows forwards or backwards by a toss: reversible, so a proposal.

    Parameters
    ----------
    gram : (task, d, d)
        Sites of the standardised deviations of the features.
    score : (task, d)
        Their linear term, at deviations zero.
    lower, inverse : (task, task)
        L and its inverse.
    white : (task, d)
        ``L^-1`` times the deviations.
    psi : (task,)
        Scales of the prior: ``exp(-sum_k psi_k |x_k|^2 / 2)`` of the columns x_k of ``L^-1``.
    rng : numpy.random.Generator
    """
    n_tasks, d = white.shape
    images = np.empty((n_tasks, d))
    backwards = rng.random() < 0.5
    for step in range(n_tasks):
        t = n_tasks - 1 - step if backwards else step
        n = t + 1
        quadratic = np.empty((n, n))
        linear = np.empty(n)
        for k in range(n):
            for i in range(d):
                total = 0.0
                for j in range(d):
                    total += gram[t, i, j] * white[k, j]
                images[k, i] = total
            total = 0.0
            for i in range(d):
                total += white[k, i] * score[t, i]
            linear[k] = total
            for m in range(k + 1):
                total = 0.0
                for i in range(d):
                    total += white[m, i] * images[k, i]
                quadratic[k, m] = quadratic[m, k] = total
        update_row(lower, inverse, psi, t, quadratic, linear, backwards, rng)
