"""The verdict in plain words, diagnostics, and the model."""

import json
from collections.abc import Callable

import pytest
import xarray as xr

from bayesmtl.report.page import trust as module
from bayesmtl.report.page.trust import diagnostics, model_facts, stored_diagnosis, verdict

ManyTasks = Callable[[int], xr.DataTree]


def with_verdict(fit: xr.DataTree, text: str, problems: list[str]) -> xr.DataTree:
    fit.attrs["verdict"] = text
    fit.attrs["diagnostics"] = json.dumps({"problems": problems, "table": []})
    return fit


@pytest.mark.parametrize(
    ("text", "status", "lead"),
    [
        ("OK: R-hat <= 1.002", "OK", "The draws can be trusted."),
        (
            "APPROXIMATE: draws of cavi",
            "APPROXIMATE",
            "A quick look: these numbers are approximate.",
        ),
        ("nobody knows", "CHECK", "Do not rely on these numbers yet."),
    ],
)
def test_verdicts(many_tasks: ManyTasks, text: str, status: str, lead: str) -> None:
    found = verdict(stored_diagnosis(with_verdict(many_tasks(2), text, [])))
    assert (found["status"], found["lead"], found["todo"]) == (status, lead, [])
    assert not found["text"].startswith(("OK", "APPROXIMATE"))


def test_what_to_do_is_said_once(many_tasks: ManyTasks) -> None:
    problems = ["R-hat 1.2 -> run longer", "ESS 8 -> run longer", "one chain -> fit 4 chains"]
    text = "CHECK: bad -> run longer; fit 4 chains"
    found = verdict(stored_diagnosis(with_verdict(many_tasks(2), text, problems)))
    assert found["text"] == "bad"
    assert found["todo"] == ["Run longer", "Fit 4 chains"]


def test_labels_may_hold_arrows(many_tasks: ManyTasks) -> None:
    what = "the draws of borrowing[NY -> CA] do not move"
    fit = with_verdict(many_tasks(2), f"CHECK: {what} -> run longer", [f"{what} -> run longer"])
    found = verdict(stored_diagnosis(fit))
    assert (found["text"], found["todo"]) == (what, ["Run longer"])


def test_a_fit_without_a_verdict_is_diagnosed(many_tasks: ManyTasks) -> None:
    fit = many_tasks(2)
    del fit.attrs["verdict"]
    assert verdict(stored_diagnosis(fit))["status"] == "CHECK"  # 40 draws


def test_worst_variables_first(clustered: xr.DataTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_VARIABLES", 3)
    found = diagnostics(clustered, stored_diagnosis(clustered))
    sizes = [row["ess_bulk"] for row in found["table"]]
    assert sizes == sorted(sizes)
    assert len(sizes) == 3
    assert found["left_out"] > 0
    assert found["divergences"] is None
    assert (found["chains"], found["draws"]) == (2, 30)


def test_divergences_are_counted(many_tasks: ManyTasks) -> None:
    fit = with_verdict(many_tasks(2), "OK", [])
    fit["sample_stats"] = xr.DataTree(xr.Dataset({"diverging": ("draw", [True, False, True])}))
    assert diagnostics(fit, stored_diagnosis(fit))["divergences"] == 2


def test_stories_of_every_model(
    clustered: xr.DataTree, functions: xr.DataTree, networks: xr.DataTree
) -> None:
    assert "[DirichletProcess]" in model_facts(clustered)["story"]
    assert "k = matern52" in model_facts(functions)["story"]
    assert "graph" in model_facts(networks)["story"].lower()
    facts = dict(model_facts(clustered)["facts"])
    assert facts["Random seed"] == "1"
    assert "bayesmtl" in facts["Versions"]


def test_settings_that_no_model_has_are_shown_as_they_are(many_tasks: ManyTasks) -> None:
    fit = many_tasks(2)
    assert json.loads(model_facts(fit)["story"]) == {"relation": {"type": "Exchangeable"}}
    del fit.attrs["model"]
    assert "does not say" in model_facts(fit)["story"]
