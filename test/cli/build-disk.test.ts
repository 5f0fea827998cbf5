// psyblob build disk, as typed: what is on the image by the tools of others, the same bytes twice, and psyblob at work on what it made.
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { noise, World } from './world.ts'

const from = '--remote repo --key os.pub'
const mebibyte = 1024 * 1024
type Partition = { readonly name: string; readonly offset: number; readonly size: number; readonly guid: string; readonly uuid: string }

/** A world with releases of os and efisys. */
async function publisher(): Promise<World> {
  const world = await new World().withRelease()
  world.write('r1/initramfs', noise('initramfs', 70_000))
  await world.must('publish os r1 --remote repo --key os.key --version one')
  world.write('efi/EFI/BOOT/BOOTX64.EFI', noise('loader', 700_000))
  world.write('efi/EFI/tools/memtest.efi', noise('memtest', 300_000))
  world.write('efi/psyblob/loader', '0123456789abcdef\n')
  await world.must('publish efisys efi --remote repo --key os.key --version one')
  return world
}

const onDisk = (world: World, partition: Partition) => `${world.path('disk.img')}?offset=${partition.offset}`

/** What debugfs says. */
const inside = (world: World, partition: Partition, command: string) => world.run('debugfs', ['-R', command, onDisk(world, partition)])

/** The bytes of a file on an ext4 partition. */
function dumped(world: World, partition: Partition, path: string): Buffer {
  inside(world, partition, `dump ${path} ${world.path('dumped')}`)
  return world.read('dumped')
}

/** The bytes of a file on the EFI partition. */
function onEfi(world: World, { offset }: Partition, path: string): Buffer {
  world.run('mcopy', ['-n', '-o', '-i', `disk.img@@${offset}`, `::/${path}`, 'from-efi'])
  return world.read('from-efi')
}

/** One partition as a file of its own. */
function cutOut(world: World, { offset, size }: Partition): string {
  const words = ['if=disk.img', 'of=cut.img', 'bs=1M', `skip=${offset / mebibyte}`, `count=${size / mebibyte}`]
  world.run('dd', [...words, 'conv=sparse', 'status=none'])
  return 'cut.img'
}

const rest = (world: World) => readdirSync(world.dir).filter((name) => name.startsWith('.'))

describe('a disk image', () => {
  let world: World
  let partitions: readonly Partition[]
  const partition = (name: string) => partitions.find((one) => one.name === name) as Partition
  // biome-ignore lint/suspicious/noExplicitAny: whatever the command prints
  let printed: any
  beforeAll(async () => {
    world = await publisher()
    printed = (await world.must(`build disk disk.img ${from} --json`)).json
    partitions = printed.partitions
  })
  afterAll(() => world.close())

  test('has five partitions, on whole mebibytes, as sgdisk and the file systems’ own checkers like them', () => {
    expect(partitions.map(({ name, size }) => [name, size / mebibyte])).toEqual([
      ['PSYOPSOSEFI', 64],
      ['psyops-secret', 16],
      ['psyopsOS-A', 64],
      ['psyopsOS-B', 64],
      ['psyblob-data', 64],
    ])
    expect(partitions.every(({ offset, size }) => offset % mebibyte === 0 && size % mebibyte === 0)).toBe(true)
    expect(world.run('sgdisk', ['-v', 'disk.img'])).toContain('No problems found')
    expect(world.run('sgdisk', ['-i', '1', 'disk.img'])).toMatch(/EFI system partition[\s\S]*Partition name: 'PSYOPSOSEFI'/)
    expect(world.run('sgdisk', ['-i', '3', 'disk.img']).toLowerCase()).toContain(partition('psyopsOS-A').guid)
    for (const one of partitions) {
      const cut = cutOut(world, one)
      if (one.name === 'PSYOPSOSEFI') world.run('fsck.vfat', ['-n', cut])
      else world.run('e2fsck', ['-fn', cut])
      const tags = world.run('blkid', ['-p', '-o', 'export', cut])
      expect(tags).toContain(`LABEL=${one.name}\n`)
      expect(tags.toLowerCase().replaceAll('-', '')).toContain(
        `uuid=${one.uuid.replaceAll('-', '').slice(0, one.name === 'PSYOPSOSEFI' ? 8 : 32)}\n`,
      )
    }
    expect(statSync(world.path('disk.img')).blocks * 512).toBeLessThan(60 * mebibyte)
  })

  test('has the release in slot a, every byte and the manifest as signed, owned by root, without a time', () => {
    const slot = partition('psyopsOS-A')
    for (const name of ['kernel', 'initramfs', 'squashfs', 'dtbs/board.dtb'])
      expect(dumped(world, slot, name).equals(world.read(`r1/${name}`))).toBe(true)
    expect(dumped(world, slot, 'manifest').equals(world.read('repo/manifests/os/2'))).toBe(true)
    expect(dumped(world, slot, 'manifest.minisig').equals(world.read('repo/manifests/os/2.minisig'))).toBe(true)
    expect(inside(world, slot, 'ls -l /')).toMatch(/100644 \(1\) +0 +0 +300000 +1-Jan-1970 00:00 kernel\n/)
    expect(inside(world, slot, 'stat dtbs')).toMatch(/Mode: +0755[\s\S]*ctime: 0x00000000[\s\S]*crtime: 0x00000000/)
    expect(inside(world, partition('psyopsOS-B'), 'ls -l /').trim().split('\n')).toHaveLength(3)
  })

  test('has features that GRUB 2.06 reads, whatever mke2fs.conf says', () => {
    expect(world.run('dumpe2fs', ['-h', cutOut(world, partition('psyopsOS-A'))])).toMatch(
      /^Filesystem features: +has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum$/m,
    )
  })

  test('has the boot loader and its manifest on the EFI partition, and the boot state of a machine that starts with a', () => {
    const efi = partition('PSYOPSOSEFI')
    expect(onEfi(world, efi, 'EFI/BOOT/BOOTX64.EFI').equals(world.read('efi/EFI/BOOT/BOOTX64.EFI'))).toBe(true)
    expect(onEfi(world, efi, 'psyblob/manifest').equals(world.read('repo/manifests/efisys/1'))).toBe(true)
    expect(onEfi(world, efi, 'psyblob/manifest.minisig').equals(world.read('repo/manifests/efisys/1.minisig'))).toBe(true)
    const variables = (name: string) => {
      expect(onEfi(world, efi, name)).toHaveLength(1024)
      return world.run('grub-editenv', ['from-efi', 'list'])
    }
    expect(variables('state1/select')).toBe('seq=1000000001\norder=ab\ngood=\ncommit=1000000001\n')
    expect(variables('state2/select')).toBe('seq=1000000001\norder=ab\ngood=\ncommit=1000000001\n')
    expect(variables('tries')).toBe('tries_for=0000000000\ntries=0\n')
    expect(variables('loader')).toBe('trial=0000000000\nid=\ncommit=0000000000\n')
    expect(variables('trial')).toBe('trial_for=0000000000\n')
    // state files are written in place, sector by sector: each lies in one run of clusters
    for (const name of ['state1/select', 'state2/select', 'tries', 'loader', 'trial'])
      expect(world.run('mshowfat', ['-i', `disk.img@@${efi.offset}`, `::/${name}`])).toMatch(/<\d+-\d+>\s*$/)
  })

  test('is the same bytes in another folder, at another time, by another umask, locale and mke2fs.conf', async () => {
    await sleep(1100)
    mkdirSync(world.path('elsewhere'))
    world.write('mke2fs.conf', '[defaults]\nbase_features = sparse_super,orphan_file,metadata_csum_seed\nreserved_ratio = 9\n')
    const before = process.umask(0o077)
    try {
      const env = { TZ: 'Asia/Tokyo', LANG: 'de_DE.UTF-8', MKE2FS_CONFIG: world.path('mke2fs.conf'), MTOOLS_LOWER_CASE: '1' }
      await world.must(`build disk elsewhere/other.img ${from}`, { env })
    } finally {
      process.umask(before)
    }
    world.run('cmp', ['disk.img', 'elsewhere/other.img'])
    expect(readdirSync(world.path('elsewhere'))).toEqual(['other.img'])
    world.remove('elsewhere')
  })

  test('has other identifiers with a seed of its own, and random ones when asked', async () => {
    const identifiers = async (options: string) => {
      const { guid, partitions: all } = (await world.must(`build disk other.img ${from} --json ${options}`)).json
      return [guid, ...all.flatMap((one: Partition) => [one.guid, one.uuid])]
    }
    const own = [printed.guid, ...partitions.flatMap(({ guid, uuid }) => [guid, uuid])]
    const seeded = await identifiers('--seed node1')
    const [one, two] = [await identifiers('--unique'), await identifiers('--unique')]
    expect(await identifiers('--seed node1 --slots a')).toEqual(seeded)
    expect(new Set([...own, ...seeded, ...one, ...two]).size).toBe(4 * 11)
    expect(own.every((id) => /^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(id))).toBe(true)
  })

  test('holds secrets of a folder or a tar file, for root only, and is for its owner only then', async () => {
    world.write('secret/nodename', 'node1\n')
    world.write('secret/nebula/host.key', 'key')
    // as in a copy of a mounted one
    mkdirSync(world.path('secret/lost+found'))
    world.run('chmod', ['-R', 'go=,u=rwX', 'secret'])
    world.run('tar', ['-cJf', './node1:2026.tar.xz', '--owner=1000', '-C', 'secret', '.'])
    const before = process.umask(0)
    try {
      for (const option of ['--secret secret', '--secret-tarball node1:2026.tar.xz']) {
        world.remove('disk-s.img')
        const { json } = await world.must(`build disk disk-s.img ${from} --json ${option}`)
        const place = `${world.path('disk-s.img')}?offset=${json.partitions[1].offset}`
        expect(world.run('debugfs', ['-R', 'ls -l /', place])).toMatch(
          / 40700 \(2\) +0 +0 .* \.\n[\s\S]* 100600 \(1\) +0 +0 +6 .* nodename\n/,
        )
        expect(world.run('debugfs', ['-R', 'cat /nebula/host.key', place])).toBe('key')
        expect(statSync(world.path('disk-s.img')).mode & 0o777).toBe(0o600)
      }
    } finally {
      process.umask(before)
    }
    expect(rest(world)).toEqual([])
    expect(await world.psyblob(`build disk disk-s.img ${from} --secret none`)).toMatchObject({ code: 10 })
    expect(await world.psyblob(`build disk disk-s.img ${from} --secret-tarball secret`)).toMatchObject({ code: 2 })
    expect(await world.psyblob(`build disk disk-s.img ${from} --secret secret --secret-tarball node1:2026.tar.xz`)).toMatchObject({
      code: 2,
    })
    world.write('secret/lost+found/key', 'key')
    expect(await world.psyblob(`build disk disk-s.img ${from} --secret secret`)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('secret/lost+found would be left out'),
    })
    expect(rest(world)).toEqual([])
  })

  test('is the same whether the files it was made of had zeros or holes', async () => {
    world.write('r1/zeros', Buffer.alloc(3_000_000))
    await world.must('publish os r1 --remote repo --key os.key --channel zeros')
    await world.must('publish efisys efi --remote repo --key os.key --channel zeros')
    await world.must(`download os solid ${from} --channel zeros`)
    world.run('cp', ['-r', '--sparse=always', 'solid', 'sparse'])
    await world.must('download efisys solid --remote repo --key os.pub --channel zeros')
    await world.must('download efisys sparse --remote repo --key os.pub --channel zeros')
    await world.must('build disk solid.img --path solid --key os.pub --channel zeros')
    await world.must('build disk sparse.img --path sparse --key os.pub --channel zeros')
    world.run('cmp', ['solid.img', 'sparse.img'])
    for (const name of ['solid.img', 'sparse.img', 'solid', 'sparse', 'r1/zeros']) world.remove(name)
  })
})

describe('psyblob on a disk image it made', () => {
  let world: World
  beforeEach(async () => {
    world = await publisher()
  })
  afterEach(() => world.close())
  const disk = `${from} --disk disk.img`

  test('verifies it, knows what is where, and updates it slot by slot', async () => {
    await world.must(`build disk disk.img ${from}`)
    await world.must(`verify os efisys ${disk}`)
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: false, serial: 1 })
    expect((await world.must(`status os ${disk} --json`)).json).toMatchObject({
      slots: [{ serial: 2, next: true, good: false }, { state: 'empty' }],
      boot: { seq: 1_000_000_001, order: ['a', 'b'], tries: 0, copies: ['valid', 'valid'] },
    })
    await world.publish2()
    expect((await world.must(`sync os ${disk} --booted a --json`)).json).toMatchObject({ slot: 'b', serial: 3, activated: true })
    await world.must(`verify os ${disk}`)
    await world.must(`mark good b ${disk}`)
    world.write('efi/EFI/BOOT/BOOTX64.EFI', noise('another loader', 700_000))
    world.write('efi/psyblob/loader', 'fedcba9876543210\n')
    await world.must('publish efisys efi --remote repo --key os.key')
    expect((await world.must(`sync efisys ${disk} --json`)).json).toMatchObject({ changed: true, serial: 2, onTrial: true })
    expect((await world.must(`status os ${disk} --booted b --json`)).json).toMatchObject({
      slots: [{ serial: 2 }, { serial: 3, booted: true, good: true }],
    })
    const image = openSync(world.path('disk.img'), 'r')
    const magic = Buffer.alloc(2)
    readSync(image, magic, 0, 2, 510)
    closeSync(image)
    expect(magic.toString('hex')).toBe('55aa')
  })

  test('takes both slots, an older version, products by other names, and no partition for the store', async () => {
    await world.publish2()
    await world.must('publish loader efi --remote repo --key os.key')
    const { json } = await world.must(`build disk disk.img ${from} --slots both --version one --efisys loader --data-size 0 --json`)
    expect(json).toMatchObject({ os: { product: 'os', serial: 2, version: 'one' }, efisys: { product: 'loader', serial: 1 } })
    expect(json.partitions).toHaveLength(4)
    expect((await world.must(`status os ${disk} --json`)).json.slots).toMatchObject([{ serial: 2 }, { serial: 2 }])
    await world.must(`verify os ${disk}`)
  })

  test('asks a composition, too', async () => {
    const key = world.read('os.pub').toString().trim().split('\n').at(-1)
    const line = (name: string, target: string) =>
      `${JSON.stringify({ name, key, uris: [world.path('repo')], target: { kind: target } })}\n`
    world.write('composition', line('os', 'slots') + line('efisys', 'esp'))
    await world.must('build disk disk.img --composition composition')
    expect(await world.psyblob('build disk disk.img --composition composition --efisys none')).toMatchObject({
      code: 10,
      stderr: expect.stringMatching(/no product none in the composition\n {2}hint: it has: os, efisys/),
    })
  })
})

describe('a disk that cannot be made', () => {
  let world: World
  beforeAll(async () => {
    world = await publisher()
  })
  afterAll(() => world.close())
  const refused = async (options: string) => {
    const outcome = await world.psyblob(`build disk disk.img ${options}`)
    expect(existsSync(world.path('disk.img'))).toBe(false)
    expect(rest(world)).toEqual([])
    return outcome
  }

  test('for want of room is told how much is needed, and that is enough', async () => {
    const small = await refused(`${from} --size 150M`)
    expect(small).toMatchObject({ code: 2, stderr: expect.stringContaining('a disk of 150 MiB is too small: the release takes 4 MiB') })
    const [, least] = /give --size at least (\d+) MiB, better \d+ MiB/.exec(small.stderr) ?? []
    await refused(`${from} --size ${Number(least) - 1}M`)
    await world.must(`build disk fits.img ${from} --size ${least}M`)
    const slot = await refused(`${from} --slot-size 6M`)
    expect(slot.code).toBe(2)
    await world.must(`build disk fits.img ${from} --slot-size ${/at least (\d+) MiB/.exec(slot.stderr)?.[1]}M`)
    expect((await refused(`${from} --size 1000k`)).code).toBe(2)
    expect((await refused(`${from} --data-size 1M`)).code).toBe(2)
    world.remove('fits.img')
  })

  test('without a boot loader says which release is missing, and what makes one', async () => {
    expect(await refused(`${from} --efisys none`)).toMatchObject({
      code: 10,
      stderr: expect.stringMatching(/has no product none\n {2}hint: psyblob build efisys --out DIR makes one/),
    })
    expect(await refused(`${from} --efisys os`)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('os 2 has no EFI/BOOT/BOOTX64.EFI'),
    })
    world.write('taken/EFI/BOOT/BOOTX64.EFI', 'x')
    world.write('taken/tries', 'x')
    await world.must('publish taken taken --remote repo --key os.key')
    expect(await refused(`${from} --efisys taken`)).toMatchObject({
      code: 16,
      stderr: expect.stringContaining('taken 1: /tries belongs to the boot state'),
    })
  })

  test('of a release that was tampered with is refused as a node refuses it', async () => {
    world.copy('repo', 'evil')
    const blobs = world.path('evil/blobs')
    const [largest] = readdirSync(blobs, { recursive: true })
      .map((name) => join(blobs, String(name)))
      .filter((path) => statSync(path).isFile())
      .sort((one, two) => statSync(two).size - statSync(one).size)
    const bytes = readFileSync(largest ?? '')
    bytes[1000] = (bytes[1000] ?? 0) ^ 1
    world.write(`evil/${(largest ?? '').slice(world.path('evil').length + 1)}`, bytes)
    expect((await refused('--remote evil --key os.pub')).code).toBe(13)
    await world.must('key new other --no-password')
    expect((await refused('--remote repo --key other.pub')).code).toBe(12)
  })

  test('onto a device is refused with what to do instead; from nowhere, and in two ways at once, too', async () => {
    const device = world.run('losetup', ['--find']).trim()
    if (existsSync(device))
      expect(await world.psyblob(`build disk ${device} ${from}`)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/is a device: an image is a file\n {2}hint: name a file, then write it to the stick/),
      })
    expect(await refused('--key os.pub')).toMatchObject({ code: 2, stderr: expect.stringContaining('--remote') })
    expect((await refused(`${from} --path repo`)).code).toBe(2)
    expect((await refused(`${from} --unique --seed x`)).code).toBe(2)
  })

  test('without its programs names them and their packages', async () => {
    mkdirSync(world.path('nothing'), { recursive: true })
    const { code, stderr } = await world.psyblob(`build disk disk.img ${from} --secret-tarball x`, { env: { PATH: world.path('nothing') } })
    expect(code).toBe(16)
    expect(stderr).toMatch(/not installed: (.*, )?tar\n {2}hint: on Debian: apt-get install .*tar; on Alpine: apk add .*tar/)
  })

  test('because somebody interrupts leaves the image that was there', async () => {
    await world.must(`build disk kept.img ${from}`)
    world.run('cp', ['--sparse=always', 'kept.img', 'copy.img'])
    // from the moment it works on
    for (const milliseconds of [0, 200, 500]) {
      const { code } = await world.psyblob(`build disk kept.img ${from} --seed other`, {
        started: async (child) => {
          while (rest(world).length === 0 && child.exitCode === null) await sleep(5)
          setTimeout(() => child.kill('SIGTERM'), milliseconds)
        },
      })
      if (code === 0) break
      expect(code).toBe(130)
      world.run('cmp', ['kept.img', 'copy.img'])
      expect(rest(world)).toEqual([])
    }
  })
})
