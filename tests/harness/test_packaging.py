"""What is installed is what is there."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_list_of_packages_names_every_folder_of_modules() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {"interpassay"}
    for top in ("bench", "conf", "methods", "tasks"):
        for init in (ROOT / top).rglob("__init__.py"):
            found.add(".".join(init.parent.relative_to(ROOT).parts))
    assert sorted(listed) == sorted(found - {"bench.launch"})
