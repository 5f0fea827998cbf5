// The results as Markdown: what the benchmark prints, and what stands in spec/performance.md.
import { count, mebibytes, megabytes, rate, seconds, times } from './numbers.ts'
import { madeText, patchSection } from './patch-report.ts'
import { type Growth, type Patches, type Results, rowOf, type Trees, type Trust, type Update } from './results.ts'
import { table } from './table.ts'
import { compareTargets } from './targets.ts'

const releases = { month: 'a month of Debian updates', small: 'one small change' }
const packings = { default: 'mksquashfs defaults', 'no-fragments': 'mksquashfs -no-fragments' }

function transfers({ packing, update, size, rows, making }: Update, { link, deltas }: Results): string {
  const ours = rowOf(rows, 'psyblob')
  const head = [
    'tool',
    'bytes',
    '÷ psyblob',
    'requests',
    'seconds',
    '÷ psyblob',
    'on disk',
    'memory',
    ...(link ? ['bytes ÷ bandwidth'] : []),
  ]
  const lines = rows.map((row) => [
    row.tool,
    megabytes(row.bytes),
    times(row.bytes / (ours?.bytes ?? row.bytes)),
    count(row.requests),
    seconds(row.seconds),
    times(row.seconds / (ours?.seconds ?? row.seconds)),
    seconds(row.onDisk),
    mebibytes(row.memory),
    ...(link ? [seconds((row.bytes * 8) / link.rate)] : []),
  ])
  const delta = rowOf(rows, 'ostree delta') === undefined ? undefined : deltas?.[update]
  const made = [
    ...(making === undefined ? [] : [madeText('patch', making)]),
    ...(delta === undefined ? [] : [madeText('OSTree delta', delta)]),
  ]
  const title = `### ${releases[update]}, image of ${megabytes(size)}, ${packings[packing]}`
  return [title, table(head, lines), ...(made.length === 0 ? [] : [made.join(' ')])].join('\n\n')
}

function publishing({ size, rows }: NonNullable<Results['publish']>): string {
  const ours = rowOf(rows, 'psyblob')
  const lines = rows.map((row) => [
    row.tool,
    seconds(row.seconds),
    rate(size, row.seconds),
    times((ours?.seconds ?? row.seconds) / row.seconds),
    mebibytes(row.memory),
  ])
  return `### Publishing the second release, ${megabytes(size)}\n\n${table(['tool', 'seconds', 'rate', 'rate ÷ psyblob', 'memory'], lines)}`
}

function starting({ psyblob, node }: NonNullable<Results['start']>, idle: Results['idle']): string {
  const line = ({ tool, seconds: time, memory }: typeof idle) => [tool, seconds(time), mebibytes(memory)]
  const rows = [
    [...line(node), ''],
    [...line(psyblob), ''],
    [...line({ ...idle, tool: 'psyblob sync, nothing to do' }), count(idle.requests)],
  ]
  return `### Start, and nothing to do\n\n${table(['program', 'seconds', 'memory', 'requests'], rows)}`
}

/** The table of trees. */
export function systemFiles({ real, large }: NonNullable<Results['trees']>): string {
  const names: Readonly<Record<keyof Trees, string>> = {
    publish: 'publish',
    apply: 'apply to an empty root',
    update: 'apply the next release',
    idle: 'apply with nothing to do',
    coldCheck: 'check current, files on disk',
    coldB3sum: 'b3sum, files on disk',
    check: 'check current, files in memory',
    b3sum: 'b3sum, files in memory',
  }
  const lines = (Object.keys(names) as (keyof Trees)[]).map((name) => [
    names[name],
    seconds(real[name].seconds),
    mebibytes(real[name].memory),
    seconds(large[name].seconds),
    mebibytes(large[name].memory),
  ])
  return `### System files: a Debian and its month, and 99,000 small files of which a tenth changes\n\n${table(['command', 'Debian', 'memory', '99,000 files', 'memory'], lines)}`
}

function growing(growth: readonly Growth[]): string {
  const head = ['size', 'publish', 'memory', 'sync', 'memory', 'fetched', 'requests', 'verify', 'memory', 'b3sum', 'verify ÷ b3sum']
  const lines = growth.map(({ size, publish, sync, verify, b3sum }) => [
    `${size / 1e9} GB`,
    seconds(publish.seconds),
    mebibytes(publish.memory),
    seconds(sync.seconds),
    mebibytes(sync.memory),
    megabytes(sync.bytes),
    count(sync.requests),
    seconds(verify.seconds),
    mebibytes(verify.memory),
    seconds(b3sum.seconds),
    times(b3sum.seconds / verify.seconds),
  ])
  return `### Growth: nothing in the image compresses, 1 % of it changes\n\n${table(head, lines)}\n\n*b3sum* has one thread; the last column compares rates.`
}

function trusting({ roots, signatures }: Trust): string {
  const rows = [
    [`${roots.count} roots, each by other keepers, followed over HTTP and persisted`, seconds(roots.seconds)],
    ['root, pointer and two releases, two keys each: the first time in a process', seconds(signatures.seconds)],
    ['the same once more', seconds(signatures.again)],
  ]
  return `### Trust\n\n${table(['what', 'seconds'], rows)}`
}

export type Measured = {
  readonly local: Results | undefined
  readonly links: readonly (readonly [string, Results])[]
  readonly patches: Patches | undefined
}

/** All tables. */
export function tables({ local, links, patches }: Measured): string {
  const parts: string[] = []
  if (local !== undefined) {
    parts.push('## On one machine, over loopback', ...local.updates.map((update) => transfers(update, local)))
    if (local.publish !== undefined) parts.push(publishing(local.publish))
    if (local.start !== undefined) parts.push(starting(local.start, local.idle))
    if (local.growth !== undefined) parts.push(growing(local.growth))
    if (local.trees !== undefined) parts.push(systemFiles(local.trees))
    if (local.trust !== undefined) parts.push(trusting(local.trust))
  }
  for (const [label, results] of links) {
    const { link, idle } = results
    if (link === undefined) continue
    const found = `one handshake takes ${(link.measured.roundTrip * 1000).toFixed(1)} ms, a file of 20 MB comes with ${(link.measured.rate / 1e6).toFixed(1)} Mbit/s, its slow start included`
    parts.push(
      `## Over a link of ${label}`,
      `Made by ${link.by === 'netem' ? 'tc netem' : 'a forwarder between two TUN devices'}; ${found}.`,
    )
    parts.push(...results.updates.map((update) => transfers(update, results)))
    parts.push(`\`sync\` with nothing to do: ${count(idle.requests)} request, ${seconds(idle.seconds)}.`)
  }
  if (patches !== undefined) parts.push(patchSection(patches))
  parts.push('## Targets', targets(local, links))
  return parts.join('\n\n')
}

function targets(local: Measured['local'], links: Measured['links']): string {
  const rows = compareTargets(local, links).map(({ what, target, measured, met }) => [what, target, measured, met ? 'yes' : '**no**'])
  return table(['what', 'target', 'measured', 'met'], rows)
}

/** spec/performance.md. */
export function chapter(measured: Measured): string {
  const { local, links } = measured
  const results = local ?? links[0]?.[1]
  if (results === undefined) throw new Error('nothing was measured yet: run npm run bench')
  const { machine, runs, date } = results
  const tools = Object.entries(machine.tools).map(([name, version]) => `${name} ${version}`)
  return `# Performance

Made by \`npm run bench -- --write-spec\` on ${date.slice(0, 10)} with psyblob ${machine.psyblob}; nothing here is written by hand.

![Bytes and seconds of an update, for each tool](performance.svg)

Machine: ${machine.cpu}, ${machine.cores} cores, ${(machine.memory / 2 ** 30).toFixed(0)} GiB of memory, ${machine.system}, Linux ${machine.kernel}, ${machine.fileSystem},
Node.js ${machine.node}. Debian packages: ${tools.join(', ')}.

How it is measured:

1. The images are squashfs (zstd) of Debian 12 with 209 packages: *month* has the updates of Debian since its last point release,
   *small* one new program of 3 MB and two changed configuration files. Every tool has the image before and gets the next one.
2. nginx serves all of them; its access log counts requests and bytes of bodies, indexes and signed documents included.
3. Seconds are those of a whole process; memory is the peak of the process, or of its largest child. Medians of ${runs} ${runs === 1 ? 'run' : 'runs'}, the
   tools in turn; runs of more than a minute are not repeated. Page caches are left alone, unwritten data of the run before is waited for.
4. Each result is compared with the new image, byte for byte (OSTree's by its fsck). OSTree works on the trees of these images, without
   /boot as they are; its delta is one file, downloaded and applied. casync has its temporary files in memory.
5. *On disk* counts on until the result is flushed. psyblob's seconds have that in them, and signatures checked, every byte read back
   and the boot order changed; the other tools do none of these. zchunk's are those of \`zckdl\`, whose result is still packed.
6. \`psyblob\` has a repository without patches and fetches chunks; \`psyblob patch\` has one with patches and \`--prefer bytes\`: its seconds
   are those of encoding again what changed.

${tables(measured)}
`
}
