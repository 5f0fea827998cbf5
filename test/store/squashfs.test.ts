// Squashfs images as mksquashfs makes them, damaged ones and made-up ones: where they are cut, and that they are cut whatever they hold.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { copyFile, link, mkdir, open, readFile, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chunks, cidOf, fastCdc, limits, parseChunkIndex, readSquashfs, type SquashfsLayout } from '../../core/mod.ts'
import { blake3 } from '../../store/blake3.ts'
import { fileBytes, ingest } from '../../store/ingest.ts'
import { squashfsCodec } from '../../store/squashfs-codecs.ts'
import { madeUp, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

let dir: string
let remove: () => Promise<void>

/** Text that packs well and differs in each file, with its tail in a fragment. */
const text = (length: number, seed: number) =>
  Buffer.from(madeUp(Math.ceil(length / 3), seed))
    .toString('hex')
    .replace(/[0-7]/g, 'word ')
    .slice(0, length)

beforeAll(async () => {
  ;({ dir, remove } = await temporaryFolder())
  const files = Object.fromEntries(Array.from({ length: 60 }, (_, file) => [`etc/conf.d/${file}`, text(500 + 97 * file, file + 1)]))
  const program = text(400_000, 77)
  await writeBelow(join(dir, 'tree'), { ...files, 'bin/program': program, 'bin/same': program, 'bin/noise': madeUp(200_000, 5), empty: '' })
  await link(join(dir, 'tree/bin/program'), join(dir, 'tree/bin/hard'))
  const holes = await open(join(dir, 'tree/holes'), 'w')
  await holes.write('far out', 3_000_000)
  await holes.close()
  await truncate(join(dir, 'tree/holes'), 4_000_000)
  // every other kind of inode, and a folder that is large enough for an index
  const names = Array.from({ length: 900 }, (_, file) => `share/a-rather-long-name-of-a-file-${file}`)
  await writeBelow(join(dir, 'tree'), Object.fromEntries(names.map((name, file) => [name, `${file}`])))
  await symlink('bin/program', join(dir, 'tree/link'))
  execFileSync('mkfifo', [join(dir, 'tree/fifo')])
  await mkdir(join(dir, 'nothing'))
})
afterAll(() => remove())

/** Path of an image of `tree` made with these options of mksquashfs. */
function imageOf(options: string, tree = 'tree'): string {
  const path = join(dir, `${tree} ${options}.image`)
  const fixed = ['-noappend', '-no-progress', '-quiet', '-all-root']
  execFileSync('mksquashfs', [join(dir, tree), path, ...options.split(' ').filter((word) => word !== ''), ...fixed], { stdio: 'ignore' })
  return path
}

function layoutOf(image: Uint8Array): Promise<SquashfsLayout | undefined> {
  return readSquashfs({ read: async (at, length) => image.subarray(at, at + length), codec: squashfsCodec }, image.length)
}

/** Where the chunks of the file end, after a look at everything that must hold whatever the file is. */
async function chunkEnds(path: string): Promise<readonly number[]> {
  const bytes = await readFile(path)
  const { cid, size, index } = await ingest(path, { chunked: true })
  expect(size).toBe(bytes.length)
  expect(cid).toBe(cidOf(blake3().digest(bytes)))
  const parsed = parseChunkIndex(index?.bytes ?? new Uint8Array(0), size, 'index')
  return Array.from({ length: parsed.count }, (_, chunk) => {
    const [from, length] = [parsed.offset(chunk), parsed.length(chunk)]
    expect(length).toBeLessThanOrEqual(limits.chunk)
    expect(blake3().digest(bytes.subarray(from, from + length))).toEqual(Buffer.from(parsed.digest(chunk)))
    return from + length
  })
}

async function plainEnds(path: string): Promise<readonly number[]> {
  const ends: number[] = []
  for await (const chunk of chunks(fileBytes(path), { cutter: fastCdc() })) ends.push((ends.at(-1) ?? 0) + chunk.length)
  return ends
}

describe('an image as mksquashfs makes it', () => {
  test.each([
    '-comp gzip',
    '-comp lzma',
    '-comp lzo',
    '-comp xz',
    '-comp xz -Xbcj x86',
    '-comp lz4',
    '-comp lz4 -Xhc',
    '-comp zstd',
    '-comp zstd -no-fragments',
    '-comp zstd -always-use-fragments',
    '-comp zstd -no-duplicates',
    '-comp zstd -no-sparse',
    '-comp zstd -no-exports',
    '-comp zstd -b 4K',
    '-comp zstd -b 1M',
    '-comp zstd -nopad',
    '-noI -noD -noF -noX -noId',
    '-comp gzip -noI',
    '-comp gzip -noD -noF',
  ])('made with %s is cut where its blocks end', async (options) => {
    const path = imageOf(options)
    const layout = await layoutOf(readFileSync(path))
    const blocks = layout?.ends ?? []
    expect(blocks.length).toBeGreaterThan(1)
    expect([...blocks].every((end, at) => at === 0 || end > (blocks[at - 1] as number))).toBe(true)
    // the tables begin where the last block ends
    expect(Number(readFileSync(path).readBigUInt64LE(64))).toBe(blocks.at(-1))
    const cuts = await chunkEnds(path)
    expect(cuts).toContain(layout?.start)
    expect(cuts).toContain(blocks.at(-1))
    // a block ends inside a chunk only among small ones
    const inside = [...blocks].filter((end) => !cuts.includes(end))
    expect(inside.every((end) => (cuts.find((cut) => cut > end) ?? 0) - end <= 24576)).toBe(true)
    expect(cuts).not.toEqual(await plainEnds(path))
  })

  test('has one compressed block between two ends', async () => {
    const path = imageOf('-comp gzip -b 16K')
    const image = readFileSync(path)
    const layout = await layoutOf(image)
    let from = layout?.start ?? 0
    let compressed = 0
    let raw = 0
    for (const end of layout?.ends ?? []) {
      const block = image.subarray(from, end)
      // a zlib header, or noise stored as it is
      if (block[0] === 0x78) {
        const { buffer, engine } = inflateSync(block, { info: true }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
        expect(engine.bytesWritten).toBe(block.length)
        expect(buffer.length).toBeLessThanOrEqual(16384)
        compressed++
      } else raw += block.length
      from = end
    }
    expect(compressed).toBeGreaterThan(25)
    expect(raw).toBe(200_000)
  })

  test('is known by its first bytes, not by its name', async () => {
    const path = imageOf('-comp zstd')
    await copyFile(path, join(dir, 'modloop'))
    expect(await chunkEnds(join(dir, 'modloop'))).toEqual(await chunkEnds(path))
  })

  test('without a single file is cut like any other file', async () => {
    expect(await layoutOf(readFileSync(imageOf('-comp zstd', 'nothing')))).toBeUndefined()
  })

  test('keeps most of its chunks when a file is put in before the others', async () => {
    const before = imageOf('-comp zstd -b 4K -no-fragments')
    await writeBelow(join(dir, 'tree'), { 'bin/a-new-one': text(30_000, 99) })
    const after = imageOf('-comp zstd  -b 4K -no-fragments')
    const chunksOf = async (path: string) => {
      const { size, index } = await ingest(path, { chunked: true })
      const parsed = parseChunkIndex(index?.bytes ?? new Uint8Array(0), size, 'index')
      return Array.from({ length: parsed.count }, (_, chunk) => Buffer.from(parsed.digest(chunk)).toString('hex'))
    }
    const had = new Set(await chunksOf(before))
    const fresh = (await chunksOf(after)).filter((digest) => !had.has(digest))
    // the new file's blocks, the superblock and the tables
    expect(fresh.length).toBeLessThan(25)
  })

  test('with a compressor that nobody here knows is cut like any other file', async () => {
    const image = readFileSync(imageOf('-comp zstd'))
    const path = join(dir, 'unknown')
    image.writeUInt16LE(9, 20)
    await writeFile(path, image)
    expect(await chunkEnds(path)).toEqual(await plainEnds(path))
    image.writeUInt16LE(6, 20)
    const nobody = { read: async (at: number, length: number) => image.subarray(at, at + length), codec: async () => undefined }
    expect(await readSquashfs(nobody, image.length)).toBeUndefined()
  })
})

describe('a damaged image', () => {
  test.each(['-comp gzip', '-comp xz', '-comp lzo', '-comp lz4', '-comp zstd', '-noI -noD -noF -noX -noId'])(
    'of %s is cut all the same, wherever the damage is',
    async (options) => {
      const image = readFileSync(imageOf(options))
      const tables = Number(image.readBigUInt64LE(64))
      const path = join(dir, 'damaged')
      const places = madeUp(4 * 50, options.length)
      let fallen = 0
      for (let turn = 0; turn < 50; turn++) {
        const damaged = Buffer.from(image)
        const where = Buffer.from(places).readUInt32LE(4 * turn)
        // the superblock, or the tables, or anywhere
        const at = turn % 3 === 0 ? where % 96 : turn % 3 === 1 ? tables + (where % (image.length - tables)) : where % image.length
        damaged.fill(madeUp(1 + (where % 7), turn), at, Math.min(image.length, at + 1 + (where % 7)))
        await writeFile(path, turn % 10 === 9 ? damaged.subarray(0, 70_000 + (where % (image.length - 70_000))) : damaged)
        expect((await chunkEnds(path)).at(-1)).toBeGreaterThanOrEqual(70_000)
        if ((await layoutOf(damaged)) === undefined) fallen++
      }
      expect(fallen).toBeGreaterThan(5)
      expect(fallen).toBeLessThan(50)
    },
  )
})

describe('a made-up image', () => {
  const blocksAFile = 2040

  /** Never in memory: `files` files of 2,040 blocks of 1,000 bytes, of 4 KiB each. One inode fills a metadata block. */
  function endless(files: number, first: (file: number) => number) {
    const inodeTable = 96 + files * blocksAFile * 1000
    const directoryTable = inodeTable + files * 8194
    let longest = 0
    const superblock = Buffer.alloc(96)
    superblock.write('hsqs')
    superblock.writeUInt32LE(files, 4)
    superblock.writeUInt32LE(4096, 12)
    superblock.writeUInt16LE(1, 20)
    superblock.writeUInt16LE(12, 22)
    superblock.writeUInt16LE(4, 28)
    for (const [at, value] of [
      [40, directoryTable],
      [64, inodeTable],
      [72, directoryTable],
    ] as const)
      superblock.writeBigUInt64LE(BigInt(value), at)
    const block = Buffer.alloc(8194)
    block.writeUInt16LE(0x8000 + 8192)
    block.writeUInt16LE(2, 2)
    block.writeUInt32LE(0xffffffff, 2 + 20)
    block.writeUInt32LE(blocksAFile * 4096, 2 + 28)
    for (let at = 0; at < blocksAFile; at++) block.writeUInt32LE(1000, 34 + 4 * at)
    const read = async (at: number, length: number): Promise<Uint8Array> => {
      longest = Math.max(longest, length)
      if (at < 96) return superblock.subarray(at, at + length)
      const bytes = Buffer.allocUnsafe(Math.min(length, directoryTable - at))
      for (let done = 0; done < bytes.length; ) {
        const from = at + done - inodeTable
        block.writeUInt32LE(first(Math.floor(from / 8194)), 2 + 16)
        done += block.copy(bytes, done, from % 8194)
      }
      return bytes
    }
    return { image: { read, codec: squashfsCodec }, size: directoryTable, longest: () => longest }
  }

  test('of 4 GB and four million blocks is read in little memory', async () => {
    const { image, size, longest } = endless(2000, (file) => 96 + file * blocksAFile * 1000)
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }, 1)
    const read = async (at: number, length: number) => {
      // lets the watch look
      if (at % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
      return image.read(at, length)
    }
    const layout = await readSquashfs({ ...image, read }, size)
    clearInterval(watch)
    expect(layout?.ends.length).toBe(2000 * blocksAFile)
    expect(layout?.ends.at(-1)).toBe(96 + 2000 * blocksAFile * 1000)
    expect(longest()).toBeLessThanOrEqual(64 * 1024)
    expect(most - before).toBeLessThan(80 * 1024 * 1024)
  })

  test('with more blocks than anybody wants to remember is cut like any other file', async () => {
    const { image, size } = endless(2100, (file) => 96 + file * blocksAFile * 1000)
    expect(await readSquashfs(image, size)).toBeUndefined()
  })

  test('of files that share their blocks needs memory for one of them', async () => {
    const { image, size } = endless(4000, () => 96)
    expect((await readSquashfs(image, size))?.ends.length).toBe(blocksAFile)
  })

  test('that the disk cannot read is an error, not another kind of file', async () => {
    const read = () => Promise.reject(new Error('EIO'))
    await expect(readSquashfs({ read, codec: squashfsCodec }, 1000)).rejects.toThrow('EIO')
  })
})
