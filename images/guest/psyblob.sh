#!/bin/sh
# psyblob, run by the Node.js of this system
if ! command -v node >/dev/null 2>&1; then
	echo 'psyblob: unsupported: node is not installed
  hint: install Node.js 20.19 or newer, or put psyblob into the image as a single executable' >&2
	exit 16
fi
exec node --no-warnings /usr/lib/psyblob/psyblob.cjs "$@"
