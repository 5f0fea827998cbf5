// A key ceremony: the next root as a file that people edit, sign and publish. Nothing but files; stock minisign may sign (spec/root.md 5).
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  cidOf,
  documents,
  formatRoot,
  formatTime,
  keyIdText,
  limits,
  PsyblobError,
  type PublicKey,
  parseRoot,
  parseSignatures,
  type Root,
  type RootContent,
  rootComment,
  type SecretKey,
  type Signers,
  signPrehash,
  utf8Decode,
  utf8Encode,
  verifySignatures,
  visible,
} from '../core/mod.ts'
import { requireAnchors } from './anchor.ts'
import { blake3 } from './blake3.ts'
import { prehash, signatureEngine } from './crypto.ts'
import { makeFolder, pathExists, readLimited, writeWhole } from './files.ts'
import { repositoryRoots } from './publisher.ts'
import type { Remote, RemoteWriter } from './remote.ts'
import { repositoryName } from './repository.ts'
import { type VerifiedRoot, verifyFirstRoot, verifyRoot } from './roots.ts'

const day = 24 * 60 * 60 * 1000

/** The root in `path`, whose signatures nobody has looked at. Throws `not-found`, `malformed`. */
export async function readDraft(path: string): Promise<Root> {
  return parseRoot(await draftBytes(path), visible(path))
}

async function draftBytes(path: string): Promise<Uint8Array> {
  const bytes = await readLimited(path, limits.root)
  if (bytes !== undefined) return bytes
  throw new PsyblobError('not-found', `no root at ${visible(path)}`, {
    hint: 'psyblob root init FILE begins the first one, psyblob root prepare FILE --remote REPOSITORY the next one',
  })
}

const signaturePath = (path: string) => `${path}.minisig`

/** Writes a draft; signatures of what it said before go. Answers whether there were any. */
export async function writeDraft(path: string, content: RootContent): Promise<boolean> {
  await makeFolder(dirname(path))
  const wasSigned = await pathExists(signaturePath(path))
  if (wasSigned) await rm(signaturePath(path), { force: true })
  await writeWhole(path, formatRoot(content))
  return wasSigned
}

/** The next root of a repository, with everything as in the newest one and a life of its own. Throws `not-found` when it has none. */
export async function nextRoot(remote: Remote, { now, days }: { readonly now: number; readonly days: number }): Promise<RootContent> {
  const { all } = await rootsOf(remote)
  const newest = all.at(-1)?.root
  if (newest === undefined)
    throw new PsyblobError('not-found', `${remote.label} has no root yet`, { hint: 'psyblob root init FILE begins the first one' })
  const { psyblob: _, ...content } = newest
  return { ...content, version: newest.version + 1, issued: formatTime(now), expires: formatTime(now + days * day) }
}

/** All roots of a repository, each verified by the one before. */
export async function rootsOf(remote: Remote): Promise<{ readonly repo: string; readonly all: readonly VerifiedRoot[] }> {
  const repo = await repositoryName(remote)
  return { repo, all: await repositoryRoots(remote, repo) }
}

/** Adds a signature to a draft. The same key again replaces its own. */
export async function signDraft(path: string, secretKey: SecretKey): Promise<void> {
  const body = await draftBytes(path)
  const root = parseRoot(body, visible(path))
  const block = signPrehash({ secretKey, prehash: prehash(body), trustedComment: rootComment(root, cidOf(blake3().digest(body))) })
  const there = await readLimited(signaturePath(path), limits.minisig)
  const kept = there === undefined ? [] : blocksOf(utf8Decode(there, signaturePath(path)), visible(path))
  const own = keyIdText(secretKey.publicKey.id)
  await writeWhole(signaturePath(path), utf8Encode([...kept.filter(({ id }) => id !== own).map(({ text }) => text), block].join('')))
}

type Block = { readonly id: string; readonly text: string }

function blocksOf(text: string, what: string): readonly Block[] {
  const lines = text.split('\n')
  return parseSignatures(text, what).map(({ keyId }, at) => ({
    id: keyIdText(keyId),
    text: `${lines.slice(4 * at, 4 * at + 4).join('\n')}\n`,
  }))
}

export type RootPublication = {
  readonly path: string
  /** Further signature files; `path`.minisig counts where it is there. */
  readonly signatures: readonly string[]
  readonly remote: RemoteWriter
  /** Of a first root: keys that nodes trust so far; they must have signed it. */
  readonly anchors: readonly PublicKey[]
  /** Of a first root: the channels whose nodes must believe it. Default: all. */
  readonly channels: readonly string[] | undefined
}

/** `unverified`: ids of keys that nodes trust so far, and whose signatures could not be verified for want of the public key. */
export type PublishedRoot = VerifiedRoot & { readonly unverified: readonly string[] }

/** Publishes a signed draft as the next root. Throws `untrusted` when signatures are missing, `conflict` when it is not the next one. */
export async function publishRoot({ path, signatures, remote, anchors, channels }: RootPublication): Promise<PublishedRoot> {
  const body = await draftBytes(path)
  const root = parseRoot(body, visible(path))
  const { repo, all } = await rootsOf(remote)
  const newest = all.at(-1)
  if (root.repo !== repo)
    throw new PsyblobError('untrusted', `${visible(path)}: expected repository ${repo}, got ${root.repo}`, {
      hint: 'begin the root anew with --repo',
    })
  if (root.version !== (newest?.root.version ?? 0) + 1)
    throw new PsyblobError(
      'conflict',
      `${visible(path)} is root ${root.version}; the next one of ${repo} is ${(newest?.root.version ?? 0) + 1}`,
      {
        hint: 'psyblob root prepare begins the next one from the newest',
      },
    )
  if (newest !== undefined && (anchors.length > 0 || channels !== undefined))
    throw new PsyblobError(
      'usage',
      `${repo} has a root: the key of before counts no more, and --old-key and --channel are of the first one`,
      {
        hint: 'leave them out',
      },
    )
  if (newest !== undefined) refuseRelapse(root, newest.root, visible(path))
  const text = await collected(path, signatures, {
    body,
    needed: [root.roles.root, ...(newest === undefined ? [] : [newest.root.roles.root])],
  })
  const signed = { body, signatures: utf8Encode(text) }
  const what = `root ${root.version} in ${visible(path)}`
  const verified =
    newest === undefined
      ? verifyFirstRoot(signed, { repo, what })
      : verifyRoot(signed, { before: newest.root.roles.root, version: root.version, repo, what })
  const unverified = newest === undefined ? await requireAnchors({ root, body, text }, { remote, anchors, channels, what }) : []
  const held = await remote.hold()
  try {
    // somebody else may have published it since: his signatures must not be replaced
    if ((await remote.read(documents.root(root.version), { limit: limits.root })) !== undefined)
      throw new PsyblobError('conflict', `somebody else has published root ${root.version} of ${repo} meanwhile`, {
        hint: 'psyblob root prepare begins the next one from it',
      })
    // the signature first: a root that is there is whole
    await remote.replace(
      documents.rootSignature(root.version),
      signed.signatures,
      await remote.read(documents.rootSignature(root.version), { limit: limits.minisig }),
    )
    await remote.replace(documents.root(root.version), body, undefined)
    await remote.tidy()
  } finally {
    await held.release()
  }
  return { ...verified, unverified }
}

/** Throws `usage` for a root that takes a floor or a revocation back: nodes would accept again what was refused. */
function refuseRelapse(root: Root, before: Root, what: string): void {
  const hint = 'psyblob root prepare begins the next one from the newest; a floor and a revocation are for ever'
  for (const [product, floor] of Object.entries(before.floors))
    if ((Object.hasOwn(root.floors, product) ? (root.floors[product] ?? 0) : 0) < floor)
      throw new PsyblobError('usage', `${what}: the floor of ${product} is less than ${floor}, which root ${before.version} says`, { hint })
  const lost = before.revoked.find((cid) => !root.revoked.includes(cid))
  if (lost !== undefined) throw new PsyblobError('usage', `${what}: ${lost} is revoked no more, as root ${before.version} says`, { hint })
}

/** The blocks of all files, each key's once. Throws `untrusted` for one by a key of the roots that does not hold: nobody shall think that it counts. */
async function collected(
  path: string,
  more: readonly string[],
  { body, needed }: { readonly body: Uint8Array; readonly needed: readonly Signers[] },
): Promise<string> {
  const found = new Map<string, string>()
  const own = (await pathExists(signaturePath(path))) ? [signaturePath(path)] : []
  const digest = prehash(body)
  for (const file of [...own, ...more]) {
    const bytes = await readLimited(file, limits.minisig)
    if (bytes === undefined)
      throw new PsyblobError('not-found', `no signature file ${visible(file)}`, { hint: 'minisign -S -H -m FILE writes FILE.minisig' })
    for (const { id, text } of blocksOf(utf8Decode(bytes, visible(file)), visible(file))) {
      const keys = needed.flatMap((signers) => signers.keys).filter((key) => keyIdText(key.id) === id)
      // a key that no root names may be the one that nodes began with
      if (keys.length > 0)
        verifySignatures({
          text,
          prehash: digest,
          signers: { threshold: 1, keys },
          engine: signatureEngine,
          what: `signature of ${visible(path)} in ${visible(file)}`,
        })
      found.set(id, text)
    }
  }
  if (found.size === 0)
    throw new PsyblobError('untrusted', `${visible(path)} is not signed`, {
      hint: `psyblob root sign ${visible(path)} --key KEY signs it, or minisign -S -H -m ${visible(path)}`,
    })
  return [...found.values()].join('')
}
