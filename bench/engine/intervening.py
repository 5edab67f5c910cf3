"""The interventions that an engine offers: circuits, masks, and outputs exchanged between two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from bench.data import Tokens
from bench.engine import holding
from bench.engine.circuit import CircuitPass
from bench.engine.cost import Cost
from bench.engine.hiding import HidingPass
from bench.engine.knockout import Knockout
from bench.engine.masks import EdgeMaskPass, NodeMaskPass
from bench.engine.patching import Patcher, Read
from bench.engine.path_patching import PathPatcher
from bench.engine.sites import Site, Tap
from bench.engine.sources import Sources
from bench.engine.swapping import put
from bench.engine.sweep import Sweep
from bench.engine.wiring import Wiring
from bench.paths import Stage, runs_of


class Intervening:
    """Methods of :class:`bench.engine.Engine`."""

    wiring: Wiring
    cost: Cost
    rows: int

    def put(
        self, tokens: Tokens, taps: Mapping[Site, Tap], grad: bool = False, first_layer: int = 0,
        hidden: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Logits ``[B, V]`` with taps, differentiable in what they put in with ``grad``. 1 forward (and 1 backward).

        ``hidden`` ``[B, T, d]`` enters ``first_layer`` (n_layers: the final norm), and no earlier layer is run.
        """
        return put(self.wiring, self.cost, tokens, taps, first_layer, hidden, grad)

    @torch.no_grad()
    def run_circuit(self, tokens: Tokens, kept: Tensor, ablation: Sources, input: Tensor | None = None) -> Tensor:
        """Logits when edges that are not ``kept`` carry ``ablation``. 1 forward per circuit.

        Args:
            kept: bool ``[n_destinations, n_sources]``, or ``[S, n_destinations, n_sources]`` for S circuits.

        Returns:
            ``[B, V]``, or ``[S, B, V]``.
        """
        if kept.dim() == 3:
            return torch.stack([self.run_circuit(tokens, k, ablation, input) for k in kept])
        self.cost.add(len(tokens))
        return self.wiring.run(tokens, CircuitPass(self.wiring, kept, ablation, tokens.last, input))

    def run_edge_mask(self, tokens: Tokens, mask: Tensor, ablation: Sources, input: Tensor | None = None) -> Tensor:
        """``[B, V]`` when every edge carries mask * current + (1 - mask) * ablation; differentiable in both.

        ``mask`` is ``[n_destinations, n_sources]``, or one for each prompt, ``[B, n_destinations, n_sources]``, in
        [0, 1]. 1 forward, and 1 backward when gradients are taken through it.
        """
        return self._run_mask(tokens, EdgeMaskPass(self.wiring, mask, ablation, tokens.last, input))

    def run_node_mask(self, tokens: Tokens, mask: Tensor, ablation: Sources, input: Tensor | None = None) -> Tensor:
        """The same for nodes: ``mask`` is ``[n_components]``, or ``[B, n_components]``.

        The ablation's tensors may be of one prompt and one position (constants). 1 forward, and 1 backward when
        gradients are taken through it.
        """
        return self._run_mask(tokens, NodeMaskPass(self.wiring, mask, ablation, input))

    def _run_mask(self, tokens: Tokens, current: EdgeMaskPass | NodeMaskPass) -> Tensor:
        self.cost.add(len(tokens))
        logits = self.wiring.run(tokens, current)
        if logits.requires_grad:
            logits.register_hook(lambda gradient: self.cost.add(backwards=len(tokens)))
        return logits

    @torch.no_grad()
    def patch_nodes(
        self,
        tokens: Tokens,
        replacement: Sources,
        nodes: Sequence[str],
        read: Read,
        positions: Tensor | None = None,
        input: Tensor | None = None,
    ) -> Tensor:
        """``[n_nodes, B]``: ``read(logits)`` with one node's output exchanged. 1 forward per node, and 1 to record."""
        self.cost.add(len(tokens) * (len(nodes) + 1))
        return Patcher(self.wiring, tokens, replacement, self.rows, input).nodes(nodes, read, positions)

    @torch.no_grad()
    def patch_sets(
        self,
        tokens: Tokens,
        replacement: Sources,
        sets: Sequence[Sequence[str]],
        read: Read,
        positions: Tensor | None = None,
        input: Tensor | None = None,
    ) -> Tensor:
        """``[n_sets, B]``: the same for sets of nodes exchanged together. 1 forward per set, and 1 to record."""
        self.cost.add(len(tokens) * (len(sets) + 1))
        return Patcher(self.wiring, tokens, replacement, self.rows, input).sets(sets, read, positions)

    @torch.no_grad()
    def patch_edges(
        self, tokens: Tokens, replacement: Sources, edges: Sequence[str], read: Read, input: Tensor | None = None
    ) -> Tensor:
        """``[n_edges, B]``: ``read(logits)`` with one edge exchanged. 1 forward per edge, and 1 to record."""
        self.cost.add(len(tokens) * (len(edges) + 1))
        return Patcher(self.wiring, tokens, replacement, self.rows, input).edges(edges, read)

    @torch.no_grad()
    def patch_heads_held(self, tokens: Tokens, replacement: Sources, heads: Sequence[str], read: Read) -> Tensor:
        """``[n_heads, B]``: ``read(logits)`` with one head's output exchanged and every other head's held.

        1 forward per head, and 1 to record.
        """
        self.cost.add(len(tokens) * (len(heads) + 1))
        return holding.patch_heads(self.wiring, tokens, replacement, heads, read, self.rows)

    @torch.no_grad()
    def sources_hiding(self, tokens: Tokens, hidden: Tensor) -> tuple[Sources, Tensor]:
        """Sources, and logits ``[B, V]``, when nobody else attends to the tokens ``hidden`` ``[B, T]``. 1 forward."""
        self.cost.add(len(tokens))
        current = HidingPass(self.wiring, hidden)
        logits = self.wiring.run(tokens, current)
        return current.sources(), logits

    @torch.no_grad()
    def patch_paths(
        self,
        tokens: Tokens,
        replacement: Sources,
        senders: Sequence[str],
        path: Sequence[Stage],
        read: Read,
        positions: Tensor | None = None,
        free_mlps: bool = False,
        input: Tensor | None = None,
    ) -> Tensor:
        """``[n_senders, B]``: ``read(logits)`` when ``path`` alone carries one sender's replacement.

        A forward per sender and stage, one more per sender where the path does not end in ``logits``, 1 to record.
        """
        self.cost.add(len(tokens) * (len(senders) * runs_of(path) + 1))
        patcher = PathPatcher(self.wiring, tokens, replacement, self.rows, input)
        return patcher.paths(senders, path, read, positions, free_mlps)

    @torch.no_grad()
    def knock_out(self, tokens: Tokens, sets: Sequence[Sequence[str]], edges: Tensor, read: Read) -> Tensor:
        """``[n_sets, B]``: ``read(logits)`` when the heads of a set cannot attend along ``edges``.

        ``edges`` is ``[B, T, T]`` bool: who reads, what is read. 1 forward per set, and 1 to record.
        """
        self.cost.add(len(tokens) * (len(sets) + 1))
        return Knockout(self.wiring, tokens, self.rows).cut(sets, edges, read)

    @torch.no_grad()
    def sweep(self, tokens: Tokens, ablation: Sources) -> Sweep:
        """For circuits cut from the logits backwards. 1 forward; its runs are counted by who makes them."""
        self.cost.add(len(tokens))
        return Sweep(self.wiring, tokens, ablation)
