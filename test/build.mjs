// Bundles the command line into dist/: an entry and the chunks that commands load lazily. Packages with native parts stay outside.
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

// made aside and put in place whole: somebody may be running the old one
const aside = `${root}node_modules/.cache/psyblob-${process.pid}`
mkdirSync(`${root}node_modules/.cache`, { recursive: true })
await build({
  absWorkingDir: root,
  entryPoints: { psyblob: 'cli/main.ts' },
  outdir: aside,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/blake-hash', '@napi-rs/lzma', 'blake3', 'lz4-napi'],
  minifySyntax: true,
  legalComments: 'linked',
  chunkNames: 'chunks/[name]-[hash]',
  logLevel: 'warning',
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as psyblobRequire } from 'node:module'\nconst require = psyblobRequire(import.meta.url)",
  },
})
chmodSync(`${aside}/psyblob.js`, 0o755)
rmSync(`${root}dist`, { recursive: true, force: true })
renameSync(aside, `${root}dist`)
