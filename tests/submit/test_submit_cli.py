"""bench submit from end to end on a planted model: the examples' seed, the entry, the board, conversions, refusals."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest

from bench.cli.main import main
from bench.explanation import Explanation
from bench.harness.keys import weights_digest
from bench.submit import checking, scoring
from bench.submit.graphs import graph_of_directory
from tasks.ioi import IOI
from tests.submit.samples import ABOUT

MODEL = IOI().planted()[0]
GRAPH = graph_of_directory(MODEL)
SMALL = ["metric=sign_accuracy", "task.sizes.test=48", "task.sizes.train=8"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hand_in(folder, about=ABOUT, **changes):
    """A submission of exact signs: what the circuit's file says, so that it reaches the ceiling."""
    truth = json.loads((MODEL / "circuit.json").read_text())["nodes"]
    signs = {"required": 1.0, "negative": -1.0}
    scores = np.array([signs.get(truth[name]["role"], 0.0) for name in GRAPH.components], dtype=np.float32)
    fields = {
        "level": "node", "components": GRAPH.components, "scores": scores, "task": "ioi", "task_version": IOI.version,
        "model": "planted", "model_revision": weights_digest(MODEL), "method": "mine[steps=3]", "method_version": "1",
        "counterfactual": IOI.default_counterfactual,
    }  # fmt: skip
    checking.write(folder, Explanation(**{**fields, **changes}), about)
    return str(folder)


def test_from_a_folder_to_a_row_with_author_link_date_and_mark(place, monkeypatch, capsys):
    draws = iter([123456, 654321])
    monkeypatch.setattr(scoring, "draw_seed", lambda: next(draws))
    assert main(["submit", hand_in(place / "mine"), *SMALL]) == 0
    said = capsys.readouterr()
    assert "data.seed=123456" in said.err and "mine[by=jane_doe,steps=3]" in said.out
    (entry,) = (place / "leaderboards" / "submissions").glob("*.toml")
    text = entry.read_text()
    found = tomllib.loads(text)
    assert (found["data_seed"], found["author"], found["mark"]) == (123456, "Jane Doe", "public truth")

    assert main(["submit", "mine", *SMALL]) == 0  # the same again: the same examples, and nothing is measured twice
    said = capsys.readouterr()
    assert "taken before" in said.err and "nothing to do" in said.err and entry.read_text() == text

    assert main(["run", "task=ioi", "method=attention_to_answer", "method.level=node", *SMALL]) == 0
    assert main(["board"]) == 0
    board = pd.read_csv(place / "leaderboards" / "circuit.csv", keep_default_na=False, dtype=str)
    row = board[board.method == "mine[by=jane_doe,steps=3]"].iloc[0]
    shown = tuple(row[name] for name in ("author", "link", "date", "mark", "status", "seeds"))
    assert shown == ("Jane Doe", ABOUT.link, "2025-03-04", "public truth", "ok", "0")
    assert float(row.score) == 1.0 and float(row.ceiling) == 1.0 and float(row.floor) == 0.5
    others = board[board.method != row.method]
    assert set(others.mark) == {""} and set(others.method) == {"attention_to_answer", "random", "oracle"}
    assert len(others) == 3  # its own floor and ceiling have no rows, and join nobody's
    for page in ("circuit.md", "index.html"):
        content = (place / "leaderboards" / page).read_text()
        assert "Jane Doe, 2025-03-04: public truth" in content and ABOUT.link in content

    entry.unlink()  # a reviewer takes it off
    assert main(["board"]) == 0
    board = pd.read_csv(place / "leaderboards" / "circuit.csv")
    assert row.method not in set(board.method)
    entry.write_text(text)
    assert main(["board", "store=other"]) == 2
    assert main(["run", "task=ioi", "method=random", "store=other", *SMALL]) == 0
    assert main(["board", "store=other", "out=leaderboards"]) == 0
    board = pd.read_csv(place / "leaderboards" / "circuit.csv")
    assert board[board.method == row.method].iloc[0].status == "missing"


REFUSED = {
    "another version": ({"task_version": "999"}, "explanation.json: task_version: is '999'; scored is"),
    "other weights": ({"model_revision": "ab" * 32}, "model_revision: no planted model of ioi"),
    "an unknown task": ({"task": "nothing"}, "explanation.json: task: 'nothing' is no task here"),
    "our method": ({"method": "eap_ig[steps=9]"}, "eap_ig is a method of this project"),
    "the floor": ({"method": "random"}, "random is a method of this project"),
    "a counterfactual": ({"counterfactual": "nothing"}, "counterfactual: 'nothing' is none of"),
    "a name": ({"components": (*GRAPH.components[:-1], "m99")}, "'m99' is no node of this model"),
    "a natural model": ({"model": "gpt2"}, "name it, as in model=hf"),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_writes_nothing(place, capsys, changes, said):
    assert main(["submit", hand_in(place / "mine", **changes)]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and "Traceback" not in shown.err
    assert {path.name for path in place.iterdir()} == {"mine"}


def test_all_are_checked_before_any_is_scored(place, capsys):
    hand_in(place / "good")
    hand_in(place / "bad", method="oracle")
    assert main(["submit", "good", "bad"]) == 2
    assert main(["submit", "good", "--check"]) == 0
    assert "good: in order, 30 node scores of mine[steps=3]" in capsys.readouterr().out
    assert {path.name for path in place.iterdir()} == {"good", "bad"}
    for call in (["submit"], ["submit", "nowhere"], ["submit", "good", "author=x"], ["submit", "--fast", "good"]):
        assert main(call) == 2


def test_eap_igs_form_there_and_back(place, capsys):
    hand_in(place / "mine")
    assert main(["submit", "--to-mib", "mine", "circuit.json"]) == 0
    who = ["name=theirs", "author=Jane Doe", "link=https://example.org"]
    assert main(["submit", "--from-mib", "circuit.json", "back", *who]) == 0
    assert main(["submit", "back", "--check"]) == 0
    there, back = (checking.read(place / name).explanation for name in ("mine", "back"))
    assert back.method == "theirs" and np.array_equal(there.scores, back.scores)
    assert main(["submit", "--from-mib", "circuit.json", "back", *who]) == 2
    assert "is there already" in capsys.readouterr().err
    (place / "bad.json").write_text('{"cfg": {}}')
    assert main(["submit", "--from-mib", "bad.json", "new", *who]) == 2
    assert not (place / "new").exists()


def test_verified_marks_what_a_maintainer_ran(place, capsys):
    held_out = [f"model.id={MODEL}", "model=hf", "store=held_out"]
    assert main(["run", "task=ioi", "method=attention_to_answer", *held_out, *SMALL]) == 0
    who = ["author=Jane Doe", "link=https://example.org", "store=held_out"]
    assert main(["submit", "--verified", "attention_to_answer", *who]) == 0
    assert main(["submit", "--verified", "nothing", *who]) == 2
    assert main(["board", "store=held_out"]) == 0
    board = pd.read_csv(place / "leaderboards" / "circuit.csv", keep_default_na=False).set_index("method")
    assert set(board.loc[["attention_to_answer"]].mark) == {"verified"} and set(board.loc[["random"]].mark) == {""}
