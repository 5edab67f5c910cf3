"""The committed boards under the current code: one method in every run of the tests, all of them in slow ones."""

from pathlib import Path

import pytest

from bench.cli.main import main
from bench.regress.frozen import FOLDER, read

BOARDS = Path(__file__).parents[2] / "leaderboards"
needed = pytest.mark.skipif(not (BOARDS / FOLDER).is_dir(), reason="no frozen boards are committed")


@needed
@pytest.mark.parametrize(("track", "metrics"), [("circuit", "area_log,auroc"), ("variable", "interchange,isolation")])
def test_a_part_of_the_committed_boards_is_the_same(track, metrics, capsys):
    """The smallest model's cells of one method of a track."""
    cells = [c for c in read(BOARDS / FOLDER).cells if c.record["track"] == track and not c.record["method_baseline"]]
    first = min(cells, key=lambda c: len(c.explanation.components))
    config = first.configuration
    part = [f"task={config['task']['name']}", f"method={config['method']['name']}"]
    part.append(f"model.seed={config['model']['seed']}")
    assert main(["regress", f"boards={BOARDS}", *part, f"metric={metrics}"]) == 0, capsys.readouterr().out


@needed
@pytest.mark.slow
def test_all_of_the_committed_boards_are_the_same(capsys):
    assert main(["regress", f"boards={BOARDS}"]) == 0, capsys.readouterr().out
