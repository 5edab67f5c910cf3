"""What tasks share: reading tokenizers, splitting and screening fillers, the user's own examples."""

from tasks._common.screening import keep, rates, right
from tasks._common.splits import divide
from tasks._common.tokens import Encoder, cuts
from tasks._common.user_data import load_examples

__all__ = ["Encoder", "cuts", "divide", "keep", "load_examples", "rates", "right"]
