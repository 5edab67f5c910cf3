#!/bin/sh
# Makes the board of all methods again: every registered method on every planted task. Methods without training on all
# shipped seeds, trained ones with 500 steps on the mission's tasks (ioi, entity_tracking, hallucination,
# recall_reasoning). What the store has is not run again. About two and a half hours of processor time. What is given to
# the script goes to the runs: `leaderboards/methods/make.sh hydra/launcher=joblib` spreads them over the processor's cores.
set -e
cd "$(dirname "$0")/../.."
common="store=${STORE:-results_methods} metric=auroc,average_precision,area_log"
mission=task=ioi,entity_tracking,hallucination,recall_reasoning
plain=method=acdc,activation_norm,atp,atp_ig,atp_star,attention_knockout,attention_to_answer,attention_x_gradient
plain=$plain,clean_corrupted,cna,composition,copying,dla,eap,eap_ig,eap_ig_activations,edge_patching
plain=$plain,evidence_head_divergence,expected_gradients,faith,gradient_x_activation,grouped_path_patching,hisp,ifr
plain=$plain,induction_score,log_prob_increase,oracle,parallel_ensemble,patching,path_patching,peap,ph3
plain=$plain,previous_token_score,random,random_layer,relp,retrieval,svd_channels
trained=method=dcm,edge_pruning,mattr,mattr_edge,node_pruning,optimal_ablation,sequential_ensemble,ugs

bench run $plain $mission seed=0,1,2,3,4 $common "$@" > /dev/null
bench run $plain task=identity_rules seed=0,1,2 $common "$@" > /dev/null
bench run $plain task=arithmetic,induction,path_finding seed=0 $common "$@" > /dev/null
bench run method=cmap,random task=entity_tracking model.variant=base model.seed=0 seed=0,1,2,3,4 $common "$@" > /dev/null
bench run $trained $mission seed=0,1,2,3,4 $common "$@" > /dev/null
bench board "store=${STORE:-results_methods}" out=leaderboards/methods pictures=false > /dev/null
