#!/usr/bin/env bash
# Signatures beside the real minisign, all of them: what is missing is installed, then test/minisign. Words after `npm run test:minisign --` go to vitest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh test
exec node_modules/.bin/vitest run --config test/minisign/vitest.config.ts "$@"
