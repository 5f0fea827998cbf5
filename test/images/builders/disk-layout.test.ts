// Where partitions lie and what they are called, for any sizes; and the worked example of spec/disk.md.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isPsyblobError } from '../../../core/mod.ts'
import { type LayoutOptions, layOutDisk, mebibyte } from '../../../images/builders/disk-layout.ts'

const plain: LayoutOptions = {
  content: { release: 100 * mebibyte, efi: mebibyte, secret: 0 },
  slotSize: undefined,
  size: undefined,
  dataSize: 64 * mebibyte,
  seed: 'seed\n',
}
const bytes = fc.integer({ min: 0, max: 4 * 1024 * mebibyte })
const mebibytes = (max: number) =>
  fc.option(
    fc.integer({ min: 1, max }).map((count) => count * mebibyte),
    { nil: undefined },
  )

describe('the layout of a disk', () => {
  test('leaves no gap and no overlap, holds everything, and ends before the table’s copy, for any sizes', () => {
    fc.assert(
      fc.property(
        fc.record({
          content: fc.record({
            release: bytes,
            efi: fc.integer({ min: 0, max: 200 * mebibyte }),
            secret: fc.integer({ min: 0, max: 100 * mebibyte }),
          }),
          slotSize: mebibytes(9000),
          size: mebibytes(30_000),
          dataSize: fc.integer({ min: 0, max: 1000 }).map((count) => count * mebibyte),
          seed: fc.constant('x'),
        }),
        (options) => {
          try {
            const { size, partitions } = layOutDisk(options)
            let at = mebibyte
            for (const partition of partitions) {
              expect(partition.offset).toBe(at)
              expect(partition.size % mebibyte).toBe(0)
              at += partition.size
            }
            expect(size).toBeGreaterThanOrEqual(at + mebibyte)
            const [efi, secret, a, b] = partitions.map((partition) => partition.size)
            expect(efi).toBeGreaterThan(2 * options.content.efi)
            expect(secret).toBeGreaterThan(options.content.secret)
            expect(a).toBeGreaterThan(options.content.release)
            expect(a).toBe(b)
            expect(partitions).toHaveLength(options.dataSize === 0 ? 4 : 5)
          } catch (error) {
            if (!isPsyblobError(error, 'usage')) throw error
          }
        },
      ),
    )
  })

  test('says which size would do, and it does', () => {
    for (const options of [{ size: 200 * mebibyte }, { size: 700 * mebibyte, slotSize: 400 * mebibyte }, { slotSize: 20 * mebibyte }]) {
      const told = (() => {
        try {
          layOutDisk({ ...plain, ...options })
        } catch (error) {
          return isPsyblobError(error, 'usage') ? (error.hint ?? '') : ''
        }
        return ''
      })()
      const [, option, size] = /give --(size|slot-size) at least (\d+) MiB/.exec(told) ?? []
      const better = { ...options, [option === 'size' ? 'size' : 'slotSize']: Number(size) * mebibyte }
      expect(layOutDisk({ ...plain, ...better }).partitions).toHaveLength(5)
    }
  })

  test('without a seed has identifiers that nobody had before', () => {
    const ids = ({ guid, partitions }: ReturnType<typeof layOutDisk>) => [guid, ...partitions.flatMap((one) => [one.guid, one.uuid])]
    const all = [1, 2].flatMap(() => ids(layOutDisk({ ...plain, seed: undefined })))
    expect(new Set(all).size).toBe(22)
    expect(ids(layOutDisk(plain))).toEqual(ids(layOutDisk(plain)))
  })

  test('has the identifiers of the worked example', () => {
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
    const { guid, partitions } = layOutDisk({ ...plain, seed: `psyblob disk/1\n${sha256('os\n')}\n${sha256('efisys\n')}\na\n\n` })
    const a = partitions.find(({ name }) => name === 'psyopsOS-A')
    const lines = [`disk                     ${guid}`, `partition psyopsOS-A     ${a?.guid}`, `file system psyopsOS-A   ${a?.uuid}`]
    expect(readFileSync(join(import.meta.dirname, '../../../spec/disk.md'), 'utf8')).toContain(`\`\`\`\n${lines.join('\n')}\n\`\`\`\n`)
  })
})
