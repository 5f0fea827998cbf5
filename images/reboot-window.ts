// When a machine may reboot into an update: always, never, or a span of its day by local time.
import { PsyblobError, visible } from '../core/mod.ts'

/** `from` and `to` are minutes after midnight; a span whose end is not after its beginning goes on past midnight. */
export type RebootWindow = 'always' | 'never' | { readonly from: number; readonly to: number }

const minutesADay = 24 * 60

/** Throws `usage`. */
export function parseRebootWindow(option: string, text: string): RebootWindow {
  if (text === 'always' || text === 'never') return text
  const span = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/.exec(text)
  const minutes = (hour: string | undefined, minute: string | undefined) => Number(hour) * 60 + Number(minute)
  const window = { from: minutes(span?.[1], span?.[2]), to: minutes(span?.[3], span?.[4]) }
  if (span !== null && window.from !== window.to) return window
  throw new PsyblobError('usage', `${option} is always, never, or a span of the day; got ${visible(text.slice(0, 80))}`, {
    hint: 'a span is two different times such as 02:00-04:00 or 23:30-01:00, by the clock of this machine',
  })
}

/** Milliseconds until a reboot is allowed: 0 when it is now, undefined when it never is. */
export function untilReboot(window: RebootWindow, now: Date): number | undefined {
  if (window === 'always') return 0
  if (window === 'never') return undefined
  const minute = now.getHours() * 60 + now.getMinutes()
  // both counted from the beginning of the span, so that midnight does not matter
  const into = (minute - window.from + minutesADay) % minutesADay
  const length = (window.to - window.from + minutesADay) % minutesADay
  if (into < length) return 0
  return (minutesADay - into) * 60_000 - now.getSeconds() * 1000 - now.getMilliseconds()
}
