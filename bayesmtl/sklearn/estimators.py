"""scikit-learn estimators: the task is a column of X."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, Ordinal
from bayesmtl.sklearn.base import MultiTask
from bayesmtl.sklearn.rows import read_features, read_response

__all__ = ["MultiTaskClassifier", "MultiTaskRegressor"]


class MultiTaskRegressor(RegressorMixin, MultiTask):
    """Regressions of several tasks under one prior that says how they relate: `bayesmtl.Model`.

    Parameters
    ----------
    task : str, int or None
        Column of X that names the task: its name, or its position. Columns of arrays are called
        x0, x1, ...; labels are texts or whole numbers. None makes all rows one task.
    relation : relation, optional
        Prior of the weights, as of `bayesmtl.Model`; default ``bm.Exchangeable()``.
    likelihood : likelihood, optional
        Gaussian, the default, StudentT, Poisson, NegativeBinomial or Binomial; columns that it
        names are columns of X.
    formula : str, optional
        Right-hand side; by default all columns of X but the task and those of the likelihood.
    intercept
        As of `bayesmtl.Model`.
    inference, draws, tune, chains
        As of `bayesmtl.Model.fit`.
    random_state : int, numpy.random.RandomState or None
        An int gives the same draws and predictions again.
    new_task : {"population", "error"}
        Whether tasks that `fit` has not seen are predicted from the population or refused.

    Attributes
    ----------
    idata_ : xarray.DataTree
        The fit, for every function of the package.
    n_features_in_ : int
    feature_names_in_ : array of str
        Where X is a data frame.

    Examples
    --------
    >>> import bayesmtl as bm
    >>> houses = bm.load_dataset("radon")
    >>> X = houses[["county", "floor", "log_uranium"]]
    >>> model = bm.sklearn.MultiTaskRegressor(task="county", random_state=1)
    >>> model.fit(X, houses["log_radon"]).predict(X, return_std=True)  # doctest: +SKIP
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Sample the posterior.

        Parameters
        ----------
        X : data frame or array (row, column)
            The features and the task.
        y : array (row,)
            The response.

        Returns
        -------
        MultiTaskRegressor
            Itself.

        Raises
        ------
        InvalidDataError, InvalidModelError, UnsupportedError
            As of `bayesmtl.Model.fit`; the first two are ValueErrors.
        """
        likelihood = Gaussian() if self.likelihood is None else self.likelihood
        if not isinstance(likelihood, LIKELIHOODS) or isinstance(likelihood, Bernoulli | Ordinal):
            raise InvalidModelError(
                "likelihood of MultiTaskRegressor must be one of bm.Gaussian(), bm.StudentT(), "
                "bm.Poisson(), bm.NegativeBinomial(), bm.Binomial(...), got "
                f"{likelihood!r}; yes and no are for MultiTaskClassifier"
            )
        rows = read_features(self, X, y, reset=True)
        self._fit(rows, read_response(y, rows).astype(np.float64), likelihood)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Expected response of each row.

        Parameters
        ----------
        X : data frame or array (row, column)
        return_std : bool
            Also return the standard deviation of a new response of the row: the uncertainty of its
            expectation and the noise together, estimated from one response for each draw.

        Returns
        -------
        array (row,), or a tuple of two

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidDataError
            As of `bayesmtl.predict`.
        """
        mean = self._predict(X, "response_params")["mean"].to_numpy()
        return (mean, self._predict(X, "response")["sd"].to_numpy()) if return_std else mean


class MultiTaskClassifier(ClassifierMixin, MultiTask):
    """Yes or no of several tasks: logistic regressions under one prior, `bayesmtl.Model`.

    Parameters
    ----------
    likelihood : Bernoulli, optional
        Default ``bm.Bernoulli()``, of the logit link.
    task, relation, formula, intercept, inference, draws, tune, chains, random_state, new_task
        As of `MultiTaskRegressor`.

    Attributes
    ----------
    classes_ : array (2,)
        The two classes, sorted; probabilities of `predict_proba` are in this order.
    idata_, n_features_in_, feature_names_in_
        As of `MultiTaskRegressor`; the response of the fit is whether a row is of ``classes_[1]``.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Sample the posterior.

        Parameters
        ----------
        X : data frame or array (row, column)
            The features and the task.
        y : array (row,)
            Two classes.

        Returns
        -------
        MultiTaskClassifier
            Itself.

        Raises
        ------
        InvalidDataError
            For another number of classes than two, and as of `bayesmtl.Model.fit`.
        """
        likelihood = Bernoulli() if self.likelihood is None else self.likelihood
        if not isinstance(likelihood, Bernoulli):
            raise InvalidModelError(
                f"likelihood of MultiTaskClassifier must be bm.Bernoulli(...), got {likelihood!r}"
            )
        rows = read_features(self, X, y, reset=True)
        values = read_response(y, rows)
        check_classification_targets(values)
        classes, codes = np.unique(values, return_inverse=True)
        if len(classes) != 2:
            raise InvalidDataError(
                "Only binary classification is supported, as there is no categorical likelihood; "
                f"y has {len(classes)} class{'es' if len(classes) > 1 else ''}"
            )
        self._fit(rows, codes.astype(np.float64), likelihood)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Posterior mean of the probability of each class: (row, 2).

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        yes = self._predict(X, "response_params")["mean"].to_numpy()
        return np.column_stack([1.0 - yes, yes])

    def predict(self, X: Any) -> np.ndarray:
        """The more probable class of each row.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        chosen = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[chosen])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
