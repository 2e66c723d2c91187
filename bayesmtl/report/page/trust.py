"""Whether a fit can be trusted, and what it is a fit of."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from bayesmtl.errors import InvalidModelError
from bayesmtl.posterior.access import is_functional, is_graphical
from bayesmtl.posterior.diagnostics import diagnosis_attrs

__all__ = ["diagnostics", "model_facts", "stored_diagnosis", "verdict"]

_MOST_VARIABLES = 60
_LEADS = {
    "OK": "The draws can be trusted.",
    "CHECK": "Do not rely on these numbers yet.",
    "APPROXIMATE": "A quick look: these numbers are approximate.",
}


def stored_diagnosis(idata: xr.DataTree) -> dict[str, str]:
    """The attributes ``verdict`` and ``diagnostics`` of a fit, computed where they are missing."""
    if {"verdict", "diagnostics"} <= set(idata.attrs):
        return {name: str(idata.attrs[name]) for name in ("verdict", "diagnostics")}
    return diagnosis_attrs(idata)


def verdict(stored: dict[str, str]) -> dict[str, Any]:
    """The verdict in plain words, with what to do.

    Parameters
    ----------
    stored
        Of `stored_diagnosis`.

    Returns
    -------
    dict
        ``status`` ("OK", "CHECK" or "APPROXIMATE"), ``lead`` (a sentence), ``text`` (the verdict)
        and ``todo`` (what is wrong and what to do, one text each).
    """
    text = stored["verdict"]
    status = next((word for word in _LEADS if text.startswith(word)), "CHECK")
    problems = json.loads(stored["diagnostics"])["problems"]
    told = text.removeprefix(f"{status}: ")
    if problems:
        told = told.rpartition(" -> ")[0]  # labels of tasks may hold an arrow too
    return {"status": status, "lead": _LEADS[status], "text": told, "todo": _remedies(problems)}


def _remedies(problems: list[str]) -> list[str]:
    parts = [problem.rpartition(" -> ")[2] for problem in problems]
    return [part[:1].upper() + part[1:] for part in dict.fromkeys(parts)]


def diagnostics(idata: xr.DataTree, stored: dict[str, str]) -> dict[str, Any]:
    """R-hat and effective sample sizes, the worst variables first, and divergences.

    Parameters
    ----------
    idata
        A fit.
    stored
        Of `stored_diagnosis`.

    Returns
    -------
    dict
        ``table`` (a dict a variable), ``divergences`` (None where the method has none), ``chains``
        and ``draws``.
    """
    rows = json.loads(stored["diagnostics"])["table"]
    moving = [row for row in rows if row["quantities"]]
    moving.sort(key=lambda row: row["ess_bulk"] if row["ess_bulk"] is not None else -1.0)
    sizes = idata["posterior"].sizes
    diverging = None
    if "sample_stats" in idata.children and "diverging" in idata["sample_stats"].to_dataset():
        diverging = int(np.sum(idata["sample_stats"]["diverging"].to_numpy()))
    return {
        "table": moving[:_MOST_VARIABLES],
        "left_out": max(0, len(moving) - _MOST_VARIABLES),
        "divergences": diverging,
        "chains": sizes["chain"],
        "draws": sizes["draw"],
    }


def model_facts(idata: xr.DataTree) -> dict[str, Any]:
    """The generative story with its priors, how it was fitted, seed and versions.

    Returns
    -------
    dict
        ``story`` (text) and ``facts``, pairs of a name and a text.
    """
    attrs = idata.attrs
    inference = json.loads(attrs.get("inference", "{}"))
    facts = [
        ("Method", ", ".join(f"{key} {value}" for key, value in inference.items() if _plain(value)))
    ]
    facts.append(("Random seed", str(attrs.get("random_seed", "unknown"))))
    if "sampling_seconds" in attrs:
        facts.append(("Time", f"{float(attrs['sampling_seconds']):.1f} s"))
    facts.append(("Fitted", str(attrs.get("created_at", "unknown"))))
    versions = json.loads(attrs.get("versions", "{}"))
    facts.append(("Versions", ", ".join(f"{name} {v}" for name, v in versions.items())))
    return {"story": _story(idata), "facts": [[name, text] for name, text in facts if text]}


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _story(idata: xr.DataTree) -> str:
    # Models import the parts of a fit, and this is one of them.
    from bayesmtl.gp.model import MultiTaskGP
    from bayesmtl.gp.network import SharedNetwork
    from bayesmtl.graphical.model import MultiTaskGraphicalModel
    from bayesmtl.model import Model

    if "model" not in idata.attrs:
        return "The fit does not say of what model it is."
    settings = json.loads(idata.attrs["model"])
    kind: Any = Model
    if is_functional(idata):
        kind = MultiTaskGP
    elif is_graphical(idata):
        kind = MultiTaskGraphicalModel
    elif settings.get("type") == "SharedNetwork":
        kind = SharedNetwork
    try:
        return str(kind.from_dict(settings))
    except InvalidModelError:
        return json.dumps(settings, indent=2, ensure_ascii=False)
