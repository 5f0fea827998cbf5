// Is a tree what its manifest says: check, verify, status. Changes nothing.
import { setImmediate as turn } from 'node:timers/promises'
import { type Component, comparePaths, type Entry, isPsyblobError, type Manifest, PsyblobError } from '../../core/mod.ts'
import type { Finding, Release } from '../../store/mod.ts'
import { type Checked, wantedRelease } from '../check.ts'
import type { Node } from '../node.ts'
import type { Audit } from '../verify.ts'
import type { AuditAnswer } from './audit-worker.ts'
import { readJournal } from './journal.ts'
import { auditRecord } from './record-audit.ts'
import { SecondAuditor } from './second-auditor.ts'
import { installedTree, lookAt, treeTarget, withoutBytes } from './tree.ts'
import type { TreeRoot } from './tree-root.ts'

const batch = 256

/** Two who look at the tree of a product: the second one starts while `work` finds out which release it ought to be. */
async function withAuditors<Result>(
  node: Node,
  component: Component,
  work: (root: TreeRoot, second: SecondAuditor) => Promise<Result>,
): Promise<Result> {
  return lookAt(component, async (root) => {
    const serial = await node.store.link(component.name, 'current')
    const bytes = serial === undefined ? 0 : await node.store.manifestSize(component.name, serial)
    const second = new SecondAuditor({ dir: root.dir, mounts: treeTarget(component).mounts ?? [] }, bytes)
    try {
      return await work(root, second)
    } finally {
      await second.end()
    }
  })
}

/** Compares every entry, every byte of every file included. */
async function auditTree(
  root: TreeRoot,
  { records }: Manifest,
  {
    second,
    onBytes,
    signal,
  }: { readonly second: SecondAuditor; readonly onBytes: (bytes: number) => void; readonly signal: AbortSignal | undefined },
): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  let at = 0
  const next = () => {
    if (at >= records.length || signal?.aborted === true) return undefined
    at += batch
    return records.slice(at - batch, at)
  }
  const look = (some: readonly Entry[]) => {
    for (const record of some) auditRecord(root, record, findings, onBytes)
  }
  const found = (answer: AuditAnswer) => {
    findings.push(...answer.findings)
    onBytes(answer.bytes)
  }
  const first = async () => {
    for (let some = next(); some !== undefined; some = next()) {
      look(some)
      await turn()
    }
  }
  await Promise.all([second.work(next, { found, alone: look }), first()])
  signal?.throwIfAborted()
  return findings.sort((one, two) => comparePaths(one.path, two.path))
}

/** Is it that release? */
export async function checkTreeProduct(
  node: Node,
  component: Component,
  wanted: { readonly release: string } | { readonly path: string },
): Promise<Checked> {
  return withAuditors(node, component, async (root, second) => {
    const expected = withoutBytes(await wantedRelease(node, component, wanted))
    const { serial, version } = expected.manifest
    const current = await node.store.link(component.name, 'current')
    const installed = await installedOrNone(node, component, expected)
    const found = installed === undefined ? null : { serial: installed.manifest.serial, version: installed.manifest.version }
    const findings = await auditTree(root, expected.manifest, {
      second,
      onBytes: progress(node, expected.manifest),
      signal: node.signal,
    })
    const reasons = [
      ...((await isUnfinished(root, component)) ? ['an apply was cut short: the next apply or repair finishes it'] : []),
      ...(current === undefined
        ? [`no release of ${component.name} is installed`]
        : installed?.cid === expected.cid
          ? []
          : [`expected serial ${serial} (${version}), got ${current} (${found?.version ?? 'whose manifest is damaged'})`]),
      ...findings.map(({ path, problem }) => `${path}: ${problem}`),
    ]
    return { product: component.name, slot: null, expected: { serial, version }, found, matches: reasons.length === 0, reasons, findings }
  })
}

async function installedOrNone(node: Node, component: Component, known: Release): Promise<Release | undefined> {
  return installedTree(node, component, known).catch((error: unknown) => {
    if (isPsyblobError(error, 'corrupt')) return undefined
    throw error
  })
}

/** Audits the installed release. */
export async function verifyTree(node: Node, component: Component): Promise<Audit> {
  return withAuditors(node, component, async (root, second) => {
    node.report({ type: 'step', step: 'verify', about: root.dir })
    const empty = { product: component.name, place: root.dir, serial: null, version: null, bytes: 0, findings: [], error: undefined }
    if (await isUnfinished(root, component))
      return {
        ...empty,
        error: new PsyblobError('corrupt', 'an apply was cut short', { hint: `psyblob apply ${component.name} finishes it` }),
      }
    const installed = await installedTree(node, component)
    if (installed === undefined)
      return {
        ...empty,
        error: new PsyblobError('not-found', `no release of ${component.name} is installed`, {
          hint: `psyblob apply ${component.name} installs one`,
        }),
      }
    const { manifest } = installed
    let bytes = 0
    const tell = progress(node, manifest)
    const findings = await auditTree(root, manifest, {
      second,
      onBytes: (more) => {
        bytes += more
        tell(more)
      },
      signal: node.signal,
    })
    return { ...empty, serial: manifest.serial, version: manifest.version, bytes, findings }
  })
}

export type TreeStatus = {
  readonly root: string
  readonly state: 'release' | 'empty' | 'unfinished' | 'refused'
  readonly serial: number | null
  readonly version: string | null
  readonly manifest: string | null
  readonly entries: number | null
  /** Why it is not known what is installed. */
  readonly why: string | null
}

/** A root that is not there is told as well. */
export async function treeStatus(node: Node, component: Component): Promise<TreeStatus> {
  const nothing = { serial: null, version: null, manifest: null, entries: null, why: null }
  try {
    return await lookAt(component, async (root) => {
      const installed = await installedTree(node, component)
      const isCut = await isUnfinished(root, component)
      if (installed === undefined) return { ...nothing, root: root.dir, state: isCut ? 'unfinished' : 'empty' }
      const { serial, version, entries } = installed.manifest
      return { root: root.dir, state: isCut ? 'unfinished' : 'release', serial, version, manifest: installed.cid, entries, why: null }
    })
  } catch (error) {
    if (!isPsyblobError(error, 'not-found', 'corrupt', 'unsupported')) throw error
    const { target } = component
    return { ...nothing, root: target.kind === 'tree' ? target.root : '', state: 'refused', why: error.message }
  }
}

async function isUnfinished(root: TreeRoot, { name }: Component): Promise<boolean> {
  return readJournal(root.dir, name).then(
    (journal) => journal !== undefined,
    (error: unknown) => {
      // one that cannot be read is one all the same
      if (isPsyblobError(error, 'corrupt', 'unsupported', 'malformed')) return true
      throw error
    },
  )
}

function progress({ report }: Node, { size }: Manifest): (bytes: number) => void {
  let done = 0
  return (bytes) => {
    done += bytes
    report({ type: 'bytes', done, total: size })
  }
}
