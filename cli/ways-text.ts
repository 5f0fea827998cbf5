// The ways to an entry side by side, as one line of text.
import type { Way } from '../store/mod.ts'
import { bytesText, secondsText } from './ui/sizes.ts'

/** `patch 9.65 MB 31 s, chunks 57.1 MB 92 s, whole 197 MB 5 min 15 s`; the first is the one that is taken. */
export function waysText(ways: readonly Way[]): string {
  return ways.map(({ how, bytes, seconds }) => `${how} ${bytesText(bytes)} ${secondsText(seconds)}`).join(', ')
}
