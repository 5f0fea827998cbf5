#!/usr/bin/env bash
# All tests, set-up included: packages from npm, the compiler's checks, then vitest. Its last line is `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
  npm ci --no-audit --no-fund --loglevel=error
fi
npx tsc -p core
npx tsc -p .
exec npx vitest run "$@"
