"""Which templates, things, colors and labels a tokenizer can be asked about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.task import TaskError
from tasks._common import Encoder, Pool, fill, single
from tasks.mcqa.templates import ALPHABET, RANDOM_LETTERS, Style

HOLE = "\0"


def read(encoder: Encoder, style: Style, offered: Pool) -> dict[str, tuple[str, ...]]:
    """What of ``offered`` can be read, and ``letters`` for other labels.

    Raises :class:`TaskError` where no template is known, or labels are missing.
    """
    words = _words(encoder, style, offered)
    nothing = dict.fromkeys(words, "")
    templates = tuple(t for t in offered["templates"] if encoder.knows(_filled(style, t, nothing)))
    if not templates:
        raise TaskError(
            "no template of mcqa can be read by this tokenizer: its words are unknown to it; take another model or "
            "give examples of your own (task.data=FILE)"
        )
    labels, letters = (_labels(encoder, style, templates, words, known) for known in (offered["labels"], ALPHABET))
    needed = 2 * style.options
    if len(letters) < needed:
        raise TaskError(
            f"{needed} letters are needed as labels that are one known token after 'Answer:', {len(letters)} are "
            f"there; ask for fewer (task.options) or take another model"
        )
    missing = [label for label in offered["labels"][: style.options] if label not in labels]
    if missing and style.labels != RANDOM_LETTERS:
        raise TaskError(f"the label {missing[0]!r} is not one known token after 'Answer:'; try others (task.labels)")
    found = {"templates": templates, "labels": labels, "letters": letters}
    found["things"] = single(encoder, offered["things"], [_frame(style, t, words, "T") for t in templates])
    options = [_frame(style, templates[0], words, f"O{i}") for i in range(1, style.options + 1)]
    colors = [_frame(style, t, words, "C") for t in templates]
    return {**found, "colors": single(encoder, offered["colors"], [*colors, *options])}


def _words(encoder: Encoder, style: Style, offered: Pool) -> dict[str, str]:
    """Words for the slots of an example, known ones where there are any."""
    known = {kind: [word for word in offered[kind] if encoder.knows(word)] for kind in ("things", "colors", "labels")}
    thing, color, label = ((known[kind] or offered[kind])[0] for kind in known)
    listed = range(1, style.options + 1)
    return {"T": thing, "C": color} | {f"L{i}": label for i in listed} | {f"O{i}": color for i in listed}


def _labels(
    encoder: Encoder, style: Style, templates: Sequence[str], words: Mapping[str, str], labels: Sequence[str]
) -> tuple[str, ...]:
    """The labels that are one known token as answer, and as long as most in the list of options."""
    frames = [f"{_filled(style, t, words)} {{}}" for t in templates]
    answers = single(encoder, labels, frames)
    listed = [f"L{i}" for i in range(1, style.options + 1)]
    texts = {label: _filled(style, templates[0], {**words, **dict.fromkeys(listed, label)}) for label in answers}
    lengths = {label: len(encoder.ids(text)) for label, text in texts.items()}
    usual = Counter(lengths.values()).most_common(1)
    return tuple(label for label in answers if lengths[label] == usual[0][0] and encoder.knows(texts[label]))


def _filled(style: Style, template: str, words: Mapping[str, str]) -> str:
    return fill(style.text(template), words)[0]


def _frame(style: Style, template: str, words: Mapping[str, str], slot: str) -> str:
    """The prompt with ``{}`` in place of the first mention of ``slot``."""
    text = style.text(template).replace(f"{{{slot}}}", HOLE, 1)
    return fill(text, words)[0].replace(HOLE, "{}")
