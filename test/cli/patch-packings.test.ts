// Patches of images as others pack them, and by psyblob as images have it: one file that needs no other.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { blobPath, PatchWorld, warnings } from './patch-world.ts'

let world: PatchWorld
afterEach(() => world.close())

test.each([
  ['zstd-1.5.5', '-comp zstd'],
  ['zstd-1.5.5', '-comp zstd -Xcompression-level 12 -b 64K'],
  ['zlib-1.2.13', '-comp gzip'],
  ['lz4-1.9.4', '-comp lz4'],
  ['xz-5.8.2', '-comp xz'],
  ['xz-5.8.2-x86', '-comp xz -Xbcj x86 -no-fragments'],
])(
  'an image that %s made with %s is patched, also by the program that images have',
  async (encoder, packing) => {
    world = await new PatchWorld().withBoth(2, packing)
    const [patch] = world.patches(2)
    if (patch === undefined) throw new Error('there is no patch')
    expect(
      world
        .read(`repo/${blobPath(patch.cid)}`)
        .subarray(0, 1024)
        .includes(`${encoder}\0`),
    ).toBe(true)
    const { json, ...outcome } = await world.must(`sync os ${world.node()} --booted a --prefer bytes --json`)
    expect(json.plan[1]).toMatchObject({ how: 'patch', fetch: patch.size })
    expect(warnings(outcome)).toEqual([])
    expect(world.wrong('r2')).toBeUndefined()
    world.fresh()
    mkdirSync(world.path('alone'))
    const program = world.path('alone/psyblob.cjs')
    copyFileSync(join(import.meta.dirname, '../../dist/guest/psyblob.cjs'), program)
    const words = `sync os ${world.node()} --booted a --prefer bytes --store store --json`.split(' ')
    const stdout = execFileSync(process.execPath, [program, ...words], { cwd: world.dir, encoding: 'utf8', stdio: 'pipe' })
    expect(JSON.parse(stdout).plan[1]).toMatchObject({ how: 'patch', fetch: patch.size })
    expect(world.wrong('r2')).toBeUndefined()
  },
  240_000,
)
