"""Methods where they lack what they need: a skip before any pass, else scores; never an error that names no step.

Every registered method meets tasks that name no position but the last, tell no counterfactual answer, say no answer in
the prompt or replace nothing, on models without a planted truth and of every kind of block.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as tf

from bench.engine import Engine
from bench.method import Method, Skip
from bench.objectives import Objective
from bench.registry import discover
from methods.attribution.relp import Relp
from methods.cross_model.cmap import Cmap
from methods.ensembles.parallel import ParallelEnsemble
from methods.ensembles.sequential import SequentialEnsemble
from methods.heads.copying import Copying
from methods.heads.evidence_head_divergence import EvidenceHeadDivergence
from methods.heads.induction_score import InductionScore
from methods.heads.retrieval import Retrieval
from methods.masks.training import TrainedMask
from methods.patching.acdc import Acdc
from methods.patching.attention_knockout import AttentionKnockout
from methods.patching.edge_patching import EdgePatching
from methods.patching.grouped_path_patching import GroupedPathPatching
from methods.patching.patching import Patching
from methods.patching.path_patching import PathPatching
from tests.engine.tiny import VOCAB, pairs, randomize, tiny
from tests.methods.linear import job

torch.set_num_threads(1)
REGISTERED = discover().methods
LOADED = [m for m in map(REGISTERED.load, REGISTERED.names()) if m.__module__.startswith("methods.")]
CLASSES = [m for m in LOADED if m.track == "circuit" and m.level != "feature"]
"""Latents bring dictionaries, and have tests of their own."""
STEP = re.compile(r"(step|stage) \d")


def made(cls: type[Method]) -> Method:
    """With its defaults, trained ones with few steps."""
    if issubclass(cls, SequentialEnsemble):
        return cls(steps=2)
    return cls(steps=2, minibatches=1) if issubclass(cls, TrainedMask) else cls()


VARIANTS: list[Method] = [
    *map(made, CLASSES),
    Patching(positions="IO"), Patching(scores_at="END+IO"), Patching(corruption="noise"), Patching(window=2),
    Patching(corruption="noise", noise_at="IO"), PathPatching(positions="IO"), PathPatching(path="a9.h0<q>"),
    GroupedPathPatching(at="END,IO,IO,all"), AttentionKnockout(reader="IO"), AttentionKnockout(source="IO"),
    AttentionKnockout(source="replaced"), EvidenceHeadDivergence(at="IO"), Copying(form="top"),
    Retrieval(counted="all"), InductionScore(on="prompts"), Cmap(groups="a9.h0"), Relp(ah=True),
    EdgePatching(sample=5), Acdc(budget=1), EdgePatching(budget=1), ParallelEnsemble(of="atp+faith"),
    SequentialEnsemble(first="atp", then="node_pruning", steps=2),
]  # fmt: skip


def bare(count: int, length: int = 8) -> list[dict]:
    """Prompts that name ``END`` alone and do not say their answer; counterfactuals without an answer."""
    clean, corrupt = pairs(tuple(length + i % 2 for i in range(count)))
    return [
        {
            "ids": c, "counterfactuals": {"other": {"ids": x}}, "positions": {"END": len(c) - 1},
            "answer_id": next(i for i in range(3, VOCAB) if i not in c and i not in x),
            "wrong_id": next(i for i in range(VOCAB - 1, 3, -1) if i not in c and i not in x),
        }
        for c, x in zip(clean, corrupt, strict=True)
    ]  # fmt: skip


def unreplaced(count: int) -> list[dict]:
    """The same, and the counterfactual is the prompt itself."""
    return [{**row, "counterfactuals": {"other": {"ids": row["ids"]}}} for row in bare(count)]


TASKS: dict[str, Callable[[], list[dict]]] = {
    "bare": lambda: bare(3), "unreplaced": lambda: unreplaced(3), "one": lambda: bare(1), "short": lambda: bare(2, 4),
}  # fmt: skip


def one_layer() -> tf.PreTrainedModel:
    config = tf.GPT2Config(vocab_size=VOCAB, n_positions=64, n_embd=32, n_layer=1, n_head=2, bos_token_id=1)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        model = tf.GPT2LMHeadModel(config)
    randomize(model, 0)
    return model.eval()


MODELS: dict[str, Callable[[], tf.PreTrainedModel]] = {
    "one_layer": one_layer, **{name: (lambda name=name: tiny(name)) for name in ("gpt2", "gpt_neox", "gemma2", "olmo2")}
}  # fmt: skip


CASES = [*((model, "bare") for model in MODELS), ("gpt2", "unreplaced"), ("gpt_neox", "one"), ("gemma2", "short")]


def outcome(method: Method, engine: Engine, rows: list[dict]) -> str:
    """``scores``, or the reason of a skip that cost no pass, or of a failure that names its step."""
    engine.cost.reset()
    try:
        scores = method.scores(job(engine, rows, method.objective))
    except Skip as skip:
        if "no example counts" not in str(skip):  # that, only the run itself can tell
            assert (engine.cost.forwards, engine.cost.backwards) == (0, 0), f"{skip}, after {engine.cost}"
        return str(skip)
    except (ValueError, ArithmeticError, RuntimeError) as error:
        assert STEP.search(str(error)), f"{type(error).__name__}: {error}"
        return f"failed: {error}"
    assert scores.shape[0] == len(engine.graph.names(method.level)) and np.isfinite(scores).all()
    return "scores"


@pytest.mark.parametrize(("model", "task"), CASES)
def test_every_method_scores_or_skips_before_any_pass(model, task):
    engine = Engine(MODELS[model](), check=False)
    found = [(method.label(), outcome(method, engine, TASKS[task]())) for method in VARIANTS]
    print(*(f"{name}: {text}" for name, text in found if text != "scores"), sep="\n")
    failed = {text for _, text in found if text.startswith("failed")}
    assert all("is empty" in text or "no path is left" in text for text in failed), "only an empty circuit fails"
    scored = {name for name, text in found if text == "scores"}
    assert scored >= {"eap", "atp", "eap_ig", "patching", "edge_patching[sample=5]", "ifr", "random"}
    assert not scored & LACKING


LACKING = {
    "oracle", "cmap", "cmap[groups=a9.h0]", "dcm[minibatches=1,steps=2]", "faith", "retrieval", "copying[form=top]",
    "attention_to_answer", "patching[positions=IO]", "path_patching[positions=IO]", "path_patching[path=a9.h0<q>]",
    "parallel_ensemble[of=atp+faith]", "sequential_ensemble[steps=2]",
}  # fmt: skip
"""What no task or model here has what it needs for."""


ONES_OWN = [cls for cls in CLASSES if not issubclass(cls, TrainedMask) and ".ensembles." not in cls.__module__]
"""Trained masks are asked elsewhere, and ensembles run their members with objectives that these name."""


@pytest.mark.parametrize("cls", ONES_OWN, ids=lambda cls: cls.name)
def test_an_objective_that_is_no_number_fails_at_a_step_or_is_not_read(cls):
    """Of two batches the second is spoilt; what sweeps all examples at a time fails at its first step."""
    method, engine = cls(), Engine(tiny("gpt2"), check=False)
    here = job(engine, [*bare(2, 8), *bare(2, 6)], method.objective, batch_size=2)

    def value(logits, batch, clean):
        found = here.objective.value(logits, batch, clean)
        return found * torch.where(batch.index < 2, 1.0, float("nan"))

    try:
        scores = method.scores(replace(here, objective=Objective("spoilt", value)))
    except Skip:
        return
    except (FloatingPointError, ValueError) as error:
        assert re.search(r"step [12]\b", str(error)) and cls.name not in UNREAD
    else:
        assert np.isfinite(scores).all() and cls.name in UNREAD


UNREAD = {
    "activation_norm", "composition", "copying", "evidence_head_divergence", "ifr", "induction_score",
    "previous_token_score", "random", "random_layer", "svd_channels",
}  # fmt: skip
"""What looks at weights, activations or patterns alone."""
