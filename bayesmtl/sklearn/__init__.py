"""scikit-learn estimators, imported when `bayesmtl.sklearn` is first used."""

from bayesmtl.errors import UnsupportedError

try:
    from bayesmtl.sklearn.estimators import MultiTaskClassifier, MultiTaskRegressor
except ModuleNotFoundError as error:
    if not str(error.name).startswith("sklearn"):
        raise
    raise UnsupportedError(
        "bm.sklearn needs scikit-learn, which is not installed: `pip install 'bayesmtl[sklearn]'`"
    ) from None

__all__ = ["MultiTaskClassifier", "MultiTaskRegressor"]
