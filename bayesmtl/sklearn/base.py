"""What the scikit-learn estimators have in common: X to rows of a model, its fit, predictions."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from bayesmtl.errors import InvalidModelError
from bayesmtl.likelihoods import Likelihood
from bayesmtl.model import Model
from bayesmtl.posterior.predict import predict
from bayesmtl.relations.exchangeable.prior import Exchangeable
from bayesmtl.sklearn.rows import free_name, read_features, with_column, with_task

__all__ = ["MultiTask"]


class MultiTask(BaseEstimator):
    """Settings, fit and predictions of both estimators."""

    def __init__(
        self,
        *,
        task: str | int | None = 0,
        relation: Any = None,
        likelihood: Any = None,
        formula: str | None = None,
        intercept: Any = None,
        inference: str = "gibbs",
        draws: int = 1000,
        tune: int = 1000,
        chains: int = 4,
        random_state: Any = None,
        new_task: str = "population",
    ) -> None:
        self.task = task
        self.relation = relation
        self.likelihood = likelihood
        self.formula = formula
        self.intercept = intercept
        self.inference = inference
        self.draws = draws
        self.tune = tune
        self.chains = chains
        self.random_state = random_state
        self.new_task = new_task

    def _fit(self, rows: nw.DataFrame[Any], y: np.ndarray, likelihood: Likelihood) -> None:
        """Fit the model to features and a response that were checked."""
        rows, task = with_task(rows, self.task)
        response = free_name("y", rows.columns)
        formula = self.formula
        if formula is None:
            taken = {task, *likelihood.columns.values()}
            formula = " + ".join(f"`{name}`" for name in rows.columns if name not in taken) or "1"
        elif not isinstance(formula, str) or "~" in formula:
            raise InvalidModelError(
                "formula must be the right-hand side, such as 'x1 + x2', as y is given apart, got "
                f"{formula!r}"
            )
        relation = Exchangeable() if self.relation is None else self.relation
        model = Model(f"`{response}` ~ {formula}", task, relation, likelihood, self.intercept)
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.idata_: xr.DataTree = model.fit(
            with_column(rows, response, y).to_native(),
            inference=self.inference,
            draws=self.draws,
            tune=self.tune,
            chains=self.chains,
            random_seed=self._seed,
            progressbar=False,
        )

    def _predict(self, X: Any, kind: Any) -> Any:
        """Mean and sd of the response of each row, or of its expectation."""
        check_is_fitted(self, "idata_")
        rows, _ = with_task(read_features(self, X), self.task)
        new_task: Any = self.new_task  # any other word is refused there
        return predict(
            self.idata_,
            rows.to_native(),
            kind=kind,
            new_task=new_task,
            as_frame=True,
            random_seed=self._seed,
        )
