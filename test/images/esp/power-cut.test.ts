// An update of the EFI partition, cut at every write: a disk keeps what was flushed, and of the rest whatever sectors it likes. The machine
// must find its old boot loader or its new one, whole, and the next run must finish.
import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { applyEfiProduct, syncEfi } from '../../../images/efi-product.ts'
import { parseEnvironment } from '../../../images/environment-block.ts'
import { fatFiles } from '../../../images/esp/fat-files.ts'
import { type Node, openNode } from '../../../images/node.ts'
import { openRun } from '../../../images/run.ts'
import { noise, World } from '../../cli/world.ts'

const MiB = 1024 * 1024
const sector = 512
const offset = MiB
const product = 'efisys'

type Logged = { readonly at: number; readonly bytes: Buffer } | 'flush'

/** Every write to `path` and every flush while `work` runs. */
async function logged(path: string, work: () => Promise<unknown>): Promise<readonly Logged[]> {
  const log: Logged[] = []
  const any = await open(path, 'r')
  const prototype = Object.getPrototypeOf(any) as Record<'write' | 'datasync' | 'sync', (...words: unknown[]) => Promise<unknown>>
  const inode = (await any.stat()).ino
  await any.close()
  const { write, datasync, sync } = prototype
  const isIt = async (file: unknown) => (await (file as { stat(): Promise<{ ino: number }> }).stat()).ino === inode
  prototype.write = async function (...words) {
    const [bytes, from, length, at] = words as [Uint8Array, number, number, number]
    if (await isIt(this)) log.push({ at, bytes: Buffer.from(bytes.subarray(from, from + length)) })
    return write.apply(this, words)
  }
  for (const [name, flush] of [
    ['datasync', datasync],
    ['sync', sync],
  ] as const)
    prototype[name] = async function (...words) {
      if (await isIt(this)) log.push('flush')
      return flush.apply(this, words)
    }
  try {
    await work()
  } finally {
    Object.assign(prototype, { write, datasync, sync })
  }
  return log
}

/** A disk that can be cut and made whole again. */
class Disk {
  readonly #base: Buffer
  readonly #path: string
  readonly #changed = new Set<number>()

  /** The partition alone, for fsck.vfat knows no offsets. */
  readonly #alone: string

  constructor(path: string, size: number) {
    this.#path = path
    this.#base = readFileSync(path)
    this.#alone = `${path}.alone`
    writeFileSync(this.#alone, this.#base.subarray(offset, offset + size))
  }

  #put(at: number, bytes: Uint8Array): void {
    for (const [path, from] of [
      [this.#path, 0],
      [this.#alone, offset],
    ] as const) {
      const file = openSync(path, 'r+')
      writeSync(file, bytes, 0, bytes.length, at - from)
      closeSync(file)
    }
    for (let one = Math.floor(at / sector); one * sector < at + bytes.length; one++) this.#changed.add(one)
  }

  /** As after the first `count` of `log`, with some sectors of what was not flushed by then. */
  cut(log: readonly Logged[], count: number, random: () => number): void {
    for (const one of this.#changed) this.#put(one * sector, this.#base.subarray(one * sector, (one + 1) * sector))
    this.#changed.clear()
    const flushed = log.slice(0, count).lastIndexOf('flush')
    for (const [at, entry] of log.slice(0, count).entries()) {
      if (entry === 'flush') continue
      const fate = random()
      for (let done = 0; done < entry.bytes.length; done += sector)
        if (at < flushed || fate < 0.4 || (fate < 0.8 && random() < 0.5))
          this.#put(entry.at + done, entry.bytes.subarray(done, done + sector))
    }
  }

  /** What fsck.vfat complains of. */
  complaints(): readonly string[] {
    try {
      execFileSync('/usr/sbin/fsck.vfat', ['-n', this.#alone], { encoding: 'utf8', stdio: 'pipe' })
      return []
    } catch (error) {
      const lines = String((error as { stdout?: unknown }).stdout).split('\n')
      return lines.filter((line) => !/^fsck\.fat|^$|Leaving file ?system unchanged|\d+ files, \d+\/\d+ clusters/.test(line))
    }
  }
}

/** Clusters that are nobody's, a count that is behind, copies that differ while the first is right: nothing that is in anybody's way. */
const harmless =
  /^(Reclaimed \d+ unused clusters?.*|Free cluster summary wrong.*|FATs differ but appear to be intact.*| *Auto-(setting|correcting)\.|\s*Using first FAT\.)$/

/** As `random`, but the same in every run. */
function randomFrom(seed: number): () => number {
  let state = seed + 0x6d2b79f5
  return () => {
    state = Math.imul(state ^ (state >>> 15), state | 1)
    state ^= state + Math.imul(state ^ (state >>> 7), state | 61)
    return ((state ^ (state >>> 14)) >>> 0) / 4294967296
  }
}

let world: World
beforeAll(async () => {
  world = new World()
  for (const [name, size] of [
    ['one', 40_000],
    ['two', 50_000],
  ] as const) {
    world.write(`${name}/EFI/BOOT/BOOTX64.EFI`, noise(`loader ${name}`, size))
    world.write(`${name}/EFI/tools/memtest.efi`, noise(`memtest ${name}`, 3000))
    world.write(`${name}/EFI/tools/only ${name} with a long name.efi`, noise(name, 700))
    world.write(`${name}/psyblob/loader`, `${name}\n`)
  }
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  for (const name of ['one', 'two']) await world.must(`publish ${product} ${name} --remote repo --key os.key`)
})
afterAll(() => world.close())

function nodeOf(disk: string, loader: string | undefined): Promise<Node> {
  const report = () => undefined
  const key = world.read('os.pub').toString().split('\n')[1] as string
  const component = { name: product, key, uris: [world.path('repo')], channel: 'stable', target: { kind: 'esp' as const } }
  return openNode({
    storeDir: world.path('store'),
    components: [component],
    disk: world.path(disk),
    booted: undefined,
    cmdline: loader === undefined ? '' : `psyblob.loader=${loader}`,
    stallSeconds: 30,
    run: openRun(report),
    report,
    clock: Date.now,
  })
}

async function sync(disk: string, loader?: string, force = false) {
  const node = await nodeOf(disk, loader)
  const options = { dryRun: false, force, path: undefined }
  return syncEfi(node, node.components[0] as Node['components'][number], options)
}

async function readAll(disk: string, path: string): Promise<Buffer | undefined> {
  const bytes = await fatFiles({ path: world.path(disk), offset, label: disk }).read(path)
  return bytes === undefined ? undefined : Buffer.from(bytes)
}

const loaderOf = (name: string) => world.read(`${name}/EFI/BOOT/BOOTX64.EFI`)

describe.each([
  { bits: 16, size: 8 * MiB, cluster: 2 },
  { bits: 32, size: 40 * MiB, cluster: 1 },
])('on a FAT$bits', ({ bits, size, cluster }) => {
  beforeAll(async () => {
    const path = world.path('disk.img')
    world.run('truncate', ['-s', String(offset + size + MiB), path])
    world.run('sgdisk', ['--clear', `--new=1:1M:+${size / MiB}M`, '--typecode=1:ef00', '--change-name=1:PSYOPSOSEFI', path])
    const place = ['--offset', String(offset / 512), path, String(size / 1024)]
    // it wonders about the image being larger
    world.run('bash', ['-c', `mkfs.vfat -F ${bits} -s ${cluster} -n PSYOPSOSEFI ${place.join(' ')} 2>&1`])
    world.remove('store')
    const node = await nodeOf('disk.img', undefined)
    const request = { version: '1', path: undefined, force: false, dryRun: false }
    await applyEfiProduct(node, node.components[0] as Node['components'][number], request)
    expect(await readAll('disk.img', 'EFI/BOOT/BOOTX64.EFI')).toEqual(loaderOf('one'))
  })

  /** Cuts the update at every write, and looks; of some of them the next run has to make a whole one. */
  async function cutEverywhere(update: (disk: string) => Promise<unknown>, finish: (disk: string) => Promise<unknown>): Promise<void> {
    cpSync(world.path('store'), world.path('store.before'), { recursive: true, verbatimSymlinks: true })
    cpSync(world.path('disk.img'), world.path('run.img'))
    cpSync(world.path('disk.img'), world.path('cut.img'))
    const log = await logged(world.path('run.img'), () => update('run.img'))
    expect(log.length).toBeGreaterThan(30)
    const disk = new Disk(world.path('cut.img'), size)
    const seen = new Set<string>()
    for (let count = 0; count <= log.length; count++) {
      for (const seed of [1, 2]) {
        disk.cut(log, count, randomFrom(count * 10 + seed))
        expect(disk.complaints().filter((line) => !harmless.test(line))).toEqual([])
        const [current, next] = [await readAll('cut.img', 'EFI/BOOT/BOOTX64.EFI'), await readAll('cut.img', 'EFI/BOOT/BOOTX64.NEW')]
        const which = ['one', 'two'].find((name) => current?.equals(loaderOf(name)))
        expect(which).toBeDefined()
        seen.add(which as string)
        // what GRUB is told to try is whole, or is itself
        const told = await readAll('cut.img', 'loader')
        const id = told === undefined ? undefined : parseEnvironment(told)?.get('id')
        if (which === 'one' && id === 'two') expect(next?.equals(loaderOf('two'))).toBe(true)
      }
      if (count % 7 !== 0) continue
      world.remove('store')
      cpSync(world.path('store.before'), world.path('store'), { recursive: true, verbatimSymlinks: true })
      cpSync(world.path('cut.img'), world.path('next.img'))
      await finish('next.img')
      const next = new Disk(world.path('next.img'), size)
      // what is nobody's after the last write is taken back by the next update
      expect(next.complaints().filter((line) => !harmless.test(line))).toEqual([])
      for (const name of ['EFI/BOOT/BOOTX64.EFI', 'EFI/tools/memtest.efi', 'EFI/tools/only two with a long name.efi', 'psyblob/loader'])
        expect(await readAll('next.img', name)).toEqual(world.read(`two/${name}`))
      const left = (await fatFiles({ path: world.path('next.img'), offset, label: 'next' }).list()).map(({ path }) => path)
      expect(left.filter((path) => /new|only one/i.test(path))).toEqual([])
    }
    expect([...seen].sort()).toEqual(['one', 'two'])
    world.remove('store.before')
  }

  test('with a trial: staged, then put in its place by the system that it started', async () => {
    const update = async (disk: string) => {
      expect(await sync(disk, 'one')).toMatchObject({ changed: true, onTrial: true })
      expect(await sync(disk, 'two')).toMatchObject({ changed: false, onTrial: false })
    }
    await cutEverywhere(update, async (disk) => {
      await sync(disk, 'one')
      await sync(disk, 'two')
      await sync(disk, 'two')
    })
  }, 600_000)

  test('at once', async () => {
    const update = async (disk: string) => expect(await sync(disk, 'one', true)).toMatchObject({ changed: true, onTrial: false })
    await cutEverywhere(update, (disk) => sync(disk, 'one', true))
  }, 600_000)
})
