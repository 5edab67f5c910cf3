#!/bin/sh
# Makes the boards of the `variable` and `readout` tracks again: variables of planted models, where the truth is known,
# and of a small pretrained one, layer by layer; lenses, heads and layerwise measures (leaderboards/readout.sh). Set
# INTERPASSAY_MODEL to the pretrained model's directory, and INTERPASSAY_TEXT to a file of text for the tuned lens;
# without the model only the planted part is made. What the store has is not run again. Two runs side by side, less than
# twenty minutes on two cores. What is given to the script goes to every run.
set -e
cd "$(dirname "$0")/.."
export STORE="${STORE:-results_variable}"
seeds=seed=0,1,2,3,4
default=interchange,isolation,disentangled,probe_accuracy
controls=metric=$default,told_apart,erasure,steering,random_model_gap,permuted_labels,wrong_causal_model
fitted=method=caa,ccs,difference_of_means,full_vector,identity,inlp,lda,leace,linear_probe,mass_mean,pca,svd
trained=boundless_das,das,dbm,dbm_pca,dbm_svd
some=method=das,difference_of_means,full_vector,linear_probe

# a line is a run: overrides of `bench run`

ioi() { # all methods; controls of some; the curve over ranks; and a site that tells D and is not used: a decoy head
    echo "task=ioi variable=D $some $seeds $controls"
    echo "task=ioi variable=D $fitted,$trained $seeds"
    echo "task=ioi variable=N $fitted,das $seeds"
    echo "task=ioi variable=I $some $seeds metric=$default,told_apart"
    echo "task=ioi variable=D method=das method.rank=1,2,4,8,16 $seeds"
    echo "task=ioi variable=D method=difference_of_means,full_vector,linear_probe method.site=a3.h2@END $seeds" \
        "metric=$default,erasure,steering"
    echo "task=ioi variable=D,I method=difference_of_means,full_vector $seeds metric=interchange metric.across=true"
}

others() {
    echo "task=entity_tracking variable=position,object $fitted,das $seeds"
    echo "task=hallucination variable=G,C $fitted,das $seeds"
}

pretrained() { # layer by layer, where the variable is read and at the end; trained methods with five seeds at the site
    model="model=hf model.id=$INTERPASSAY_MODEL model.name=tinystories-instruct-3m"
    plain=difference_of_means,full_vector,linear_probe,random_rotation
    das="method=das method.steps=60"
    metrics=metric=$default,random_model_gap,permuted_labels,wrong_causal_model
    for cell in "task=gender variable=G method.position=NAME,END" "task=ioi variable=D method.position=S2,END"; do
        echo "$model $cell method=$plain method.curve=layers $metrics"
        echo "$model $cell $das method.curve=layers $metrics"
        echo "$model $cell method=random_rotation method.seed=1,2,3,4"
        echo "$model $cell $das method.seed=1,2,3,4"
    done
}

{
    [ -z "$INTERPASSAY_MODEL" ] || pretrained
    ioi
    others
} | sed "s|^|bench run store=$STORE batch_size=64 threads=1 $* |; s|\$| > /dev/null|; 1i leaderboards/readout.sh $*" |
    xargs -d '\n' -P 2 -n 1 sh -c
bench board "store=$STORE" out=leaderboards page=variable.html pictures=false > /dev/null
bench regress --freeze data.seed=0 metric=$default,kl_to_final,agreement,rank_agreement "store=$STORE"
