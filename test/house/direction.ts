// Who imports whom, read by the bundler that makes the product, and the rules of the house about it.
import { dirname, join, normalize } from 'node:path'
import { build } from 'esbuild'

/** From the top down: a room knows those to its right only. */
export const rooms = ['cli', 'images', 'store', 'core'] as const

/** Each package has one owner: a file, or a room. Nobody else imports it. */
const owners: Readonly<Record<string, readonly string[]>> = {
  '@napi-rs/blake-hash': ['store/blake3.ts'],
  blake3: ['store/blake3.ts'],
  '@napi-rs/lzma': ['store/squashfs-codecs.ts'],
  // liblzma itself, as WebAssembly, byte for byte what mksquashfs has; what the package has beside it is not loaded
  'liblzma-5.8.2': ['store/liblzma.ts'],
  zstddec: ['store/squashfs-codecs.ts'],
  undici: ['store/remotes/http.ts'],
  execa: ['images/run.ts'],
  clipanion: ['cli/'],
  tweetnacl: ['core/ed25519.ts'],
  multiformats: ['core/cid.ts'],
  '@noble/hashes': ['core/secret-key.ts'],
  'fs-extra': ['store/files.ts'],
  // schemas of our own documents
  valibot: [
    'core/',
    'store/state.ts',
    'store/attempts.ts',
    'store/repository.ts',
    'store/link-memory.ts',
    'store/licence-map.ts',
    'images/tree/journal.ts',
    'images/builders/recipe-schema.ts',
  ],
  // puts an application into a Node binary, as Node's own documentation does it
  postject: ['images/builders/program.ts'],
  // zstd of two versions, the same wherever they run: what they made once they make again
  'zstd-wasm-1.5.5': ['store/patches/encoders.ts'],
  // zlib as mksquashfs has it, byte for byte; Node's is another one
  'pako-2.1.0': ['store/patches/encoders.ts'],
  'zstd-wasm-1.5.7': ['store/patches/encoders.ts'],
  // a node's age identity
  'age-encryption': ['images/builders/age.ts'],
  // recipes: where each complaint has its line
  yaml: ['images/builders/recipe-file.ts'],
}

export type Import = { readonly from: string; readonly to: string }

/** Every import below `root`: files relative to it, packages by their names. Types count as well. */
export async function imports(root: string, entries: readonly string[]): Promise<readonly Import[]> {
  const found: Import[] = []
  await build({
    absWorkingDir: root,
    entryPoints: [...entries],
    bundle: true,
    write: false,
    outdir: 'nowhere',
    platform: 'node',
    format: 'esm',
    // an import of types only is an import of knowledge: verbatimModuleSyntax keeps the plain ones, and `import type` is made plain here
    plugins: [
      {
        name: 'watch',
        setup(build) {
          build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
            const { readFile } = await import('node:fs/promises')
            const source = await readFile(path, 'utf8')
            return {
              loader: 'ts',
              contents: source
                .replace(/^import type (?=[{*\w])/gm, 'import ')
                .replace(/^export type (?=[{*])/gm, 'export ')
                .replace(/(?<=[{,]\s*)type (?=\w)/g, ''),
            }
          })
          build.onResolve({ filter: /.*/ }, ({ path, importer, kind }) => {
            if (kind === 'entry-point') return undefined
            const from = normalize(importer.slice(root.length).replace(/^\//, ''))
            if (path.startsWith('.')) {
              found.push({ from, to: normalize(join(dirname(from), path)) })
              return undefined
            }
            found.push({ from, to: path })
            return { path, external: true }
          })
        },
      },
    ],
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
    logLevel: 'silent',
  }).catch(() => undefined)
  // the bundler reads files at the same time, in whatever order they come
  return found.sort((one, two) => (one.from < two.from ? -1 : one.from > two.from ? 1 : one.to < two.to ? -1 : 1))
}

const roomOf = (file: string) => rooms.find((room) => file.startsWith(`${room}/`))

/** What breaks the rules, each as the chain that breaks them. */
export function violations(all: readonly Import[]): readonly string[] {
  const broken = new Set<string>()
  for (const { from, to } of all) {
    const [lower, upper] = [roomOf(from), roomOf(to)]
    if (lower === undefined) continue
    if (upper === undefined) {
      if (lower === 'core' && to.startsWith('node:')) broken.add(`${from} -> ${to}: core knows no platform`)
      const name = to.split('/', to.startsWith('@') ? 2 : 1).join('/')
      const owner = owners[name]
      if (!to.startsWith('node:') && owner === undefined)
        broken.add(`${from} -> ${to}: the package has no owner in test/house/direction.ts`)
      if (owner !== undefined && !owner.some((place) => from.startsWith(place)))
        broken.add(`${from} -> ${to}: ${name} belongs to ${owner.join(', ')}`)
      continue
    }
    if (rooms.indexOf(upper) < rooms.indexOf(lower)) broken.add(`${from} -> ${to}: ${lower} must not know ${upper}`)
    else if (upper !== lower && to !== `${upper}/mod.ts` && !isStartUp(from))
      broken.add(`${from} -> ${to}: a room is entered through its mod.ts`)
  }
  for (const cycle of cycles(all)) broken.add(`${cycle.join(' -> ')}: a cycle`)
  return [...broken].sort()
}

/** cli/main.ts loads as little as it can before it knows the command. */
function isStartUp(file: string): boolean {
  return file === 'cli/main.ts'
}

function cycles(all: readonly Import[]): readonly (readonly string[])[] {
  const next = new Map<string, string[]>()
  for (const { from, to } of all) if (roomOf(to) !== undefined) next.set(from, [...(next.get(from) ?? []), to])
  const found: string[][] = []
  const done = new Set<string>()
  const visit = (file: string, chain: readonly string[]): void => {
    const at = chain.indexOf(file)
    if (at >= 0) {
      found.push([...chain.slice(at), file])
      return
    }
    if (done.has(file)) return
    for (const to of next.get(file) ?? []) visit(to, [...chain, file])
    done.add(file)
  }
  for (const file of next.keys()) visit(file, [])
  return found
}
