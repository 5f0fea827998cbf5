// Partition tables as sgdisk writes them, and as they must not be believed.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Partition, readPartitions } from '../../images/gpt.ts'

let dir: string
let image: string
let made: Buffer
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-gpt-'))
  image = join(dir, 'disk.img')
  writeFileSync(image, '')
  truncateSync(image, 16 * 1024 ** 2)
  execFileSync('/usr/sbin/sgdisk', ['--clear', '--new=1:1M:+4M', '--typecode=1:ef00', '--change-name=1:PSYOPSOSEFI', image], {
    stdio: 'ignore',
  })
  execFileSync('/usr/sbin/sgdisk', ['--new=3:0:+2M', '--change-name=3:Zwölf Äpfel 🍎', image], { stdio: 'ignore' })
  made = readFileSync(image)
})
beforeEach(() => writeFileSync(image, made))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

async function partitions(path = image): Promise<readonly Partition[]> {
  const file = await open(path, 'r')
  try {
    return await readPartitions(file, path)
  } finally {
    await file.close()
  }
}

function change(edit: (bytes: Buffer) => void): void {
  const bytes = Buffer.from(made)
  edit(bytes)
  writeFileSync(image, bytes)
}

describe('a partition table', () => {
  test('gives the used partitions with name, place and type', async () => {
    expect(await partitions()).toEqual([
      { number: 1, name: 'PSYOPSOSEFI', offset: 1024 ** 2, size: 4 * 1024 ** 2, type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b' },
      { number: 3, name: 'Zwölf Äpfel 🍎', offset: 5 * 1024 ** 2, size: 2 * 1024 ** 2, type: '0fc63daf-8483-4772-8e79-3d69d8477de4' },
    ])
  })

  test.each([
    ['a changed header', (bytes: Buffer) => bytes.writeUInt8((bytes[512 + 40] ?? 0) ^ 1, 512 + 40)],
    ['a changed entry', (bytes: Buffer) => bytes.writeUInt8((bytes[1024 + 56] ?? 0) ^ 1, 1024 + 56)],
    ['a wrong signature', (bytes: Buffer) => bytes.write('EFI PARS', 512, 'latin1')],
    ['nothing at all', (bytes: Buffer) => bytes.fill(0)],
  ])('with %s is refused with a hint', async (_, edit) => {
    change(edit)
    await expect(partitions()).rejects.toMatchObject({ code: 'unsupported', hint: expect.stringContaining('PSYOPSOSEFI') })
  })

  test.each([
    ['ends before it begins', 40, 5n],
    ['begins beyond any disk', 32, 1n << 62n],
    ['ends beyond any disk', 40, (1n << 63n) - 1n],
  ] as const)('whose checksums hold but in which a partition %s is refused', async (_, at, value) => {
    change((bytes) => {
      bytes.writeBigUInt64LE(value, 1024 + at)
      bytes.writeUInt32LE(crc32(bytes.subarray(1024, 1024 + 128 * 128)), 512 + 88)
      bytes.writeUInt32LE(0, 512 + 16)
      bytes.writeUInt32LE(crc32(bytes.subarray(512, 512 + 92)), 512 + 16)
    })
    await expect(partitions()).rejects.toMatchObject({ code: 'unsupported' })
  })

  test('that is cut off at any place is refused', async () => {
    for (const length of [0, 1, 511, 512, 600, 1023, 1024, 1500, 17407]) {
      writeFileSync(image, made.subarray(0, length))
      await expect(partitions(), `${length} bytes`).rejects.toMatchObject({ code: 'unsupported' })
    }
  })
})
