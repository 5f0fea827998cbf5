// The benchmark: psyblob and the tools people use now, on the same images, in one run. Options: options.ts.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { atExit, isGone } from './exit.ts'
import { measureGrowth, measureStart } from './growth.ts'
import { type Link, makeLink } from './link.ts'
import { formatLink } from './link-spec.ts'
import { inspectMachine } from './machine.ts'
import { help, type Options, readOptions } from './options.ts'
import { openOstree } from './ostree.ts'
import { plot } from './plot.ts'
import type { Track } from './race.ts'
import { chapter, type Measured, systemFiles, tables } from './report.ts'
import type { LinkFound, Results } from './results.ts'
import { run } from './run.ts'
import { type Server, serve } from './server.ts'
import { measureTrees } from './trees.ts'
import { measureTrust } from './trust.ts'
import { measureUpdates, steps } from './updates.ts'

const say = (text: string) => process.stderr.write(`${text}\n`)

function resultsFile({ work, link }: Options): string {
  return join(work, link === undefined ? 'results.json' : `results-${formatLink(link).replace(',', '-')}.json`)
}

/** What is measured and kept: on loopback, and over each link that was tried. */
function readMeasured(work: string): Measured {
  const read = (name: string): Results => JSON.parse(readFileSync(join(work, name), 'utf8'))
  const names = existsSync(work) ? readdirSync(work).sort() : []
  return {
    local: names.includes('results.json') ? read('results.json') : undefined,
    links: names
      .filter((name) => /^results-.+\.json$/.test(name))
      .map(read)
      .map((results) => [results.link === undefined ? '' : formatLink(results.link), results] as const),
  }
}

async function testLink(link: Link, server: Server, scratch: string, served: string): Promise<LinkFound> {
  writeFileSync(join(served, 'ping'), 'pong\n')
  writeFileSync(join(served, '20-megabytes'), Buffer.alloc(20e6))
  const curl = async (name: string, what: string) =>
    Number(await run([...link.near, 'curl', '-sf', '-o', join(scratch, 'curl'), '-w', `%{${what}}`, `${server.url}/${name}`]))
  const roundTrip = await curl('ping', 'time_connect')
  const rate = 8 * (await curl('20-megabytes', 'speed_download'))
  say(`the link: ${(roundTrip * 1000).toFixed(1)} ms, ${(rate / 1e6).toFixed(1)} Mbit/s by ${link.by}`)
  // 20 MB over a long link are mostly slow start; far below that the machine is too slow to be such a link
  const ideal = 160e6 / (160e6 / link.rate + (link.roundTrip / 1000) * 15)
  if (roundTrip * 1000 < link.roundTrip || rate > 1.05 * link.rate || rate < 0.7 * ideal)
    throw new Error(`expected a link of ${formatLink(link)}, got ${(roundTrip * 1000).toFixed(1)} ms and ${(rate / 1e6).toFixed(1)} Mbit/s`)
  return { roundTrip: link.roundTrip, rate: link.rate, by: link.by, measured: { roundTrip, rate } }
}

/** A folder for this run, and what runs that were killed left behind removed. */
function makeScratch(work: string): string {
  for (const name of readdirSync(work)) {
    const pid = /^run-(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && isGone(Number(pid))) rmSync(join(work, name), { recursive: true })
  }
  const scratch = join(work, `run-${process.pid}`)
  mkdirSync(scratch)
  // programs that were killed may still be writing for a moment
  atExit(() => rmSync(scratch, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))
  return scratch
}

async function measureTreesAlone({ work, runs }: Options): Promise<void> {
  const images = join(work, 'images')
  const scratch = makeScratch(work)
  say('trees of two real releases')
  await run(['bash', 'test/bench/images.sh', images, 'trees'])
  const trees = await measureTrees({ images, track: { runs, scratch, say } })
  const { local } = readMeasured(work)
  if (local === undefined) process.stdout.write(`${systemFiles(trees)}\n`)
  else writeFileSync(join(work, 'results.json'), `${JSON.stringify({ ...local, trees }, null, 2)}\n`)
}

async function measure(options: Options): Promise<Results> {
  const { work, runs, quick } = options
  const images = join(work, 'images')
  const served = join(work, 'served')
  mkdirSync(served, { recursive: true })
  const scratch = makeScratch(work)
  atExit(() => rmSync(join(served, basename(scratch)), { force: true }))
  say(`working in ${work}`)
  say('images of three real releases')
  await run(['bash', 'test/bench/images.sh', images])

  const link = options.link === undefined ? undefined : await makeLink(options.link)
  const server = await serve(served, scratch, link)
  const track: Track = { runs, scratch, say, ...(link === undefined ? {} : { inside: link.near }) }
  const found = link === undefined ? {} : { link: await testLink(link, server, scratch, served) }
  if (link === undefined) say('roots and signatures')
  const trust = link === undefined ? { trust: await measureTrust({ served, scratch, server, runs }) } : {}
  if (!quick) say('OSTree deltas (minutes, the first time)')
  const ostree = quick ? undefined : await openOstree(join(work, 'ostree'), { trees: images, served, scratch, updates: steps })
  const updates = await measureUpdates({ images, served, server, ostree, linked: link !== undefined }, track)
  const sizes = quick ? [0.2e9, 1e9] : [0.2e9, 1e9, 4e9]
  const rest =
    link === undefined ? { start: await measureStart(track), growth: await measureGrowth({ images, served, server, sizes }, track) } : {}
  const trees = link === undefined ? { trees: await measureTrees({ images, track: { runs, scratch, say } }) } : {}
  return {
    date: new Date().toISOString(),
    machine: await inspectMachine(work),
    runs,
    ...found,
    ...updates,
    ...(ostree === undefined ? {} : { deltas: ostree.deltas }),
    ...rest,
    ...trees,
    ...trust,
  }
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2))
  if (options === undefined) {
    process.stdout.write(help)
    return
  }
  process.env['PATH'] = `${process.env['PATH']}:/usr/sbin:/sbin`
  const begin = performance.now()
  const { work } = options
  if (options.trees) {
    mkdirSync(work, { recursive: true })
    await measureTreesAlone(options)
    if (readMeasured(work).local === undefined) return
  } else if (!options.report) {
    mkdirSync(work, { recursive: true })
    const results = await measure(options)
    writeFileSync(resultsFile(options), `${JSON.stringify(results, null, 2)}\n`)
    writeFileSync(resultsFile(options).replace(/json$/, 'svg'), plot(results.updates))
  }
  const measured = readMeasured(work)
  process.stdout.write(`${tables(measured)}\n`)
  if (options.writeSpec) {
    writeFileSync('spec/performance.md', chapter(measured))
    writeFileSync('spec/performance.svg', plot(measured.local?.updates ?? measured.links[0]?.[1].updates ?? []))
  }
  if (!options.report) say(`${((performance.now() - begin) / 1000).toFixed(0)} seconds; results are in ${resultsFile(options)}`)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error))
    process.exit(1)
  },
)
