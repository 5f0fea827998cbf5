// The main job on real input: two releases published, served, synced to a disk image, flipped, verified, damaged, repaired.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const program = resolve(here, '../../dist/psyblob.js')
const work = resolve(process.argv[2] ?? join(here, '../../demo'))
const slotMiB = 256
const started = performance.now()
const rows = []

process.env.PATH = `${process.env.PATH}:/usr/sbin:/sbin`
mkdirSync(work, { recursive: true })
process.chdir(work)

function heading(text) {
  process.stdout.write(`\n== ${text}\n`)
}

/** Runs psyblob as it would be typed, shows it, and answers its JSON; `expected` is the exit status it must have. */
function psyblob(line, { step, expected = 0 } = {}) {
  const argv = line.split(' ')
  process.stdout.write(`$ psyblob ${line}\n`)
  const begin = performance.now()
  const shown = spawnSync(process.execPath, [program, ...argv, '--json', '--progress', 'none'], { encoding: 'utf8', maxBuffer: 64 << 20 })
  const seconds = (performance.now() - begin) / 1000
  process.stderr.write(shown.stderr)
  if (shown.status !== expected) throw new Error(`psyblob ${line}: expected exit status ${expected}, got ${shown.status}\n${shown.stdout}`)
  const value = shown.stdout === '' ? undefined : JSON.parse(shown.stdout)
  if (step !== undefined)
    rows.push({ step, fetched: value?.bytes?.fetched, reused: value?.bytes?.reused, requests: value?.requests, seconds })
  return value
}

function timed(step, action) {
  const begin = performance.now()
  const value = action()
  rows.push({ step, seconds: (performance.now() - begin) / 1000 })
  return value
}

const megabytes = (bytes) => (bytes === undefined ? '' : `${(bytes / 1e6).toFixed(2)} MB`)

/** Where a byte of a file in an ext4 partition of the image lies in the image. */
function placeOf(image, partitionOffset, path, offset) {
  const debugfs = (command) =>
    execFileSync('debugfs', ['-R', command, `${image}?offset=${partitionOffset}`], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  const blockSize = Number(/Block size:\s+(\d+)/.exec(debugfs('stats -h'))?.[1])
  const block = Number(debugfs(`bmap ${path} ${Math.floor(offset / blockSize)}`).trim())
  return partitionOffset + block * blockSize + (offset % blockSize)
}

function flipByte(image, at) {
  const file = openSync(image, 'r+')
  const byte = Buffer.alloc(1)
  readSync(file, byte, 0, 1, at)
  byte[0] ^= 0xff
  writeSync(file, byte, 0, 1, at)
  closeSync(file)
}

async function serve() {
  const server = spawn(process.execPath, [program, 'serve', 'repo', '--port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  process.on('exit', () => server.kill())
  for await (const piece of server.stdout) return { url: piece.toString('utf8').trim(), stop: () => server.kill() }
  throw new Error('the server did not start')
}

for (const left of ['repo', 'store', 'os.key', 'os.pub', 'disk.img']) rmSync(left, { recursive: true, force: true })

heading('Two releases of a small Debian: kernel, config, root file system')
timed('build two releases', () => execFileSync('bash', [join(here, 'images.sh'), work], { stdio: 'inherit' }))
for (const release of ['release-1', 'release-2']) {
  const files = ['kernel', 'config', 'squashfs'].map((name) => `${name} ${megabytes(statSync(join(release, name)).size)}`)
  process.stdout.write(`${release}: ${files.join(', ')}\n`)
}

heading('The publisher: a key, a repository, the first release')
psyblob('key new os --no-password')
psyblob('init repo --key os.key --repo org.example.demo')
const first = timed('publish release 1', () => psyblob('publish os release-1 --remote repo --key os.key --version 12.0'))
process.stdout.write(`serial ${first.serial}, ${megabytes(first.bytes.uploaded)} written\n`)
const server = await serve()
process.stdout.write(`served at ${server.url}\n`)

heading('The node: a disk image with four partitions')
timed('make the disk image', () =>
  execFileSync('bash', [join(here, '../fixtures/make-disk.sh'), 'disk.img', String(slotMiB)], { stdio: 'inherit' }),
)
const node = `--key os.pub --remote ${server.url} --store store --disk disk.img`
const one = psyblob(`sync os ${node}`, { step: 'first sync, nothing to reuse' })
process.stdout.write(`serial ${one.serial} is in slot ${one.slot}\n`)

heading('The update: release 2')
timed('publish release 2', () => psyblob('publish os release-2 --remote repo --key os.key --version 12.1'))
const dry = psyblob(`sync os ${node} --booted a --dry-run`)
const two = psyblob(`sync os ${node} --booted a`, { step: 'sync release 1 to 2, flip' })
for (const { path, how, size, fetch, reuse } of two.plan)
  process.stdout.write(`  ${path}: ${how}, ${megabytes(size)}: ${megabytes(fetch)} fetched, ${megabytes(reuse)} reused\n`)
if (dry.bytes.fetched !== two.bytes.fetched || dry.requests !== two.requests) throw new Error('the dry run promised something else')
process.stdout.write(`the dry run had said exactly that: ${two.bytes.fetched} bytes in ${two.requests} requests\n`)
const after = psyblob(`status ${node} --booted a`)
process.stdout.write(`slot ${after.boot.order[0]} boots next\n`)
psyblob(`sync os ${node} --booted b`, { step: 'sync again, nothing to do' })
for (const audit of timed('verify every byte of both slots', () => psyblob(`verify os ${node}`))) {
  process.stdout.write(`${audit.place}: serial ${audit.serial}, ${megabytes(audit.bytes)}, ${audit.findings.length} problems\n`)
}

heading('One byte of the squashfs in slot b goes bad')
const partition = (1 + 40 + 8 + slotMiB) * 1024 * 1024
flipByte('disk.img', placeOf('disk.img', partition, '/squashfs', 20_000_000))
const [bad] = timed('verify finds it', () => psyblob(`verify os --slot b ${node}`, { expected: 13 }))
const [finding] = bad.findings
process.stdout.write(
  `${bad.place}: ${finding.path} ${finding.problem} at bytes ${finding.ranges.map(({ offset, length }) => `${offset}-${offset + length - 1}`).join(', ')}\n`,
)
if (
  finding.path !== '/squashfs' ||
  finding.ranges.length !== 1 ||
  finding.ranges[0].offset > 20_000_000 ||
  finding.ranges[0].offset + finding.ranges[0].length <= 20_000_000
)
  throw new Error('verify named the wrong place')
const repaired = psyblob(`repair os --slot b ${node}`, { step: 'repair' })
process.stdout.write(
  repaired.requests === 0
    ? 'mended: the other slot has the same bytes there, so nothing was fetched\n'
    : `mended: ${repaired.bytes.fetched} bytes fetched in ${repaired.requests} requests, the rest was on the disk\n`,
)
timed('verify again', () => psyblob(`verify os --slot b ${node}`))
server.stop()

heading('What it took')
const columns = [
  ['step', ...rows.map(({ step }) => step)],
  ['fetched', ...rows.map(({ fetched }) => megabytes(fetched))],
  ['reused', ...rows.map(({ reused }) => megabytes(reused))],
  ['requests', ...rows.map(({ requests }) => (requests === undefined ? '' : String(requests)))],
  ['seconds', ...rows.map(({ seconds }) => seconds.toFixed(2))],
]
const widths = columns.map((column) => Math.max(...column.map((cell) => cell.length)))
for (let row = 0; row <= rows.length; row++) {
  process.stdout.write(
    `${columns.map((column, at) => (at === 0 ? column[row].padEnd(widths[at]) : column[row].padStart(widths[at]))).join('  ')}\n`,
  )
}
process.stdout.write(
  `\n${((performance.now() - started) / 1000).toFixed(0)} seconds in all. Everything is left in ${work}; look around with:\n`,
)
process.stdout.write(`  cd ${work} && ${program} status --key os.pub --store store --disk disk.img\n`)
if (!existsSync('disk.img')) throw new Error('the disk image is gone')
