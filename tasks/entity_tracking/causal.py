"""The causal model of entity tracking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.task import CausalModel

NONE = ""


class EntityTrackingCausalModel(CausalModel):
    """``label``, the label asked for, and ``detected``, the place in order of the box that bears it, are read at the
    query's label; ``position``, that place carried on, and ``object``, what is in the box there, at END.

    Places are ``1``, ``2`` and so on; empty where no box bears the label, and then the object and the answer are empty
    too: nothing is predicted. The values of a prompt also hold its inputs, ``objects`` and ``labels`` in the order of
    the boxes, joined by spaces. No input tells ``detected`` from ``position``, so they make one class. A source tells
    ``label`` from them where its label stands on another box than in the base.
    """

    variables = ("label", "detected", "position", "object")
    classes = (("label",), ("detected", "position"), ("object",))
    positions: Mapping[str, str] = {"label": "QUERY", "detected": "QUERY", "position": "END", "object": "END"}
    """Where each variable is read."""

    def values(self, objects: Sequence[str], labels: Sequence[str], query: str) -> dict[str, str]:
        """All values of a prompt that puts ``objects`` into the boxes ``labels`` and asks for the box ``query``."""
        given = {"objects": " ".join(objects), "labels": " ".join(labels), "label": query}
        place = place_of(query, given["labels"])
        return {**given, "detected": place, "position": place, "object": object_at(place, given["objects"])}

    def interchange(self, base: Mapping[str, str], source: Mapping[str, str], variable: str) -> dict[str, str]:
        """See :class:`bench.task.CausalModel`; can be applied again to its own result, to set several variables."""
        if variable not in self.variables:
            raise KeyError(f"no variable {variable!r}; the variables are {', '.join(self.variables)}")
        changed = dict(base)
        changed[variable] = source[variable]
        if variable == "label":
            changed["detected"] = place_of(changed["label"], base["labels"])
        if variable in ("label", "detected"):
            changed["position"] = changed["detected"]
        if variable != "object":
            changed["object"] = object_at(changed["position"], base["objects"])
        return {**changed, "answer": changed["object"]}


def place_of(label: str, labels: str) -> str:
    """The place of ``label`` among the boxes' labels, from 1; empty where no box bears it."""
    borne = labels.split()
    return str(borne.index(label) + 1) if label in borne else NONE


def object_at(place: str, objects: str) -> str:
    """The object in the box at a place; empty where there is no such box."""
    held = objects.split()
    return held[int(place) - 1] if place and int(place) <= len(held) else NONE
