// What an image of mksquashfs says of its files, held beside the folder that it was made of.
import { execFileSync } from 'node:child_process'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { link, open, symlink, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSquashfsFiles, type SquashfsFile } from '../../core/squashfs-files.ts'
import { squashfsCodec } from '../../store/squashfs-codecs.ts'
import { madeUp, temporaryFolder, writeBelow } from '../fixtures/repository.ts'

let dir: string
let remove: () => Promise<void>
const rawBit = 1 << 24

beforeAll(async () => {
  ;({ dir, remove } = await temporaryFolder())
  const names = Array.from({ length: 900 }, (_, file) => `tree/share/a-rather-long-name-of-a-file-${file}`)
  await writeBelow(dir, Object.fromEntries(names.map((name, file) => [name, `${file}`])))
  await writeBelow(dir, {
    'tree/empty': '',
    'tree/usr/bin/noise': madeUp(300_000, 5),
    'tree/usr/bin/text': 'a line of text\n'.repeat(40_000),
    'tree/usr/lib/ünïcode': 'x',
    'tree/a/b/c/d/e/f': 'deep\n',
  })
  await link(join(dir, 'tree/usr/bin/text'), join(dir, 'tree/usr/bin/zz-same'))
  await symlink('text', join(dir, 'tree/usr/bin/link'))
  const holes = await open(join(dir, 'tree/holes'), 'w')
  await holes.write('far out', 3_000_000)
  await holes.close()
  await truncate(join(dir, 'tree/holes'), 4_000_000)
})
afterAll(() => remove())

function imageOf(options: string): Buffer {
  const path = join(dir, `${options}.image`)
  const words = options.split(' ').filter((word) => word !== '')
  execFileSync('mksquashfs', [join(dir, 'tree'), path, '-comp', 'gzip', ...words, '-noappend', '-no-progress', '-quiet'], {
    stdio: 'ignore',
  })
  return readFileSync(path)
}

const read = (image: Uint8Array) =>
  readSquashfsFiles({ read: async (at, length) => image.subarray(at, at + length), codec: squashfsCodec }, image.length)

/** Files by path with their sizes, one name of each inode. */
function folderFiles(): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  const seen = new Set<number>()
  const visit = (path: string) => {
    for (const name of readdirSync(join(dir, 'tree', path)).sort()) {
      const state = lstatSync(join(dir, 'tree', path, name))
      if (state.isDirectory()) visit(`${path}/${name}`)
      else if (state.isFile() && !seen.has(state.ino)) {
        seen.add(state.ino)
        found.set(`${path}/${name}`, state.size)
      }
    }
  }
  visit('')
  return found
}

/** The bytes of its blocks; those of its end in a fragment are not among them. */
function bytesOf(image: Uint8Array, { start, fields, size }: SquashfsFile, blockSize: number): Buffer {
  let at = start
  const blocks = [...fields].map((field, block) => {
    const length = field & ~rawBit
    const stored = image.subarray(at, at + length)
    at += length
    if (field === 0) return Buffer.alloc(Math.min(blockSize, size - block * blockSize))
    return (field & rawBit) !== 0 ? stored : inflateSync(stored)
  })
  return Buffer.concat(blocks)
}

describe('the files of a squashfs image', () => {
  it.each([
    ['', 131_072],
    ['-no-fragments', 131_072],
    ['-b 4096', 4096],
    ['-b 1M -no-fragments -no-exports', 1_048_576],
    ['-noI -noD -noF', 131_072],
    ['-always-use-fragments -no-exports', 131_072],
  ])('made with mksquashfs %s are all there, with their sizes and blocks', async (options, blockSize) => {
    const image = imageOf(options)
    const files = (await read(image)) ?? []
    expect(new Map(files.map(({ path, size }) => [path, size]))).toEqual(folderFiles())
    for (const file of files) {
      const whole = readFileSync(join(dir, 'tree', file.path))
      const bytes = bytesOf(image, file, blockSize)
      expect([file.path, bytes.equals(whole.subarray(0, bytes.length))]).toEqual([file.path, true])
      if (file.fragment === undefined) expect(bytes.length).toBe(file.size)
      else expect(bytes.length).toBe(file.size - (file.size % blockSize))
    }
  })

  it('of an image that is damaged anywhere are answered, or are not: never anything else', async () => {
    const image = imageOf('-b 4096')
    for (let at = 0; at < image.length; at += at < 96 ? 1 : 1 + Math.floor(image.length / 400)) {
      const damaged = Uint8Array.from(image)
      damaged[at] = (damaged[at] as number) ^ 0x55
      const files = await read(damaged)
      expect(files === undefined || Array.isArray(files)).toBe(true)
    }
    expect(await read(image.subarray(0, image.length - 5000))).toBeUndefined()
    expect(await read(new Uint8Array(5000))).toBeUndefined()
  })
})
