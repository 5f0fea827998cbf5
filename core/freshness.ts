// What a pointer must be to be believed after its signature held: ours, not older than the last one, not expired (spec/trust.md 2).
import type { CID } from './cid.ts'
import { PsyblobError } from './errors.ts'
import { limits } from './limits.ts'
import { formatTime, parseTime } from './names.ts'
import type { Pointer } from './pointer.ts'

/** The last pointer of a channel that was accepted. */
export type SeenPointer = { readonly version: number; readonly pointer: CID; readonly issued: string; readonly expires: string }

export type PointerExpectation = {
  readonly channel: string
  /** The repository's name when it is known: pinned on first use, or stated in the composition. */
  readonly repo: string | undefined
  readonly seen: SeenPointer | undefined
  /** Milliseconds since 1970; never earlier than `seen.issued`. */
  readonly now: number
  readonly what: string
}

const day = 24 * 60 * 60 * 1000

/** Throws `untrusted`, `rollback` or `expired`. */
export function checkFreshness(pointer: Pointer, cid: CID, expected: PointerExpectation): void {
  const { channel, repo, seen, now, what } = expected
  if (pointer.channel !== channel) {
    throw new PsyblobError('untrusted', `${what}: expected channel ${channel}, got ${pointer.channel}`, {
      hint: 'a pointer lies in the wrong place; ask the publisher',
    })
  }
  if (repo !== undefined && pointer.repo !== repo) {
    throw new PsyblobError('untrusted', `${what}: expected repository ${repo}, got ${pointer.repo}`, {
      hint: 'the remote serves another repository: check its address. If the change is wanted, name it in the composition as "repo"',
    })
  }
  if (seen !== undefined) {
    // trust.md 2, checks 7 and 8: a version equal to ours is not an update; a lower one is an attack or a restored backup, and we cannot tell which
    if (pointer.version < seen.version) {
      throw new PsyblobError('rollback', `${what}: version ${pointer.version} is older than ${seen.version}, which was seen before`, {
        hint: 'the mirror is behind, or the repository was restored from a backup: the publisher runs psyblob publish --refresh until the version is higher',
      })
    }
    if (pointer.version === seen.version && cid !== seen.pointer) {
      throw new PsyblobError('untrusted', `${what}: version ${pointer.version} was ${seen.pointer} before and is ${cid} now`, {
        hint: 'two different pointers were signed with one version; ask the publisher before anything else',
      })
    }
    if (pointer.version > seen.version + limits.pointerLeap) {
      throw new PsyblobError(
        'untrusted',
        `${what}: version ${pointer.version} leaps more than ${limits.pointerLeap} ahead of ${seen.version}`,
        { hint: 'ask the publisher' },
      )
    }
  }
  if (parseTime(pointer.expires) <= now) {
    throw new PsyblobError('expired', `${what}: expired at ${pointer.expires}, now is ${formatTime(now)}`, {
      hint: 'the publisher runs psyblob publish --refresh; if the clock of this machine is wrong, set it',
    })
  }
  if (parseTime(pointer.issued) > now + day) {
    throw new PsyblobError('untrusted', `${what}: issued at ${pointer.issued}, more than a day after now, ${formatTime(now)}`, {
      hint: 'set the clock of this machine',
    })
  }
}

/** What counts as now: a clock that went back never makes an expired pointer fresh. */
export function trustedNow(clock: number, seen: SeenPointer | undefined): number {
  return seen === undefined ? clock : Math.max(clock, parseTime(seen.issued))
}
