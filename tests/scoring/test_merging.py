"""Joining batches changes nothing but their number."""

import pytest
import torch

from bench.data import batches
from bench.scoring.merging import merged

ROWS = [
    {
        "ids": list(range(10 + n, 10 + n + length)), "counterfactuals": {"flip": {"ids": list(range(50, 50 + length))}},
        "positions": {"END": length - 1, "S": 1}, "answer_id": n, "wrong_id": n + 1,
    }
    for n, length in enumerate([3, 5, 4, 4, 2, 6, 3])
]  # fmt: skip


def same(a, b):
    assert all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("index", "answer", "wrong"))
    for name in ("clean", "corrupt"):
        assert torch.equal(getattr(a, name).ids, getattr(b, name).ids)
        assert torch.equal(getattr(a, name).mask, getattr(b, name).mask)
    assert a.positions.keys() == b.positions.keys()
    assert all(torch.equal(a.positions[name], b.positions[name]) for name in a.positions)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_joined_batches_are_what_one_large_batch_is(side, size):
    (whole,) = batches(ROWS, "flip", len(ROWS), side=side)
    (joined,) = merged(batches(ROWS, "flip", size, side=side), 10_000)
    if size == 1 and side == "right":  # no batch of one shows its side, and left is as good
        (whole,) = batches(ROWS, "flip", len(ROWS), side="left")
    same(joined, whole)


def test_no_batch_exceeds_the_limit_unless_it_came_so():
    sizes = [b.clean.ids.numel() for b in merged(batches(ROWS, "flip", 1), 12)]
    assert max(sizes) <= 12 and sum(len(b) for b in merged(batches(ROWS, "flip", 1), 12)) == len(ROWS)
    assert [len(b) for b in merged(batches(ROWS, "flip", 4), 1)] == [4, 3]
