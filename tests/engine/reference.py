"""A slow reference of the engine, from plain hooks on eager attention: one unpadded prompt at a time, no batching.

Sources are named as in :mod:`bench.graph`: ``input``, ``a{l}.h{h}``, ``m{l}``; so are destinations:
``a{l}.h{h}<q>``, ``m{l}``, ``logits``. Everything is a ``[T, d]`` tensor per name.

A circuit is run by its definition: each destination reads its own copy of the residual, to which the differences of
its cut edges are added, and the layer's own modules compute what it makes of that copy. To get one head's query (or
key, or value) the layer's whole attention module runs on the head's copy, and the head's query is picked from it.

Norms behind attention (Gemma 2 and 3, OLMo 2): a head writes its share behind the norm, with the scale of the run
that it is taken from, so that the heads sum to what attention adds to the stream; an MLP writes what leaves the norm.
OLMo 2's norms over all heads' queries (keys) see every head's own projection.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

Activations = dict[str, Tensor]
"""What each source wrote, ``[T, d]`` per name."""


@dataclass(frozen=True)
class Anatomy:
    """Where the parts of one architecture are."""

    blocks: str
    attention: str
    out: str
    before_attention: str | None
    mlp: str | None
    before_mlp: str | None
    after_attention: str | None = None
    after_mlp: str | None = None
    joint_norm: bool = False


_LLAMA = Anatomy("model.layers", "self_attn", "o_proj", "input_layernorm", "mlp", "post_attention_layernorm")
_GEMMA = Anatomy(
    "model.layers", "self_attn", "o_proj", "input_layernorm", "mlp", "pre_feedforward_layernorm",
    "post_attention_layernorm", "post_feedforward_layernorm",
)  # fmt: skip
ANATOMY: dict[str, Anatomy] = {
    "gpt2": Anatomy("transformer.h", "attn", "c_proj", "ln_1", "mlp", "ln_2"),
    "gpt_neo": Anatomy("transformer.h", "attn.attention", "out_proj", "ln_1", "mlp", "ln_2"),
    "llama": _LLAMA, "mistral": _LLAMA, "qwen2": _LLAMA, "qwen3": _LLAMA, "phi3": _LLAMA,
    "gemma2": _GEMMA, "gemma3_text": _GEMMA,
    "gpt_neox": Anatomy("gpt_neox.layers", "attention", "dense", "input_layernorm", "mlp", "post_attention_layernorm"),
    "phi": Anatomy("model.layers", "self_attn", "dense", "input_layernorm", "mlp", "input_layernorm"),
    "olmo2": Anatomy(
        "model.layers", "self_attn", "o_proj", None, "mlp", None,
        "post_attention_layernorm", "post_feedforward_layernorm", joint_norm=True,
    ),
    "opt": Anatomy("model.decoder.layers", "self_attn", "out_proj", "self_attn_layer_norm", None, "final_layer_norm"),
}  # fmt: skip


@dataclass
class Run:
    """One run: what every source wrote, and the logits at the last position ``[V]``."""

    sources: Activations = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    residual: Tensor = field(default_factory=lambda: torch.empty(0))
    """The stream that enters the last norm, ``[T, d]``."""
    z: Activations = field(default_factory=dict)
    """Head outputs before the out-projection, ``[T, D]`` per head; plain runs only."""


class Reference:
    """Runs of one model, which must use eager attention."""

    def __init__(self, model: PreTrainedModel) -> None:
        assert model.config._attn_implementation == "eager"
        self.model = model
        self.where = ANATOMY[model.config.model_type]
        self.blocks = list(model.get_submodule(self.where.blocks))
        config = model.config
        self.n_layers = len(self.blocks)
        self.n_heads: int = config.num_attention_heads
        self.parallel = config.model_type == "phi" or bool(getattr(config, "use_parallel_residual", False))

    # The model's parts.

    def attention(self, layer: int) -> nn.Module:
        return self.blocks[layer].get_submodule(self.where.attention)

    def _norm(self, layer: int, name: str | None, x: Tensor) -> Tensor:
        return x if name is None else self.blocks[layer].get_submodule(name)(x)

    def _mlp(self, layer: int, stream: Tensor) -> Tensor:
        """What the MLP of ``layer`` adds to the residual when it reads ``stream`` ``[T, d]``."""
        block = self.blocks[layer]
        x = self._norm(layer, self.where.before_mlp, stream)
        if self.where.mlp is None:
            y = block.fc2(block.activation_fn(block.fc1(x)))
        else:
            y = block.get_submodule(self.where.mlp)(x)
        return self._norm(layer, self.where.after_mlp, y)

    def _heads(self, layer: int, z: Tensor) -> list[Tensor]:
        """Each head's share of what attention adds to the residual, ``[T, d]`` each; ``z`` is ``[T, H, D]``."""
        out = self.attention(layer).get_submodule(self.where.out)
        zero = out(torch.zeros_like(z).flatten(1))
        shares = []
        for head in range(self.n_heads):
            alone = torch.zeros_like(z)
            alone[:, head] = z[:, head]
            shares.append(out(alone.flatten(1)) - zero)
        if self.where.after_attention is not None:
            y = out(z.flatten(1))
            norm = self.blocks[layer].get_submodule(self.where.after_attention)
            weight = 1 + norm.weight if type(norm).__name__.startswith("Gemma") else norm.weight
            eps = getattr(norm, "eps", None) or getattr(norm, "variance_epsilon", None)
            rms = (y.pow(2).mean(dim=-1, keepdim=True) + eps).sqrt()
            shares = [share * weight / rms for share in shares]
        return shares

    # Plain runs.

    def plain(self, ids: list[int], change: Callable[[str, Tensor], Tensor] | None = None) -> Run:
        """The model's own forward, watched.

        ``change(name, value)`` gives what a node's output becomes: ``input`` and MLPs ``[T, d]`` as added to the
        stream, heads ``[T, D]`` in front of the out-projection (and so in front of a norm behind attention).
        """
        run = Run()
        z: list[Tensor] = []
        handles = [self.blocks[0].register_forward_pre_hook(_replace_stream(change), with_kwargs=True)]
        handles += [self.blocks[0].register_forward_pre_hook(_keep_stream(run, "input"), with_kwargs=True)]
        for layer in range(self.n_layers):
            out = self.attention(layer).get_submodule(self.where.out)
            handles.append(out.register_forward_pre_hook(self._change_heads(layer, change)))
            handles.append(out.register_forward_pre_hook(lambda m, args: z.append(args[0])))
            module = self._mlp_module(layer)
            handles.append(module.register_forward_hook(_change_output(f"m{layer}", change)))
            handles.append(module.register_forward_hook(_keep_output(run, f"m{layer}")))
        handles.append(self.blocks[-1].register_forward_hook(_keep_residual(run)))
        try:
            run.logits = self.model(torch.tensor([ids])).logits[0, -1]
        finally:
            for handle in handles:
                handle.remove()
        for layer in range(self.n_layers):
            heads = z[layer].reshape(len(ids), self.n_heads, -1)
            run.z.update({f"a{layer}.h{head}": value for head, value in enumerate(heads.unbind(1))})
            shares = self._heads(layer, heads)
            run.sources.update({f"a{layer}.h{head}": share for head, share in enumerate(shares)})
        return run

    def _change_heads(self, layer: int, change: Callable[[str, Tensor], Tensor] | None) -> Callable[..., Any]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> Any:
            if change is None:
                return None
            heads = args[0].unflatten(-1, (self.n_heads, -1))
            changed = [change(f"a{layer}.h{head}", value[0]) for head, value in enumerate(heads.unbind(-2))]
            return (torch.cat(changed, dim=-1)[None],)

        return hook

    def _mlp_module(self, layer: int) -> nn.Module:
        """The module whose output an MLP adds to the residual."""
        block = self.blocks[layer]
        return block.get_submodule(self.where.after_mlp or self.where.mlp or "fc2")

    # Runs in which each destination reads its own copy of the residual.

    def circuit(
        self,
        ids: list[int],
        cut: Iterable[str] = (),
        ablation: Mapping[str, Tensor] | None = None,
        extra: Mapping[str, Tensor] | None = None,
        replace: Mapping[str, Tensor] | None = None,
        shift: Mapping[str, Tensor] | None = None,
    ) -> Run:
        """Run with edges changed.

        Args:
            ids: the prompt.
            cut: edges, ``source->destination``, that carry ``ablation`` in place of the run's own value.
            ablation: what each source of a cut edge writes, ``[T, d]``.
            extra: tensors ``[T, d]`` added to what single destinations read.
            replace: what single sources write, to all who read them, ``[T, d]``.
            shift: tensors ``[T, d]`` added to what single sources write.
        """
        return _CircuitRun(self, ids, cut, ablation or {}, extra or {}, replace or {}, shift or {}).run()


class _CircuitRun:
    def __init__(
        self, reference: Reference, ids: list[int], cut: Iterable[str], ablation: Mapping[str, Tensor],
        extra: Mapping[str, Tensor], replace: Mapping[str, Tensor], shift: Mapping[str, Tensor],
    ) -> None:  # fmt: skip
        self.ref, self.ids = reference, ids
        self.ablation, self.extra, self.replace, self.shift = ablation, extra, replace, shift
        self.cut: dict[str, list[str]] = {}
        for edge in cut:
            source, _, destination = edge.partition("->")
            self.cut.setdefault(destination, []).append(source)
        self.current: Activations = {}
        self.residual = torch.empty(0)
        self.heads_before: tuple[str, ...] = ()

    def run(self) -> Run:
        ref = self.ref
        stream, calls = self._watch()
        self._write("input", stream)
        for layer in range(ref.n_layers):
            before = self.residual
            z = self._attention(layer, calls[layer])
            shares = ref._heads(layer, z)
            out = ref.attention(layer).get_submodule(ref.where.out)
            whole = ref._norm(layer, ref.where.after_attention, out(z.flatten(1)))
            mlp_input = before if ref.parallel else None
            self.residual = self.residual + whole - sum(shares)  # biases
            for head, share in enumerate(shares):
                self._write(f"a{layer}.h{head}", share)
            if mlp_input is None:
                mlp_input = self.residual
            self._write(f"m{layer}", ref._mlp(layer, self._read(f"m{layer}", mlp_input)))
        return Run(dict(self.current), self._logits(), self.residual)

    def _write(self, name: str, value: Tensor) -> None:
        """A source adds ``value`` to the residual, unless it is told to write something else."""
        value = self.replace.get(name, value)
        if name in self.shift:
            value = value + self.shift[name]
        self.current[name] = value
        self.residual = value if name == "input" else self.residual + value

    def _read(self, destination: str, residual: Tensor) -> Tensor:
        """The destination's own copy of the residual."""
        for source in self.cut.get(destination, ()):
            residual = residual + (self.ablation[source] - self.current[source])
        if destination in self.extra:
            residual = residual + self.extra[destination]
        return residual

    def _watch(self) -> tuple[Tensor, list[dict[str, Any]]]:
        """The stream that enters block 0, and the arguments that each layer's attention gets (masks, angles)."""
        ref, kept = self.ref, Run()
        calls: list[dict[str, Any]] = []

        def keep_call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            calls.append({k: v for k, v in kwargs.items() if k not in ("hidden_states", "past_key_values")})

        handles = [ref.blocks[0].register_forward_pre_hook(_keep_stream(kept, "input"), with_kwargs=True)]
        for layer in range(ref.n_layers):
            handles.append(ref.attention(layer).register_forward_pre_hook(keep_call, with_kwargs=True))
        try:
            ref.model(torch.tensor([self.ids]), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        return kept.sources["input"], calls

    def _logits(self) -> Tensor:
        """The model's own last norm, unembedding and softcap on what ``logits`` reads."""
        stream = self._read("logits", self.residual)
        handle = self.ref.blocks[-1].register_forward_hook(lambda module, args, output: stream[None])
        try:
            return self.ref.model(torch.tensor([self.ids])).logits[0, -1]
        finally:
            handle.remove()

    # Attention from queries, keys and values of different copies of the residual.

    def _attention(self, layer: int, call: dict[str, Any]) -> Tensor:
        """Head outputs ``[T, H, D]`` where each head's q, k and v come from their own copies of the residual."""
        parts: dict[str, list[Tensor]] = {}
        if self.ref.where.joint_norm:
            parts = self._joint_parts(layer, call)
        else:
            unchanged = self._parts(layer, self.residual, call)
            for part in "qkv":
                parts[part] = [self._part(layer, head, part, call, unchanged) for head in range(self.ref.n_heads)]
        q, k, v = (torch.stack(parts[part])[None] for part in "qkv")
        with intercepted(self.ref.attention(layer), q, k, v) as seen:
            self._call(layer, self.residual, call)
        return seen.z[0].reshape(len(self.ids), self.ref.n_heads, -1)

    def _call(self, layer: int, stream: Tensor, call: dict[str, Any]) -> None:
        x = self.ref._norm(layer, self.ref.where.before_attention, stream)
        self.ref.attention(layer)(hidden_states=x[None], **call)

    def _part(self, layer: int, head: int, part: str, call: dict[str, Any], unchanged: dict[str, Tensor]) -> Tensor:
        """One head's query, key or value, ``[T, D]``, from the whole attention module on the head's copy."""
        destination = f"a{layer}.h{head}<{part}>"
        if destination in self.cut or destination in self.extra:
            unchanged = self._parts(layer, self._read(destination, self.residual), call)
        rows = unchanged[part]
        return rows[head * len(rows) // self.ref.n_heads]

    def _parts(self, layer: int, stream: Tensor, call: dict[str, Any]) -> dict[str, Tensor]:
        """Queries ``[H, T, D]``, keys and values ``[Hkv, T, D]`` of a layer that reads ``stream``."""
        with intercepted(self.ref.attention(layer)) as seen:
            self._call(layer, stream, call)
        return {"q": seen.q[0], "k": seen.k[0], "v": seen.v[0]}

    def _joint_parts(self, layer: int, call: dict[str, Any]) -> dict[str, list[Tensor]]:
        """OLMo 2: queries (keys) of all heads are normed together, each head's being the one from its own copy.

        Under grouped-query attention the ``j``-th query heads of all groups make a set: their keys are normed together.
        """
        attention, heads = self.ref.attention(layer), self.ref.n_heads
        group = attention.num_key_value_groups
        rows: dict[str, list[Tensor]] = {}
        for part in "qkv":
            projection = attention.get_submodule(f"{part}_proj")
            rows[part] = []
            for head in range(heads):
                stream = self._read(f"a{layer}.h{head}<{part}>", self.residual)
                projected = projection(self.ref._norm(layer, self.ref.where.before_attention, stream))
                own = head if part == "q" else head // group
                rows[part].append(projected[:, own * attention.head_dim : (own + 1) * attention.head_dim])
        picked: dict[str, list[Tensor]] = {part: [torch.empty(0)] * heads for part in "qkv"}
        for j in range(group):
            members = range(j, heads, group)
            swaps = {
                "q_proj": torch.cat(rows["q"], dim=-1),
                "k_proj": torch.cat([rows["k"][m] for m in members], dim=-1),
                "v_proj": torch.cat([rows["v"][m] for m in members], dim=-1),
            }
            with _outputs(attention, swaps), intercepted(attention) as seen:
                self._call(layer, self.residual, call)
            for m in members:
                picked["q"][m] = seen.q[0, m]
                picked["k"][m], picked["v"][m] = seen.k[0, m // group], seen.v[0, m // group]
        return picked


@dataclass
class Seen:
    """What one call of eager attention got and gave: q ``[1, H, T, D]``, k and v ``[1, Hkv, T, D]``, z."""

    q: Tensor = field(default_factory=lambda: torch.empty(0))
    k: Tensor = field(default_factory=lambda: torch.empty(0))
    v: Tensor = field(default_factory=lambda: torch.empty(0))
    z: Tensor = field(default_factory=lambda: torch.empty(0))
    """``[1, T, H, D]``"""


@contextmanager
def intercepted(
    attention: nn.Module, q: Tensor | None = None, k: Tensor | None = None, v: Tensor | None = None
) -> Iterator[Seen]:
    """Watch the eager attention of a module; if given, replace its q, k and v, all of one row per query head."""
    seen = Seen()
    own = hasattr(attention, "_attn")
    home: Any = attention if own else sys.modules[type(attention).__module__]
    name = "_attn" if own else "eager_attention_forward"
    eager = getattr(home, name)
    groups = getattr(attention, "num_key_value_groups", None)

    def watched(*args: Any, **kwargs: Any) -> Any:
        first = 0 if own else 1
        if not own and args[0] is not attention:
            return eager(*args, **kwargs)
        rest = {n: kwargs.pop(n) for n in ("query", "key", "value") if n in kwargs}
        given = list(rest.values()) or list(args[first : first + 3])
        seen.q, seen.k, seen.v = given
        if q is not None:
            given = [q, k, v]
            if groups is not None:
                attention.num_key_value_groups = 1
        result = eager(*args[:first], *given, *args[first + (0 if rest else 3) :], **kwargs)
        seen.z = result[0].transpose(1, 2) if own else result[0]
        return result

    setattr(home, name, watched)
    try:
        yield seen
    finally:
        if own:
            delattr(attention, "_attn")
        else:
            setattr(home, name, eager)
        if groups is not None:
            attention.num_key_value_groups = groups


@contextmanager
def _outputs(module: nn.Module, swaps: Mapping[str, Tensor]) -> Iterator[None]:
    """Replace the outputs of submodules, ``[T, n]`` each."""
    handles = [
        module.get_submodule(name).register_forward_hook(lambda m, args, output, value=value: value[None])
        for name, value in swaps.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _replace_stream(change: Callable[[str, Tensor], Tensor] | None) -> Callable[..., Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if change is None:
            return None
        if "hidden_states" in kwargs:
            return args, {**kwargs, "hidden_states": change("input", kwargs["hidden_states"][0])[None]}
        return (change("input", args[0][0])[None], *args[1:]), kwargs

    return hook


def _change_output(name: str, change: Callable[[str, Tensor], Tensor] | None) -> Callable[..., Any]:
    def hook(module: nn.Module, args: Any, output: Tensor) -> Any:
        if change is None:
            return None
        return change(name, output.reshape(-1, output.shape[-1])).reshape(output.shape)

    return hook


def _keep_stream(run: Run, name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        run.sources[name] = (args[0] if args else kwargs["hidden_states"])[0]

    return hook


def _keep_output(run: Run, name: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, output: Tensor) -> None:
        run.sources[name] = output.reshape(-1, output.shape[-1])

    return hook


def _keep_residual(run: Run) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        run.residual = (output[0] if isinstance(output, tuple) else output)[0]

    return hook
