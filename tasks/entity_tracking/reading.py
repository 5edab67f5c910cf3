"""Reading prompts that somebody else wrote, where they are worded as the paper's or as this task's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tasks.entity_tracking.scenes import Scene

_TOLD = (
    r"(?:\w+ put )?(?:the )?(?P<object>[\w-]+) (?:is )?(?:contained )?in (?:box )?(?P<label>\w+)",
    r"(?:box )?(?P<label>\w+) (?:contains|has|holds) (?:the )?(?P<object>[\w-]+)",
)
_ASKED = r"(?:box )?(?P<label>\w+) (?:contains|has|holds)(?: the)?"


def parse(prompt: str) -> Scene:
    """The scene of a prompt up to where its answer begins. Raises :class:`ValueError` that says what cannot be read."""
    told, stop, asked = prompt.rpartition(". ")
    query = re.fullmatch(_ASKED, asked, re.IGNORECASE)
    if not stop or query is None:
        raise ValueError(f"{asked!r} is no query; one like 'Box A contains the' is expected behind a full stop")
    pattern, objects, labels = "", [], []
    for i, part in enumerate(re.split(r"(, and |, | and )", told)):
        if i % 2:
            pattern += part
            continue
        found = _told(part)
        number = i // 2 + 1
        pattern += _with_slots(part, {f"O{number}": found.span("object"), f"L{number}": found.span("label")})
        objects.append(found["object"])
        labels.append(found["label"])
    for kind, words in (("object", objects), ("label", labels)):
        if twice := sorted({word for word in words if words.count(word) > 1}):
            raise ValueError(f"the {kind} {twice[0]!r} is there twice")
    if len(objects) < 2:
        raise ValueError(f"{told!r} tells of one box; two at least are needed")
    pattern += stop + _with_slots(asked, {"Q": query.span("label")})
    return Scene(pattern, tuple(objects), tuple(labels), query["label"])


def named_spans(prompt: str, answer: str, wrong: str) -> Mapping[str, tuple[int, int]] | None:
    """Spans of the named words of a prompt; None where it cannot be read or has another answer or wrong answer."""
    try:
        scene = parse(prompt)
    except ValueError:
        return None
    if scene.answer != answer.strip() or wrong.strip() not in scene.objects:
        return None
    return scene.prompt(scene.objects.index(wrong.strip())).spans


def _told(part: str) -> re.Match[str]:
    for pattern in _TOLD:
        found = re.fullmatch(pattern, part, re.IGNORECASE)
        if found:
            return found
    raise ValueError(
        f"{part!r} tells of no box; one like 'the apple is in Box A' or 'Box A contains the apple' is expected, with "
        "one object of one word"
    )


def _with_slots(text: str, slots: Mapping[str, tuple[int, int]]) -> str:
    """The text with the spans replaced by ``{slot}``; it holds no braces of its own, as no wording does."""
    out, at = "", 0
    for name, (start, end) in sorted(slots.items(), key=lambda item: item[1]):
        out += text[at:start] + f"{{{name}}}"
        at = end
    return out + text[at:]
