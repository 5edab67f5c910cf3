"""EAP-IG's JSON form, graphs from configurations, entries as TOML."""

import json

import numpy as np
import pytest

from bench.graph import ComponentGraph
from bench.submit import entries
from bench.submit.graphs import graph_of_config
from bench.submit.limits import Rejected
from bench.submit.mib import from_mib, to_mib
from tests.submit.samples import GRAPH, explanation


def written_there(level="edge", **changes):
    """A file as EAP-IG's ``Graph.to_json`` writes it, by hand from its source: one layer of one head."""
    scores = {"input->a0.h0<q>": 0.5, "input->a0.h0<k>": -1.0, "input->a0.h0<v>": 2.0, "input->m0": 0.25,
              "a0.h0->m0": -0.125, "input->logits": 0.0, "a0.h0->logits": 3.0, "m0->logits": 4.0}  # fmt: skip
    nodes = {name: {"in_graph": True} for name in ("input", "a0.h0", "m0", "logits")}
    if level == "node":
        nodes["input"]["score"], nodes["a0.h0"]["score"], nodes["m0"]["score"] = float("nan"), 1.5, -2.5
    edges = {name: {"score": score, "in_graph": score > 0} for name, score in scores.items()}
    cfg = {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": False, "d_model": 8}
    return {"cfg": cfg, "nodes": nodes, "edges": edges, **changes}


def test_a_file_as_eap_ig_writes_it_is_read():
    level, names, scores = from_mib(json.dumps(written_there()).encode(), "c.json")
    assert level == "edge" and names == ComponentGraph(1, 1).edges
    found = dict(zip(names, scores.tolist(), strict=True))
    assert found == {name: edge["score"] for name, edge in written_there()["edges"].items()}
    level, names, scores = from_mib(
        json.dumps(written_there("node")).encode(), "c.json"
    )  # with a NaN, as Python writes
    assert (level, names, scores.tolist()) == ("node", ("a0.h0", "m0"), [1.5, -2.5])


def test_what_is_wrong_with_such_a_file_is_named():
    def refused(**changes):
        with pytest.raises(Rejected) as caught:
            from_mib(json.dumps(written_there(**changes)).encode(), "c.json")
        return str(caught.value)

    edges = written_there()["edges"]
    assert refused(cfg={"n_layers": 10**6, "n_heads": 1}).startswith("c.json: cfg: n_layers: ")
    assert "at most 4,096" in refused(cfg={"n_layers": 1000, "n_heads": 1000})
    assert "lacks 1 of 8 edges, the first is m0->logits" in refused(edges={k: edges[k] for k in list(edges)[:-1]})
    assert "'m9->logits': is no edge" in refused(edges={**edges, "m9->logits": {"score": 1.0}})
    nan = {**edges, "m0->logits": {"score": float("nan"), "in_graph": True}}
    assert "m0->logits: score: is nan" in refused(edges=nan)
    assert "needs the objects" in refused(nodes=[])


@pytest.mark.parametrize("level", ["node", "edge"])
def test_there_and_back(level):
    found = explanation(level)
    data = to_mib(found, GRAPH, 16)
    back = json.loads(data)
    assert set(back["nodes"]) == {*GRAPH.sources, "logits"} and set(back["edges"]) == set(GRAPH.edges)
    assert back["cfg"] == {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 16}
    read_level, names, scores = from_mib(data, "c.json")
    assert (read_level, names) == (level, found.components) and np.array_equal(scores, found.scores)


def test_graphs_from_configurations_are_those_of_the_engine():
    from bench.engine import graph_of
    from tests.engine.tiny import BUILDERS

    for make in BUILDERS.values():
        config = make().config
        assert graph_of_config(json.loads(config.to_json_string())) == graph_of(config)
        assert graph_of_config(config.to_dict()) == graph_of(config)


def test_published_sizes():
    gpt2 = graph_of_config({"model_type": "gpt2", "n_layer": 12, "n_head": 12})
    assert (gpt2.n_edges, gpt2.n_nodes - 1) == (32_491, 156)


def test_an_entry_is_read_back_and_a_bad_one_named(tmp_path):
    entry = entries.Entry(
        'Zo\u00eb "Z" \\ O\'Neil \U0001f600', "https://x.org", "2025-01-02", entries.PUBLIC, "m[by=zoe]", "ioi",
        "planted", "edge", "flip", ("ab" * 16,), "cd" * 32, "ef" * 32, 0, 77,
    )  # fmt: skip
    path = entries.write_entry(entry, tmp_path)
    assert path.name == "zoe_z_o_neil-m-ioi-abababab.toml" and entries.read_entries(tmp_path) == [entry]
    assert entries.find(tmp_path, "cd" * 32) == entry and entries.find(tmp_path, "") is None
    text = path.read_text()
    for old, new, said in (
        ('mark = "public truth"', 'mark = "best"', "mark: is 'best'"),
        ("data_seed = 77", 'data_seed = "x"', "data_seed"),
        ("author", "autor", "author"), ("keys = [", "keys = [1, ", "keys"), ("=", "", "no TOML"),
        ("https://x.org", "javascript:alert(1)", "link"),
    ):  # fmt: skip
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(Rejected, match=said):
            entries.read_entries(tmp_path)
    assert entries.slug("\u674e\u56db") != entries.slug("\u5f20\u4e09")
