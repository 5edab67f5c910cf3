"""The committed boards under the current code: one method in every run of the tests, all of them in slow ones."""

from pathlib import Path

import pytest

from bench.cli.main import main
from bench.regress.frozen import FOLDER, read

BOARDS = Path(__file__).parents[2] / "leaderboards"
needed = pytest.mark.skipif(not (BOARDS / FOLDER).is_dir(), reason="no frozen boards are committed")


@needed
def test_a_part_of_the_committed_boards_is_the_same(capsys):
    """The smallest model's cells of one method: `area_log` and `auroc`."""
    first = min(read(BOARDS / FOLDER).cells, key=lambda c: (len(c.explanation.components), c.record["method_baseline"]))
    config = first.configuration
    part = [f"task={config['task']['name']}", f"method={config['method']['name']}"]
    part.append(f"model.seed={config['model']['seed']}")
    assert main(["regress", f"boards={BOARDS}", *part, "metric=area_log,auroc"]) == 0, capsys.readouterr().out


@needed
@pytest.mark.slow
def test_all_of_the_committed_boards_are_the_same(capsys):
    assert main(["regress", f"boards={BOARDS}"]) == 0, capsys.readouterr().out
