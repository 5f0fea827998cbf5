#!/usr/bin/env bash
# Everything that can be checked without running the product: style, rules of the house, types, dead code.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/node_modules/.bin:$PATH
biome check --error-on-warnings .
tsc -p core
tsc -p .
knip
