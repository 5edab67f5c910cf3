#!/bin/sh
# Makes the board of dictionaries again: curves over L0 (2, 4, 8, 16 and 32 active latents per token) for six
# architectures at two layers of a small pretrained model, on every tenth context of a text, which no training saw, beside
# every control. At the same L0: frozen random decoder and encoder, random directions, neurons, principal components (the
# first ones, or each token's largest), and the same training on the model with its weights shuffled; and the mean alone.
# At L0 8 also k-sparse probing, the overlap of latents between seeds, and two seeds more. What the store has is not run
# again. About an hour of processor time: half an hour on two cores.
#
#   INTERPASSAY_MODEL=path/to/TinyStories-Instruct-3M INTERPASSAY_TEXT=path/to/stories.json leaderboards/dictionary.sh
#
# A text is a file or a hub data set (README, dictionaries). What is given to the script goes to the runs. A process per
# site, each with one thread, so that both share what they record among their own cells.
set -e
: "${INTERPASSAY_MODEL:?say where the model is, a directory or a hub name}"
: "${INTERPASSAY_TEXT:?say which text, a file or a hub data set}"
whole() { if [ -e "$1" ]; then realpath "$1"; else echo "$1"; fi; } # a file wherever the runs start, or a hub name
model=$(whole "$INTERPASSAY_MODEL") stories=$(whole "$INTERPASSAY_TEXT")
cd "$(dirname "$0")/.."
# Large tensors are taken from the heap and kept there: else a third of the time goes to mapping their pages anew.
export OMP_NUM_THREADS=1 MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296 MALLOC_TOP_PAD_=268435456
store=${STORE:-results_dictionary}
common="task=gender model=hf model.id=$model threads=1 store=$store"
text="method.text=$stories method.contexts=null"
on="metric.text=$stories"
saes=sae_relu,sae_gated,sae_topk,sae_batchtopk,sae_jumprelu,sae_matryoshka
trained=dictionary_frozen_decoder,dictionary_frozen_encoder
plain=dictionary_random,dictionary_neurons,dictionary_pca
l0=method.l0=2,4,8,16,32

curves() { # SITE OVERRIDES...: everything at one site
    site=$1
    shift
    at="$common $text method.site=$site"
    figures="metric=l0,explained_variance,ce_loss_score,dead_share $on"
    bench run method=$plain,$saes,$trained $at $l0 $figures "$@"
    bench run method=dictionary_mean $at $figures "$@"
    bench run method=dictionary_pca method.kept=largest $at $l0 $figures "$@"
    bench run method=sae_topk $at $l0 metric=random_model_variance $on "$@"
    bench run method=$saes,$trained,$plain $at method.l0=8 metric=k_sparse_probing "$@"
    bench run method=$saes $at method.l0=8 metric=latent_overlap "$@"
    bench run method=$saes,$trained,dictionary_random $at method.l0=8 method.seed=1,2 $figures "$@"
}

for site in ${SITES:-stream2 stream6}; do
    curves "$site" "$@" > /dev/null &
    jobs="${jobs-} $!"
done
for job in $jobs; do
    wait "$job"
done
bench board "store=$store" out=leaderboards page=dictionary.html pictures=false > /dev/null
