// Patches of what a machine boots: a kernel that lz4 packed, and an initramfs of zstd frames as psyblob builds it.
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type EntryBlob, type Patch, parseManifest, parsePatch } from '../../core/mod.ts'
import { type CpioEntry, cpio } from '../../images/builders/cpio.ts'
import { compress } from '../../images/builders/zstd.ts'
import { blobPath, type CountingServer, machineCode, PatchWorld, serveRepository, warnings } from './patch-world.ts'
import { noise, type Outcome } from './world.ts'

const megabyte = 1_000_000
const files = ['initramfs', 'kernel'] as const

/** As an update does: a few bytes more, and many others. */
function rebuilt(code: Buffer): Buffer {
  const next = Buffer.concat([code.subarray(0, 20_000), Buffer.from('release 2'), code.subarray(20_000)])
  for (let at = 5_000; at < next.length; at += 60_000) next[at] = (next[at] as number) ^ 0x55
  return next
}

/** A bzImage: 16-bit part and stub, what `lz4 -l -9` makes of `inside`, how large that becomes, what the linker adds. */
function bzImage(inside: Buffer): Buffer {
  const head = noise('stub', 5 * 512 + 0x300)
  const payload = execFileSync('lz4', ['-l', '-9', '-c'], { input: inside, maxBuffer: 2 ** 28, stdio: ['pipe', 'pipe', 'ignore'] })
  const becomes = Buffer.alloc(4)
  becomes.writeUInt32LE(inside.length)
  head.writeUInt8(4, 0x1f1)
  head.write('HdrS', 0x202)
  head.writeUInt16LE(0x20f, 0x206)
  head.writeUInt32LE(0x300, 0x248)
  head.writeUInt32LE(payload.length + 4, 0x24c)
  return Buffer.concat([head, payload, becomes, noise('tail', 900)])
}

/** An archive for each list of programs, in a frame of its own. */
async function initramfs(
  ...lists: readonly (readonly Buffer[])[]
): Promise<{ readonly bytes: Buffer; readonly archives: readonly number[] }> {
  const archives = lists.map((programs, list) =>
    cpio(
      programs.map((bytes, number): CpioEntry => ({ path: `lib/modules/${list}/${number}.ko`, mode: 0o644, content: { bytes } })),
      0,
    ),
  )
  const frames: Uint8Array[] = []
  for (const archive of archives) frames.push(await compress(archive))
  return { bytes: Buffer.concat(frames), archives: archives.map(({ length }) => length) }
}

let world: PatchWorld
let server: CountingServer
let published: Outcome
/** Bytes of the archives of the second release. */
let archives: readonly number[]
const inside = machineCode(20 * megabyte, 9 * megabyte)

beforeAll(async () => {
  const modules = [32, 34, 36, 38].map((at) => machineCode(at * megabyte, 400_000)) as [Buffer, Buffer, Buffer, Buffer]
  const [one, two, three, four] = modules
  world = new PatchWorld()
  world.write('r1/kernel', bzImage(inside))
  world.write('r1/initramfs', (await initramfs([one], [two, three], [four])).bytes)
  const next = await initramfs([one], [two, rebuilt(three)], [four])
  archives = next.archives
  world.write('r2/kernel', bzImage(rebuilt(inside)))
  world.write('r2/initramfs', next.bytes)
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  await world.publish('r1')
  await world.must(`sync os ${world.node()}`)
  published = await world.publish('r2')
  world.keep()
  server = await serveRepository(world)
}, 300_000)
afterAll(async () => {
  await server.close()
  world.close()
})
beforeEach(() => world.fresh())

/** In the order of the manifest. */
function patches(): readonly { readonly bin: EntryBlob; readonly patch: Patch; readonly size: number }[] {
  return parseManifest(world.read('repo/manifests/os/2'), 'manifest').records.map((record) => {
    const bin = record.bin as EntryBlob
    const [named] = bin.patches ?? []
    if (named === undefined) throw new Error(`${record.path} has no patch`)
    return { bin, patch: parsePatch(world.read(`repo/${blobPath(named.cid)}`), named.size, record.path), size: named.size }
  })
}

describe('a kernel and an initramfs that changed', () => {
  test('have a patch each, by the encoder that made them', () => {
    for (const name of files) expect(world.read(`r2/${name}`).length).toBeGreaterThan(256 * 1024)
    expect(published.stdout).toMatch(/, 2 patches of /)
    expect(published.stderr).toMatch(/^patch initramfs from the release before, with zstd-1\.5\.5: /m)
    expect(published.stderr).toMatch(/^patch kernel from the release before, with lz4hc-1\.9\.4: /m)
    expect(patches().map(({ patch: { packing, codecs } }) => ({ packing, codecs }))).toEqual([
      { packing: 'zstd', codecs: [{ name: 'zstd-1.5.5', level: 15 }] },
      { packing: 'lz4', codecs: [{ name: 'lz4hc-1.9.4', level: 9 }] },
    ])
  })

  test('are made again where they changed: the archives of an initramfs that are what they were are copied', () => {
    const [ofInitramfs, ofKernel] = patches().map(({ patch }) => patch.made)
    expect(ofInitramfs).toBe(archives[1])
    expect(ofKernel).toBeGreaterThanOrEqual(inside.length)
  })

  test('come by patches with sync --prefer bytes, byte for byte, for less than a tenth of what they have', async () => {
    const { json, ...outcome } = await world.must(`sync os ${world.node(server.url)} --booted a --prefer bytes --json`)
    expect(warnings(outcome)).toEqual([])
    expect(json.plan).toMatchObject(
      patches().map(({ size }, number) => ({ path: `/${files[number]}`, how: 'patch', fetch: size, requests: 1 })),
    )
    for (const name of files) expect(Buffer.compare(world.read(`b/${name}`), world.read(`r2/${name}`))).toBe(0)
    for (const { bin, size } of patches()) {
      expect(server.bytes.get(blobPath(bin.cid)) ?? 0).toBe(0)
      expect(size).toBeLessThan(bin.size / 10)
    }
    await world.must(`verify ${world.node()}`)
  }, 300_000)
})
