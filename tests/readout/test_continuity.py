"""Trajectory continuity against straight lines, right angles, the published recursion and every order of the blocks."""

from itertools import permutations

import numpy as np
import pytest
import torch

from bench.readout.continuity import Continuity, cosines, line_shapes, straightness


def path(*points) -> torch.Tensor:
    return torch.tensor(points, dtype=torch.float64)[:, None]


def everyone(n):
    return [[np.arange(3 + i)] for i in range(n - 2)]


def test_a_straight_line_has_1_whatever_its_steps_and_right_angles_have_one_over_the_root():
    line = torch.tensor([0.0, 0.1, 5.0, 5.5, 100.0], dtype=torch.float64)[:, None, None] * torch.ones(3, 7) + 2
    assert line_shapes(line, everyone(5))[..., 0].numpy() == pytest.approx(np.ones((3, 3)))
    assert cosines(line).numpy() == pytest.approx(np.ones((3, 3, 2)))
    corners = torch.tril(torch.ones(5, 4, dtype=torch.float64), -1)[:, None] * torch.tensor([1.0, 2, 3, 4])
    assert line_shapes(corners, everyone(5))[:, 0, 0].numpy() == pytest.approx([2**-0.5, 3**-0.5, 0.5])
    assert cosines(corners).numpy() == pytest.approx(np.zeros((3, 1, 2)))


def test_there_and_back_again():
    found = path([0, 0], [3, 0], [0, 0])
    assert float(straightness(found)) == pytest.approx(0) and float(cosines(found)[0, 0, 0]) == pytest.approx(-1)
    assert float(straightness(path([0, 0], [3, 4], [3, 4], [6, 8]))) == pytest.approx(1)  # a block that does nothing


def test_it_is_the_reciprocal_of_the_line_shape_score():
    x = np.random.default_rng(0).standard_normal((6, 4))
    walked = [x[0]]
    for before, after in zip(x, x[1:], strict=False):
        walked.append(walked[-1] + (after - before) / np.linalg.norm(after - before))
    found = line_shapes(path(*x), everyone(6))[:, 0, 0]
    for last, value in enumerate(found, start=2):
        assert float(value) == pytest.approx(np.linalg.norm(walked[last] - walked[0]) / last)


def test_the_control_of_a_line_shape_is_the_mean_over_orders():
    x = path([0.0], [1.0], [3.0])  # 0 1 3, 0 3 1, 1 0 3, 1 3 0, 3 0 1, 3 1 0: two of six go one way
    orders = [[np.array(order) for order in permutations(range(3))]]
    assert line_shapes(x, orders)[0, 0].tolist() == pytest.approx([1, 1 / 3])


def test_the_control_of_a_line_shape_is_that_of_right_angles_and_random_walks_are_there():
    x = torch.as_tensor(np.random.default_rng(4).standard_normal((5, 200, 400))).cumsum(dim=0)
    value, control = line_shapes(x, [[]] * 3).mean(dim=1).unbind(-1)
    assert control.tolist() == pytest.approx([2**-0.5, 3**-0.5, 0.5]) and value == pytest.approx(control, abs=0.01)
    still = line_shapes(path([0, 0], [1, 0], [1, 0], [1, 1]), [[]] * 2)  # of three steps one goes nowhere
    assert still[1, 0].tolist() == pytest.approx([2**-0.5] * 2)
    orders = [[np.random.default_rng(i).permutation(last + 1) for i in range(20)] for last in (2, 3, 4)]
    shuffled = line_shapes(x, orders).mean(dim=1)[..., 1]
    assert (value > shuffled + 0.1).all()  # why the order of the streams is not the control


def test_the_control_of_a_cosine_is_the_mean_over_all_orders_of_the_blocks():
    x = np.random.default_rng(1).standard_normal((5, 3))
    steps = np.diff(x, axis=0)
    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    seen: dict[int, list[float]] = {block: [] for block in range(4)}
    for order in permutations(range(4)):
        for before, block in zip(order, order[1:], strict=False):
            seen[block].append(float(units[before] @ units[block]))
    assert cosines(path(*x))[:, 0, 1].tolist() == pytest.approx([np.mean(seen[block]) for block in (1, 2, 3)])


def test_components():
    assert Continuity().components(4) == ("stream2", "stream3", "stream4")
    assert Continuity(form="cosine").components(4) == ("block1", "block2", "block3")
