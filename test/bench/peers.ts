// The tools people use now: how each publishes an image, and how each gets the next one when it has the one before.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from './exit.ts'
import { copyLinked, same } from './files.ts'
import type { Contender } from './race.ts'
import { type Argv, run } from './run.ts'

/** An image by name; what is published of it lies under that name in the served folder. */
export type Image = { readonly name: string; readonly path: string }

const casyncSizes = [64, 16]
const caibx = (name: string, kib: number) => `${name}.${kib}k.caibx`
// It keeps thousands of small files while it works. In memory they cost it nothing that depends on the file system, or on
// how many of them the run before has deleted (files.ts).
let shelf: string | undefined
function casync(): Argv {
  if (shelf === undefined) {
    const made = mkdtempSync('/dev/shm/psyblob-bench-')
    atExit(() => rmSync(made, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
    shelf = made
  }
  return ['env', `TMPDIR=${shelf}`, 'casync']
}

const casyncMake = (store: string, kib: number, index: string, image: string): Argv => [
  ...casync(),
  'make',
  `--chunk-size=${kib * 1024}`,
  `--store=${store}`,
  index,
  image,
]
const zsyncMake = (name: string, image: string, output: string): Argv => ['zsyncmake', '-b', '2048', '-u', name, '-o', output, image]

/** Publishes images for all tools into `served`, unless they are there. */
export async function publishAll(served: string, images: readonly Image[]): Promise<void> {
  mkdirSync(served, { recursive: true })
  for (const { name, path } of images) {
    const image = realpathSync(path)
    // the last one made says that all are there
    const done = join(served, `${name}.published`)
    if (existsSync(done)) continue
    await run(['cp', '--reflink=auto', image, join(served, name)])
    for (const kib of casyncSizes) await run(casyncMake(join(served, `casync-${kib}k`), kib, join(served, caibx(name, kib)), image))
    await run(['zck', '-o', join(served, `${name}.zck`), image])
    await run(zsyncMake(name, image, join(served, `${name}.zsync`)))
    await run(['touch', done])
  }
}

/** Each tool gets `next` from the server; it has `old`, in the form that it needs. Works in `dir`. */
export function fetchers(served: string, url: string, dir: string, old: Image, next: Image): readonly Contender[] {
  const reset = () => {
    rmSync(dir, { recursive: true, force: true })
    mkdirSync(dir, { recursive: true })
  }
  const whole = { cwd: dir, reset, output: join(dir, 'out'), check: () => same(join(dir, 'out'), next.path) }
  const seed = realpathSync(old.path)
  const zck = join(dir, `${next.name}.zck`)
  return [
    ...casyncSizes.map((kib) => ({
      ...whole,
      tool: `casync ${kib} KiB`,
      argv: [...casync(), 'extract', `--store=${url}/casync-${kib}k`, `--seed=${seed}`, `${url}/${caibx(next.name, kib)}`, 'out'],
    })),
    { ...whole, tool: 'zsync', argv: ['zsync', '-q', '-i', seed, '-o', 'out', `${url}/${next.name}.zsync`] },
    {
      // it keeps the packed form, and that is what it has done when it ends; unpacking is a program of its own
      ...whole,
      tool: 'zchunk',
      argv: ['zckdl', '-s', join(served, `${old.name}.zck`), `${url}/${next.name}.zck`],
      output: zck,
      check: async () => {
        await run(['unzck', zck], { cwd: dir })
        await same(join(dir, next.name), next.path)
      },
    },
  ]
}

/** All of the image, as a plain download. */
export function download(url: string, dir: string, next: Image): Contender {
  const output = join(dir, 'out')
  return {
    tool: 'full download',
    argv: ['curl', '--silent', '--fail', '--output', output, `${url}/${next.name}`],
    output,
    reset() {
      rmSync(dir, { recursive: true, force: true })
      mkdirSync(dir, { recursive: true })
    },
    check: () => same(output, next.path),
  }
}

/** Each tool publishes `next` beside `old`, which it has published before. Works in `dir`. */
export async function publishers(dir: string, old: Image, next: Image): Promise<readonly Contender[]> {
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const image = realpathSync(next.path)
  const contenders: Contender[] = []
  for (const kib of casyncSizes) {
    const store = `casync-${kib}k`
    await run(casyncMake(`${store}.old`, kib, 'old.caibx', realpathSync(old.path)), { cwd: dir })
    contenders.push({
      tool: `casync ${kib} KiB`,
      argv: casyncMake(store, kib, 'next.caibx', image),
      cwd: dir,
      reset: () => copyLinked(dir, `${store}.old`, store),
    })
  }
  return [
    ...contenders,
    { tool: 'zsync', argv: zsyncMake(next.name, image, 'next.zsync'), cwd: dir },
    { tool: 'zchunk', argv: ['zck', '-o', 'next.zck', image], cwd: dir },
  ]
}
