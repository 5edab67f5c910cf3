"""The words of the board of planted dictionaries."""

FIGURES = {
    "recovery": "mean max cosine ↑",
    "matched": "matched cosine ↑",
    "fvu": "FVU ↓",
    "l0": "L0",
    "dead": "dead share ↓",
    "absorption": "absorption ↓",
    "ev_error": "explained variance off by",
}
HEAD = """# Planted dictionaries: what each architecture finds

Activations are sparse sums of known unit directions plus a constant bias of length 2, so that it is known what a
dictionary should find. *Independent*: 64 features in 32 dimensions, 3 per token, no matter which. *Hierarchical*: 40
orthogonal features, 10 parents with 3 children each, at most one and never without its parent; 2.6 per token
(`bench/dictionary/synthetic.py`). As many latents as features; 18,000 tokens, 1,000 steps of 256, the same rates for
all; 5 seeds, each with another dictionary, and 95 % Student-t intervals over them. One command,
`leaderboards/synthetic/make.sh`, makes all of it; `made.json` has the hash of the code.

*Mean max cosine*: over planted features, the largest cosine with a decoder row; *matched*: each row given to one
feature at most (Hungarian). FVU, L0 and the dead share are of 2,000 held-out tokens. *Absorption*: how much more often
a parent's latent is silent where a child is there too than where the parent is alone. The last column is the mean
difference over seeds between explained variance here and scikit-learn's, with the bias in place.

## What the papers say

The papers rank architectures by FVU at the same L0 on activations of large models, after runs a thousand times as
long. A claim holds (yes) where the whole interval of the paired difference over seeds is on its side of 0, not (no)
where it is on the other, and is open where 0 is inside.
"""
WHY = """
## Why

- *JumpReLU* needs longer runs than these. A latent whose pre-activations all stay under its threshold gets no
  gradient from any term, and thresholds drift until the rate falls: of the latents dead after 800 steps the largest
  pre-activation was .86 to .99 of the threshold. Resampling them every 50 steps as long as the rate is high took the
  mean max cosine from .87 to .91 (one seed), 2,000 steps instead of 800 about as much; a penalty on dead latents'
  pre-activations revived them all without finding more (.88); other betas and clipping changed nothing, a bandwidth
  of 1e-2 in place of 1e-3 at most .02 (each tried on one seed). Thresholds that start lower, at eight times the
  target's L0, lose the features on their way up (.54). The published learning rate is a fiftieth of this one.
- *Matryoshka* pays for its prefixes: the first latents have to reconstruct alone, which among independent features only
  costs. Where features are nested it is what keeps a parent's latent on.
- *ReLU* and *gated* have their L0 tuned by the coefficient of a penalty, the TopK family is told it.
"""
RANKS = "\n## Ranks\n"
