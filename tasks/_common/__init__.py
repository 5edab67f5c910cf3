"""What tasks share: reading tokenizers, drawing, splitting and screening examples, the user's own examples."""

from tasks._common.fillers import deal, single
from tasks._common.generated import GeneratedTask
from tasks._common.items import Item, Pool, Prompt, fill, one, pick
from tasks._common.planted import shipped
from tasks._common.screening import keep, rates, right
from tasks._common.splits import divide
from tasks._common.tokens import Encoder, cuts
from tasks._common.user_data import load_examples

__all__ = [
    "Encoder",
    "GeneratedTask",
    "Item",
    "Pool",
    "Prompt",
    "cuts",
    "deal",
    "divide",
    "fill",
    "keep",
    "load_examples",
    "one",
    "pick",
    "rates",
    "right",
    "shipped",
    "single",
]
