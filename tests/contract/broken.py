"""Methods that break one clause of the contract each; installed by a test as a plug-in."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from bench.variable.featurizer import Featurizer
from methods.attribution.atp import Atp
from methods.variables.difference_of_means import DifferenceOfMeans


@dataclass
class Good(Atp):
    """Keeps it."""

    name: ClassVar[str] = "c_good"


@dataclass
class Restless(Atp):
    name: ClassVar[str] = "c_restless"

    def scores(self, job):
        return super().scores(job) + int.from_bytes(os.urandom(4), "little") * 1e-12


@dataclass
class Seeded(Atp):
    """Depends on the seed and does not say so."""

    name: ClassVar[str] = "c_seeded"

    def scores(self, job):
        return super().scores(job) + 1e-3 * job.generator().normal(size=len(job.graph.components))


@dataclass
class Said(Seeded):
    name: ClassVar[str] = "c_said"
    stochastic: ClassVar[bool] = True


@dataclass
class Batches(Atp):
    """A mean of batches' means: the short last batch weighs too much."""

    name: ClassVar[str] = "c_batches"

    def scores(self, job):
        found = []
        for batch in job.batches("train"):
            other = job.engine.sources(batch.corrupt)
            value = job.engine.node_attribution(
                batch.clean, lambda clean, c=other: clean - c, lambda logits, b=batch: job.objective(logits, b)
            )
            found.append(value.detach().double().mean(dim=1).numpy())
        return np.mean(found, axis=0)


@dataclass
class Backwards(Atp):
    name: ClassVar[str] = "c_backwards"

    def scores(self, job):
        return -super().scores(job)


@dataclass
class Undercounts(Atp):
    name: ClassVar[str] = "c_undercounts"

    def passes(self, graph):
        return 1.0, 1.0


@dataclass
class Silent(Atp):
    name: ClassVar[str] = "c_silent"

    def passes(self, graph):
        return None


@dataclass
class Around(Atp):
    """Runs the model past the engine."""

    name: ClassVar[str] = "c_around"

    def scores(self, job):
        for batch in job.batches("train"):
            job.engine.model(input_ids=batch.clean.ids)
        return super().scores(job)


@dataclass
class Peeks(Atp):
    name: ClassVar[str] = "c_peeks"

    def scores(self, job):
        import tasks.ioi

        found = Path(tasks.ioi.__file__).parent / "planted" / "seed0" / "circuit.json"
        found.read_text()
        return super().scores(job)


@dataclass
class Lists(Atp):
    name: ClassVar[str] = "c_lists"

    def scores(self, job):
        import tasks.ioi

        os.listdir(Path(tasks.ioi.__file__).parent / "planted")
        return super().scores(job)


@dataclass
class Writes(Atp):
    name: ClassVar[str] = "c_writes"

    def scores(self, job):
        Path("inside.txt").write_text("allowed")
        Path(os.environ["CONTRACT_OUTSIDE"]).write_text("not allowed")
        return super().scores(job)


@dataclass
class Starts(Atp):
    name: ClassVar[str] = "c_starts"

    def scores(self, job):
        os.system("true")
        return super().scores(job)


@dataclass
class Fails(Atp):
    name: ClassVar[str] = "c_fails"

    def scores(self, job):
        raise RuntimeError("no idea")


@dataclass
class Short(Atp):
    name: ClassVar[str] = "c_short"

    def scores(self, job):
        return super().scores(job)[1:]


@dataclass
class Site(DifferenceOfMeans):
    """Keeps it, in the variable track."""

    name: ClassVar[str] = "c_site"
    site: str | None = "stream2@END"


@dataclass
class SiteSeeded(Site):
    """Depends on the seed and does not say so; its scores, the full swaps, do not."""

    name: ClassVar[str] = "c_site_seeded"

    def fit(self, data, place, seed):
        d = data.widths.of(place)
        return Featurizer.subspace(np.eye(d)[[seed]])


@dataclass
class SiteBatches(Site):
    name: ClassVar[str] = "c_site_batches"

    def fit(self, data, place, seed):
        return Featurizer.subspace(np.eye(data.widths.of(place))[: data.batch_size])


@dataclass
class SiteAround(Site):
    name: ClassVar[str] = "c_site_around"

    def fit(self, data, place, seed):
        data.engine.model(input_ids=torch.tensor([data.rows("train")[0]["ids"]]))
        return super().fit(data, place, seed)


@dataclass
class SiteSkewed(Site):
    """Its encoder does not undo its decoder."""

    name: ClassVar[str] = "c_site_skewed"

    def fit(self, data, place, seed):
        rows = np.eye(data.widths.of(place), dtype=np.float32)[:1]
        return Featurizer("linear", rows.shape[1], {"encoder": rows, "decoder": 2 * rows.T.copy()})
