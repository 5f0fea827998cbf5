// The audit of a remote's chain of roots: each there, with its signature, by those before it and by its own (spec/root.md 3).
import {
  documents,
  formatRoot,
  isPsyblobError,
  limits,
  parsePointer,
  parseRoot,
  type Root,
  type Signers,
  soleSigner,
  splitPointerFile,
} from '../core/mod.ts'
import type { Finding } from './audit.ts'
import type { Authority } from './authority.ts'
import type { Trust } from './refresh.ts'
import type { Remote } from './remote.ts'
import { verifyRoot, withFormer } from './roots.ts'
import { sameBytes } from './seeds.ts'

export type RootsAudit = {
  /** Whom to believe about the rest: the newest root that an unbroken chain leads to, or the one in force here if that is newer. */
  readonly authority: Authority
  /** Bytes of roots that were verified. */
  readonly bytes: number
  readonly findings: readonly Finding[]
}

/** After so many there is nothing more to be learnt of a chain. */
const mostFindings = 16

/** Goes on behind a root that is bad or missing: those after it are held against themselves. */
export async function auditRoots(remote: Remote, trust: Trust, signal: AbortSignal | undefined): Promise<RootsAudit> {
  const inForce = trust.authority.root
  const last = Math.max(inForce?.version ?? 0, await pointedRoot(remote, trust.channel, signal))
  const findings: Finding[] = []
  let { authority } = trust
  let bytes = 0
  // who has to have signed the next one; undefined behind a gap
  let before: Signers | undefined = soleSigner(trust.key)
  for (let version = 1; version <= (inForce?.version ?? 0) + limits.rootSteps && findings.length < mostFindings; version++) {
    const found = await auditRoot(remote, { version, before, repo: trust.repo ?? authority.root?.repo, inForce, signal })
    if (found === undefined && version > last) break
    const isBad = found === undefined || 'problem' in found
    if (isBad) findings.push(found ?? { path: `/${documents.root(version)}`, problem: 'missing' })
    else {
      bytes += found.bytes
      if (before !== undefined && version > (authority.root?.version ?? 0))
        authority = { anchor: trust.key, root: found.root, former: withFormer(authority.former, authority.root, trust.key) }
    }
    if (version === inForce?.version) before = inForce.roles.root
    else before = isBad || before === undefined ? undefined : found.root.roles.root
  }
  return { authority, bytes, findings }
}

type RootStep = {
  readonly version: number
  readonly before: Signers | undefined
  readonly repo: string | undefined
  readonly inForce: Root | undefined
  readonly signal: AbortSignal | undefined
}

async function auditRoot(
  remote: Remote,
  { version, before, repo, inForce, signal }: RootStep,
): Promise<{ readonly root: Root; readonly bytes: number } | Finding | undefined> {
  const path = `/${documents.root(version)}`
  const what = `root ${version} of ${remote.label}`
  try {
    const body = await remote.read(documents.root(version), { limit: limits.root, signal })
    if (body === undefined) return undefined
    const signatures = await remote.read(documents.rootSignature(version), { limit: limits.minisig, signal })
    if (signatures === undefined) return { path: `/${documents.rootSignature(version)}`, problem: 'missing' }
    const step = { before: before ?? parseRoot(body, what).roles.root, version, repo, what }
    const { root } = verifyRoot({ body, signatures }, step)
    // two roots of one version, both rightly signed: this machine follows the other one
    if (version === inForce?.version && !sameBytes(formatRoot(root), formatRoot(inForce)))
      return { path, problem: 'untrusted', why: `${what} is another one than the one in force here` }
    return { root, bytes: body.length + signatures.length }
  } catch (error) {
    if (isPsyblobError(error, 'untrusted', 'malformed'))
      return { path, problem: error.code === 'malformed' ? 'malformed' : 'untrusted', why: error.message }
    throw error
  }
}

/** What the pointer says, whoever signed it: nothing of it is believed but that it is worth looking for. */
async function pointedRoot(remote: Remote, channel: string, signal: AbortSignal | undefined): Promise<number> {
  try {
    const bytes = await remote.read(documents.pointer(channel), { limit: limits.pointer, signal })
    return bytes === undefined ? 0 : parsePointer(splitPointerFile(bytes, 'pointer').body).root
  } catch (error) {
    if (isPsyblobError(error, 'malformed')) return 0
    throw error
  }
}
