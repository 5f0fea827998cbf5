// The benchmark: psyblob and the tools people use now, on the same images, in one run. Options: options.ts.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { choiceLinks, measureChoice } from './choice.ts'
import { atExit, isGone } from './exit.ts'
import { measureGrowth, measureStart } from './growth.ts'
import { formatLink } from './link-spec.ts'
import { inspectMachine } from './machine.ts'
import { help, type Options, readOptions } from './options.ts'
import { type Ostree, openOstree } from './ostree.ts'
import { patchSection, replacePatchSection } from './patch-report.ts'
import { measurePatches } from './patches.ts'
import { plot } from './plot.ts'
import type { Track } from './race.ts'
import { chapter, type Measured, systemFiles, tables } from './report.ts'
import type { Choice, Patches, Results } from './results.ts'
import { run } from './run.ts'
import { serve } from './server.ts'
import { openLink } from './tested-link.ts'
import { measureTrees } from './trees.ts'
import { measureTrust } from './trust.ts'
import { measureUpdates, steps } from './updates.ts'

const say = (text: string) => process.stderr.write(`${text}\n`)

function resultsFile({ work, link }: Options): string {
  return join(work, link === undefined ? 'results.json' : `results-${formatLink(link).replace(',', '-')}.json`)
}

const patchesFile = (work: string) => join(work, 'patches.json')

function readPatches(work: string): Patches | undefined {
  return existsSync(patchesFile(work)) ? JSON.parse(readFileSync(patchesFile(work), 'utf8')) : undefined
}

/** What is measured and kept: on loopback, and over each link that was tried. */
function readMeasured(work: string): Measured {
  const read = (name: string): Results => JSON.parse(readFileSync(join(work, name), 'utf8'))
  const names = existsSync(work) ? readdirSync(work).sort() : []
  return {
    patches: readPatches(work),
    local: names.includes('results.json') ? read('results.json') : undefined,
    links: names
      .filter((name) => /^results-.+\.json$/.test(name))
      .map(read)
      .map((results) => [results.link === undefined ? '' : formatLink(results.link), results] as const),
  }
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

/** Images and what is served in the work folder, and a folder for this run. */
async function prepare({ work }: Options) {
  const images = join(work, 'images')
  const served = join(work, 'served')
  mkdirSync(served, { recursive: true })
  const scratch = makeScratch(work)
  say(`working in ${work}`)
  say('images of three real releases')
  await run(['bash', 'test/bench/images.sh', images])
  return { images, served, scratch }
}

/** What is measured of patches is kept beside what was measured of them before. */
async function measurePatchesAlone(options: Options): Promise<void> {
  const { work, runs, quick } = options
  const { images, served, scratch } = await prepare(options)
  const track: Track = { runs, scratch, say }
  const machine = await inspectMachine(work)
  const keep = (found: Partial<Patches>) => {
    const kept: Patches = { ...readPatches(work), ...found, date: new Date().toISOString(), machine, runs }
    writeFileSync(patchesFile(work), `${JSON.stringify(kept, null, 2)}\n`)
  }
  if (options.choice) {
    const links = options.link === undefined ? choiceLinks : [options.link]
    const found = (label: string, choice: Choice) => keep({ choice: { ...readPatches(work)?.choice, [label]: choice } })
    return measureChoice({ place: { images, served }, links, found }, track)
  }
  const server = await serve(served, scratch)
  const ostree = await openDeltas(options, { images, served, scratch })
  const site = { images, served, server, ostree, patches: true, linked: false }
  const found = await measurePatches({ site, quick, releases: options.releases }, track)
  keep({ ...found, ...(ostree === undefined ? {} : { deltas: ostree.deltas }) })
}

async function openDeltas(
  { work, quick }: Options,
  place: { images: string; served: string; scratch: string },
): Promise<Ostree | undefined> {
  if (quick) return undefined
  say('OSTree deltas (minutes, the first time)')
  return openOstree(join(work, 'ostree'), { trees: place.images, served: place.served, scratch: place.scratch, updates: steps })
}

async function measure(options: Options): Promise<Results> {
  const { work, runs, quick } = options
  const place = await prepare(options)
  const { images, served, scratch } = place

  const tested = options.link === undefined ? undefined : await openLink(options.link, { served, scratch, say })
  const server = tested?.server ?? (await serve(served, scratch))
  const track: Track = { runs, scratch, say, ...(tested === undefined ? {} : { inside: tested.link.near }) }
  if (tested === undefined) say('roots and signatures')
  const trust = tested === undefined ? { trust: await measureTrust({ served, scratch, server, runs }) } : {}
  const ostree = await openDeltas(options, place)
  const updates = await measureUpdates({ images, served, server, ostree, patches: !quick, linked: tested !== undefined }, track)
  const sizes = quick ? [0.2e9, 1e9] : [0.2e9, 1e9, 4e9]
  const rest =
    tested === undefined ? { start: await measureStart(track), growth: await measureGrowth({ images, served, server, sizes }, track) } : {}
  const trees = tested === undefined ? { trees: await measureTrees({ images, track: { runs, scratch, say } }) } : {}
  return {
    date: new Date().toISOString(),
    machine: await inspectMachine(work),
    runs,
    ...(tested === undefined ? {} : { link: tested.found }),
    ...updates,
    ...(ostree === undefined ? {} : { deltas: ostree.deltas }),
    ...rest,
    ...trees,
    ...trust,
  }
}

/** Prints what is known of patches; with `--write-spec` into the chapter too, whose rest is kept. */
async function patchesAlone(options: Options): Promise<void> {
  const { work, report, writeSpec } = options
  mkdirSync(work, { recursive: true })
  if (!report) await measurePatchesAlone(options)
  const patches = readPatches(work)
  if (patches === undefined) throw new Error('nothing was measured yet: run npm run bench -- --patches')
  const section = patchSection(patches)
  process.stdout.write(`${section}\n`)
  const chapterFile = 'spec/performance.md'
  if (writeSpec) writeFileSync(chapterFile, replacePatchSection(readFileSync(chapterFile, 'utf8'), section))
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
  if (options.patches) {
    await patchesAlone(options)
    if (!options.report) say(`${((performance.now() - begin) / 1000).toFixed(0)} seconds; results are in ${patchesFile(work)}`)
    return
  }
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
