// Durations as people write them: 90s, 10m, 1h, 1d.
import { PsyblobError, visible } from '../core/mod.ts'

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
/** More than this a timer of the system cannot hold. */
const most = 10 * 86_400_000

/** Milliseconds, at most ten days; undefined for any other text. */
export function durationOf(text: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const duration = Number(count) * (units[unit] ?? Number.NaN)
  return duration <= most ? duration : undefined
}

/** The same. Throws `usage`; `option` says whose value it is. */
export function parseDuration(option: string, text: string): number {
  const duration = durationOf(text)
  if (duration !== undefined) return duration
  throw new PsyblobError('usage', `${option} is a time such as 30s, 10m or 1h, at most 10d; got ${visible(text.slice(0, 80))}`, {
    hint: 'write a whole number and one of s, m, h, d',
  })
}
