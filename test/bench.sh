#!/usr/bin/env bash
# The benchmark, set-up included: `npm run bench`, or `npm run bench -- --quick`; `npm run bench -- --help` tells the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh bench
bundle=node_modules/.cache/bench/bench.mjs
node_modules/.bin/esbuild test/bench/bench.ts --bundle --platform=node --format=esm --packages=external --log-level=warning --outfile="$bundle"
exec node "$bundle" "$@"
