// System files: a real Debian and the month after it, and a tree as large as one may be. The repository is a folder: no server.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { program } from './psyblob.ts'
import { alone, type Contender, type Figures, race, type Track } from './race.ts'
import type { Trees } from './results.ts'
import { run } from './run.ts'

/** With the three folders above them, 99,003 entries; a release may have 100,000. */
const large = { folders: 1000, files: 98 }

type Bench = { readonly dir: string; readonly track: Track }

const command = ({ dir }: Bench, tool: string, ...words: readonly string[]): Contender => ({
  tool,
  cwd: dir,
  argv: [process.execPath, program, ...words, '--json', '--progress', 'none'],
})

/** A key, a repository, and a root with a composition and nothing else. */
async function prepare(bench: Bench): Promise<void> {
  const { dir } = bench
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(join(dir, 'root/etc'), { recursive: true })
  await run(command(bench, '', 'key', 'new', 'os', '--no-password').argv, { cwd: dir })
  await run(command(bench, '', 'init', 'repo', '--key', 'os.key', '--repo', 'org.example.bench').argv, { cwd: dir })
  const key = readFileSync(join(dir, 'os.pub'), 'utf8').split('\n')[1]
  const line = { name: 'base', key, uris: [join(dir, 'repo')], allow: ['setuid'], target: { kind: 'tree', root: '/' } }
  writeFileSync(join(dir, 'root/etc/composition'), `${JSON.stringify(line)}\n`)
}

/** What changes what the next begins with is done once. */
function once(bench: Bench, contender: Contender): Promise<Figures> {
  return alone(contender, { ...bench.track, runs: 1 })
}

const publish = (bench: Bench, tree: string) =>
  once(bench, command(bench, 'publish', 'publish', 'base', tree, '--tree', '--remote', 'repo', '--key', 'os.key'))
const apply = (bench: Bench, tool: string) => once(bench, command(bench, tool, 'apply', 'base', '--root', 'root'))

/** Beside b3sum, which reads the same files: first all from the disk, as after a boot, then all from memory. */
async function repeated(bench: Bench, tree: string): Promise<Omit<Trees, 'publish' | 'apply' | 'update'>> {
  const { dir, track } = bench
  await run(['sh', '-c', 'cd "$1" && find . -type f -print0 >"$2"', 'sh', tree, join(dir, 'files')])
  const hash = { tool: 'b3sum', cwd: join(dir, 'root'), argv: ['sh', '-c', 'xargs -0 b3sum <../files >../sums'] }
  const check = command(bench, 'check', 'check', 'current', '--root', 'root')
  const fromDisk = [check, hash].map((contender) => ({ ...contender, reset: forget }))
  const [coldCheck, coldB3sum] = await race(fromDisk, track)
  const [warmCheck, warmB3sum, idle] = await race([check, hash, command(bench, 'apply, no news', 'apply', 'base', '--root', 'root')], track)
  if (!coldCheck || !coldB3sum || !warmCheck || !warmB3sum || !idle) throw new Error('a tree was not measured')
  return { coldCheck, coldB3sum, check: warmCheck, b3sum: warmB3sum, idle }
}

/** Nothing of any file is in memory afterwards. */
function forget(): void {
  execFileSync('sync')
  writeFileSync('/proc/sys/vm/drop_caches', '3\n')
}

function makeLarge(dir: string, turn: number): void {
  for (let folder = 0; folder < large.folders; folder++) {
    const path = join(dir, 'usr/share/data', `part-${folder}`)
    mkdirSync(path, { recursive: true })
    // a tenth of the files is new in each turn
    for (let file = 0; file < large.files; file++) {
      if (turn > 0 && file % 10 !== 0) continue
      writeFileSync(join(path, `settings-of-something-${file}.conf`), `file ${file} of ${folder}, ${turn}\n`.repeat(4))
    }
  }
}

async function measure(bench: Bench, [old, next]: readonly [string, () => string]): Promise<Trees> {
  await prepare(bench)
  const published = await publish(bench, old)
  const applied = await apply(bench, 'apply, empty root')
  const alike = await repeated(bench, old)
  await publish(bench, next())
  const updated = await apply(bench, 'apply, update')
  rmSync(bench.dir, { recursive: true })
  return { publish: published, apply: applied, update: updated, ...alike }
}

/** `images` has the trees of the images. */
export async function measureTrees({
  images,
  track,
}: {
  readonly images: string
  readonly track: Track
}): Promise<{ readonly real: Trees; readonly large: Trees }> {
  const bench = { dir: join(track.scratch, 'trees'), track }
  track.say('system files: a real Debian')
  const real = await measure(bench, [join(images, 'base'), () => join(images, 'month')])
  track.say('system files: a hundred thousand entries')
  const source = join(track.scratch, 'large')
  makeLarge(source, 0)
  const many = await measure(bench, [
    source,
    () => {
      makeLarge(source, 1)
      return source
    },
  ])
  rmSync(source, { recursive: true })
  return { real, large: many }
}
