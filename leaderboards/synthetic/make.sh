#!/bin/sh
# What each architecture finds of planted features, from nothing but the code. About 6 minutes of processor time.
set -e
cd "$(dirname "$0")/../.."
exec python -m tests.synthetic.report
