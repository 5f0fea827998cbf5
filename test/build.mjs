// Bundles the command line into dist/: an entry and the chunks that commands load lazily. Packages with native parts stay outside.
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Of undici the parts that are used: its front door brings fetch, WebSockets and mocks along, which take longer to load than a sync takes. */
const undici = {
  name: 'undici',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^undici$/ }, () => ({ path: 'undici', namespace: 'part' }))
    // HTTP/2 is never spoken: nothing is known of it where it is not there
    onResolve({ filter: /^node:http2$/ }, () => ({ path: 'http2', namespace: 'part' }))
    onLoad({ filter: /^http2$/, namespace: 'part' }, () => ({ contents: 'module.exports = { constants: {} }' }))
    onLoad({ filter: /^undici$/, namespace: 'part' }, () => ({
      resolveDir: root,
      contents: `
        import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
        import api from 'undici/lib/api/index.js'
        export { default as Agent } from 'undici/lib/dispatcher/agent.js'
        export { default as errors } from 'undici/lib/core/errors.js'
        Object.assign(Dispatcher.prototype, api)`,
    }))
  },
}

// made aside and put in place whole: somebody may be running the old one
const aside = `${root}node_modules/.cache/psyblob-${process.pid}`
mkdirSync(`${root}node_modules/.cache`, { recursive: true })
await build({
  absWorkingDir: root,
  entryPoints: { psyblob: 'cli/main.ts', 'chunk-worker': 'store/chunk-worker.ts' },
  outdir: aside,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  plugins: [undici],
  external: ['@napi-rs/blake-hash', '@napi-rs/lzma', 'blake3', 'lz4-napi'],
  // less to read at every start; names stay, for stacks in reports of bugs
  minifySyntax: true,
  minifyWhitespace: true,
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
