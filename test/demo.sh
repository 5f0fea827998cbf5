#!/usr/bin/env bash
# The demo, set-up included: `npm run demo`, or `npm run demo -- FOLDER` for another place to work in.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh demo
exec node test/demo/demo.mjs "$@"
