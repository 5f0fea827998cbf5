// Patches of squashfs images as mksquashfs makes them, old and new: what comes out is the new image, byte for byte. PSYBLOB_PATCH_PAIRS=200 tries more
// pairs than the few of the ordinary run; PSYBLOB_PATCH_SEED says which.
import { execFileSync } from 'node:child_process'
import { link, mkdir, open, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cidOf, parsePatch } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { type MadePatch, makePatch, type NoPatch } from '../../store/patches/make.ts'
import { Workbench } from '../../store/patches/workbench.ts'
import { madeUp, temporaryFolder } from '../fixtures/repository.ts'
import { Random } from '../fuzz/random.ts'

const pairs = Number(process.env['PSYBLOB_PATCH_PAIRS'] ?? 5)
const firstSeed = Number(process.env['PSYBLOB_PATCH_SEED'] ?? 1)

let dir: string
let remove: () => Promise<void>
let count = 0
let hasXattrs = true
beforeAll(async () => {
  ;({ dir, remove } = await temporaryFolder())
})
afterAll(() => remove())

/** What a tree has at a path. */
type Node =
  | { readonly is: 'file'; readonly bytes: Uint8Array; readonly xattr?: string }
  | { readonly is: 'sparse'; readonly size: number; readonly end: string }
  | { readonly is: 'same'; readonly as: string }
  | { readonly is: 'link'; readonly to: string }
type Tree = Readonly<Record<string, Node>>

const file = (bytes: Uint8Array | string): Node => ({ is: 'file', bytes: typeof bytes === 'string' ? Buffer.from(bytes) : bytes })
/** Packs to less than half. */
const words = (length: number, seed: number) =>
  Buffer.from(madeUp(Math.ceil(length / 2), seed))
    .toString('hex')
    .slice(0, length)

async function writeTree(folder: string, tree: Tree): Promise<void> {
  await mkdir(folder)
  for (const [name, node] of Object.entries(tree)) {
    const path = join(folder, name)
    await mkdir(dirname(path), { recursive: true })
    if (node.is === 'file') await writeFile(path, node.bytes)
    else if (node.is === 'link') await symlink(node.to, path)
    else if (node.is === 'same') await link(join(folder, node.as), path)
    else {
      const sparse = await open(path, 'w')
      await sparse.write(node.end, node.size - node.end.length)
      await sparse.close()
      await truncate(path, node.size + 5000)
    }
    if (node.is === 'file' && node.xattr !== undefined && hasXattrs) {
      try {
        execFileSync('setfattr', ['-n', 'user.psyblob', '-v', node.xattr, path], { stdio: 'ignore' })
      } catch {
        // no such program, or a file system without them
        hasXattrs = false
      }
    }
  }
}

/** The path of an image. */
async function imageOf(tree: Tree, options: string): Promise<string> {
  const name = join(dir, `${count++}`)
  await writeTree(name, tree)
  const fixed = ['-noappend', '-no-progress', '-quiet', '-all-root', '-mkfs-time', '1700000000', '-all-time', '1700000000']
  execFileSync('mksquashfs', [name, `${name}.image`, ...options.split(' ').filter((word) => word !== ''), ...fixed], { stdio: 'ignore' })
  await rm(name, { recursive: true })
  return `${name}.image`
}

async function sideOf(path: string) {
  const bytes = await readFile(path)
  return { path, cid: cidOf(blake3().digest(bytes)), size: bytes.length }
}

async function patchOf(old: string, next: string): Promise<MadePatch | NoPatch> {
  return makePatch({ old: await sideOf(old), next: await sideOf(next), name: 'image', compress: undefined, report: () => undefined })
}

/** What a node makes of it; only what lies in `wanted`. */
async function applied(old: string, patch: Uint8Array, wanted?: readonly (readonly [number, number])[]): Promise<Uint8Array> {
  const parsed = parsePatch(patch, patch.length, 'patch')
  const path = join(dir, `${count++}.patch`)
  await writeFile(path, patch)
  const { packing, codecs, next, groups } = parsed
  const bench = await Workbench.open({ old: { path: old, size: parsed.old.size }, packing, codecs, patch: path })
  const made = Buffer.alloc(next.size, 0xee)
  try {
    for (const group of groups) {
      const answer = bench.do({ do: 'apply', group, wanted: wanted ?? [[0, next.size]] })
      if (answer.did !== 'apply') throw new Error(answer.did === 'fail' ? answer.why : 'another answer')
      for (const { at, bytes } of answer.bytes) made.set(bytes, at)
    }
  } finally {
    bench.close()
    await rm(path)
  }
  return made
}

/** The patch, when there is one: then what comes out is right. */
async function provenPatch(old: string, next: string): Promise<Uint8Array | undefined> {
  const { bytes } = await patchOf(old, next)
  if (bytes === undefined) return undefined
  expect(Buffer.compare(await applied(old, bytes), await readFile(next))).toBe(0)
  return bytes
}

async function pairOf(before: Tree, after: Tree, options: string, nextOptions = options) {
  return [await imageOf(before, options), await imageOf(after, nextOptions)] as const
}

const program = words(150_000, 77)
/** The same with a few letters changed, and a stretch put in. */
const rebuilt = `${program.slice(0, 40_000)}${words(300, 5)}${program.slice(40_000).replaceAll('a1', 'b2')}`
const configuration = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`etc/conf.d/${at}`, file(words(300 + 211 * at, at + 1))]))
const before: Tree = {
  ...configuration,
  'bin/program': file(program),
  'bin/same': file(program),
  'bin/hard': { is: 'same', as: 'bin/program' },
  'bin/noise': file(madeUp(60_000, 5)),
  'lib/modules/6.1.0-17-amd64/one.ko': file(words(50_000, 8)),
  empty: file(''),
  holes: { is: 'sparse', size: 700_000, end: 'far out' },
  link: { is: 'link', to: 'bin/program' },
  marked: { is: 'file', bytes: Buffer.from('marked'), xattr: 'one' },
}
const { 'lib/modules/6.1.0-17-amd64/one.ko': _, ...others } = before
const after: Tree = {
  ...others,
  'bin/program': file(rebuilt),
  'bin/same': file(program),
  'etc/conf.d/7': file(words(900, 1000)),
  'lib/modules/6.1.0-18-amd64/one.ko': file(words(50_000, 8).replaceAll('c', 'd')),
  holes: { is: 'sparse', size: 600_000, end: 'not as far' },
  marked: { is: 'file', bytes: Buffer.from('marked'), xattr: 'two' },
  'new/file': file(words(4000, 99)),
}

describe('a patch of two squashfs images', () => {
  test.each([
    '-comp zstd',
    '-comp zstd -b 4K',
    '-comp zstd -b 16K -no-fragments',
    '-comp zstd -b 1M',
    '-comp zstd -b 8K -always-use-fragments',
    '-comp zstd -b 64K -no-duplicates',
    '-comp zstd -b 32K -no-sparse',
    '-comp zstd -no-exports -no-xattrs',
    '-comp zstd -nopad -noI',
    '-comp zstd -noD -noF',
    '-comp zstd -noI -noD -noF -noX',
    '-comp zstd -Xcompression-level 1',
    '-comp zstd -Xcompression-level 3 -b 16K',
    '-comp zstd -Xcompression-level 12 -b 64K',
    '-comp zstd -Xcompression-level 19 -b 32K',
    '-comp zstd -Xcompression-level 22 -b 128K',
    '-comp gzip',
    '-comp gzip -b 32K -no-fragments',
    '-comp gzip -Xcompression-level 6 -b 8K',
    '-comp xz',
    '-comp xz -b 4K -no-fragments',
    '-comp xz -b 64K -Xdict-size 50%',
    '-comp xz -b 1M -always-use-fragments',
    '-comp xz -Xbcj x86 -b 32K',
    '-comp xz -noI -noD -noF -noX',
  ])('made with %s becomes the new one, and is smaller by far', async (options) => {
    const [old, next] = await pairOf(before, after, options)
    const patch = await provenPatch(old, next)
    expect(patch).toBeDefined()
    expect(patch?.length).toBeLessThan(20_000)
    expect((await readFile(next)).length).toBeGreaterThan(100_000)
  })

  test.each([
    ['xz -Xbcj arm', /compresses as xz .* \(with its filters or its dictionary\)$/],
    ['xz -Xbcj x86,arm', /compresses as xz .* \(with its filters or its dictionary\)$/],
    ['xz -Xdict-size 75%', /compresses as xz .* \(with its filters or its dictionary\)$/],
    ['lz4 -Xhc', /compresses as lz4 of image was compressed \(level 12\)$/],
    ['lzo', /^nodes do not undo lzo, /],
    ['lzma', /^nodes do not undo lzma, /],
    ['zstd -Xcompression-level 6', /compresses as zstd .* \(level 6\)$/],
  ])('compressed as %s is none, with a reason', async (how, why) => {
    const [old, next] = await pairOf(before, after, `-comp ${how} -b 32K`)
    expect(await patchOf(old, next)).toEqual({ bytes: undefined, why: expect.stringMatching(why) })
  })

  test.each([
    ['block size', '-comp zstd -b 16K', '-comp zstd -b 64K'],
    ['level', '-comp zstd', '-comp zstd -Xcompression-level 3'],
    ['compressor', '-comp gzip', '-comp zstd'],
    ['filter', '-comp xz', '-comp xz -Xbcj x86'],
    ['packing of its tables', '-comp zstd -noI -noF', '-comp zstd'],
    ['fragments', '-comp zstd -no-fragments', '-comp zstd'],
  ])('of another %s becomes the new one', async (_, options, nextOptions) => {
    const [old, next] = await pairOf(before, after, options, nextOptions)
    expect(await provenPatch(old, next)).toBeDefined()
  })

  test('of machine code with the filter for it has few bytes that are brought along', async () => {
    const code = await readFile(process.execPath)
    const [from, to] = [12 * 1024 * 1024, 14 * 1024 * 1024]
    const old = code.subarray(from, to)
    const next = Buffer.concat([old.subarray(0, 700_000), Buffer.from(words(64, 3)), old.subarray(700_000)])
    for (const options of ['-comp xz', '-comp xz -Xbcj x86']) {
      const [one, other] = await pairOf({ code: file(old) }, { code: file(next) }, options)
      const patch = await provenPatch(one, other)
      expect(patch?.length).toBeLessThan(6000)
      expect((await readFile(other)).length).toBeGreaterThan(400_000)
    }
  })

  test('of equal images is a copy', async () => {
    const [old, next] = await pairOf(before, before, '-comp zstd')
    const patch = await provenPatch(old, next)
    expect(patch?.length).toBeLessThan(800)
  })

  test('makes what is wanted of it, and no more', async () => {
    const [old, next] = await pairOf(before, after, '-comp zstd -b 16K')
    const { bytes = new Uint8Array(0) } = await patchOf(old, next)
    const wanted = [
      [10, 20],
      [30_000, 70_001],
    ] as const
    const [made, right] = [await applied(old, bytes, wanted), await readFile(next)]
    for (const [from, to] of wanted) expect(Buffer.compare(made.subarray(from, to), right.subarray(from, to))).toBe(0)
    expect(made.subarray(70_001).every((byte) => byte === 0xee)).toBe(true)
    expect(made.subarray(20, 30_000).every((byte) => byte === 0xee)).toBe(true)
  })

  test('whose piece holds the ends of many large files is made within the limits', async () => {
    // each block of ends is like forty files that are taken whole
    const many = (change: (text: string) => string): Tree =>
      Object.fromEntries(
        Array.from({ length: 40 }, (_, at) => [
          `file ${String.fromCharCode(97 + (at % 26), 97 + at)}`,
          file(change(words(403_000, at + 1))),
        ]),
      )
    const [old, next] = await pairOf(
      many((text) => text),
      many((text) => `${text.slice(0, -50)}${text.slice(-50).toUpperCase()}`),
      '-comp zstd -Xcompression-level 1 -b 8K -always-use-fragments',
    )
    expect(await provenPatch(old, next)).toBeDefined()
  }, 180_000)

  test('has a file of a single byte in it', async () => {
    const [old, next] = await pairOf({ one: file('a'), two: file(program) }, { one: file('b'), two: file(program) }, '-comp zstd -b 4K')
    expect(await provenPatch(old, next)).toBeDefined()
  })

  test.each([
    ['no squashfs', () => Buffer.from(program)],
    ['empty', () => Buffer.alloc(0)],
    ['cut', (image: Buffer) => image.subarray(0, image.length - 6000)],
    [
      'damaged in its tables',
      (image: Buffer) => Buffer.from(image).fill(0xff, Number(image.readBigUInt64LE(64)), Number(image.readBigUInt64LE(64)) + 40),
    ],
    ['damaged in its data', (image: Buffer) => Buffer.from(image).fill(0xff, 5000, 5040)],
  ])('of which one is %s is none, or right', async (_, change) => {
    const [old, next] = await pairOf(before, after, '-comp zstd -b 16K -nopad')
    const bent = `${next}.bent`
    await writeFile(bent, change(await readFile(next)))
    await provenPatch(old, bent)
    await provenPatch(bent, next)
  })

  test.each([
    ['of 1 MB it is made', 1_000_000, undefined],
    ['of 2 MB it is not, for its streams are too large', 2_000_000, /^the patch: streams of \d+ bytes$/],
    ['of 20 MB it is not, for too much is encoded', 20_000_000, /^the patch: more to encode than a patch may have$/],
  ])('to one that packs to nothing: %s', async (_, length, why) => {
    // one letter packs to nothing, and a reader allows little for a blob that small
    const large = file(new Uint8Array(length).fill(97))
    const options = '-comp zstd -Xcompression-level 1 -no-sparse'
    const [old, next] = await pairOf({ small: file('x') }, { small: file('y'), large }, options)
    if (why === undefined) expect(await provenPatch(old, next)).toBeDefined()
    else expect(await patchOf(old, next)).toEqual({ bytes: undefined, why: expect.stringMatching(why) })
  })
})

/** A tree that a seed decides, and what became of it. */
function randomPair(random: Random): { readonly trees: readonly [Tree, Tree]; readonly options: string } {
  const isXz = random.once(4)
  const options = [
    `-comp ${isXz ? 'xz' : 'zstd'} -b ${random.pick(['4K', '8K', '16K', '32K', '64K', '128K', '256K', '1M'])}`,
    ...[
      '-no-fragments',
      '-always-use-fragments',
      '-no-duplicates',
      '-no-sparse',
      '-no-exports',
      '-no-xattrs',
      '-nopad',
      '-noI',
      '-noD',
      '-noF',
      '-noX',
      '-noId',
    ].filter(() => random.once(5)),
    !random.once(2) ? '' : isXz ? '-Xbcj x86' : `-Xcompression-level ${random.pick([1, 2, 3, 13, 15, 19])}`,
  ].join(' ')
  const content = (): Uint8Array => {
    const length = random.pick([0, 1, 5, 100, 4096, 8192, random.below(3000), random.below(20_000), random.below(150_000)])
    const seed = random.below(1000)
    return random.once(4) ? madeUp(length, seed) : random.once(6) ? new Uint8Array(length) : Buffer.from(words(length, seed))
  }
  const names = Array.from(
    { length: 1 + random.below(40) },
    (_, at) => `${random.pick(['', 'bin/', 'lib/6.1.0-1-amd64/', 'a/b/c/'])}${at}.${random.below(3)}`,
  )
  const node = (tree: Tree): Node => {
    const files = Object.keys(tree).filter((name) => tree[name]?.is === 'file')
    const kind = random.below(12)
    if (kind === 0) return { is: 'link', to: 'bin/x' }
    if (kind === 1) return { is: 'sparse', size: 10_000 + random.below(300_000), end: 'end' }
    if (kind === 2 && files.length > 0) return { is: 'same', as: random.pick(files) as string }
    if (kind === 3 && files.length > 0) return tree[random.pick(files) as string] as Node
    if (kind === 4) return { is: 'file', bytes: content(), xattr: `${random.below(3)}` }
    return file(content())
  }
  const old: Record<string, Node> = {}
  for (const name of names) old[name] = node(old)
  const next: Record<string, Node> = {}
  for (const [name, was] of Object.entries(old)) {
    const fate = random.below(10)
    // what a hard link leads to stays
    const isTarget = Object.values(old).some((one) => one.is === 'same' && one.as === name)
    if (isTarget || fate < 5) next[name] = was
    else if (fate === 5 && !name.includes('lib/')) continue
    else if (fate === 6) next[name.replace('6.1.0-1', '6.1.0-2')] = was
    else if (was.is !== 'file') next[name] = node(next)
    else {
      const bytes = Buffer.from(was.bytes)
      for (let edits = random.below(20); edits > 0 && bytes.length > 0; edits--)
        bytes.writeUInt8(random.below(256), random.below(bytes.length))
      const at = random.below(bytes.length + 1)
      next[name] = file(random.once(3) ? Buffer.concat([bytes.subarray(0, at), madeUp(random.below(5000), 3), bytes.subarray(at)]) : bytes)
    }
  }
  for (let more = random.below(4); more > 0; more--) next[`new ${more}`] = node(next)
  return { trees: [old, next], options }
}

describe('a patch of random images', () => {
  test.each(Array.from({ length: pairs }, (_, number) => firstSeed + number))(
    'of seed %i becomes the new one',
    async (seed) => {
      const { trees, options } = randomPair(new Random(seed))
      const [old, next] = await pairOf(...trees, options)
      const { bytes, ...rest } = await patchOf(old, next)
      if (bytes === undefined) throw new Error(`no patch with ${options}: ${JSON.stringify(rest)}`)
      expect(Buffer.compare(await applied(old, bytes), await readFile(next))).toBe(0)
      await rm(old)
      await rm(next)
    },
    120_000,
  )
})
