"""`bench list tasks --examples`: the first examples of tasks as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.cli.asked import Asked, asked, load_tokenizer, tokenizer_of
from bench.cli.plain import PlainTokenizer
from bench.harness.errors import CallError, reason
from bench.harness.models import NotShipped
from bench.preview import preview
from bench.registry import Registries
from bench.task import TaskError

SHOWN = 5
"""Examples per task."""


def examples(names: Sequence[str], overrides: Sequence[str], registries: Registries) -> int:
    """Print the first examples of the named tasks, of all where none is named; 1 when there were none to print.

    That a task does not fit the model is an error only where the task is named.
    """
    code = 0
    for number, one in enumerate(asked(names, overrides, registries)):
        print("\n" if number else "", end="")
        code = max(code, _show(one, bool(names)))
    return code


def _show(one: Asked, by_name: bool) -> int:
    """Print a task's examples, or why there are none, which is an error where the task was asked for by name."""
    if one.task is None:
        print(f"{one.label}: {one.problem}")
        return 1
    try:
        tokenizer, reader = _reader(one)
        rows = one.task.build(tokenizer, one.request()).split("train")
    except (TaskError, NotShipped) as error:
        print(f"{one.label}: {error}")
        return int(by_name)
    except CallError:
        raise
    except Exception as error:  # a broken task must not take the others' examples with it
        print(f"{one.label}: {reason(error)}")
        return 1
    print(f"{one.label}, read {reader}\n\n{preview(rows, SHOWN)}")
    return 0


def _reader(one: Asked) -> tuple[Any, str]:
    """The tokenizer to read a task's examples with, and what it is."""
    if one.model_named:
        return tokenizer_of(one), f"by the tokenizer of {one.model}"
    assert one.task
    planted = one.task.planted()
    if not planted:
        return PlainTokenizer(), "word by word"
    return load_tokenizer(str(planted[min(planted)])), f"by the tokenizer of its planted model, seed {min(planted)}"
