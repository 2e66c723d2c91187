"""Summaries of random partitions, against enumeration and definitions."""

from collections.abc import Callable

import numpy as np
import pytest

from bayesmtl.errors import InvalidDataError, InvalidModelError
from bayesmtl.numerics import partitions
from bayesmtl.numerics.partition_search import descend, distances, distinct_clusters
from tests.oracles.partitions import binder, counts, joined, random_draws, set_partitions, vi

LOSSES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"vi": vi, "binder": binder}
EXPECTED = {"vi": partitions.expected_vi, "binder": partitions.expected_binder}
DRAWS = np.array([[7, 7, -2, -2], [3, 3, 3, 0], [0, 0, 1, 1], [5, 6, 7, 8]])


def _brute(draws: np.ndarray, loss: str) -> np.ndarray:
    """Expected loss of every partition."""
    everything = set_partitions(draws.shape[1])
    different, weight = np.unique(draws, axis=0, return_counts=True)
    table = np.array([[LOSSES[loss](one, draw) for draw in different] for one in everything])
    return table @ weight / len(draws)


def test_enumeration_has_bell_numbers() -> None:
    assert [len(set_partitions(n)) for n in (1, 2, 3, 4, 5, 6)] == [1, 2, 5, 15, 52, 203]


def test_labels_by_hand() -> None:
    expected = [[0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 1, 1], [0, 1, 2, 3]]
    np.testing.assert_array_equal(partitions.canonical(DRAWS), expected)
    np.testing.assert_array_equal(partitions.n_clusters(DRAWS), [2, 2, 2, 4])


def test_canonical_keeps_the_partition() -> None:
    rng = np.random.default_rng(0)
    draws = rng.integers(-50, 50, (200, 9))
    relabelled = partitions.canonical(draws)
    for draw, new in zip(draws, relabelled, strict=True):
        np.testing.assert_array_equal(joined(draw), joined(new))
        first = np.unique(new, return_index=True)[1]
        np.testing.assert_array_equal(first, np.sort(first))
    everything = set_partitions(5)
    np.testing.assert_array_equal(partitions.canonical(everything), everything)


def test_coclustering() -> None:
    expected = np.array([[4, 3, 1, 0], [3, 4, 1, 0], [1, 1, 4, 2], [0, 0, 2, 4]]) / 4
    np.testing.assert_array_equal(partitions.coclustering(DRAWS), expected)
    draws = random_draws(60, 11, 0.4, np.random.default_rng(1))
    naive = (draws[:, :, None] == draws[:, None, :]).mean(axis=0)
    np.testing.assert_allclose(partitions.coclustering(draws), naive, rtol=1e-14)


def test_losses_by_hand() -> None:
    """One cluster of four against two pairs: log 2 nats, and 4 of 6 pairs; singletons: log 4."""
    whole, pairs, single = np.zeros(4, int), np.array([0, 0, 1, 1]), np.arange(4)
    assert partitions.expected_vi(whole, pairs[None]) == pytest.approx(np.log(2), rel=1e-14)
    assert partitions.expected_vi(whole, single[None]) == pytest.approx(np.log(4), rel=1e-14)
    assert partitions.expected_vi(pairs, np.array([[0, 1, 0, 1]])) == pytest.approx(np.log(4))
    assert partitions.expected_binder(whole, pairs[None]) == pytest.approx(4 / 6)
    assert partitions.expected_binder(pairs, single[None]) == pytest.approx(2 / 6)
    assert partitions.expected_vi(pairs, np.array([pairs, whole])) == pytest.approx(np.log(2) / 2)


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_losses_are_metrics_as_defined(loss: str) -> None:
    everything = set_partitions(5)
    table = np.array([[EXPECTED[loss](a, b[None]) for b in everything] for a in everything])
    naive = np.array([[LOSSES[loss](a, b) for b in everything] for a in everything])
    np.testing.assert_allclose(table, naive, atol=1e-13)
    np.testing.assert_allclose(table, table.T, atol=1e-13)
    assert np.all((table > 1e-6) == ~np.eye(len(everything), dtype=bool))
    through = (table[:, :, None] + table[None, :, :]).min(axis=1)
    assert np.all(table <= through + 1e-12)


def test_distinct_clusters() -> None:
    """Nine of the ten clusters differ; {0, 1} and {2, 3} occur twice."""
    weight = np.array([0.1, 0.2, 0.3, 0.4])
    found = distinct_clusters(partitions.canonical(DRAWS), weight)
    members: dict[int, list[int]] = {}
    for task in range(4):
        for cluster in found.holding[found.first[task] : found.first[task + 1]]:
            members.setdefault(int(cluster), []).append(task)
    mass = {tuple(tasks): found.weight[cluster] for cluster, tasks in members.items()}
    assert len(mass) == len(members)
    assert mass == pytest.approx(
        {(0, 1): 0.4, (2, 3): 0.4, (0, 1, 2): 0.2, (3,): 0.6, (0,): 0.4, (1,): 0.4, (2,): 0.4}
    )


@pytest.mark.parametrize("loss", ["vi", "binder"])
@pytest.mark.parametrize("changed", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("n_tasks", [2, 5, 7, 8])
def test_optimum_is_that_of_brute_force(n_tasks: int, changed: float, loss: str) -> None:
    rng = np.random.default_rng(n_tasks)
    draws = random_draws(25, n_tasks, changed, rng)
    best = _brute(draws, loss).min()
    # With no help of starts near the optimum, and with them alone.
    for runs in (8, 0):
        found = partitions.optimal_partition(draws, rng, loss=loss, runs=runs)
        assert found.expected_loss == pytest.approx(best, abs=1e-12), runs
        assert EXPECTED[loss](found.partition, draws) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_sequential_allocation_finds_most_optima(loss: str) -> None:
    """One descent from nothing, without the other starts, on 60 random posteriors of 7 tasks."""
    hits, size = 0, np.arange(9.0)
    potential = {"vi": size * np.log(np.maximum(size, 1)), "binder": size * (size - 1) / 2}[loss]
    everything = set_partitions(7)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        draws = partitions.canonical(random_draws(25, 7, 0.5, rng))
        clusters = distinct_clusters(draws, np.full(25, 1 / 25))
        found = descend(np.full(7, -1), clusters, np.diff(potential), rng)
        loss_found = distances(partitions.canonical(found[None])[0], draws, potential).mean()
        best = min(distances(one, draws, potential).mean() for one in everything)
        assert loss_found > best - 1e-12
        hits += loss_found < best + 1e-9
    assert hits >= 48


def _least_by_one_move(partition: np.ndarray, draws: np.ndarray, potential: np.ndarray) -> float:
    """Least expected loss that moving one task gives."""
    losses = []
    for task in range(len(partition)):
        for target in range(partition.max() + 2):
            moved = partition.copy()
            moved[task] = target
            losses.append(distances(partitions.canonical(moved[None])[0], draws, potential).mean())
    return min(losses)


@pytest.mark.parametrize("seed", range(5, 10))
def test_descent_ends_where_no_single_move_helps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    draws = partitions.canonical(random_draws(50, 15, 0.5, rng))
    size = np.arange(17.0)
    potential = size * np.log(np.maximum(size, 1))
    clusters = distinct_clusters(draws, np.full(50, 1 / 50))
    for start in (np.full(15, -1), np.zeros(15, int), np.arange(15)):
        found = partitions.canonical(descend(start, clusters, np.diff(potential), rng)[None])[0]
        reached = distances(found, draws, potential).mean()
        assert _least_by_one_move(found, draws, potential) > reached - 1e-9


def test_dissolving_clusters_leaves_optima_of_single_moves() -> None:
    everything, size = set_partitions(6), np.arange(8.0)
    potential = size * np.log(np.maximum(size, 1))
    left, stuck = 0, 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        draws = partitions.canonical(random_draws(25, 6, 0.6, rng))
        clusters = distinct_clusters(draws, np.full(25, 1 / 25))
        losses = np.array([distances(one, draws, potential).mean() for one in everything])
        for start, loss in zip(everything, losses, strict=True):
            local = _least_by_one_move(start, draws, potential) > loss - 1e-9
            if local and loss > losses.min() + 1e-9:
                found = descend(start, clusters, np.diff(potential), rng)
                reached = distances(partitions.canonical(found[None])[0], draws, potential).mean()
                left += reached < loss - 1e-9
                stuck += reached > loss - 1e-9
    assert left > stuck


def test_optimum_of_many_clusters() -> None:
    """More clusters than any start has: the tables of the search grow."""
    rng = np.random.default_rng(5)
    draws = rng.integers(0, 4, (300, 40))
    found = partitions.optimal_partition(draws, rng, loss="binder")
    # No pair is together with probability 1/2, so apart is best.
    assert partitions.coclustering(draws)[~np.eye(40, dtype=bool)].max() < 0.5
    assert found.partition.max() == 39


def test_optimum_is_the_same_for_the_same_generator() -> None:
    draws = random_draws(200, 30, 0.8, np.random.default_rng(6))
    first, second = (
        partitions.optimal_partition(draws, np.random.default_rng(7)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.partition, second.partition)
    assert first.expected_loss == second.expected_loss


def test_optimum_is_labelled_by_size() -> None:
    draws = np.tile([4, 9, 9, 1, 1, 9, 8, 4], (3, 1))
    found = partitions.optimal_partition(draws, np.random.default_rng(0))
    np.testing.assert_array_equal(found.partition, [1, 0, 0, 2, 2, 0, 3, 1])
    assert found.expected_loss == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("loss", ["vi", "binder"])
def test_one_task_and_one_draw(loss: str) -> None:
    rng = np.random.default_rng(0)
    alone = partitions.optimal_partition(np.full((5, 1), 3), rng, loss=loss)
    assert (alone.partition.tolist(), alone.expected_loss) == ([0], 0.0)
    single = partitions.optimal_partition(np.array([[2, 1, 2, 0]]), rng, loss=loss)
    assert single.partition.tolist() == [0, 1, 0, 2]
    np.testing.assert_array_equal(partitions.coclustering(np.full((5, 1), 3)), [[1.0]])
    ball = partitions.credible_ball(np.array([[2, 1, 2, 0]]), single.partition)
    assert ball.radius == pytest.approx(0.0, abs=1e-14)
    assert ball.horizontal.tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("probability", [0.3, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_credible_ball_is_that_of_brute_force(seed: int, probability: float) -> None:
    rng = np.random.default_rng(seed)
    draws = partitions.canonical(random_draws(40, 6, 0.4, rng))
    center = draws[0]
    distance = np.array([vi(center, draw) for draw in draws])
    radius = min(r for r in distance if np.mean(distance <= r + 1e-9) >= probability - 1e-9)
    ball = partitions.credible_ball(draws, center, probability)
    assert ball.radius == pytest.approx(radius, abs=1e-12)
    inside = [(draw, d) for draw, d in zip(draws, distance, strict=True) if d <= radius + 1e-9]

    def first_farthest(kept: list[tuple[np.ndarray, float]]) -> np.ndarray:
        far = max(d for _, d in kept)
        return next(draw for draw, d in kept if d >= far - 1e-9)

    numbers = [len(counts(draw)) for draw, _ in inside]
    few = [pair for pair in inside if len(counts(pair[0])) == min(numbers)]
    many = [pair for pair in inside if len(counts(pair[0])) == max(numbers)]
    np.testing.assert_array_equal(ball.upper, first_farthest(few))
    np.testing.assert_array_equal(ball.lower, first_farthest(many))
    np.testing.assert_array_equal(ball.horizontal, first_farthest(inside))


def test_certainty_of_membership_by_hand() -> None:
    """Tasks 0 and 1 together in 3 of 4 draws, task 3 alone in 2 of 4."""
    certainty = partitions.membership_certainty(DRAWS, np.array([9, 9, 9, 2]))
    np.testing.assert_allclose(certainty, [(3 + 1) / 8, (3 + 1) / 8, 2 / 8, 2 / 4])
    sure = partitions.membership_certainty(np.array([[0, 0, 1]] * 3), np.array([1, 1, 0]))
    np.testing.assert_array_equal(sure, [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(
        partitions.membership_certainty(np.array([[4], [2]]), np.array([0])), [1.0]
    )


@pytest.mark.parametrize("bad", [np.zeros(3, int), np.zeros((0, 3), int), np.zeros((2, 3))])
def test_draws_must_be_integers_by_draw_and_task(bad: np.ndarray) -> None:
    with pytest.raises(InvalidDataError, match="integer array"):
        partitions.canonical(bad)


def test_a_partition_of_other_tasks_is_refused() -> None:
    for summary in (
        lambda: partitions.expected_vi(np.zeros(3, int), DRAWS),
        lambda: partitions.credible_ball(DRAWS, np.zeros(3, int)),
        lambda: partitions.membership_certainty(DRAWS, np.zeros(3, int)),
    ):
        with pytest.raises(InvalidDataError, match="partition has 3 tasks, but the draws have 4"):
            summary()


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidModelError, match="use 'vi' or 'binder'"):
        partitions.optimal_partition(DRAWS, np.random.default_rng(0), loss="rand")
    for probability in (0.0, 1.5):
        with pytest.raises(InvalidModelError, match="above 0 and up to 1"):
            partitions.credible_ball(DRAWS, DRAWS[0], probability)
