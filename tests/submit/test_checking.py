"""What the checker says about particular faults, that it needs no torch, and that what is right passes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.graph import ComponentGraph
from bench.submit import checking, fit
from bench.submit.checking import read
from bench.submit.json_text import parse
from bench.submit.limits import MAX_DEPTH, Rejected
from tests.submit.samples import ABOUT, GRAPH, explanation, files_of, put, tarred, zipped

ROOT = Path(__file__).parents[2]
NO_TORCH = """
import sys
for name in ("torch", "transformers", "datasets"):
    sys.modules[name] = None
from pathlib import Path
from bench.submit import checking, fit, graphs, mib
found = checking.read(Path(sys.argv[1]))
fit.check_graph(found.explanation, graphs.graph_of_config({"n_layer": 2, "n_head": 2, "model_type": "gpt2"}))
print(mib.from_mib(mib.to_mib(found.explanation, graphs.graph_of_config({"n_layer": 2, "n_head": 2}), 8), "x")[0])
"""


def refused(path):
    with pytest.raises(Rejected) as caught:
        read(path)
    return str(caught.value)


def test_what_is_right_is_read_back(tmp_path):
    checking.write(tmp_path / "s", explanation(), ABOUT)
    found = read(tmp_path / "s")
    assert found.about == ABOUT and found.explanation.components == GRAPH.edges
    assert np.array_equal(found.explanation.scores, explanation().scores)
    for name, data in (("s.zip", zipped(files_of())), ("s.tar.gz", tarred(files_of(), "w:gz"))):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name).same_as(found)
    other = put(tmp_path / "other", files_of(author="Jane Roe"))
    assert not read(other).same_as(found)


def test_a_second_axis_needs_names(tmp_path):
    scores = np.ones((len(GRAPH.edges), 2), dtype=np.float32)
    right = explanation(scores=scores, positions="S2,END")
    assert read(put(tmp_path / "a", files_of(right))).explanation.scores.shape == (len(GRAPH.edges), 2)
    for name, positions in (("b", "all"), ("c", "END"), ("d", "A,B,C")):
        path = put(tmp_path / name, files_of(explanation(scores=scores, positions=positions)))
        assert refused(path).startswith("explanation.json: positions: ")
    assert "positions" in refused(put(tmp_path / "e", files_of(explanation(positions="END"))))


def test_the_checker_needs_no_torch(tmp_path):
    path = put(tmp_path / "s", files_of())
    done = subprocess.run([sys.executable, "-c", NO_TORCH, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "edge\n", done.stderr


ABOUTS = {
    "author": ["", "a\nb", "x" * 101, 3, " Jane"],
    "link": ["javascript:alert(1)", "http://", "https://a b", "ftp://x.org", 'https://x.org/"onclick="', "https://x.org/<b>"],
    "date": ["2025-13-01", "yesterday", "2025-1-1", "20250101", 20250101],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ABOUTS.items() for value in values])
def test_author_link_and_date(tmp_path, key, value):
    assert refused(put(tmp_path / "s", files_of(**{key: value}))).startswith(f"submission.json: {key}: ")


METAS = {
    "level": "neuron", "split": "test", "task": "../ioi", "model": "/etc", "method": "a b", "objective": "x;y",
    "track": "detector", "schema": 2, "model_revision": "HEAD", "extra": {"a": "x" * 20000}, "task_version": "",
    "counterfactual": "\u202eflip",
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), METAS.items())
def test_each_field_is_named(tmp_path, key, value):
    files = files_of(sums=False)
    meta = {**json.loads(files["explanation.json"]), key: value}
    files["explanation.json"] = json.dumps(meta).encode()
    assert refused(put(tmp_path / "s", files)).startswith(f"explanation.json: {key}: ")


def test_components_are_held_against_the_graph():
    fit.check_graph(explanation(), GRAPH)
    fit.check_graph(explanation("node"), GRAPH)
    order = tuple(reversed(GRAPH.edges))
    fit.check_graph(explanation(components=order), GRAPH)
    with pytest.raises(Rejected, match=r"components\[\d+\]: 'input->a1.h0<q>' is no edge of this model"):
        fit.check_graph(explanation(), ComponentGraph(1, 2))
    with pytest.raises(Rejected, match=rf"{len(GRAPH.edges)} of \d+ edges are scored; .* is missing"):
        fit.check_graph(explanation(), ComponentGraph(3, 2))
    with pytest.raises(Rejected, match=r"components\[\d+\]: 'a\d.h0->m\d' is no edge of this model"):
        fit.check_graph(explanation(), ComponentGraph(2, 2, parallel=True))


def test_versions_counterfactual_and_names_that_are_taken():
    def check(**changes):
        given = {"version": "1", "there": ("flip",), "revision": "ab" * 32, "own": ("eap", "random"), **changes}
        fit.check_names(explanation(), given["version"], given["there"], given["revision"], given["own"])

    check()
    for changes, said in (
        ({"version": "2"}, "task_version: is '1'; scored is 2"), ({"there": ("abc",)}, "'flip' is none of abc"),
        ({"revision": "cd" * 32}, "model_revision"), ({"own": ("mine",)}, "mine is a method of this project"),
    ):  # fmt: skip
        with pytest.raises(Rejected, match=said):
            check(**changes)


def test_nesting_is_counted_outside_of_texts():
    text = '"' + "[" * 50 + '\\"[["'
    assert parse(f"[{text}]".encode(), "x") == ["[" * 50 + '"[[']
    assert parse(("[" * MAX_DEPTH + "]" * MAX_DEPTH).encode(), "x")
    with pytest.raises(Rejected, match=f"nested {MAX_DEPTH + 1} deep"):
        parse(("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).encode(), "x")


def test_a_pickle_is_called_by_its_name(tmp_path):
    import pickle

    files = {**files_of(), "explanation.json": pickle.dumps({"a": 1})}
    said = refused(put(tmp_path / "s", {**files, "submission.json": files_of(sums=False)["submission.json"]}))
    assert "begins like a pickle, which is never opened" in said
