#!/usr/bin/env bash
# Inputs that nobody wrote for every parser, set-up included: `npm run fuzz`, or `npm run fuzz -- --minutes 10`; `npm run fuzz -- --help` tells the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh test
folder=node_modules/.cache/fuzz
node_modules/.bin/esbuild test/fuzz/run.ts test/fuzz/worker.ts --bundle --platform=node --format=esm --target=node20 --packages=external \
  --log-level=warning --out-extension:.js=.mjs --outdir="$folder"
exec node "$folder/run.mjs" "$@"
