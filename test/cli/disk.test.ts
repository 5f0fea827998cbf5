// A disk image with four partitions: real ext4 by loop device, real FAT by mtools, real tools of GRUB; and slots that are too small.
import { closeSync, mkdirSync, openSync, readFileSync, readSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { noise, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

const makeDisk = (slotMiB: number) =>
  world.run('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), 'disk.img', String(slotMiB)])
const disk = '--key os.pub --remote repo --disk disk.img'
const espOffset = 1024 * 1024
/** What is mounted of this world, or from a disk image in it, and which of its files have a loop device. Other tests mount beside this one. */
const mounted = () => {
  const loops = world
    .run('losetup', ['-l', '-n', '-O', 'NAME,BACK-FILE'])
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, file]) => file?.startsWith(`${world.dir}/`))
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(world.dir) || loops.some(([name]) => line.startsWith(`${name} `)))
  return [mounts, loops.map(([, file]) => file)]
}

function esp(): Buffer {
  const file = openSync(world.path('disk.img'), 'r')
  const bytes = Buffer.alloc(40 * 1024 * 1024)
  readSync(file, bytes, 0, bytes.length, espOffset)
  closeSync(file)
  return bytes
}

/** GRUB's own reading of a state file. */
function grubVariables(name: string): Record<string, string> {
  world.run('mcopy', ['-n', '-o', '-i', `disk.img@@${espOffset}`, `::/${name}`, 'block'])
  const lines = world.run('grub-editenv', ['block', 'list']).trim().split('\n')
  return Object.fromEntries(lines.map((line) => line.split('=') as [string, string]))
}

describe('a disk image', () => {
  test('is synced, flipped, verified, and put back as it was', async () => {
    makeDisk(24)
    expect((await world.must(`sync os ${disk} --json`)).json).toMatchObject({ slot: 'a', changed: true, activated: true })
    await world.publish2()
    expect((await world.must(`sync os ${disk} --booted a --json`)).json).toMatchObject({
      slot: 'b',
      changed: true,
      activated: true,
      previousSerial: 1,
    })
    await world.must(`verify ${disk}`)
    expect((await world.must(`sync os ${disk} --booted b --json`)).json).toMatchObject({ changed: false, requests: 1 })
    expect((await world.must(`status ${disk} --booted b --json`)).json).toMatchObject({
      booted: 'b',
      slots: [{ serial: 1 }, { serial: 2, booted: true, next: true }],
    })
    expect(mounted()).toEqual([[], []])
    // the file systems are whole
    const offset = (1 + 40 + 8 + 24) * 1024 * 1024
    world.run('dd', ['if=disk.img', 'of=slot-b', 'bs=1M', `skip=${offset / 1024 / 1024}`, 'count=24', 'status=none'])
    world.run('e2fsck', ['-f', '-n', 'slot-b'])
  })

  test('has a boot state that GRUB reads, and a flip changes one sector of each copy and nothing else', async () => {
    makeDisk(24)
    await world.must(`sync os ${disk}`)
    const before = esp()
    expect(grubVariables('state1/select')).toEqual({ seq: '1000000001', order: 'ab', good: '', commit: '1000000001' })
    expect(grubVariables('state2/select')).toEqual(grubVariables('state1/select'))
    expect(grubVariables('tries')).toEqual({ tries_for: '0000000000', tries: '0' })
    await world.must(`mark good a ${disk}`)
    expect(grubVariables('state1/select')).toEqual({ seq: '1000000002', order: 'ab', good: 'a', commit: '1000000002' })
    const after = esp()
    const changed = new Set<number>()
    for (let at = 0; at < after.length; at += 512) if (!after.subarray(at, at + 512).equals(before.subarray(at, at + 512))) changed.add(at)
    expect(changed.size).toBe(2)
  })

  test('with one copy torn goes by the other; with both gone it begins anew', async () => {
    makeDisk(24)
    await world.must(`sync os ${disk}`)
    const put = (name: string, bytes: Buffer) => {
      world.write('block', bytes)
      world.run('mcopy', ['-o', '-i', `disk.img@@${espOffset}`, 'block', `::/${name}`])
    }
    const boot = async () => (await world.must(`status ${disk} --json`)).json.boot
    put('state1/select', Buffer.alloc(1024, 0))
    expect(await boot()).toMatchObject({ seq: 1_000_000_001, copies: ['damaged', 'valid'] })
    put('state2/select', Buffer.alloc(100, 0))
    expect(await boot()).toMatchObject({ order: ['a', 'b'], copies: ['damaged', 'damaged'] })
    await world.must(`activate a ${disk}`)
    expect(await boot()).toMatchObject({ order: ['a', 'b'], copies: ['valid', 'valid'] })
  })

  test('survives being killed at any moment: the next run finds no mount in its way and leaves none', async () => {
    makeDisk(32)
    await world.must(`sync os ${disk}`)
    world.write('r3/squashfs', noise('r3', 12_000_000))
    await world.must('publish os r3 --remote repo --key os.key')
    const codes = new Set<number>()
    for (const milliseconds of [150, 190, 230, 270, 310, 350]) {
      const { code } = await world.psyblob(`sync os ${disk} --booted a`, {
        started: (child) => setTimeout(() => child.kill('SIGKILL'), milliseconds),
      })
      codes.add(code)
    }
    expect([...codes].filter((code) => code !== 0 && code !== 137)).toEqual([])
    await world.must(`sync os ${disk} --booted a`)
    await world.must(`verify ${disk}`)
    expect(mounted()).toEqual([[], []])
  })

  test('that somebody attached and mounted stays so, and is written through that very mount', async () => {
    makeDisk(24)
    const offset = (1 + 40 + 8) * 1024 * 1024
    const device = world
      .run('losetup', ['--find', '--show', '--offset', String(offset), '--sizelimit', String(24 * 1024 * 1024), 'disk.img'])
      .trim()
    mkdirSync(world.path('mnt'))
    try {
      world.run('mount', ['-o', 'ro', device, 'mnt'])
      await world.must(`sync os ${disk}`)
      expect(readFileSync(world.path('mnt/manifest'), 'utf8')).toContain('"serial":1')
      world.run('umount', ['mnt'])
      // not ours: it stays, and is used again
      await world.must(`verify ${disk}`)
      expect(mounted()).toEqual([[], [expect.stringContaining('disk.img')]])
    } finally {
      world.run('bash', ['-c', 'umount mnt || true'])
      world.run('losetup', ['--detach', device])
    }
    expect(mounted()).toEqual([[], []])
  })

  test('with a squashfs in a slot that is in use: the slot is refused, even when nothing says that it is booted', async () => {
    makeDisk(24)
    await world.must(`sync os ${disk}`)
    await world.publish2()
    const offset = (1 + 40 + 8) * 1024 * 1024
    mkdirSync(world.path('mnt'))
    world.run('mount', ['-o', `loop,ro,offset=${offset},sizelimit=${24 * 1024 * 1024}`, 'disk.img', 'mnt'])
    const inside = world.run('losetup', ['--find', '--show', '--read-only', 'mnt/squashfs']).trim()
    try {
      const refused = await world.psyblob(`apply os a ${disk}`)
      expect(refused).toMatchObject({
        code: 11,
        stderr: expect.stringMatching(/conflict: slot a is in use: \/dev\/loop.*\n {2}hint: .*--booted a/),
      })
      expect(readFileSync('/proc/mounts', 'utf8')).toMatch(/\/mnt ext4 ro/)
      await world.must(`sync os ${disk}`)
    } finally {
      world.run('losetup', ['--detach', inside])
      world.run('umount', ['mnt'])
    }
    await world.must(`verify ${disk}`)
    expect(mounted()).toEqual([[], []])
  })

  test('that another psyblob looks at is mounted anew, so that neither pulls it away from the other', async () => {
    makeDisk(24)
    const offset = (1 + 40 + 8) * 1024 * 1024
    // as it is while a living process, here the first of all, has it open
    const theirs = join(tmpdir(), `psyblob-slot-1-${Date.now()}`)
    mkdirSync(theirs)
    const device = world
      .run('losetup', ['--find', '--show', '--offset', String(offset), '--sizelimit', String(24 * 1024 * 1024), 'disk.img'])
      .trim()
    world.run('mount', ['-o', 'ro', device, theirs])
    world.run('losetup', ['--detach', device])
    try {
      const run = await world.must(`sync os ${disk} -v`)
      expect(run.stderr).toContain(`run mount --bind ${theirs}`)
      expect(readFileSync('/proc/mounts', 'utf8')).toContain(`${theirs} ext4 ro`)
      expect(readFileSync(join(theirs, 'manifest'), 'utf8')).toContain('"serial":1')
    } finally {
      world.run('umount', [theirs])
      rmdirSync(theirs)
    }
    expect(mounted()).toEqual([[], []])
  })

  test('without the programs it takes is told which package has them', async () => {
    makeDisk(24)
    const missing = await world.psyblob(`sync os ${disk}`, { env: { PATH: world.path('no-programs') } })
    expect(missing).toMatchObject({
      code: 16,
      stderr: expect.stringMatching(
        /the program mount is not installed\n {2}hint: on Debian: apt-get install mount; on Alpine: apk add mount/,
      ),
    })
  })

  test('is left as it was when there is nothing to find on it', async () => {
    world.write('disk.img', Buffer.alloc(4096))
    expect(await world.psyblob(`sync os ${disk}`)).toMatchObject({ code: 16, stderr: expect.stringContaining('GPT') })
    expect(await world.psyblob(`sync os --key os.pub --remote repo --disk none.img`)).toMatchObject({ code: 10 })
    expect(mounted()).toEqual([[], []])
  })

  test('with slots too small is told the missing bytes before the first one is written', async () => {
    makeDisk(8)
    world.write('big/squashfs', noise('big', 20_000_000))
    await world.must('publish os big --remote repo --key os.key')
    const before = readFileSync(world.path('disk.img'))
    const refused = await world.psyblob(`sync os ${disk}`)
    expect(refused.code).toBe(15)
    expect(refused.stderr).toMatch(
      /no-space: slot .* is too small: \d{7,} bytes are missing, \d+ are needed; nothing was written\n {2}hint: /,
    )
    expect((await world.psyblob(`sync os ${disk} --dry-run`)).code).toBe(15)
    expect(mounted()).toEqual([[], []])
    const files = (await world.must(`status ${disk} --json`)).json.slots.map((slot: { state: string }) => slot.state)
    expect(files).toEqual(['empty', 'empty'])
    expect(before.length).toBe(readFileSync(world.path('disk.img')).length)
  })

  test('with room for one release in a slot, but not for two, lets the old files go first', async () => {
    makeDisk(24)
    for (const [name, size] of [
      ['one', 14_000_000],
      ['two', 14_100_000],
      ['three', 14_200_000],
    ] as const) {
      world.write(`${name}/squashfs`, noise(name, size))
      await world.must(`publish os ${name} --remote repo --key os.key`)
      await world.must(`sync os ${disk}`)
    }
    expect((await world.must(`verify ${disk} --json`)).json.map((audit: { serial: number }) => audit.serial).sort()).toEqual([3, 4])
  })
})

describe('a full disk', () => {
  test('under the store is no space, and nothing is lost', async () => {
    world.run('truncate', ['-s', '3M', 'full.img'])
    world.run('mke2fs', ['-q', 'full.img'])
    mkdirSync(world.path('full'))
    world.run('mount', ['-o', 'loop', 'full.img', 'full'])
    try {
      world.run('bash', ['-c', 'head -c 4M /dev/zero > full/fill || true'])
      const refused = await world.psyblob(`sync os --key os.pub --remote repo --slot-a a --slot-b b --esp esp --store full/store`)
      expect(refused).toMatchObject({ code: 15, stderr: expect.stringMatching(/no-space: .*\n {2}hint: /) })
    } finally {
      world.run('umount', ['full'])
    }
    await world.must(`sync os ${world.node()}`)
  })
})

describe('a slot on a block device', () => {
  test('that is mounted read-only is made writable for a while and put back', async () => {
    world.run('truncate', ['-s', '24M', 'slot.img'])
    world.run('mke2fs', ['-q', '-t', 'ext4', 'slot.img'])
    const device = world.run('losetup', ['--find', '--show', 'slot.img']).trim()
    const dir = world.path('mnt')
    mkdirSync(dir)
    try {
      world.run('mount', ['-o', 'ro', device, dir])
      await world.must(`sync os --key os.pub --remote repo --slot-a ${device} --slot-b b --esp esp`)
      const line = readFileSync('/proc/mounts', 'utf8')
        .split('\n')
        .find((text) => text.startsWith(device))
      expect(line).toMatch(/ ro[ ,]/)
      expect(readFileSync(join(dir, 'manifest'), 'utf8')).toContain('"serial":1')
      world.run('umount', [dir])
      await world.must(`verify --slot a --key os.pub --remote repo --slot-a ${device} --slot-b b --esp esp`)
      expect(mounted()[0]).toEqual([])
    } finally {
      try {
        world.run('umount', ['-q', dir])
      } catch {
        // it is unmounted already when all went well
      }
      world.run('losetup', ['-d', device])
    }
  })
})
