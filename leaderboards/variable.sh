#!/bin/sh
# Makes the board of the `variable` track again: variables of planted models, where the truth is known, and of a small
# pretrained one, layer by layer. Set INTERPASSAY_MODEL to the pretrained model's directory; without it only the planted
# part is made. What the store has is not run again. Two processes side by side, about twelve minutes on two cores.
# What is given to the script goes to every run.
set -e
cd "$(dirname "$0")/.."
store=${STORE:-results_variable}
common="store=$store batch_size=64 threads=1"
seeds=seed=0,1,2,3,4
default=interchange,isolation,disentangled,probe_accuracy
controls=metric=$default,told_apart,erasure,steering,random_model_gap,permuted_labels,wrong_causal_model
fitted=method=caa,ccs,difference_of_means,full_vector,identity,inlp,lda,leace,linear_probe,mass_mean,pca,svd
trained=boundless_das,das,dbm,dbm_pca,dbm_svd
some=method=das,difference_of_means,full_vector,linear_probe

run() { bench run "$@" $common > /dev/null; }

ioi() { # all methods; controls of some; the curve over ranks; and a site that tells D and is not used: a decoy head
    run task=ioi variable=D $some $seeds $controls "$@"
    run task=ioi variable=D $fitted,$trained $seeds "$@"
    run task=ioi variable=N $fitted,das $seeds "$@"
    run task=ioi variable=I $some $seeds metric=$default,told_apart "$@"
    run task=ioi variable=D method=das method.rank=1,2,4,8,16 $seeds "$@"
    run task=ioi variable=D method=difference_of_means,full_vector,linear_probe method.site=a3.h2@END $seeds \
        metric=$default,erasure,steering "$@"
    bench score metric=interchange metric.across=true task=ioi variable=D,I $seeds $common "$@" > /dev/null
}

entities() { run task=entity_tracking variable=position,object $fitted,das $seeds "$@"; }

hallucination() { run task=hallucination variable=G,C $fitted,das $seeds "$@"; }

pretrained() { # layer by layer, where the variable is read and at the end; trained methods with five seeds at the site
    model="model=hf model.id=$INTERPASSAY_MODEL model.name=tinystories-instruct-3m"
    at=method.position
    plain=difference_of_means,full_vector,linear_probe,random_rotation
    das="method=das method.steps=60"
    metrics=metric=$default,random_model_gap,permuted_labels,wrong_causal_model
    for cell in "task=gender variable=G $at=NAME,END" "task=ioi variable=D $at=S2,END"; do
        run $model $cell method=$plain method.curve=layers $metrics "$@"
        run $model $cell $das method.curve=layers $metrics "$@"
        run $model $cell method=random_rotation method.seed=1,2,3,4 "$@"
        run $model $cell $das method.seed=1,2,3,4 "$@"
    done
}

(ioi "$@"; hallucination "$@") &
first=$!
entities "$@"
[ -z "$INTERPASSAY_MODEL" ] || pretrained "$@"
wait $first
bench board "store=$store" out=leaderboards page=variable.html pictures=false > /dev/null
