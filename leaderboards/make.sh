#!/bin/sh
# Makes everything in this folder again from nothing but the code: runs, scores, reports, pictures. What the store has
# is not run again. About an hour of processor time; `hydra/launcher=joblib` (extra `joblib`) spreads it.
set -e
cd "$(dirname "$0")/.."
store="store=${STORE:-results}"

# the default experiment on the planted and the natural models of four tasks, and how well the two agree
bench plant --report "$store" > /dev/null
# of one task also under other ablations and another corruption, and against the null of the headline metric
bench score metric=area_log ablation=mean,zero,resample task=ioi "$store" > /dev/null
bench run experiment=default task=ioi task.counterfactual=random seed=0,1,2 "$store" > /dev/null
bench score metric=area_log permutations=19 task=ioi "$store" > /dev/null
# what is read, and what later code is held against
bench sensitivity out=leaderboards/sensitivity "$store"
bench board "$store"
bench regress --freeze model.seed=1 "$store"

