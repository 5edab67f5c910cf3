"""Tasks that ship several kinds of planted models: which is found, and what rows call it."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.harness.models import NotShipped, find_model
from bench.planting.evidence.shipped import shipped
from bench.task import Task


@dataclass
class Several(Task):
    here: Path
    name = "several"

    def build(self, tokenizer, request):
        raise NotImplementedError

    def planted(self, variant=None):
        return shipped(self.here, variant)


class Without(Several):
    def planted(self):
        return shipped(self.here)


@pytest.fixture
def here(tmp_path):
    """Seeds 0 and 2 of the default variant, which calls itself base, and seed 1 of another."""
    for path, variant in (("seed0", "base"), ("seed2", "base"), ("tuned/seed1", "tuned"), ("seedx", "base")):
        where = tmp_path / "planted" / path
        where.mkdir(parents=True)
        (where / "config.json").write_text("{}")
        (where / "model.safetensors").write_bytes(path.encode())
        (where / "circuit.json").write_text(json.dumps({"variant": variant}))
    return tmp_path


def config(seed, variant=None):
    return {"kind": "planted", "seed": seed, "variant": variant}


def test_a_variant_has_a_folder_and_the_default_one_need_not_be_named(here):
    assert list(shipped(here)) == list(shipped(here, "base")) == [0, 2]
    assert shipped(here, "tuned") == {1: here / "planted" / "tuned" / "seed1"}
    assert shipped(here, "other") == {} and shipped(here / "nowhere") == {}


def test_the_model_of_a_variant_is_found_and_says_so(here):
    found = find_model(config(1, "tuned"), Several(here), "float32")
    assert found.path.endswith("tuned/seed1") and found.planted and found.called == "planted[variant=tuned]"
    plain = find_model(config(0), Several(here), "float32")
    assert plain.called == "planted" and "variant" not in plain.identity()


def test_a_variant_that_is_not_shipped_says_what_is(here):
    said = r"several, variant tuned, with seed 0 is shipped \(there are: 1\).*variant=tuned"
    with pytest.raises(NotShipped, match=said):
        find_model(config(0, "tuned"), Several(here), "float32")
    with pytest.raises(NotShipped, match="there are: none"):
        find_model(config(0, "other"), Several(here), "float32")


def test_a_task_that_knows_no_variants_has_none(here):
    assert find_model(config(2), Without(here), "float32").seed == 2
    with pytest.raises(NotShipped, match="variant tuned"):
        find_model(config(1, "tuned"), Without(here), "float32")


def test_rows_of_a_missing_variant_are_told_apart(make_cells):
    cells = make_cells("task=ioi", "method=eap", "model=planted", "model.variant=null,tuned", "model.seed=0")
    found = {cell.record()["model"]: cell for cell in cells if not cell.added}
    assert set(found) == {"planted", "planted[variant=tuned]"}
    missing = found["planted[variant=tuned]"]
    assert missing.status == "skipped" and "variant tuned" in missing.reason
    assert missing.key != found["planted"].key
