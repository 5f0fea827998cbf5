// Which modules a kernel has, and in which order they are loaded.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadOrder, moduleBytes, openModules } from '../../../images/builders/modules.ts'
import { compress } from '../../../images/builders/zstd.ts'
import { openRun } from '../../../images/run.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-modules-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function write(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  writeFileSync(join(dir, path), content)
  return join(dir, path)
}

const dep = `kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko
kernel/fs/jbd2/jbd2.ko:
kernel/fs/mbcache.ko:
kernel/drivers/usb-storage.ko.xz: kernel/drivers/usbcore.ko.xz kernel/drivers/scsi_mod.ko.xz kernel/drivers/scsi_common.ko.xz
kernel/drivers/usbcore.ko.xz:
kernel/drivers/scsi_mod.ko.xz: kernel/drivers/scsi_common.ko.xz
kernel/drivers/scsi_common.ko.xz:
kernel/crypto/crc32c_generic.ko:
kernel/crypto/crc32c-intel.ko:
kernel/one.ko: kernel/two.ko
kernel/two.ko:
`

async function tree(version = '6.1.0-1-amd64', place = 'lib/modules') {
  const at = `${place}/${version}`
  write(`${at}/kernel/fs/ext4/ext4.ko`, '')
  write(`${at}/modules.dep`, dep)
  write(`${at}/modules.builtin`, 'kernel/drivers/virtio/virtio_pci.ko\nkernel/net/9p/9pnet-virtio.ko\n')
  write(`${at}/modules.softdep`, '# of modprobe\nsoftdep ext4 pre: crc32c post: one\nsoftdep two post: one\n')
  write(
    `${at}/modules.alias`,
    '# of depmod\nalias pci:v00001AF4d*sv* one\nalias crc32c crc32c_intel\nalias crc32c crc32c_generic\nalias crypto-crc32c crc32c_generic\n',
  )
  return openModules(dir)
}

const order = async (usual: readonly string[], named: readonly string[] = []) => loadOrder(await tree(), { usual, named })

describe('the order that modules are loaded in', () => {
  test('has what a module needs before it, each once, and what should come before and after it', async () => {
    expect(await order(['ext4', 'mbcache'])).toEqual([
      'kernel/crypto/crc32c-intel.ko',
      'kernel/crypto/crc32c_generic.ko',
      'kernel/fs/mbcache.ko',
      'kernel/fs/jbd2/jbd2.ko',
      'kernel/fs/ext4/ext4.ko',
      'kernel/two.ko',
      'kernel/one.ko',
    ])
  })

  test('knows a module by - and by _, packed or not', async () => {
    const expected = ['scsi_common', 'scsi_mod', 'usbcore', 'usb-storage'].map((name) => `kernel/drivers/${name}.ko.xz`)
    expect(await order(['usb_storage'])).toEqual(expected)
    expect(await order([], ['usb-storage'])).toEqual(expected)
  })

  test('leaves out what is built in, and of the usual ones what is not there', async () => {
    expect(await order(['virtio-pci', 'nvme'], ['virtio_pci', '9pnet_virtio'])).toEqual([])
  })

  test('takes names that are no files', async () => {
    expect(await order([], ['crypto-crc32c'])).toEqual(['kernel/crypto/crc32c_generic.ko'])
  })

  test('is an error for a named one that the kernel does not have, with those that look like it', async () => {
    await expect(order([], ['usb-storag'])).rejects.toMatchObject({
      code: 'not-found',
      message: 'kernel 6.1.0-1-amd64 has no module usb-storag',
      hint: 'it has: usb_storage',
    })
    await expect(order([], ['zfs'])).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('modules.dep') })
  })
})

describe('the folder with modules', () => {
  test.each(['lib/modules', 'usr/lib/modules', 'modules/lib/modules', 'modules'])('is found in %s', async (place) => {
    expect(await tree('6.6.1-0-virt', place)).toMatchObject({ version: '6.6.1-0-virt', dir: join(dir, place, '6.6.1-0-virt') })
  })

  test('may be named itself', async () => {
    await tree()
    expect(await openModules(join(dir, 'lib/modules/6.1.0-1-amd64'))).toMatchObject({ version: '6.1.0-1-amd64' })
  })

  test('of two kernels, of none, or without modules.dep is an error', async () => {
    await expect(openModules(dir)).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('build kernel') })
    write('lib/modules/6.2/kernel/a.ko', '')
    await expect(openModules(dir)).rejects.toMatchObject({ code: 'not-found', hint: expect.stringContaining('depmod') })
    write('lib/modules/6.3/kernel/a.ko', '')
    await expect(openModules(dir)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('6.2, 6.3') })
  })
})

describe('a module', () => {
  const run = openRun(() => undefined)
  const bytes = Buffer.from('\x7fELF module')

  test('is unpacked, whatever it was packed with', async () => {
    const xz = await run(['xz', '--compress', '--check=crc32', '--stdout'], { input: bytes })
    for (const [name, packed] of [
      ['a.ko', bytes],
      ['a.ko.gz', gzipSync(bytes)],
      ['a.ko.zst', await compress(bytes)],
      ['a.ko.xz', xz.stdout],
    ] as const)
      expect(Buffer.from(await moduleBytes(write(name, packed), run)).equals(bytes), name).toBe(true)
  })

  test('that is damaged is told as such', async () => {
    for (const name of ['a.ko.gz', 'a.ko.zst'])
      await expect(moduleBytes(write(name, 'nonsense'), run)).rejects.toMatchObject({
        code: 'corrupt',
        message: expect.stringContaining(name),
        hint: expect.stringContaining('again'),
      })
  })
})
