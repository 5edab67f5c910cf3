#!/bin/sh
# Makes the board of variables in latents again: interchange through latents of a dictionary that is trained on the task's
# prompts, against neurons, coordinates and principal components of the stream, DAS, the whole vector, random directions
# and the planted site. Two planted models: ioi's D, at the site that is chosen, where nothing else is carried, and
# arithmetic's X at stream2@END, through which Y passes too, so that the whole vector is the wrong answer (the baselines
# `random` and `oracle` stay at sites of their own; random_rotation is at this one). Methods with chance in them on five
# seeds; what the store has is not run again. About five minutes of processor time. What is given to the script goes to
# the runs.
set -e
cd "$(dirname "$0")/.."
common="store=${STORE:-results_latents} threads=1 model.seed=0 data.seed=0 method.seed=0,1,2,3,4"
swaps="$common metric=interchange,isolation,disentangled"
gap="$common metric=random_model_gap"

# at one place: ranks as curves, trained featurizers, what the dictionary holds and misses, controls of the dictionary
place() {
    what=$1; shift
    bench run $what method=sae_latents,pca,random_rotation,full_vector,identity method.rank=null,2,4,16 $swaps "$@"
    bench run $what method=das,dbm,dbm_pca,dbm_latents method.stream=stream method.rank=null,4 method.steps=100 $swaps "$@"
    bench run $what method=sae_latents method.chosen=all,none method.swap_error=false,true $swaps "$@"
    bench run $what method=sae_latents method.dictionary=random,frozen_decoder method.chosen=all $swaps "$@"
    bench run $what method=sae_latents method.dictionary=batchtopk,random,frozen_decoder method.chosen=means,random \
        method.rank=4 $swaps "$@"
    bench run $what method=sae_latents $gap "$@"
    bench run $what method=das,dbm_latents method.steps=100 $gap "$@"
} > /dev/null

place "task=ioi variable=D" "$@"
place "task=arithmetic variable=X method.site=stream2@END" "$@"
for what in "task=ioi variable=D" "task=arithmetic variable=X"; do # at a site among the neurons
    bench run $what method=dbm method.steps=100 $swaps "$@" > /dev/null
done
bench board "store=${STORE:-results_latents}" out=leaderboards/latents pictures=false > /dev/null
