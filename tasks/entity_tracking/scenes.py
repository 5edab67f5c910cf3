"""What one prompt tells and asks, and the counterfactual prompts that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks._common import Prompt, fill
from tasks.entity_tracking.causal import EntityTrackingCausalModel

CAUSAL = EntityTrackingCausalModel()
DRAWS = 100
COUNTERFACTUALS = ("all", "positional", "object", "label", "next_box", "random")


@dataclass(frozen=True)
class Scene:
    """Objects in labelled boxes, in order, and the label asked for."""

    pattern: str
    """The prompt with the slots of :meth:`tasks.entity_tracking.templates.Template.pattern`."""
    objects: tuple[str, ...]
    labels: tuple[str, ...]
    query: str

    @property
    def slot(self) -> int:
        """Which box is asked for, from 0; -1 where none bears the label."""
        return self.labels.index(self.query) if self.query in self.labels else -1

    @property
    def answer(self) -> str:
        """The object in the box asked for; empty where there is none."""
        return self.objects[self.slot] if self.query in self.labels else ""

    def prompt(self, wrong: int | None = None) -> Prompt:
        """The prompt; where the slot of the ``wrong`` answer is given, with the spans that rows name."""
        words = {f"O{i}": word for i, word in enumerate(self.objects, start=1)}
        words |= {f"L{i}": word for i, word in enumerate(self.labels, start=1)}
        text, spans = fill(self.pattern, words | {"Q": self.query})
        named = {}
        if wrong is not None:
            at, beside = self.slot + 1, wrong + 1
            slots = {"OBJECT": f"O{at}", "LABEL": f"L{at}", "WRONG": f"O{beside}", "QUERY": "Q"}
            named = {name: spans[slot] for name, slot in slots.items()}
        return Prompt(text, self.answer, CAUSAL.values(self.objects, self.labels, self.query), named)


def variants(
    scene: Scene, wrong: int, other: Scene, control: Scene, unknown: str, rng: np.random.Generator
) -> dict[str, Scene]:
    """The counterfactuals of ``scene`` by name, whose wrong answer is the object in slot ``wrong``.

    ``other`` is an example with as many boxes of which another one is asked for; ``control`` is any; ``unknown`` is a
    label that no box of ``other`` bears.
    """
    return {
        "all": other,
        "positional": replace(scene, labels=moved(scene, wrong, rng)),
        "object": replace(scene, objects=other.objects),
        "label": replace(scene, query=scene.labels[wrong]),
        "next_box": replace(other, query=unknown),
        "random": control,
    }


def moved(scene: Scene, to: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The labels dealt anew, so that each changes boxes and the one asked for goes to slot ``to``."""
    slots = [i for i in range(len(scene.labels)) if i != to]
    rest = [label for label in scene.labels if label != scene.query]
    while True:
        dealt = dict(zip(slots, (rest[i] for i in rng.permutation(len(rest))), strict=True)) | {to: scene.query}
        if all(dealt[i] != label for i, label in enumerate(scene.labels)):
            return tuple(dealt[i] for i in range(len(scene.labels)))


def another(
    scene: Scene, slot: int, objects: Sequence[str], labels: Sequence[str], rng: np.random.Generator
) -> Scene | None:
    """A scene with other objects in every box, in which the box in ``slot`` is asked for.

    No box bears the label that it has in ``scene``. From three boxes on, the label asked for stands on a third box in
    ``scene``, so that the desiderata for label, position and object have three different targets. None where
    there are too few objects or labels.
    """
    n = len(scene.labels)
    unused = [word for word in objects if word not in scene.objects]
    fits = [label for label in scene.labels if label not in (scene.query, scene.labels[slot])]
    candidates = fits or [label for label in labels if label not in scene.labels]
    if len(unused) < n or not candidates:
        return None
    query = candidates[int(rng.integers(len(candidates)))]
    others = [label for label in labels if label != query]
    for _ in range(DRAWS):
        drawn = [others[i] for i in rng.choice(len(others), n - 1, replace=False)]
        borne = (*drawn[:slot], query, *drawn[slot:])
        if all(new != old for new, old in zip(borne, scene.labels, strict=True)):
            break
    else:
        return None
    held = tuple(unused[i] for i in rng.choice(len(unused), n, replace=False))
    return Scene(scene.pattern, held, borne, query)
