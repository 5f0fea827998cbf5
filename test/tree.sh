#!/usr/bin/env bash
# System files at their real size: what is missing is installed, then a Debian and the month after it are made (minutes, once), then
# test/tree. Words after `npm run test:tree --` go to vitest.
set -euo pipefail
cd "$(dirname "$0")/.."
export PSYBLOB_IMAGES=${PSYBLOB_IMAGES:-$PWD/work/bench/images}
bash test/setup.sh tree
bash test/bench/images.sh "$PSYBLOB_IMAGES" trees
exec node_modules/.bin/vitest run --config test/tree/vitest.config.ts "$@"
