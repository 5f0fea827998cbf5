// The trusted comment of our own signatures: generated, compared after verification, never a source of facts (spec/minisign.md 5).
import type { CID } from './cid.ts'
import { PsyblobError } from './errors.ts'
import type { ManifestHeader } from './manifest.ts'
import type { Pointer } from './pointer.ts'
import type { Root } from './root.ts'
import { visible } from './visible.ts'

const ours = 'psyblob '

export function manifestComment(manifest: Pick<ManifestHeader, 'repo' | 'name' | 'serial'>, cid: CID): string {
  return `${ours}type=manifest repo=${manifest.repo} name=${manifest.name} serial=${manifest.serial} cid=${cid}`
}

export function pointerComment(pointer: Pointer, cid: CID): string {
  return `${ours}type=pointer repo=${pointer.repo} channel=${pointer.channel} version=${pointer.version} cid=${cid}`
}

export function rootComment(root: Pick<Root, 'repo' | 'version'>, cid: CID): string {
  return `${ours}type=root repo=${root.repo} version=${root.version} cid=${cid}`
}

/** Throws `untrusted` when a comment that psyblob wrote says something else than the body. Comments of stock minisign are let be. */
export function checkTrustedComment(comment: string, expected: string, what: string): void {
  if (comment.startsWith(ours) && comment !== expected) {
    throw new PsyblobError(
      'untrusted',
      `${what}: its trusted comment belongs to something else: expected "${expected}", got "${visible(comment)}"`,
      {
        hint: 'a signature was put beside the wrong file; ask the publisher',
      },
    )
  }
}
