// What was tried on this node and what it came to: a short diary for people. Nothing is decided by it, so a damaged one is begun anew (spec/store.md 7).
import { join } from 'node:path'
import * as v from 'valibot'
import { checkShape, isPsyblobError, parsedBy, parseJson, parseName, parseTime, utf8Decode, utf8Encode } from '../core/mod.ts'
import { readLimited, writeWhole } from './files.ts'
import { lock } from './lock.ts'

const time = parsedBy((text: string) => {
  parseTime(text)
  return text
})
const number = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const attempt = v.strictObject({
  at: time,
  what: v.picklist(['boot', 'health', 'sync', 'fallback', 'mark good', 'mark bad', 'rollback', 'activate', 'hold', 'unhold', 'reboot']),
  result: v.picklist(['ok', 'installed', 'held', 'refused', 'failed']),
  /** Absent when it is about the machine. */
  product: v.exactOptional(parsedBy((text: string) => parseName(text, 'product'))),
  slot: v.exactOptional(v.picklist(['a', 'b'])),
  serial: v.exactOptional(number),
  message: v.exactOptional(v.string()),
  /** The kernel's name for one boot. */
  boot: v.exactOptional(v.string()),
  /** How often it came to the same, and when last. */
  count: v.exactOptional(number),
  last: v.exactOptional(time),
})

export type Attempt = v.InferOutput<typeof attempt>

const mostLines = 200
const mostText = 400
const mostBytes = 512 * 1024

/** Oldest first. A line that cannot be understood is left out: it may be damaged, or a newer psyblob's that this machine fell back from. */
export async function readAttempts(dir: string): Promise<readonly Attempt[]> {
  return (await readLines(dir)).attempts
}

async function readLines(dir: string): Promise<{ readonly attempts: readonly Attempt[]; readonly isDamaged: boolean }> {
  const path = join(dir, 'attempts')
  const understood = <Result>(work: () => Result): Result | undefined => {
    try {
      return work()
    } catch (error) {
      if (isPsyblobError(error, 'malformed')) return undefined
      throw error
    }
  }
  const bytes = await readLimited(path, mostBytes).catch((error: unknown) => {
    if (isPsyblobError(error, 'malformed')) return 'damaged' as const
    throw error
  })
  if (bytes === undefined) return { attempts: [], isDamaged: false }
  const text = bytes === 'damaged' ? undefined : understood(() => utf8Decode(bytes, path))
  const lines = (text ?? '').split('\n').filter((line) => line !== '')
  const attempts = lines.flatMap((line) => understood(() => checkShape(attempt, parseJson(line, { what: path, spaced: true }), path)) ?? [])
  return { attempts, isDamaged: text === undefined || attempts.length < lines.length }
}

/** What this process has seen again and not written yet: a machine that asks each hour in vain is no reason to write each hour. */
type Repeats = { readonly text: string; count: number; last: string }
const repeats = new Map<string, Repeats>()
/** Milliseconds. */
const rewriteAfter = 24 * 60 * 60 * 1000

export type Added = {
  /** False when it is the boot that is in it already. */
  readonly isNew: boolean
  /** Something in it was not understood, and is gone now. */
  readonly wasDamaged: boolean
}

/** Adds one; what came to the same as the product's last one is counted there. A boot that is in it already is not added again. */
export async function addAttempt(dir: string, added: Attempt): Promise<Added> {
  const held = await brieflyLocked(dir)
  try {
    const { attempts, isDamaged: wasDamaged } = await readLines(dir)
    const next: Attempt = { ...added, ...(added.message === undefined ? {} : { message: added.message.slice(0, mostText) }) }
    if (next.boot !== undefined && attempts.some(({ boot, product }) => boot === next.boot && product === next.product))
      return { isNew: false, wasDamaged: false }
    const text = sameText(next)
    const at = attempts.findLastIndex((one) => one.product === next.product)
    const before = attempts[at]
    const key = JSON.stringify([dir, next.product])
    const pending = repeats.get(key)
    const isSame = before !== undefined && sameText(before) === text
    if (isSame && pending?.text === text && parseTime(next.at) - parseTime(before.last ?? before.at) < rewriteAfter) {
      pending.count++
      pending.last = next.at
      return { isNew: true, wasDamaged: false }
    }
    const counted = before !== undefined && pending?.text === sameText(before) ? withRepeats(before, pending) : before
    const kept = counted === undefined ? attempts : attempts.with(at, counted)
    const lines = isSame && counted !== undefined ? kept.with(at, withRepeats(counted, { count: 1, last: next.at })) : [...kept, next]
    const bytes = utf8Encode(
      lines
        .slice(-mostLines)
        .map((line) => `${JSON.stringify(line)}\n`)
        .join(''),
    )
    await writeWhole(join(dir, 'attempts'), bytes)
    repeats.set(key, { text, count: 0, last: next.at })
    return { isNew: true, wasDamaged }
  } finally {
    await held.release()
  }
}

function withRepeats(attempt: Attempt, { count, last }: Pick<Repeats, 'count' | 'last'>): Attempt {
  return count === 0 ? attempt : { ...attempt, count: (attempt.count ?? 1) + count, last }
}

function sameText({ what, result, product, slot, serial, message, boot }: Attempt): string {
  return JSON.stringify([what, result, product, slot, serial, message, boot])
}

/** Its own lock, for who writes here may hold the store or not. Others write for milliseconds: that is waited for. */
async function brieflyLocked(dir: string) {
  for (let tries = 100; ; tries--) {
    try {
      return await lock(`attempts:${dir}`, { what: `the diary of ${dir}` })
    } catch (error) {
      if (!isPsyblobError(error, 'locked') || tries === 0) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
