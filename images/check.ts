// Check: is this slot that release, byte for byte? Answers; never changes anything.
import { type Component, isPsyblobError } from '../core/mod.ts'
import { auditFolder, type Finding, findRelease, releaseAt, type VerifiedManifest } from '../store/mod.ts'
import { contents, runningSlot } from './current.ts'
import { type Node, openMachineOf, openSource, trustOf } from './node.ts'
import type { SlotName } from './slot.ts'
import { strayFiles } from './slot-files.ts'

export type CheckOptions = {
  /** Undefined: the slot in use. */
  readonly slot: SlotName | undefined
  /** `latest`, `current`, a serial or a version label; or a manifest file. */
  readonly wanted: { readonly release: string } | { readonly path: string }
}

export type Checked = {
  readonly product: string
  readonly slot: SlotName | null
  readonly matches: boolean
  readonly expected: { readonly serial: number; readonly version: string }
  readonly found: { readonly serial: number; readonly version: string } | null
  /** Why not, in words; empty when it matches. */
  readonly reasons: readonly string[]
  readonly findings: readonly Finding[]
}

/** Compares manifest and every byte. Throws only when the question itself cannot be answered. */
export async function check(node: Node, component: Component, { slot, wanted }: CheckOptions): Promise<Checked> {
  const trust = trustOf(node, component)
  const expected = await wantedRelease(node, component, wanted)
  const { serial, version } = expected.manifest
  const machine = await openMachineOf(node, component)
  try {
    const slots = await contents(machine, component.name, trust.authority)
    const name =
      slot ??
      (await runningSlot(machine, slots).catch((error: unknown) =>
        isPsyblobError(error, 'not-found') ? undefined : Promise.reject(error),
      ))
    const answer = { product: component.name, slot: name ?? null, expected: { serial, version }, found: null, findings: [] }
    const content = name === undefined ? undefined : slots[name]
    if (name === undefined || content === undefined) return { ...answer, matches: false, reasons: ['no slot holds a release'] }
    if (content.state === 'empty')
      return {
        ...answer,
        matches: false,
        reasons: [content.unfinished ? 'an installation there was cut short' : 'the slot holds no release'],
      }
    if (content.state === 'refused') return { ...answer, matches: false, reasons: [content.error.message] }
    const { manifest, cid } = content.release
    const found = { serial: manifest.serial, version: manifest.version }
    if (cid !== expected.cid)
      return {
        ...answer,
        found,
        matches: false,
        reasons: [`expected serial ${serial} (${version}), got ${found.serial} (${found.version})`],
      }
    const opened = await machine.slots[name].open({ write: false })
    try {
      const bad = await auditFolder(opened.dir, manifest, { indexOf: async () => undefined, signal: node.signal })
      const strays = (await strayFiles(opened.dir, manifest)).map((path): Finding => ({ path, problem: 'unexpected' }))
      const findings = [...bad, ...strays]
      return {
        ...answer,
        found,
        matches: findings.length === 0,
        findings,
        reasons: findings.map(({ path, problem }) => `${path}: ${problem}`),
      }
    } finally {
      await opened.close()
    }
  } finally {
    await machine.close()
  }
}

/** The release that somebody asks for by name or by file. */
export async function wantedRelease(node: Node, component: Component, wanted: CheckOptions['wanted']): Promise<VerifiedManifest> {
  const trust = trustOf(node, component)
  if ('path' in wanted) return (await releaseAt(wanted.path, trust)).release
  const source = await openSource(node, component)
  try {
    return await findRelease({ trust, store: node.store, mirrors: source.mirrors, signal: node.signal }, wanted.release)
  } finally {
    await source.close()
  }
}
