#!/usr/bin/env bash
# The model: random histories against a real node. `npm run model`, or `npm run model -- --histories 1000 --seed 7`; `--help` tells the rest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh test
bundle=node_modules/.cache/model/model.mjs
node_modules/.bin/esbuild test/model/model.ts --bundle --platform=node --format=esm --packages=external --log-level=warning --outfile="$bundle"
exec node "$bundle" "$@"
