#!/bin/sh
# The rows of the `readout` track: curves by layer of the lenses, what heads and layers say against what ablating them
# does, and the layerwise measures, on planted ioi and, where INTERPASSAY_MODEL names one (a hub name or a directory),
# on that model for ioi and gender. INTERPASSAY_TEXT is a file of text for its tuned lens; without it the lens is
# trained on task prompts. Writes the store alone: leaderboards/variable.sh calls this before it writes boards. What the
# store has is not run again. What is given to the script goes to the runs.
set -e
cd "$(dirname "$0")/.."
lenses=kl_to_final,agreement,calibration,rank_agreement
measures=answer_settling,block_coupling,intrinsic_dimension,next_token_law,trajectory_continuity
store="store=${STORE:-results_variable}"

planted() {
    bench run task=ioi seed=0 "$store" "$@" > /dev/null
}
natural() {
    bench run task=ioi,gender model=hf "model.id=$INTERPASSAY_MODEL" threads=1 "$store" "$@" > /dev/null
}

planted method=logit_lens,tuned_lens,patchscopes,attention_lens,head_pursuit metric=$lenses,causal_basis "$@"
planted method=tuned_lens,attention_lens method.at=end metric=$lenses,causal_basis "$@"
planted method=$measures metric=above_control "$@"
if [ -z "$INTERPASSAY_MODEL" ]; then
    echo "INTERPASSAY_MODEL is not set: planted readouts alone" >&2
    exit 0
fi
natural method=logit_lens,patchscopes,head_pursuit metric=$lenses "$@"
# a vocabulary makes training dear: half and a quarter of the positions a step, and maps behind the heads' own dimensions
if [ -n "$INTERPASSAY_TEXT" ]; then
    natural method=tuned_lens method.batch=128 "method.text=$INTERPASSAY_TEXT" metric=$lenses "$@"
else
    natural method=tuned_lens method.batch=128 metric=$lenses "$@"
fi
natural method=attention_lens method.batch=64 method.space=z metric=$lenses "$@"
natural method=$measures metric=above_control "$@"
