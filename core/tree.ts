// What a node accepts of a release of system files, besides its signature (spec/tree.md 1).
import type { Component } from './composition.ts'
import { type Entry, kindOf } from './entry.ts'
import { PsyblobError } from './errors.ts'
import type { Manifest } from './manifest.ts'
import { SortedEntries } from './sorted-entries.ts'
import { visible } from './visible.ts'

/** Of the root of a tree: where psyblob stages what it is about to put in place. */
export const treeFolder = '.psyblob'

/** Set-user-ID and set-group-ID: whoever runs the file has the rights of somebody else. */
const setId = 0o6000

/** Throws `untrusted` for an entry that this composition does not allow. Asked before anything is written. */
export function checkTree({ name, serial, records }: Manifest, { allow = [], target }: Pick<Component, 'allow' | 'target'>): void {
  const own = ['', ...((target.kind === 'tree' ? target.mounts : undefined) ?? [])].map((mount) => `${mount}/${treeFolder}`)
  for (const record of records) {
    if (own.some((path) => record.path === path || record.path.startsWith(`${path}/`))) {
      throw new PsyblobError('untrusted', `${name} ${serial}: ${visible(record.path)} lies where psyblob keeps files of its own`, {
        hint: 'the publisher leaves it out',
      })
    }
    if (kindOf(record) === 'file' && (record.mod & setId) !== 0 && !allow.includes('setuid')) {
      throw new PsyblobError('untrusted', `${name} ${serial}: ${visible(record.path)} would run with the rights of another user`, {
        hint: `if ${name} may have such files, its line in the composition says "allow":["setuid"]`,
      })
    }
  }
}

/**
 * The first path that two releases for one root cannot both have: folders of equal mode and owner they may. Where one has a file or a link
 * the other has nothing below. Both are in the order of manifests.
 */
export function sharedPath(one: readonly Entry[], two: readonly Entry[]): string | undefined {
  const [known, others] = [new SortedEntries(one), new SortedEntries(two)]
  const both = two.find((record) => {
    const other = known.get(record.path)
    if (other === undefined) return kindOf(record) !== 'directory' && known.below(record.path) !== undefined
    const isFolder = kindOf(record) === 'directory' && kindOf(other) === 'directory'
    return !isFolder || record.mod !== other.mod || record.uid !== other.uid || record.gid !== other.gid
  })
  return (both ?? one.find((record) => kindOf(record) !== 'directory' && others.below(record.path) !== undefined))?.path
}
