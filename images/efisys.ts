// Writes a release onto the EFI partition: whenever the power goes, there is a boot loader, old or new, and it is whole (spec/efisys.md).
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PsyblobError, type Report, visible } from '../core/mod.ts'
import {
  type Assembled,
  assemble,
  cidOfBytes,
  dropParts,
  type EntryPlan,
  type LocalStore,
  type Meter,
  type Mirrors,
  planRelease,
  readBack,
  writeWhole,
} from '../store/mod.ts'
import { lineOf, type PlanLine } from './apply.ts'
import { checkEntries, cidAt, filesOf, following, idEntry, loaderName, newLoader, oldLoader, placeOf } from './efi-content.ts'
import type { EfiPartition } from './efi-partition.ts'
import { type EfiLine, type EfiSurvey, ifCorrupt, requireRoom, type SurveyOptions, surveyOf } from './efi-survey.ts'
import { dropNext, requireSwitch, sealEfi, switchLoaders } from './efi-switch.ts'
import { askTrial, dropTrial } from './esp/loader-state.ts'

export type EfiApplyOptions = SurveyOptions & {
  readonly store: LocalStore
  readonly mirrors: Mirrors
  readonly meter: Meter
  readonly dryRun: boolean
  readonly report: Report
}

export type EfiApplied = {
  /** The partition was written, or would be. */
  readonly changed: boolean
  /** The release's boot loader waits for the next boot, or would. */
  readonly onTrial: boolean
  readonly bytes: { readonly total: number; readonly fetched: number; readonly reused: number; readonly written: number }
  readonly requests: number
  readonly plan: readonly PlanLine[]
}

/** Errors: `unsupported`, `conflict`, `no-space`, `locked`, `unavailable`, `corrupt`. */
export async function applyEfi(options: EfiApplyOptions): Promise<EfiApplied> {
  const { release, force, meter, report, dryRun } = options
  checkEntries(release.manifest)
  report({ type: 'step', step: 'plan' })
  const survey = await surveyOf(options)
  const { content, lines, toWrite, tries } = survey
  const total = release.manifest.size
  const outcome = (
    changed: boolean,
    onTrial: boolean,
    moved: { reused: number; written: number },
    plan: readonly PlanLine[] = [],
  ): EfiApplied => ({
    changed,
    onTrial,
    bytes: { total, fetched: meter.bytes, ...moved },
    requests: meter.requests,
    plan,
  })
  const isNext = content.next?.cid === release.cid
  const isSealed = content.sealed.state === 'release' && content.sealed.release.cid === release.cid
  const isWhole = toWrite.length === 0
  if (isWhole && !force && isNext && tries && content.loader.asked !== undefined) return outcome(false, true, { reused: total, written: 0 })
  if (isWhole && isSealed && content.next === undefined && content.loader.asked === undefined && lines.every((line) => line.isCurrent))
    return outcome(false, false, { reused: total, written: 0 })
  if (lines.some((line) => line.isNewLoader) && !tries) requireSwitch(options.partition)

  const work = join(options.store.dir, `.efi-${options.product}`)
  const held = dryRun ? await mkdtemp(join(tmpdir(), 'psyblob-efi-')) : join(work, 'held')
  try {
    const plans = await planFiles(options, survey, { held, parts: join(work, 'parts') })
    await requireRoom(options, survey)
    const plan = plans.map(lineOf)
    const sum = (pick: (line: PlanLine) => number) => plan.reduce((all, line) => all + pick(line), 0)
    const written = toWrite.reduce((all, { entry }) => all + entry.bin.size, 0)
    const moved = { reused: total - written + sum((line) => line.reuse), written }
    if (dryRun) {
      const would = outcome(true, tries, moved, plan)
      return {
        ...would,
        bytes: { ...would.bytes, fetched: meter.bytes + sum((line) => line.fetch) },
        requests: meter.requests + sum((line) => line.requests),
      }
    }
    await install(options, survey, { plans, parts: join(work, 'parts') })
    await rm(work, { recursive: true, force: true })
    return outcome(true, tries, moved, plan)
  } finally {
    await rm(held, { recursive: true, force: true })
  }
}

type Folders = { readonly held: string; readonly parts: string }

/** How the files that are not there come: from those that are, as far as they go, else from the remotes. */
async function planFiles(
  options: EfiApplyOptions,
  { content, toWrite }: EfiSurvey,
  { held, parts }: Folders,
): Promise<readonly EntryPlan[]> {
  const { release, partition, store, mirrors, report, signal, dryRun } = options
  if (toWrite.length === 0) return []
  const before = content.sealed.state === 'release' ? content.sealed.release.manifest : undefined
  const places = new Map(
    [...(before === undefined ? [] : filesOf(before)), ...filesOf(release.manifest)].map((entry) => [entry.path, entry]),
  )
  await rm(held, { recursive: true, force: true })
  for (const entry of places.values()) {
    const bytes = await partition.files.read(placeOf(entry)).catch(ifCorrupt)
    if (bytes !== undefined) await writeWhole(join(held, entry.path), bytes)
  }
  return planRelease({
    manifest: { ...release.manifest, records: toWrite.map(({ entry }) => entry) },
    target: undefined,
    others: [{ dir: held, manifest: before }],
    parts,
    store,
    mirrors,
    force: false,
    keepIndexes: !dryRun,
    frugal: false,
    adopt: false,
    prefer: 'time',
    // files of a megabyte: chunks are there sooner
    patches: false,
    report,
    signal,
  })
}

type Planned = { readonly plans: readonly EntryPlan[]; readonly parts: string }

async function install(options: EfiApplyOptions, survey: EfiSurvey, { plans, parts }: Planned): Promise<void> {
  const { partition, release, report, signal } = options
  const { content, lines, toWrite, tries } = survey
  const { files, state } = partition
  report({ type: 'step', step: 'fetch' })
  await dropParts(parts, new Set(filesOf(release.manifest).map(({ bin }) => bin.cid)))
  const assembled = plans.length === 0 ? [] : await assemble({ plans, parts, mirrors: options.mirrors, report, signal })
  const bytesOf = await checkedParts(assembled)
  signal?.throwIfAborted()
  await partition.makeWritable()

  report({ type: 'step', step: 'write', about: visible(partition.label) })
  // a boot loader that is half written must not be asked for
  await dropTrial(state)
  if (content.next?.cid !== release.cid) {
    await dropNext(partition)
    await files.write(following.signatures, release.signed.signatures)
    await files.write(following.body, release.signed.body)
  }
  await dropStale(partition, survey)
  for (const one of assembled) {
    const line = toWrite.find(({ entry }) => entry.path === one.plan.entry.path)
    if (line === undefined) throw new RangeError(`${one.plan.entry.path} was not asked for`)
    const name = loaderName(line.entry.path)
    if (name !== undefined) {
      await files.remove(oldLoader(name))
      // so that its name comes to lie beside the one in use, where there is room
      await files.remove(line.waiting)
    }
    await files.write(line.waiting, await bytesOf(one), { beside: placeOf(line.entry) })
  }

  report({ type: 'step', step: 'read back' })
  let done = 0
  for (const line of lines) {
    const { entry } = line
    const place = line.isCurrent && !toWrite.includes(line) ? placeOf(entry) : line.waiting
    const got = await cidAt(partition, place, { fresh: true })
    if (got !== entry.bin.cid) {
      throw new PsyblobError(
        'corrupt',
        `reading back ${place} on ${visible(partition.label)}: expected ${entry.bin.cid}, got ${got ?? 'nothing'}`,
        {
          hint: 'the old boot loader is in its place. Run the same command again; if it happens twice, the disk is failing',
        },
      )
    }
    done += entry.bin.size
    report({ type: 'bytes', done, total: release.manifest.size })
  }

  if (tries) {
    await askTrial(state, await loaderId(partition, lines))
    return
  }
  report({ type: 'step', step: 'switch' })
  await switchLoaders(partition, release)
  await sealEfi(partition, release, content.sealed.state === 'release' ? content.sealed.release : undefined)
}

/** Beside a boot loader that stays lies the one before it, if the power went at the right moment; anything else was given up. */
async function dropStale(partition: EfiPartition, { content, lines }: EfiSurvey): Promise<void> {
  const before = content.sealed.state === 'release' ? filesOf(content.sealed.release.manifest) : []
  for (const { entry, isNewLoader } of lines) {
    const name = loaderName(entry.path)
    if (name === undefined || isNewLoader) continue
    const beside = await cidAt(partition, newLoader(name)).catch(ifCorrupt)
    if (!before.some(({ path, bin }) => loaderName(path) === name && bin.cid === beside)) await partition.files.remove(newLoader(name))
  }
}

/** The files that were fetched, each compared with its name before it is written anywhere else. */
async function checkedParts(assembled: readonly Assembled[]): Promise<(one: Assembled) => Promise<Uint8Array>> {
  for (const { plan, part, following: reading } of assembled) {
    const { cid } = await (reading?.finish({}) ?? readBack(part ?? '', {}))
    if (cid === plan.entry.bin.cid) continue
    if (part !== undefined) await rm(part, { force: true })
    throw new PsyblobError('corrupt', `${plan.entry.path}: expected ${plan.entry.bin.cid}, got ${cid}`, {
      hint: 'run the same command again',
    })
  }
  return async ({ plan, part }) => {
    const bytes = await readFile(part ?? '')
    const cid = cidOfBytes(bytes)
    if (cid !== plan.entry.bin.cid)
      throw new PsyblobError('corrupt', `${plan.entry.path}: expected ${plan.entry.bin.cid}, got ${cid}`, {
        hint: 'run the same command again',
      })
    return bytes
  }
}

/** The id of the release's boot loader: what it says of itself on the kernel's command line. */
async function loaderId({ files }: EfiPartition, lines: readonly EfiLine[]): Promise<string> {
  const line = lines.find(({ entry }) => entry.path === idEntry)
  const bytes = line === undefined ? undefined : await files.read(line.isCurrent ? placeOf(line.entry) : line.waiting)
  const text = Buffer.from(bytes ?? [])
    .toString('latin1')
    .trimEnd()
  if (/^[\w.-]{1,64}$/.test(text)) return text
  throw new PsyblobError('malformed', `${idEntry} is no id of a boot loader: "${visible(text.slice(0, 80))}"`, {
    hint: 'the publisher makes the release with psyblob build efisys; --force switches without a trial',
  })
}
