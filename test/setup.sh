#!/usr/bin/env bash
# Everything a fresh machine lacks: `setup.sh test`, `setup.sh boot`, `setup.sh tree`, `setup.sh demo` or `setup.sh bench`. Installs on Debian as root; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?usage: setup.sh test|boot|tree|demo|bench}

node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  { echo "psyblob needs Node.js 20.19 or newer; this is $(node --version)" >&2; exit 1; }

PATH=$PATH:/usr/sbin:/sbin
missing=()
while read -r program package who; do
  [[ $program == \#* || -z $program ]] && continue
  [[ $who == test || ,$who, == *,$what,* ]] || continue
  # a path may be of a file that is no program
  command -v "$program" >/dev/null || [[ $program == /* && -e $program ]] || missing+=("$package")
done <test/packages.txt
if ((${#missing[@]})); then
  if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "missing programs; as root on Debian: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "installing ${missing[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ ! -e node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
  echo 'installing packages from npm' >&2
  npm ci --no-audit --no-fund --loglevel=error
fi
node test/build.mjs
