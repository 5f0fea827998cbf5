import { expect, test } from 'vitest'
import { Pace } from '../../store/pace.ts'

/** Feeds a pace of 30 s windows with [milliseconds waited, bytes got, milliseconds until the next is asked for]. */
function judge(turns: readonly (readonly [number, number, number?])[]): boolean[] {
  let now = 1000
  const pace = new Pace(30_000, () => now)
  return turns.map(([waited, bytes, away = 0]) => {
    pace.ask()
    now += waited
    const quick = pace.got(bytes)
    now += away
    return quick
  })
}

test('nothing is judged before a window has passed', () => {
  expect(
    judge([
      [10_000, 1],
      [19_999, 1],
    ]),
  ).toEqual([true, true])
})

test('less than 10 KiB a second over a window is too slow', () => {
  expect(judge([[30_000, 30 * 10_240]])).toEqual([true])
  expect(judge([[30_000, 30 * 10_240 - 1]])).toEqual([false])
})

test('a quick beginning does not pay for a slow end', () => {
  expect(
    judge([
      [30_000, 1_000_000_000],
      [15_000, 10],
      [15_000, 10],
    ]),
  ).toEqual([true, true, false])
})

test('time that the taker of the bytes needs does not count', () => {
  expect(
    judge([
      [10, 10, 3_600_000],
      [10, 10, 3_600_000],
      [10, 10],
    ]),
  ).toEqual([true, true, true])
})
