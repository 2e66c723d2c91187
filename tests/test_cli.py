"""The command line: what it prints, what it writes, and one line for every error."""

import io
import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import bayesmtl as bm
from bayesmtl.cli import app
from bayesmtl.datasets import load_dataset
from bayesmtl.gp.fitting import METHODS as OF_FUNCTIONS
from bayesmtl.inference.options import METHODS

SHORT = ["--draws", "50", "--tune", "50", "--chains", "2", "--seed", "1"]
RADON = ["--formula", "log_radon ~ floor", "--task", "county"]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_line(*arguments: str | Path) -> str:
    """Run what must fail with status 2 and one line on standard error."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("Error: ")
    assert all(line.startswith("Note: ") for line in lines[:-1])
    assert not isinstance(result.exception, AssertionError)
    return lines[-1]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    path = tmp_path_factory.mktemp("fit") / "new" / "fit.zarr"
    options = ["--relation", "exchangeable", "--task-features", "~ log_uranium"]
    return path, run("fit", "radon", *RADON, *options, *SHORT, "--out", path)


def test_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"bayesmtl {version('bayesmtl')}\n")


def test_help_without_arguments() -> None:
    result = run()
    assert result.exit_code == 0
    for command in ("fit", "predict", "report", "datasets"):
        assert command in result.stdout


def test_datasets_are_listed_with_columns_and_licence() -> None:
    result = run("datasets")
    assert result.exit_code == 0
    assert "radon: 919 rows, 85 tasks (county)" in result.stdout
    assert "columns county, log_radon, floor, log_uranium" in result.stdout
    assert result.stdout.count("BSD-3-Clause") == 3


def test_fit_saves_and_summarizes(fitted: tuple[Path, Result]) -> None:
    path, result = fitted
    assert result.exit_code == 0, result.stderr
    assert "Note: using the shipped data set radon" in result.stderr
    for part in ("85 tasks (county), 919 rows", "Diagnostics:", "Sharing:", "log_uranium"):
        assert part in result.stdout
    assert f"Saved to {path}" in result.stdout
    assert path.is_dir()


def test_the_verdict_is_printed_once(fitted: tuple[Path, Result]) -> None:
    assert fitted[1].output.count("CHECK: ") == 1
    assert "CHECK: " not in fitted[1].stderr


def test_report_prints_the_same_and_draws(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, fit_result = fitted
    result = run("report", path, "--out", tmp_path / "plots")
    assert result.exit_code == 0, result.stderr
    summary = fit_result.stdout[: fit_result.stdout.index("\nSaved to")]
    assert summary in result.stdout
    names = sorted(plot.name for plot in (tmp_path / "plots").iterdir())
    assert names == ["sharing.png", "task_relations.png", "weights.png"]


def test_report_puts_plots_beside_the_fit(fitted: tuple[Path, Result]) -> None:
    path, _ = fitted
    assert run("report", path).exit_code == 0
    assert (path.parent / "fit_plots" / "weights.png").is_file()


def test_a_fit_is_named_by_a_point(
    fitted: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = fitted
    monkeypatch.chdir(path)
    result = run("report", ".")
    assert result.exit_code == 0, result.stderr
    assert f"Plots in {path.parent / 'fit_plots'}: " in result.stdout


@pytest.mark.parametrize("inside", ["", "plots", "report.html"])
def test_a_report_is_not_put_into_a_fit(fitted: tuple[Path, Result], inside: str) -> None:
    path, _ = fitted
    message = f"would damage the saved fit {str(path)!r}; choose another place"
    assert message in error_line("report", path, "--out", path / inside)
    bm.load(path)


def test_predictions_are_not_put_into_a_fit(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    new = tmp_path / "new.csv"
    bm.load_dataset("radon").head().to_csv(new, index=False)
    told = error_line("predict", path, new, "--out", path / "predictions.csv")
    assert f"would damage the saved fit {str(path)!r}" in told
    bm.load(path)


def test_help_names_every_method() -> None:
    words = re.findall(r"\w+", run("fit", "--help").stdout)
    assert {*METHODS, *OF_FUNCTIONS} <= set(words)


def test_report_as_a_page(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    page = tmp_path / "new" / "report.html"
    result = run("report", path, "--out", page)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith(f"\nReport in {page}\n")
    assert page.read_text().startswith("<!doctype html>")
    assert list(page.parent.iterdir()) == [page]


def test_predict_row_for_row(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    new, out = tmp_path / "new.csv", tmp_path / "pred.csv"
    rows = load_dataset("radon").drop(columns="log_radon").iloc[::100]
    rows.to_csv(new, index=False)
    result = run("predict", path, new, "--out", out)
    assert result.exit_code == 0, result.stderr
    saved = pd.read_csv(out)
    assert len(saved) == len(rows)
    assert (saved["lower"] < saved["mean"]).all()
    assert run("predict", path, new).stdout == out.read_text()


def test_predict_a_new_task(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    new = tmp_path / "new.csv"
    new.write_text("county,floor,log_uranium\n999,0,0.1\n")
    assert "999" in error_line("predict", path, new)
    result = run("predict", path, new, "--new-task", "population", "--kind", "response")
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


def test_text_labels_that_look_like_numbers(tmp_path: Path) -> None:
    rows = "".join(f"{t:02d},{x},{x + t % 3}\n" for t in range(6) for x in range(4))
    data, fit = tmp_path / "data.csv", tmp_path / "fit.zarr"
    data.write_text(f"plot,x,y\n{rows}")
    result = run("fit", data, "--formula", "y ~ x", "--task", "plot", *SHORT, "--out", fit)
    assert result.exit_code == 0, result.stderr
    (tmp_path / "new.csv").write_text("plot,x\n03,1\n")
    assert run("predict", fit, tmp_path / "new.csv").exit_code == 0
    (tmp_path / "new.csv").write_text("plot,x\n3,1\n")
    assert "3" in error_line("predict", fit, tmp_path / "new.csv")


def test_dropped_rows_have_an_empty_line(tmp_path: Path) -> None:
    rows = "".join(f"{t},{x},{x + t % 3}\n" for t in range(6) for x in range(4))
    data, fit, new = (tmp_path / name for name in ("data.csv", "fit.zarr", "new.csv"))
    data.write_text(f"plot,x,y\n{rows}2,,1\n")
    model = ["--formula", "y ~ x", "--task", "plot", "--missing", "drop"]
    assert run("fit", data, *model, *SHORT, "--out", fit).exit_code == 0
    again = run("fit", data, *model, *SHORT, "--out", fit)
    assert again.stdout.endswith("fit.zarr, in place of the fit that was there\n")
    new.write_text("plot,x\n3,1\n4,\n5,2\n")
    lines = run("predict", fit, new).stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["task", "3", "4", "5"]
    assert lines[2] == "4,,,,"


def test_known_standard_errors(tmp_path: Path) -> None:
    options = ["--formula", "y ~ 1", "--task", "school", "--se", "sigma"]
    result = run("fit", "eight_schools", *options, *SHORT, "--out", tmp_path / "fit.zarr")
    assert result.exit_code == 0, result.stderr
    assert "Noise: known standard errors" in result.stdout


COUNTS = "".join(
    f"{t},{x},{(3 * x + t) % 4},{4 + t % 3},{('low', 'mid', 'high')[(x + t) % 3]}\n"
    for t in range(6)
    for x in range(6)
)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--formula", "y ~ x", "--likelihood", "binomial", "--trials", "n"], "Binomial response"),
        (["--formula", "y ~ x", "--likelihood", "poisson", "--exposure", "n"], "Poisson response"),
        (["--formula", "y ~ x", "--likelihood", "negative-binomial"], "response, dispersion "),
        (["--formula", "y ~ x", "--likelihood", "student-t"], "StudentT response, noise_sd "),
        (
            ["--formula", "level ~ x", "--likelihood", "ordinal", "--levels", "low, mid,high"],
            "thresholds low|mid ",
        ),
        (["--formula", "y ~ x", "--likelihood", "ordinal", "--levels", "0,1,2,3"], "0|1 "),
    ],
)
def test_likelihoods(options: list[str], says: str, tmp_path: Path) -> None:
    data, fit = tmp_path / "data.csv", tmp_path / "fit.zarr"
    data.write_text(f"task,x,y,n,level\n{COUNTS}")
    result = run("fit", data, "--task", "task", *options, *SHORT, "--out", fit)
    assert result.exit_code == 0, result.stderr
    assert says in " ".join(result.stdout.split())
    assert run("predict", fit, data).exit_code == 0
    assert run("report", fit).exit_code == 0


def test_a_file_comes_before_a_shipped_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("radon").write_text("task,y\na,1\n")
    result = run("fit", "radon", *RADON, "--out", "fit.zarr")
    assert "Note: reading the file radon, not the shipped data set" in result.stderr
    assert "log_radon" in error_line("fit", "radon", *RADON, "--out", "fit.zarr")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frobnicate"], "No such option: --frobnicate"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["fit", "radon"], "Missing option '--formula'"),
        (["fit", "nosuch", *RADON, "--out", "a.zarr"], "'nosuch' is neither a file nor one of"),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--relation", "clan"], "'clan' is none of"),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--draws", "ten"], "'--draws'"),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--likelihood", "t"], "'t' is none of"),
        (
            ["fit", "radon", *RADON, "--out", "a.zarr", "--likelihood", "binomial"],
            "--likelihood binomial needs --trials",
        ),
        (
            ["fit", "radon", *RADON, "--out", "a.zarr", "--trials", "n"],
            "--trials does not go with --likelihood gaussian",
        ),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--inference", "magic"], "magic"),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--noise", "loud"], "loud"),
        (["fit", "radon", *RADON, "--out", "a.zarr", "--missing", "guess"], "guess"),
        (["fit", "radon", *RADON, "--out", "a.nc"], "saved as a folder named *.zarr, not 'a.nc'"),
        (["fit", "radon", *RADON, "--out", "taken.zarr"], "'taken.zarr' exists and is not a saved"),
        (["fit", "radon", *RADON, "--out", "taken.zarr/fit.zarr"], "taken.zarr"),
        (["fit", "radon", "--formula", "radon ~", "--task", "county", "--out", "a.zarr"], "radon"),
        (["report", "nowhere.zarr"], "nowhere.zarr"),
        (["report", "nowhere.zarr", "--out", "a.pdf"], "named *.html, or a folder of plots"),
        (["report", "nowhere.zarr", "--out", "taken.zarr"], "cannot write into 'taken.zarr'"),
        (["report", "nowhere.zarr", "--out", "taken.zarr/a.html"], "cannot write into 'taken.zarr"),
        (["predict", "nowhere.zarr", "new.csv", "--out", "."], "'.' is a folder; name a file"),
        (["predict", "nowhere.zarr", "new.csv", "--seed", "-1"], "'--seed'"),
        (["predict", "nowhere.zarr", "new.csv"], "nowhere.zarr"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.zarr").write_text("a file")
    assert message in error_line(*arguments)


def test_predict_errors(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    assert "there is no file" in error_line("predict", path, tmp_path / "new.csv")
    new = tmp_path / "new.csv"
    load_dataset("radon").head(3).to_csv(new, index=False)
    assert "sum" in error_line("predict", path, new, "--kind", "sum")
    assert "guess" in error_line("predict", path, new, "--new-task", "guess")
    assert "ci_prob=2.0" in error_line("predict", path, new, "--ci-prob", "2")


def test_predict_has_a_seed_and_an_interval(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    path, _ = fitted
    new = tmp_path / "new.csv"
    rows = load_dataset("radon").head(3)
    rows.to_csv(new, index=False)
    options = ["--kind", "response", "--seed", "3"]
    default, narrow = (
        pd.read_csv(io.StringIO(run("predict", path, new, *options, *more).stdout))
        for more in ([], ["--ci-prob", "0.5"])
    )
    expected = bm.predict(bm.load(path), rows, kind="response", as_frame=True, random_seed=3)
    np.testing.assert_allclose(default["lower"], expected["lower"])
    assert (narrow["upper"] < default["upper"]).all()


def test_ctrl_c_before_any_draw_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesmtl.inference.gibbs.sample_gibbs", press)
    result = run("fit", "radon", *RADON, "--out", tmp_path / "fit.zarr")
    assert result.exit_code == 130
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Interrupted: the fit ended before any draw was finished")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(bm, "load", press)
    result = run("report", tmp_path / "fit.zarr")
    assert (result.exit_code, result.stderr) == (
        130,
        "Interrupted: the command did not finish; run it again\n",
    )


def test_a_place_that_cannot_be_written_is_found_before_sampling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr(bm, "Model", None)
    line = error_line("fit", "radon", *RADON, "--out", tmp_path / "fit.zarr")
    assert "(Permission denied); choose another place by --out" in line
