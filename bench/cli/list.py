"""bench list [tasks|methods|models|metrics] [OVERRIDE ...]: what there is, by name.

  bench list                                       all four, a line each
  bench list tasks                                 summary, chance, gate, counterfactuals and planted seeds
  bench list tasks model=hf model.id=NAME_OR_DIRECTORY     which tasks fit the model's tokenizer, or why not
  bench list tasks model=gpt2 --measure            loads the model too: share kept by screening, accuracy, gate
  bench list tasks --examples ioi                  five examples with every counterfactual; of every task without a name

Examples are read with the tokenizer of a task's first planted model, else word by word; with that of a model where the
call names one. Overrides are those of `bench run`, and may be swept: task=sva task.distractor=true,false model=gpt2.
The exit code is 1 when a task went wrong, or has no examples that were asked for by its name; that a task does not fit
a model is no error else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.cli.compose import composer, split_arguments
from bench.harness.errors import CallError
from bench.registry import DuplicateName, PluginError, Registries, Registry, discover, unknown

KINDS = ("tasks", "methods", "models", "metrics")
EXAMPLES, MEASURE = "--examples", "--measure"


def main(arguments: Sequence[str]) -> int:
    """Print the names; the exit code."""
    positionals, flags, overrides = split_arguments(arguments, [EXAMPLES, MEASURE])
    registries = discover()
    if flags or overrides:
        return _tasks(positionals, flags, overrides, registries)
    for kind in positionals:
        if kind not in KINDS:
            raise CallError(unknown("kind", kind, KINDS))
    if positionals == ["tasks"]:
        from bench.cli.tasks import describe

        return describe(registries, lambda name: _about(registries.tasks, name))
    kinds = positionals or list(KINDS)
    for kind in kinds:
        if len(kinds) > 1:
            print(f"{kind}:")
        for name, text in _lines(kind, registries):
            print(f"{'  ' if len(kinds) > 1 else ''}{name:22} {text}".rstrip())
    return 0


def _tasks(positionals: Sequence[str], flags: Sequence[str], overrides: Sequence[str], registries: Registries) -> int:
    """What flags and overrides ask of tasks."""
    from bench.cli.examples import examples
    from bench.cli.tasks import fit

    other = [kind for kind in positionals if kind in KINDS and kind != "tasks"]
    if other:
        raise CallError(f"`bench list {other[0]}` takes no {flags[0] if flags else f'overrides: {overrides[0]}'}")
    if len(set(flags)) > 1:
        raise CallError(f"{' and '.join(dict.fromkeys(flags))}: ask for one of them")
    if flags == [EXAMPLES]:
        return examples([name for name in positionals if name != "tasks"], overrides, registries)
    if positionals != ["tasks"]:
        raise CallError("only tasks take overrides and --measure: bench list tasks model=hf model.id=NAME_OR_DIRECTORY")
    return fit(overrides, registries, measured=MEASURE in flags)


def _lines(kind: str, registries: Registries) -> list[tuple[str, str]]:
    if kind == "models":
        return _models(registries)
    registry: Registry[Any] = getattr(registries, kind)
    return [(name, _about(registry, name)) for name in registry.names()]


def _about(registry: Registry[Any], name: str) -> str:
    """The first line of a plug-in's docstring, its level or levels, and who brings it; or what is wrong with it."""
    try:
        cls = registry.load(name)
    except (PluginError, DuplicateName) as error:
        return f"BROKEN: {error}"
    levels = getattr(cls, "levels", None) or getattr(cls, "level", None)
    levels = ("node", "edge") if getattr(cls, "baseline", False) else levels
    shown = f"[{levels if isinstance(levels, str) else ', '.join(levels)}] " if levels else ""
    text = (cls.__doc__ or "").strip().split("\n\n")[0]
    owner = registry.entry(name).distribution
    return shown + " ".join(text.split()) + ("" if owner == "interpassay" else f" ({owner})")


def _models(registries: Registries) -> list[tuple[str, str]]:
    lines = []
    with composer([], registries) as hydra:
        for name in hydra.options("model"):
            if name == "planted":
                lines.append((name, f"with a known circuit: {_planted(registries)}"))
                continue
            found = hydra.config([f"model={name}", *(["model.id=NAME_OR_DIRECTORY"] if name == "hf" else [])])
            lines.append((name, f"model.id={found['model']['id']}"))
    return lines


def _planted(registries: Registries) -> str:
    from bench.cli.tasks import seeds

    found = []
    for name in registries.tasks.names():
        try:
            shipped = seeds(registries.tasks.load(name)())
        except (PluginError, DuplicateName):
            continue
        if shipped:
            found.append(f"{name} ({shipped})")
    return ", ".join(found) or "none shipped"
