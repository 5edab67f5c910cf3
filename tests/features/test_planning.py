"""Baselines beside rows of latents: random ones of the same dictionaries, no oracle, and keys of old ones unchanged."""

import pytest

from bench.harness.planning import make_plan
from bench.registry import discover

BASE = {
    "task": {"name": "ioi"}, "data": {"seed": 0}, "model": {"kind": "planted", "seed": 0},
    "padding_side": "left", "dtype": "float32", "batch_size": 16, "device": "cpu", "threads": None,
    "isolate": False, "timeout": None, "memory": None, "store": "results",
}  # fmt: skip


def cells(*methods):
    configs = [{**BASE, "method": {"seed": 0, **method}} for method in methods]
    return make_plan(configs, [], discover(), one_level=False).cells


def shown(found):
    return sorted((cell.method.label, cell.method.level) for cell in found if cell.method.baseline)


@pytest.mark.parametrize("asked", [[], [{"name": "random"}]], ids=["added", "asked for"])
def test_random_takes_the_dictionaries_of_every_row_and_there_is_no_oracle(asked):
    given = [{"name": "feature_atp"}, {"name": "feature_ig", "dictionaries": "neurons@n1"}, *asked]
    found = cells(*given)
    assert shown(found) == [("random", "feature"), ("random[dictionaries=neurons@n1]", "feature")]
    assert all(cell.method.track == "circuit" for cell in found)
    named = {cell.method.label: cell.method.parameters for cell in found if cell.method.baseline}
    assert named["random[dictionaries=neurons@n1]"]["dictionaries"] == "neurons@n1"


def test_beside_edges_the_parameters_that_make_the_key_are_as_before():
    found = cells({"name": "eap"})
    (random,) = [cell for cell in found if cell.method.name == "random"]
    assert random.method.parameters == {"objective": "logit_diff", "level": "edge"}
    assert shown(found) == [("oracle", "edge"), ("random", "edge")]
