// A real Debian, from its mirror, with scripts of packages and commands that run in it: twice, and the same.
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from '../cli/world.ts'

let world: World
beforeEach(() => {
  world = new World()
})
afterEach(() => world.close())

const recipe = `psyblob: recipe/1
distribution: debian
packages: [systemd-sysv, openssh-server, ca-certificates, python3-minimal, iputils-ping]
exclude: [/usr/share/doc/*, /usr/share/man/*, /usr/share/locale/*]
commands:
  - useradd --create-home somebody
  - echo "$SOURCE_DATE_EPOCH" >/etc/built
program: none
`

describe('a Debian from its mirror', () => {
  test('is the same in another folder, at another time, from another cache; so is its squashfs', { timeout: 600_000 }, async () => {
    const hashes: string[] = []
    for (const [folder, TZ] of [
      ['one', 'UTC'],
      ['two/deep', 'Asia/Tokyo'],
    ] as const) {
      world.write(`${folder}/os.yaml`, recipe)
      const env = { TZ }
      await world.must(`build rootfs --recipe ${folder}/os.yaml --out ${folder}/root.tar --cache ${folder}/cache`, { env })
      await world.must(`build squashfs ${folder}/root.tar ${folder}/squashfs --cache ${folder}/cache`, { env })
      hashes.push(
        createHash('sha256')
          .update(world.read(`${folder}/squashfs`))
          .digest('hex'),
      )
    }
    expect(hashes[1]).toBe(hashes[0])
    const lines = world.run('tar', ['tvf', 'one/root.tar', '--xattrs'])
    expect(lines).toContain('home/somebody/')
    expect(lines).not.toMatch(/ssh_host_|etc\/hostname|etc\/resolv\.conf/)
    expect(world.run('tar', ['xOf', 'one/root.tar', 'etc/built'])).toBe('0\n')
    expect(world.read('one/root.tar').includes('SCHILY.xattr.security.capability=')).toBe(true)
  })
})
