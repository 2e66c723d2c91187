"""Graphs drawn from summaries: edges by probability and sign, the same places in all panels."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import bayesmtl as bm
from bayesmtl.plots.common import POINT, POSTERIOR


def relations(n_nodes: int, n_tasks: int = 2, nodes: str = "node") -> xr.DataTree:
    """A chain: positive edges, the last one negative; of decreasing probability."""
    chance = np.zeros((n_tasks, n_nodes, n_nodes))
    partial = np.zeros_like(chance)
    for i in range(n_nodes - 1):
        chance[:, i, i + 1] = chance[:, i + 1, i] = 1.0 - 0.4 * i / n_nodes
        partial[:, i, i + 1] = partial[:, i + 1, i] = 0.3 if i < n_nodes - 2 else -0.3
    names = np.array([f"node {i}" for i in range(n_nodes)], dtype=object)
    pair = (nodes, f"{nodes}_bis")
    dims: tuple[str, ...] = pair
    coords = {nodes: names, pair[1]: names}
    values = chance[0], partial[0]
    if nodes == "node":
        dims, values = ("task", *pair), (chance, partial)
        coords["task"] = np.array([f"task {g}" for g in range(n_tasks)], dtype=object)
    group = xr.Dataset(
        {
            "edge_probability": (dims, values[0]),
            "partial_correlation": (dims, values[1]),
            "prior_edge_probability": ((), 0.2),
        },
        coords,
    )
    return xr.DataTree.from_dict({"task_relations": group})


def texts(figure: Figure) -> str:
    note = figure.get_supxlabel()
    return " ".join([note, *(ax.get_title() for ax in figure.axes)])


def test_edges() -> None:
    figure = bm.plot_graph(relations(5))
    for ax in figure.axes:
        lines = ax.get_lines()
        assert len(lines) == 4
        colours = [to_hex(line.get_color()).upper() for line in lines]
        assert colours.count(POSTERIOR.upper()) == 3
        assert colours.count(POINT.upper()) == 1
        widths = [line.get_linewidth() for line in lines]
        assert widths == sorted(widths, reverse=True)
        assert {text.get_text() for text in ax.texts} == {f"node {i}" for i in range(5)}
    first, second = ([text.get_position() for text in ax.texts] for ax in figure.axes)
    assert first == second
    assert "probability 0.20" in texts(figure)
    assert "task 1" in texts(figure)
    plt.close(figure)


def test_improbable_edges_are_left_out() -> None:
    tree = relations(4)
    tree["task_relations"]["edge_probability"] *= 0.4
    figure = bm.plot_graph(tree)
    assert not figure.axes[0].get_lines()
    assert (
        "No pair has an edge of probability above 0.5; the surest is node 0 and node 1 in task 0: "
        "0.40."
    ) in " ".join(texts(figure).split())
    plt.close(figure)
    assert "No pair" not in texts(bm.plot_graph(relations(4)))


def test_one_task_and_tasks_as_nodes() -> None:
    figure = bm.plot_graph(relations(4), "task 1")
    assert [ax.get_title() for ax in figure.axes] == ["task 1"]
    plt.close(figure)
    figure = bm.plot_graph(relations(4, nodes="task"))
    assert len(figure.axes[0].get_lines()) == 3
    plt.close(figure)


@pytest.mark.parametrize("n_nodes", [2, 3, 30])
def test_nodes_do_not_hide_each_other(n_nodes: int) -> None:
    figure = bm.plot_graph(relations(n_nodes, 1))
    places = np.array([text.get_position() for text in figure.axes[0].texts])
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(n_nodes)
    assert gaps.min() > 0.15
    plt.close(figure)


def test_many_nodes_are_a_matrix() -> None:
    figure = bm.plot_graph(relations(45, 1))
    images = figure.axes[0].get_images()
    assert len(images) == 2
    below, above = (np.isnan(np.ma.filled(np.ma.asarray(i.get_array()), np.nan)) for i in images)
    assert below[np.triu_indices(45)].all()
    assert above[np.tril_indices(45)].all()
    assert "Below the diagonal" in texts(figure)
    plt.close(figure)


def test_prior_that_differs_by_pair() -> None:
    tree = relations(4, nodes="task")
    table = np.linspace(0.1, 0.3, 16).reshape(4, 4)
    group = tree["task_relations"].to_dataset()
    group["prior_edge_probability"] = (("task", "task_bis"), table)
    figure = bm.plot_graph(xr.DataTree.from_dict({"task_relations": group}))
    assert "0.15 to 0.29" in texts(figure)
    plt.close(figure)


def test_a_given_graph_is_not_drawn() -> None:
    for name, word in (("rho", "graph"), ("level_share", "tree")):
        given = xr.DataTree.from_dict({"task_relations": xr.Dataset({name: 0.5})})
        with pytest.raises(
            bm.InvalidDataError, match=rf"the {word} of this fit was given.*bm\.SparseGraph"
        ):
            bm.plot_graph(given)


def test_refusals() -> None:
    with pytest.raises(bm.InvalidDataError, match="the fit has no graphs"):
        bm.plot_graph(xr.DataTree.from_dict({"task_relations": xr.Dataset()}))
    with pytest.raises(bm.InvalidDataError, match="task='q' is not in the fit; its tasks are"):
        bm.plot_graph(relations(3), "q")
    with pytest.raises(bm.InvalidDataError, match="here the tasks are the nodes"):
        bm.plot_graph(relations(3, nodes="task"), "task 1")
    with pytest.raises(bm.InvalidTypeError, match="a fit is needed"):
        bm.plot_graph(3)  # type: ignore[arg-type]
