// What build iso and build secret make, in machines: an ISO image as a CD and as a stick, secrets on the disk and on a second one.
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { must, shell } from './console.ts'
import { Guest, type GuestOptions } from './qemu.ts'
import { Workshop } from './workshop.ts'

describe('what psyblob made', () => {
  const workshop = new Workshop(18086)
  let machine: Guest | undefined

  beforeAll(() => {
    workshop.os(workshop.recipe(join(import.meta.dirname, 'minimal'), 'one'), 'os-1')
    workshop.efisys('efisys-1')
    workshop.publish('os', 'os-1', 'one')
    workshop.publish('efisys', 'efisys-1', 'one')
  }, 600_000)
  afterEach(async () => {
    await machine?.kill()
  })
  afterAll(() => workshop.close())

  const start = async (disk: string | undefined, options: Omit<GuestOptions, 'dir' | 'memory'>) => {
    machine = Guest.start(disk, { dir: workshop.dir, memory: 768, ...options })
    await machine.waitFor(/psyblob: (psyopsOS-A|PSYOPSOSISO)/, 60)
    await shell(machine, 180)
    return machine
  }

  test('an ISO image boots from a CD drive, and from a disk it was copied to', async () => {
    workshop.psyblob('build iso os.iso --remote repo --key os.pub')
    const image = workshop.path('os.iso')
    for (const [name, disk, cdrom] of [
      ['cd', undefined, image],
      ['stick', image, undefined],
    ] as const) {
      const guest = await start(disk, { name, snapshot: true, ...(cdrom === undefined ? {} : { cdrom }) })
      expect(await must(guest, 'cat /run/psyblob/boot')).toMatch(/label=PSYOPSOSISO/)
      expect(await must(guest, 'head -c 21 /run/psyblob/slot/manifest')).toContain('{"psyblob":"manifest/')
      await guest.kill()
    }
  })

  test('a disk with secrets gives them to the node it is for', async () => {
    workshop.psyblob('build secret node1.tar --nodename node1.example --pubkey os.pub')
    const guest = await start(workshop.disk('own.img', '--secret-tarball node1.tar --seed node1'), { name: 'own' })
    expect(await must(guest, 'cat /etc/hostname')).toContain('node1.example')
    expect(await must(guest, 'stat -c "%a %u" /etc/psyblob/age.key /etc/ssh/ssh_host_ed25519_key')).toBe('600 0\n600 0')
    expect(await must(guest, 'grep -c RW /etc/psyblob/minisign.pubkey')).toBe('1')
  })

  test('a second disk with secrets does for one that has none', async () => {
    workshop.psyblob('build secret node2.img --nodename node2.example')
    const guest = await start(workshop.disk('plain.img'), { name: 'two', disks: [workshop.path('node2.img')], snapshot: true })
    expect(await must(guest, 'cat /etc/hostname')).toContain('node2.example')
    expect(await must(guest, 'grep -c AGE-SECRET-KEY /etc/psyblob/age.key')).toBe('1')
  })
})
