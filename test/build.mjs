// Bundles the command line into dist/: an entry and the chunks that commands load lazily. Packages with native parts stay outside.
import { chmodSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

rmSync(`${root}dist`, { recursive: true, force: true })
await build({
  absWorkingDir: root,
  entryPoints: { psyblob: 'cli/main.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/blake-hash', 'blake3'],
  minifySyntax: true,
  legalComments: 'linked',
  chunkNames: 'chunks/[name]-[hash]',
  logLevel: 'warning',
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as psyblobRequire } from 'node:module'\nconst require = psyblobRequire(import.meta.url)",
  },
})
chmodSync(`${root}dist/psyblob.js`, 0o755)
