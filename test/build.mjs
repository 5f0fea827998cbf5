// Bundles the command line into dist/: an entry and the chunks that commands load lazily. Packages with native parts stay outside.
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
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

/** Files that are taken in as they are: images/raw.d.ts. */
const raw = {
  name: 'raw',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\?raw$/ }, ({ path, resolveDir }) => ({ path: join(resolveDir, path.slice(0, -'?raw'.length)), namespace: 'raw' }))
    onLoad({ filter: /.*/, namespace: 'raw' }, ({ path }) => ({ contents: readFileSync(path, 'utf8'), loader: 'text', watchFiles: [path] }))
  },
}

// made aside and put in place whole: somebody may be running the old one
const aside = `${root}node_modules/.cache/psyblob-${process.pid}`
mkdirSync(`${root}node_modules/.cache`, { recursive: true })
await build({
  absWorkingDir: root,
  entryPoints: {
    psyblob: 'cli/main.ts',
    'chunk-worker': 'store/chunk-worker.ts',
    'patch-worker': 'store/patches/patch-worker.ts',
    'audit-worker': 'images/tree/audit-worker.ts',
  },
  outdir: aside,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  plugins: [undici, raw],
  external: ['@napi-rs/blake-hash', '@napi-rs/lzma', 'blake3', 'postject', 'zstd-wasm-*', 'liblzma-*'],
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

/** What an image gets: one file that needs no other. Native parts lie beside it under plain names, and it does without them. */
const alone = {
  name: 'alone',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@napi-rs\/blake-hash|@napi-rs\/lzma)$/ }, ({ path }) => ({ path, namespace: 'native' }))
    onLoad({ filter: /.*/, namespace: 'native' }, ({ path }) => ({
      contents: `module.exports = require('node:module').createRequire(psyblobUrl)('./${path.split('/').at(-1)}.node')`,
    }))
    // what is loaded at run time elsewhere is taken in here
    onLoad({ filter: /store\/blake3\.ts$/ }, ({ path }) => ({
      loader: 'ts',
      contents: readFileSync(path, 'utf8').replace(/^const require = .*$/m, ''),
    }))
    onLoad({ filter: /store\/liblzma-wasm\.ts$/ }, () => {
      const wasm = readFileSync(`${root}node_modules/liblzma-5.8.2/lib/wasm/liblzma.wasm`).toString('base64')
      return { contents: `export const liblzmaWasm = async () => Buffer.from('${wasm}', 'base64')` }
    })
    // encoders of patches bring theirs along
    onLoad({ filter: /zstd-wasm-[\d.]+\/dist\/common\/index\.node\.js$/ }, ({ path }) => {
      const wasm = readFileSync(join(path, '../zstd.wasm')).toString('base64')
      const source = readFileSync(path, 'utf8')
      const inlined = source
        .replace(/const \{ (readFile|resolve) \} = require\('[a-z/]+'\);/g, '')
        .replace(/yield readFile\(resolve\(__dirname, '\.\/zstd\.wasm'\)\)/, `Buffer.from('${wasm}', 'base64')`)
      if (inlined === source || /readFile/.test(inlined)) throw new Error(`${path} is not what it was: see to its WebAssembly`)
      return { contents: inlined }
    })
    // the portable engine brings its WebAssembly along
    onLoad({ filter: /blake3_js\.js$/ }, ({ path }) => {
      const wasm = readFileSync(path.replace(/\.js$/, '_bg.wasm')).toString('base64')
      const source = readFileSync(path, 'utf8')
      const inlined = source
        .replace(/const path = require\('path'\).*/, '')
        .replace(/require\('fs'\)\.readFileSync\(path\)/, `Buffer.from('${wasm}', 'base64')`)
      if (inlined === source || /readFileSync/.test(inlined)) throw new Error(`${path} is not what it was: see to its WebAssembly`)
      return { contents: inlined }
    })
  },
}
/** Images have whatever Node their distribution has: what is too old is told before anything of it is missed. */
const guestBanner = `const psyblobUrl = require('node:url').pathToFileURL(__filename).href
{
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    process.stderr.write(\`psyblob: unsupported: this is Node.js \${process.versions.node}, and psyblob needs 20.19 or newer\\n  hint: install a newer one, or put psyblob into the image as a single executable\\n\`)
    process.exit(16)
  }
}`
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
await build({
  absWorkingDir: root,
  entryPoints: { psyblob: 'cli/main.ts' },
  outdir: `${aside}/guest`,
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  plugins: [undici, raw, alone],
  // only builders need these, and images build none
  external: ['age-encryption', 'postject', 'tar-stream', 'yaml'],
  define: { 'import.meta.url': 'psyblobUrl', PSYBLOB_VERSION: JSON.stringify(version) },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
  // in a single executable nothing can be imported, and require knows Node's own modules only
  supported: { 'dynamic-import': false },
  banner: { js: guestBanner },
})
rmSync(`${root}dist`, { recursive: true, force: true })
renameSync(aside, `${root}dist`)
