// The audit of slots, store and remotes; and repair, which fetches only what is bad.
import { type Component, type Entry, isPsyblobError, PsyblobError } from '../core/mod.ts'
import {
  type Authority,
  auditFolder,
  auditRemote,
  auditRoots,
  auditStore,
  type Finding,
  fetchManifest,
  keptIndex,
  openRemote,
  readState,
  type VerifiedManifest,
} from '../store/mod.ts'
import { type Applied, apply, refuseBooted } from './apply.ts'
import { contents, runningSlot } from './current.ts'
import type { Machine } from './machine.ts'
import { type Node, openMachineOf, openSource, prepareStore, recordResult, trustOf, withMachine, withStore } from './node.ts'
import { type SlotName, slotNames } from './slot.ts'
import { readSlot, replacedRelease, strayFiles } from './slot-files.ts'

/** What the audit of one place found; no findings: every byte is what was signed. */
export type Audit = {
  readonly product: string
  /** E.g. `slot a`, `store`, a remote's label. */
  readonly place: string
  readonly serial: number | null
  readonly version: string | null
  /** Bytes that were hashed. */
  readonly bytes: number
  readonly findings: readonly Finding[]
  /** Why nothing could be compared: no signature that holds, no manifest. */
  readonly error: PsyblobError | undefined
}

/** Audits the slots that hold something, or the one named. */
export async function verifySlots(node: Node, component: Component, named: SlotName | undefined): Promise<readonly Audit[]> {
  const trust = trustOf(node, component)
  const machine = await openMachineOf(node, component)
  try {
    const audits: Audit[] = []
    for (const name of named === undefined ? slotNames : [named]) {
      node.report({ type: 'step', step: 'verify', about: `slot ${name}` })
      const audit = await verifySlot(node, component, { machine, name, authority: trust.authority }).catch((error: unknown) => {
        if (isPsyblobError(error, 'not-found') && named === undefined) return undefined
        throw error
      })
      if (audit !== undefined) audits.push(audit)
    }
    if (audits.length === 0)
      throw new PsyblobError('not-found', `no slot holds a release of ${component.name}`, {
        hint: `psyblob sync ${component.name} installs one`,
      })
    return audits
  } finally {
    await machine.close()
  }
}

type SlotAudit = {
  readonly machine: Awaited<ReturnType<typeof openMachineOf>>
  readonly name: SlotName
  readonly authority: Authority
}

async function verifySlot(node: Node, component: Component, { machine, name, authority }: SlotAudit): Promise<Audit | undefined> {
  const slot = await machine.slots[name].open({ write: false })
  try {
    const content = await readSlot(slot.dir, { product: component.name, authority })
    const empty = { product: component.name, place: `slot ${name}`, serial: null, version: null, bytes: 0, findings: [] }
    if (content.state === 'refused') return { ...empty, error: content.error }
    if (content.state === 'empty') {
      const why = content.unfinished ? `slot ${name} holds an installation that was cut short` : `slot ${name} holds no release`
      if (!content.unfinished) throw new PsyblobError('not-found', why, { hint: `psyblob sync ${component.name} installs one` })
      return { ...empty, error: new PsyblobError('corrupt', why, { hint: `psyblob sync ${component.name} finishes it` }) }
    }
    const { manifest } = content.release
    let bytes = 0
    const onBytes = (more: number) => {
      bytes += more
      node.report({ type: 'bytes', done: bytes, total: manifest.size })
    }
    const indexOf = async ({ bin }: Entry) => (bin?.index === undefined ? undefined : keptIndex(bin.index, bin.size, node.store))
    const bad = await auditFolder(slot.dir, manifest, { indexOf, onBytes, signal: node.signal })
    const strays = (await strayFiles(slot.dir, manifest)).map((path): Finding => ({ path, problem: 'unexpected' }))
    return { ...empty, serial: manifest.serial, version: manifest.version, bytes, findings: [...bad, ...strays], error: undefined }
  } finally {
    await slot.close()
  }
}

/** Audits what the local store keeps of a product: manifests, links, indexes, the trusted state. */
export async function verifyStore(node: Node, component: Component): Promise<Audit> {
  const { authority } = trustOf(node, component)
  node.report({ type: 'step', step: 'verify', about: `store ${node.store.dir}` })
  await readState(node.store.dir)
  const { bytes, findings } = await auditStore(node.store, component.name, authority)
  return {
    product: component.name,
    place: `store ${node.store.dir}`,
    serial: (await node.store.link(component.name, 'latest')) ?? null,
    version: null,
    bytes,
    findings,
    error: undefined,
  }
}

/** Audits every remote of a product: its chain of roots, then all of its newest release, by whom that chain leads to. */
export async function verifyRemotes(node: Node, component: Component): Promise<readonly Audit[]> {
  const trust = trustOf(node, component)
  const { stallSeconds, ipfsGateway, report } = node
  const audits: Audit[] = []
  for (const uri of component.uris) {
    const remote = await openRemote(uri, { stallSeconds, ipfsGateway, report })
    let findings: readonly Finding[] = []
    try {
      report({ type: 'step', step: 'verify', about: remote.label })
      const roots = await auditRoots(remote, trust, node.signal)
      findings = roots.findings
      const { authority } = roots
      const audit = await auditRemote({
        remote,
        trust: { ...trust, authority },
        clock: node.clock(),
        report: report,
        signal: node.signal,
      })
      audits.push({
        product: component.name,
        place: remote.label,
        error: undefined,
        ...audit,
        bytes: roots.bytes + audit.bytes,
        findings: [...findings, ...audit.findings],
      })
    } catch (error) {
      if (!isPsyblobError(error) || error.code === 'interrupted') throw error
      audits.push({ product: component.name, place: remote.label, serial: null, version: null, bytes: 0, findings, error })
    } finally {
      await remote.close()
    }
  }
  return audits
}

export type Repaired = Applied & { readonly product: string; readonly serial: number; readonly version: string }

/** Makes a slot what its own manifest says, fetching only what is bad. Throws `conflict` for the booted slot. */
export async function repair(
  node: Node,
  component: Component,
  options: { readonly slot: SlotName | undefined; readonly dryRun: boolean; readonly path: string | undefined },
): Promise<Repaired> {
  const trust = trustOf(node, component)
  if (!options.dryRun) await prepareStore(node)
  return withStore(node, () =>
    withMachine(node, component, async (machine) => {
      const slots = await contents(machine, component.name, trust.authority)
      const target = options.slot ?? (await runningSlot(machine, slots))
      if (target === undefined)
        throw new PsyblobError('not-found', `no slot holds a release of ${component.name}`, {
          hint: `psyblob sync ${component.name} installs one`,
        })
      refuseBooted(machine, target)
      const content = slots[target]
      const source = await openSource(node, component, options.path)
      try {
        const release =
          content.state === 'release'
            ? content.release
            : ((await interrupted(machine, target, { product: component.name, authority: trust.authority })) ??
              (await intended(node, component, source, content.state === 'refused' ? content.error : undefined)))
        const { report, signal, store } = node
        const before = await machine.bootloader.read()
        const applied = await apply({
          product: component.name,
          authority: trust.authority,
          release,
          machine,
          target,
          store,
          mirrors: source.mirrors,
          meter: source.meter,
          force: false,
          repair: true,
          activate: false,
          prefer: component.prefer ?? 'time',
          dryRun: options.dryRun,
          report,
          signal,
        })
        if (!options.dryRun) {
          // the bytes are the same as before: a slot that was known to boot still is
          if (before.good.includes(target) && content.state === 'release') {
            const { order, good } = await machine.bootloader.read()
            await machine.bootloader.write({ order, good: [...good, target].sort() })
          }
          await recordResult(node, component.name, 'repair', undefined)
        }
        return { ...applied, product: component.name, serial: release.manifest.serial, version: release.manifest.version }
      } finally {
        await source.close()
      }
    }),
  )
}

/** What a slot held before a repair or an installation of it was cut short. */
async function interrupted(
  machine: Machine,
  name: SlotName,
  expected: { readonly product: string; readonly authority: Authority },
): Promise<VerifiedManifest | undefined> {
  const slot = await machine.slots[name].open({ write: false })
  try {
    return await replacedRelease(slot.dir, expected)
  } finally {
    await slot.close()
  }
}

/** A slot without a manifest that can be believed is repaired to the newest release this machine knows. */
async function intended(
  node: Node,
  component: Component,
  source: Awaited<ReturnType<typeof openSource>>,
  why: PsyblobError | undefined,
): Promise<VerifiedManifest> {
  const serial = await node.store.link(component.name, 'latest')
  if (serial === undefined) {
    throw (
      why ??
      new PsyblobError('not-found', 'the slot does not say what it holds, and no release is known here', {
        hint: `psyblob sync ${component.name} installs the newest`,
      })
    )
  }
  return fetchManifest({
    product: component.name,
    serial,
    authority: trustOf(node, component).authority,
    mirrors: source.mirrors,
    store: node.store,
    signal: node.signal,
  })
}
