"""A model that does induction with weights written by hand: nothing in it is trained.

The mechanism (Olsson et al. 2022, arXiv:2209.11895; Bietti et al. 2023, arXiv:2306.00802) is split between heads so
that none can be spared. A token's code is a pair of digits, each one-hot. Everywhere, two previous-token heads write
one digit each of the token before; MLP 0 writes both digits of the token that stands here. At the end two induction
heads look for the place where both digits before it are those of the last token, and copy one digit each of what
MLP 0 wrote there; the unembedding puts the digits together. Where nothing matches, they look at the first word. One
head writes weakly against them, and four nodes write what nobody reads.

Why it is exact. Each thing that is written has a subspace (lane) of its own; all are orthogonal to each other and to
the direction that LayerNorm takes out. All codes have the same length, so the stream's norm is the same at every
place of every prompt, and each LayerNorm's weight is set to undo its division: a norm does nothing. Replacing what a
node writes by what it writes on another prompt leaves the norm as it is, so an edge outside the circuit has no effect.

Three things are not exact. 0.005 % of the attention leaks to the first word, so that logits are within 0.002 of what
one works out by hand: 12 for the answer, 6 for a word that shares a digit with it, 0 for other words. The last token's
own code reaches the unembedding, and gives triggers that share a digit with it a logit of 1, itself 2; it never moves
a word's. And the norm behind the last layer changes where what the negative head wrote is another prompt's, while what
the induction heads wrote is not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
import torch
from torch import Tensor

from bench.planting.architectures import build
from bench.planting.gpt2 import GPT2
from bench.planting.model import Shape
from bench.planting.permute import renaming
from tasks.induction.words import PLANTED_TRIGGERS, PLANTED_WORDS

SPECIAL = 2
POSITIONS = 17
"""As long as prompts get (:data:`tasks.induction.prompts.LONGEST`)."""
N_TRIGGERS, N_WORDS = 4, 7
"""Values of a trigger's digit, and of a word's: triggers and words share none."""
DIGIT = N_TRIGGERS + N_WORDS
SHAPE = Shape(SPECIAL + len(PLANTED_TRIGGERS) + len(PLANTED_WORDS), 3, 4, 128, 32, POSITIONS)

PREVIOUS, INDUCTION = ("a0.h0", "a0.h1"), ("a2.h0", "a2.h1")
"""By digit."""
NEGATIVE, DECOYS = "a2.h2", ("a0.h2", "a1.h0", "a2.h3", "m1")

LANES = {
    "code0": DIGIT, "code1": DIGIT, "place": POSITIONS, "before0": DIGIT, "before1": DIGIT, "here0": DIGIT,
    "here1": DIGIT, "decoy_before": DIGIT, "decoy_here0": DIGIT, "decoy_here1": DIGIT, "decoy_mlp": DIGIT,
}  # fmt: skip
ANSWER, AGAINST, DECOY = 8.0, -2.0, 5.0
"""How loud induction heads, the negative head and decoys write; all else is written as 1."""
BACK, MATCH, SINK, STEP = 20.0, 40.0, 0.75, 20.0
"""Scores before softmax: the token before against all others; both digits against none, and the first word's share of
that where nothing matches. And how steep MLPs are: what their units read off digits is +-STEP / 2."""
SHARP, LATER = 1500.0, 0.007
"""Decoys' own MATCH, and what each place is ahead of the one before, as a share of it: when one of their inputs is cut,
two places can match alike, and what is torn between two codes would be shorter than one."""


def codes() -> np.ndarray:
    """Each token's two digits, [vocabulary, 2]; -1 for the padding and the unknown token, which have none."""
    triggers = [divmod(i, N_TRIGGERS) for i in range(len(PLANTED_TRIGGERS))]
    words = [divmod(i, N_WORDS) for i in range(len(PLANTED_WORDS))]
    shifted = [(a + N_TRIGGERS, b + N_TRIGGERS) for a, b in words]
    return np.array([(-1, -1)] * SPECIAL + triggers + shifted)


def written(seed: int) -> GPT2:
    """The model; the seed turns the stream's axes, deals the codes, and puts the heads of a layer in another order."""
    rng = np.random.default_rng([seed, 2306, 802])
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and then all written over
        model = build(SHAPE)
    assert isinstance(model, GPT2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _Writer(model, rng, renaming(SHAPE, seed)).write()
    return model


class _Writer:
    """Writes the weights of one model, layer by layer, and keeps count of the stream's squared norm."""

    def __init__(self, model: GPT2, rng: np.random.Generator, rename: Callable[[str], str]) -> None:
        self.model, self.rename = model, rename
        d = SHAPE.d_model
        drawn = np.concatenate([np.ones((d, 1)), rng.standard_normal((d, d - 1))], 1)
        basis = torch.from_numpy(np.linalg.qr(drawn)[0].T[1:])
        self.lanes = dict(zip(LANES, basis[: sum(LANES.values())].split(list(LANES.values())), strict=True))
        self.codes = self._dealt(rng)
        self.squared = 0.0

    @staticmethod
    def _dealt(rng: np.random.Generator) -> np.ndarray:
        """Codes dealt anew among the triggers, and among the words."""
        found, first = codes(), SPECIAL + len(PLANTED_TRIGGERS)
        for part in (slice(SPECIAL, first), slice(first, None)):
            found[part] = rng.permutation(found[part])
        return found

    def write(self) -> None:
        """All weights."""
        self._embeddings()
        self._norm(0)
        for digit, name in enumerate(PREVIOUS):
            self._look_back(name, digit, f"before{digit}", 1.0)
        self._look_back(DECOYS[0], 0, "decoy_before", DECOY)
        self._norm(1)
        self._digits("m0", {"code0": "here0", "code1": "here1"}, 1.0)
        self._norm(2)
        self._induct(DECOYS[1], "here0", "decoy_here0", DECOY, sharp=True)
        self._norm(3)
        self._digits("m1", {"code0": "decoy_mlp"}, DECOY)
        self._norm(4)
        for digit, name in enumerate(INDUCTION):
            self._induct(name, f"here{digit}", f"code{digit}", ANSWER)
        self._induct(NEGATIVE, "here0", "code0", AGAINST)
        self._induct(NEGATIVE, "here1", "code1", AGAINST, second=True)
        self._induct(DECOYS[2], "here1", "decoy_here1", DECOY, sharp=True)
        # both digits of the last token and of the answer are in the lanes that the unembedding reads, side by side
        self.squared += 2 * (ANSWER + AGAINST) ** 2 - (2 * ANSWER**2 + 2 * AGAINST**2)
        self._norm(5)
        self._norm(6)

    def _embeddings(self) -> None:
        for digit in range(2):
            lane, values = self.lanes[f"code{digit}"], self.codes[SPECIAL:, digit]
            self.model.wte[SPECIAL:] += lane[torch.from_numpy(values)].float()
        self.model.wpe.copy_(self.lanes["place"])
        self.squared = 3.0

    def _norm(self, index: int) -> None:
        """Make a norm the identity: its weight undoes the division by the standard deviation."""
        self.model.ln_w[index] = sqrt(self.squared / SHAPE.d_model + 1e-5)

    def _set(self, name: str, part: str, lane: str, to: Tensor) -> None:
        """Add to a head's weights: `to` [lane, d_head] (for `o` [d_head, lane]) read from or written into a lane."""
        layer, head = (int(n[1:]) for n in self.rename(name).split("."))
        if part == "o":
            self.model.w_o[layer, head] += (to @ self.lanes[lane]).float()
        else:
            row = "qkv".index(part) * SHAPE.n_head + head
            self.model.w_qkv[layer, row] += (self.lanes[lane].T @ to).float()

    def _copy(self, name: str, read: str, write: str, loud: float, at: int = 0) -> None:
        """Let a head copy a lane's code into another lane, through its dimensions from `at` on."""
        through = _wide(torch.eye(DIGIT), at)
        self._set(name, "v", read, through)
        self._set(name, "o", write, loud * through.T)
        self.squared += loud**2

    def _look_back(self, name: str, digit: int, write: str, loud: float) -> None:
        """A head that attends to the token before (the first token: to itself) and copies a digit of it."""
        score = sqrt(BACK * sqrt(SHAPE.d_head))
        self._set(name, "q", "place", _wide(score * torch.eye(POSITIONS).roll(-1, 1).tril(-1), 0))
        self._set(name, "k", "place", _wide(score * torch.eye(POSITIONS), 0))
        self._copy(name, f"code{digit}", write, loud)

    def _induct(
        self, name: str, read: str, write: str, loud: float, sharp: bool = False, second: bool = False
    ) -> None:
        """A head that attends to where the token before is the token here, and copies a digit of what stands there.

        sharp: it looks at one place whatever is cut (decoys). second: it attends already, and copies another digit.
        """
        if not second:
            score = sqrt((SHARP if sharp else MATCH) / 2 * sqrt(SHAPE.d_head))
            for digit in range(2):
                for part, lane in (("q", "code"), ("k", "before")):
                    self._set(name, part, f"{lane}{digit}", _wide(score * torch.eye(DIGIT), digit * DIGIT))
            ahead = (LATER if sharp else 0.0) * torch.arange(POSITIONS)[:, None]
            ahead[0] = SINK
            self._set(name, "k", "place", _wide(2 * score * ahead, 2 * DIGIT))
            layer, head = (int(n[1:]) for n in self.rename(name).split("."))
            self.model.b_qkv[layer, head, 0, 2 * DIGIT] = score
        self._copy(name, read, write, loud, DIGIT if second else 0)

    def _digits(self, name: str, lanes: dict[str, str], loud: float) -> None:
        """An MLP with a unit per value of a digit, which is on where the code has it, and writes it elsewhere."""
        layer, at = int(name[1:]), 0
        for read, write in lanes.items():
            units = slice(at, at + DIGIT)
            self.model.w_in[layer, :, units] = (STEP * self.lanes[read].T).float()
            self.model.b_in[layer, units] = -STEP / 2
            self.model.w_out[layer, units] = (loud / (STEP / 2) * self.lanes[write]).float()
            self.squared += loud**2
            at += DIGIT


def _wide(matrix: Tensor, at: int) -> Tensor:
    """[rows, k] as [rows, d_head], its columns from `at` on."""
    out = torch.zeros(matrix.shape[0], SHAPE.d_head, dtype=torch.float64)
    out[:, at : at + matrix.shape[1]] = matrix
    return out

