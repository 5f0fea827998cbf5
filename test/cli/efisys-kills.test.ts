// Killed at random moments while it updates an EFI partition: the boot loader is the old one or the new one, whole, and the next run finishes.
import { execFileSync } from 'node:child_process'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { noise, World } from './world.ts'

/** How many kills: 12, or as PSYBLOB_KILLS says. The figure is 40. */
const wanted = Number(process.env['PSYBLOB_KILLS'] ?? 12)

let world: World
const loader = (serial: number) => noise(`loader ${serial}`, 2_000_000 + serial)
const drive = `disk.img@@${1024 * 1024}`
const disk = '--key os.pub --remote repo --disk disk.img'
const read = (name: string) => execFileSync('mcopy', ['-n', '-i', drive, `::/${name}`, '-'], { cwd: world.dir, maxBuffer: 1e8 })

beforeAll(async () => {
  world = new World()
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  world.run('bash', [join(import.meta.dirname, '../fixtures/make-disk.sh'), 'disk.img', '8'])
  for (const serial of [1, 2]) {
    world.write(`e${serial}/EFI/BOOT/BOOTX64.EFI`, loader(serial))
    world.write(`e${serial}/EFI/tools/tool.efi`, noise(`tool ${serial}`, 400_000))
    world.write(`e${serial}/psyblob/loader`, `id-of-${serial}\n`)
    await world.must(`publish efisys e${serial} --remote repo --key os.key`)
    if (serial === 1) await world.must(`sync efisys ${disk}`)
  }
  copyFileSync(world.path('disk.img'), world.path('before.img'))
  await world.must(`apply efisys ${disk}`, { env: { PSYBLOB_CMDLINE: '' } })
  copyFileSync(world.path('disk.img'), world.path('tried.img'))
})
afterAll(() => world.close())

/** What fsck.vfat finds besides clusters that belong to nothing, and the count of free ones that goes with them. */
function damage(): readonly string[] {
  world.run('dd', ['if=disk.img', 'of=esp.img', 'bs=1M', 'skip=1', 'count=40', 'status=none'])
  const text = world.run('bash', ['-c', 'fsck.vfat -n esp.img || true'])
  const harmless =
    /^fsck|^\S+ \d+ files|Reclaimed|Found unused|unused clusters|Free cluster summary|FATs differ but appear to be intact|Using first FAT|Auto-correcting|Leaving filesystem unchanged|Dirty bit|^\s*$/
  return text.split('\n').filter((line) => !harmless.test(line))
}

const cameByNew = { PSYBLOB_CMDLINE: 'psyblob.loader=id-of-2' }

test.each([
  { when: 'while it prepares a trial', before: 'before.img', force: '', env: { PSYBLOB_CMDLINE: '' } },
  { when: 'while it switches after a trial', before: 'tried.img', force: '', env: cameByNew },
  { when: 'while it switches at once, by --force', before: 'before.img', force: ' --force', env: { PSYBLOB_CMDLINE: '' } },
])('killed $when, it leaves a boot loader that is whole, and goes on', { timeout: 900_000 }, async ({ before, force, env }) => {
  const fresh = () => {
    copyFileSync(world.path(before), world.path('disk.img'))
    world.remove('store')
  }
  fresh()
  const started = performance.now()
  await world.must(`apply efisys${force} ${disk}`, { env })
  const whole = performance.now() - started
  fresh()
  for (let kills = 0, runs = 0; kills < wanted && runs < 3 * wanted; runs++) {
    const { code } = await world.psyblob(`apply efisys${force} ${disk}`, {
      env,
      started: (child) => setTimeout(() => child.kill('SIGKILL'), whole * (0.2 + 0.85 * Math.random())),
    })
    if (code === 137) kills++
    else expect(code).toBe(0)
    const now = read('EFI/BOOT/BOOTX64.EFI')
    expect([loader(1), loader(2)].some((bytes) => bytes.equals(now))).toBe(true)
    expect(damage()).toEqual([])
    // some begin where the one before stopped, the others anew
    if (code === 0 || kills % 3 === 0) {
      await world.must(`apply efisys${force} ${disk}`, { env })
      await world.must(`apply efisys ${disk}`, { env: cameByNew })
      await world.must(`check efisys ${disk}`)
      fresh()
    }
  }
})
