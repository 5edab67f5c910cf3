"""One thread: tiny tensors are slower, and sums less repeatable, on more."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
