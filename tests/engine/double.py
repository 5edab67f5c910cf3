"""Keeping fp64 models in fp64.

Norms, softmax and rotary angles of most architectures cast to fp32 by name, whatever the dtype of the weights, so that
finite differences of an "fp64" model are good to 1e-7 only. Inside :class:`double` every such cast goes to fp64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class double(TorchFunctionMode):
    """Turns each fp32 that torch functions are asked for into fp64."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        kwargs = {k: torch.float64 if a is torch.float32 else a for k, a in (kwargs or {}).items()}
        return func(*args, **kwargs)
