// What the initramfs says, and the partitions of the disk that it names.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { partitionsOf, readBootRecord } from '../../images/boot-record.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-record-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

test('a record names disk and slot; without both of them, or without a record, nothing is known', async () => {
  const path = join(dir, 'boot')
  expect(await readBootRecord(path)).toBeUndefined()
  writeFileSync(path, 'disk=/dev/nvme0n1\nslot=/dev/nvme0n1p3\nlabel=psyopsOS-A\nloader=0a1b\n')
  expect(await readBootRecord(path)).toEqual({ disk: '/dev/nvme0n1', slot: '/dev/nvme0n1p3' })
  for (const text of ['', 'disk=/dev/vda\n', 'disk=/dev/vda\nslot=../vda3\n', 'disk=/dev/../etc\nslot=/dev/vda3\n']) {
    writeFileSync(path, text)
    expect(await readBootRecord(path), text).toBeUndefined()
  }
})

test('partitions come in the order of their numbers, with their names', async () => {
  const uevent = (name: string, text: string) => {
    mkdirSync(join(dir, 'vda', name), { recursive: true })
    writeFileSync(join(dir, 'vda', name, 'uevent'), text)
  }
  uevent('vda10', 'MAJOR=254\nDEVTYPE=partition\nPARTN=10\nPARTNAME=psyblob data\n')
  uevent('vda2', 'DEVTYPE=partition\nPARTN=2\n')
  uevent('queue', '')
  mkdirSync(join(dir, 'vda/power'))
  expect(await partitionsOf('/dev/vda', dir)).toEqual([
    expect.objectContaining({ device: '/dev/vda2', name: '' }),
    expect.objectContaining({ device: '/dev/vda10', name: 'psyblob data' }),
  ])
  expect(await partitionsOf('/dev/sda', dir)).toEqual([])
})
