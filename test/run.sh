#!/usr/bin/env bash
# All tests, set-up included: what is missing is installed, then the checks, then vitest. Its last line is `N passed, N failed`.
# Words after `npm test --` go to vitest, e.g. a folder of tests.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh test
bash test/check.sh
exec node_modules/.bin/vitest run "$@"
