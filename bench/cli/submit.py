"""bench submit PATH ... [OVERRIDE ...]: check what somebody hands in, and score it.

  bench submit results/mine                        a folder with explanation.json, scores.safetensors, submission.json
  bench submit mine.zip theirs.tar.gz              or archives of such
  bench submit PATH --check                        check only: nothing is scored and nothing written
  bench submit PATH model=hf model.id=NAME         for a model that is not planted, you say which is loaded
  bench submit --from-mib CIRCUIT.json FOLDER name=METHOD author="NAME" link=https://...
                                                   a submission from EAP-IG's or MIB's JSON; model.seed= says of which
  bench submit --to-mib PATH CIRCUIT.json          the other way round
  bench submit --verified METHOD author="NAME" link=https://...
                                                   mark what you ran yourself on models of an undisclosed seed

submission.json: {"schema": 1, "author": "...", "link": "https://...", "date": "YYYY-MM-DD"}, and, if you like,
"sha256": {"explanation.json": "...", "scores.safetensors": "..."}. Scores are measured on test examples drawn with a
seed that is picked now; it is written into leaderboards/submissions/ (out=), with what the board says about the author.
No code that is handed in is run. Useful overrides: store= out= metric= ablation= device= batch_size= task.PARAMETER=
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.cli.compose import Config, composer, split_arguments
from bench.cli.selection import score_selection
from bench.explanation import JSON_NAME, Explanation
from bench.harness.choices import make_task
from bench.harness.errors import CallError
from bench.harness.models import NotShipped, find_model, shipped_seeds
from bench.harness.planning import make_metrics
from bench.registry import Registries, discover
from bench.submit import checking, fit, mib
from bench.submit.archive import read_file
from bench.submit.featurizers import check_featurizers
from bench.submit.graphs import CONFIG, graph_of_directory, widths_of_config
from bench.submit.json_text import parse
from bench.submit.limits import Rejected, shown

CHECK, FROM_MIB, TO_MIB, VERIFY = FLAGS = ("--check", "--from-mib", "--to-mib", "--verified")
OWN = ("author", "link", "date", "name")


def main(arguments: Sequence[str]) -> int:
    """Take submissions, or convert one; the exit code."""
    positionals, flags, words = split_arguments(arguments, FLAGS)
    own = {word.split("=", 1)[0]: word.split("=", 1)[1] for word in words if word.split("=", 1)[0] in OWN}
    overrides = [word for word in words if word.split("=", 1)[0] not in OWN]
    if len(set(flags)) > 1:
        raise CallError(f"{' and '.join(flags)}: ask for one of them")
    if flags == [FROM_MIB]:
        return _from_mib(_places(positionals, FROM_MIB, "CIRCUIT.json FOLDER"), own, overrides)
    if flags == [TO_MIB]:
        return _to_mib(_places(positionals, TO_MIB, "PATH CIRCUIT.json"), overrides)
    if flags == [VERIFY]:
        from bench.cli.verified import verified

        return verified(positionals, own, overrides)
    if own:
        raise CallError(f"{', '.join(own)}: these stand in a submission's submission.json")
    if not positionals:
        raise CallError("which submission? bench submit FOLDER_OR_ARCHIVE")
    registries = discover()
    found = [(path, *_checked(Path(path), overrides, registries)) for path in positionals]  # all, before any is scored
    if flags == [CHECK]:
        for path, submission, _ in found:
            print(f"{path}: in order, {_said(submission.explanation)} of {submission.explanation.method}")
        return 0
    return max(_score(submission, model, overrides, registries) for _, submission, model in found)


def _checked(path: Path, overrides: Sequence[str], registries: Registries) -> tuple[checking.Submission, list[str]]:
    """A submission that passed every check, and the overrides that choose its model."""
    if not path.exists():
        raise CallError(f"there is no {path}")
    try:
        submission = checking.read(path)
        task, model = _choose(submission.explanation, overrides, registries)
        own = [n for n in registries.methods.names() if registries.methods.entry(n).distribution == "interpassay"]
        fit.check_names(submission.explanation, task.version, task.counterfactuals, model["revision"], own)
        if submission.explanation.track == "variable":
            variables = task.causal_model.variables
            check_featurizers(submission.explanation, widths_of_config(_configuration(model)), variables)
        else:
            fit.check_graph(submission.explanation, _graph(model))
    except Rejected as error:
        raise CallError(f"{path}: refused: {error}") from error
    return submission, model["overrides"]


def _said(found: Explanation) -> str:
    """What was handed in, in a few words."""
    if found.track == "variable":
        return f"the variable {found.extra['variable']} at {found.extra['site']}"
    return f"{len(found.components):,} {found.level} scores"


def _choose(found: Explanation, overrides: Sequence[str], registries: Registries) -> tuple[Any, dict[str, Any]]:
    """Task and model: the planted one whose weights have the revision, or the one that the call names."""
    if found.task not in registries.tasks.names():
        raise Rejected(f"{JSON_NAME}: task", f"{shown(found.task)} is no task here")
    config = _config([*overrides, f"task={found.task}"], registries)
    task, _ = make_task(config["task"], 0, registries)
    if any(word.split("=")[0].split(".")[0] == "model" for word in overrides):
        choice = find_model(config["model"], task, config["dtype"])
        return task, {"revision": choice.revision, "path": choice.path, "overrides": []}
    name, _, rest = found.model.partition("[variant=")
    if name != "planted":
        raise CallError(f"the scores are of the model {shown(found.model)}: name it, as in model=hf model.id=DIRECTORY")
    variant = rest.rstrip("]") or None
    for seed in sorted(shipped_seeds(task, variant)):
        words = [f"model.seed={seed}", *([f"model.variant={variant}"] if variant else [])]
        choice = find_model({"kind": "planted", "seed": seed, "variant": variant}, task, config["dtype"])
        if choice.revision == found.model_revision:
            return task, {"revision": choice.revision, "path": choice.path, "overrides": words}
    raise Rejected(f"{JSON_NAME}: model_revision", f"no planted model of {found.task} that is shipped has this one")


def _config(overrides: Sequence[str], registries: Registries) -> Config:
    """The configuration of a cell; metrics and ablations, which may be swept, are no part of it."""
    words = [word for word in overrides if word.split("=")[0].split(".")[0] not in ("metric", "ablation")]
    with composer(words, registries) as hydra:
        return hydra.config(words)


def _configuration(model: Mapping[str, Any]) -> Any:
    """The JSON of a model's configuration."""
    if Path(model["path"]).is_dir():
        return parse(read_file(Path(model["path"]) / CONFIG), CONFIG, nan=True)
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(model["path"], revision=model["revision"], trust_remote_code=False).to_dict()


def _graph(model: Mapping[str, Any]) -> Any:
    """The graph of a directory from its configuration; of a hub's model as ``transformers`` reads it."""
    if Path(model["path"]).is_dir():
        return graph_of_directory(Path(model["path"]))
    from transformers import AutoConfig

    from bench.engine import graph_of

    return graph_of(AutoConfig.from_pretrained(model["path"], revision=model["revision"], trust_remote_code=False))


def _score(submission: checking.Submission, model: list[str], overrides: Sequence[str], registries: Registries) -> int:
    from bench.cli.show import print_board
    from bench.harness.records import read_records
    from bench.harness.report import Report
    from bench.harness.store import Store
    from bench.submit import entries, scoring

    found = submission.explanation
    with composer(overrides, registries) as hydra:
        settings, metrics = score_selection(hydra)
    out = Path(settings[0]["out"])
    known = entries.find(out, submission.digest)
    seed = known.data_seed if known else scoring.draw_seed()
    words = [
        *overrides, *model, f"task={found.task}", f"task.counterfactual={found.counterfactual}", "method=random",
        f"method.level={found.level}", f"data.seed={seed}",
        *([f"variable={found.extra['variable']}"] if found.track == "variable" else []),
    ]  # fmt: skip
    config = _config(words, registries)
    config["store"] = str(scoring.store_of(config["store"]))
    cell, baselines = scoring.plan(submission, config, make_metrics(metrics, registries), registries)
    path = entries.write_entry(scoring.entry_of(submission, cell), out)  # first: nobody tries seeds until one pleases
    report = Report()
    report.note(f"{'taken before' if known else 'taken'}: {path}; its test examples have data.seed={seed}")
    with Store(config["store"]) as store:
        try:
            summary = scoring.score(submission, cell, baselines, store, report)
        finally:
            report.close()
        print_board(read_records(store, {cell.key, *(one.key for one in baselines)}))
    return 1 if summary.failed else 0


# -- conversions


def _places(positionals: Sequence[str], flag: str, wanted: str) -> tuple[Path, Path]:
    if len(positionals) != 2:
        raise CallError(f"bench submit {flag} {wanted}")
    source, target = map(Path, positionals)
    if not source.exists():
        raise CallError(f"there is no {source}")
    if target.exists():
        raise CallError(f"{target} is there already; name another")
    return source, target


def _from_mib(places: tuple[Path, Path], own: Mapping[str, str], overrides: Sequence[str]) -> int:
    if missing := [name for name in ("name", "author", "link") if name not in own]:
        raise CallError(f"give {', '.join(f'{name}=' for name in missing)} too")
    source, target = places
    registries = discover()
    config = _config(overrides, registries)
    task, choice = make_task(config["task"], 0, registries)
    try:
        model = find_model(config["model"], task, config["dtype"])
    except NotShipped as error:
        raise CallError(str(error)) from error
    try:
        level, names, scores = mib.from_mib(read_file(source), source.name)
        explanation = Explanation(
            level, names, scores, choice.name, task.version, model.called, model.revision, own["name"], "1",
            choice.counterfactual, extra={"converted_from": "EAP-IG JSON"},
        )  # fmt: skip
        fit.check_graph(explanation, _graph({"path": model.path, "revision": model.revision}))
    except Rejected as error:
        raise CallError(f"{source}: refused: {error}") from error
    date = own.get("date", datetime.date.today().isoformat())
    checking.write(target, explanation, checking.About(own["author"], own["link"], date))
    print(f"{target}: {len(names):,} {level} scores; hand it in with `bench submit {target}`")
    return 0


def _to_mib(places: tuple[Path, Path], overrides: Sequence[str]) -> int:
    source, target = places
    try:
        found = checking.read(source).explanation
        _, model = _choose(found, overrides, discover())
        graph = _graph(model)
        fit.check_graph(found, graph)
        target.write_bytes(mib.to_mib(found, graph, _width(Path(model["path"]))))
    except Rejected as error:
        raise CallError(f"{source}: refused: {error}") from error
    print(target)
    return 0


def _width(folder: Path) -> int:
    """Width of the residual stream, which the form asks for and nothing here needs; 0 where it is not known."""
    if not folder.is_dir():
        return 0
    config = parse(read_file(folder / CONFIG), CONFIG, nan=True)
    return int(config.get("hidden_size") or config.get("n_embd") or 0)
