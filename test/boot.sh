#!/usr/bin/env bash
# Machines that boot, under QEMU: what is missing is installed, then test/boot. Words after `npm run test:boot --` go to vitest.
set -euo pipefail
cd "$(dirname "$0")/.."
bash test/setup.sh boot
exec node_modules/.bin/vitest run --config test/boot/vitest.config.ts "$@"
