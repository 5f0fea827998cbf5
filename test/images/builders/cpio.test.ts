// The archive that the kernel unpacks: read back by the program that invented it, and equal however its entries come.
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CpioEntry, cpio } from '../../../images/builders/cpio.ts'

const entries: readonly CpioEntry[] = [
  { path: 'init', mode: 0o755, content: { bytes: Buffer.from('#!/bin/sh\n') } },
  { path: 'dev/console', mode: 0o600, content: { device: [5, 1] } },
  { path: 'bin/sh', mode: 0o777, content: { link: 'busybox' } },
  { path: 'bin/busybox', mode: 0o755, content: { bytes: Buffer.from('elf') } },
  { path: 'proc', mode: 0o555, content: 'folder' },
  { path: 'lib/modules/6.1/a.ko', mode: 0o644, content: { bytes: new Uint8Array(5000).fill(7) } },
]

test('cpio lists what was put in: folders before what is in them, root’s, nodes as nodes', () => {
  const lines = execFileSync('cpio', ['--list', '--verbose', '--numeric-uid-gid', '--quiet'], {
    input: cpio(entries, 86_400),
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
  })
  expect(
    lines
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ +/g, ' ')),
  ).toEqual([
    'drwxr-xr-x 2 0 0 0 Jan 2 1970 bin',
    '-rwxr-xr-x 1 0 0 3 Jan 2 1970 bin/busybox',
    'lrwxrwxrwx 1 0 0 7 Jan 2 1970 bin/sh -> busybox',
    'drwxr-xr-x 2 0 0 0 Jan 2 1970 dev',
    'crw------- 1 0 0 5, 1 Jan 2 1970 dev/console',
    '-rwxr-xr-x 1 0 0 10 Jan 2 1970 init',
    'drwxr-xr-x 2 0 0 0 Jan 2 1970 lib',
    'drwxr-xr-x 2 0 0 0 Jan 2 1970 lib/modules',
    'drwxr-xr-x 2 0 0 0 Jan 2 1970 lib/modules/6.1',
    '-rw-r--r-- 1 0 0 5000 Jan 2 1970 lib/modules/6.1/a.ko',
    'dr-xr-xr-x 2 0 0 0 Jan 2 1970 proc',
  ])
})

test('the bytes of a file come back as they went in', () => {
  const out = execFileSync('cpio', ['--extract', '--to-stdout', '--quiet', 'lib/modules/6.1/a.ko'], { input: cpio(entries, 0) })
  expect(out.equals(Buffer.alloc(5000, 7))).toBe(true)
})

test('equal entries give equal bytes, whatever order they come in', () => {
  const whole = Buffer.from(cpio(entries, 0))
  expect(whole.length % 512).toBe(0)
  fc.assert(
    fc.property(fc.shuffledSubarray([...entries], { minLength: entries.length }), (shuffled) => {
      expect(Buffer.compare(cpio(shuffled, 0), whole)).toBe(0)
    }),
  )
})
