// What is learnt of a link, and how far apart two ranges may lie before they are asked for one by one.
import { describe, expect, test } from 'vitest'
import { Link } from '../../store/link.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** A link whose answers begin after `milliseconds`, as it is planned for when an earlier run saw `bytes` come within `seconds`. */
function link(milliseconds: number, flow?: { readonly bytes: number; readonly seconds: number }): Link {
  const planned = new Link(() => 0, measured(milliseconds, flow).learnt)
  planned.answered(milliseconds)
  return planned
}

function measured(milliseconds: number, flow?: { readonly bytes: number; readonly seconds: number }): Link {
  let now = 0
  const made = new Link(() => now)
  made.answered(milliseconds + 30)
  made.answered(milliseconds)
  if (flow !== undefined) {
    made.begin()
    made.got(flow.bytes)
    now = flow.seconds * 1000
    made.end()
  }
  return made
}

describe('the gap that is read over', () => {
  test('is the same for every near link, so that a dry run tells the bytes of the run', () => {
    expect(link(0.4).gap).toBe(8 * KiB)
    expect(link(12, { bytes: 500 * MiB, seconds: 1 }).gap).toBe(8 * KiB)
    expect(new Link().gap).toBe(8 * KiB)
  })

  test('is round trip times bandwidth for each connection, at 80 ms and 100 Mb/s 128 KiB', () => {
    expect(link(80).gap).toBe(128 * KiB)
    expect(link(80, { bytes: 12 * MiB, seconds: 1 }).gap).toBe(128 * KiB)
    expect(link(80, { bytes: 119 * MiB, seconds: 1 }).gap).toBe(1 * MiB)
    expect(link(80, { bytes: 5 * MiB, seconds: 8 }).gap).toBe(16 * KiB)
    expect(link(600, { bytes: 476 * MiB, seconds: 4 }).gap).toBe(8 * MiB)
  })

  test('is not judged by the beginning of a transfer', () => {
    expect(measured(80, { bytes: 100 * KiB, seconds: 0.2 }).bandwidth).toBeUndefined()
    expect(measured(80, { bytes: 30 * MiB, seconds: 0.1 }).bandwidth).toBeUndefined()
  })

  test('counts the time of connections that work side by side once', () => {
    let now = 0
    const one = new Link(() => now)
    one.answered(20)
    one.begin()
    one.begin()
    one.got(4 * MiB)
    now = 1000
    one.end()
    now = 2000
    one.got(4 * MiB)
    one.end()
    now = 9000
    expect(one.bandwidth).toBe(4 * MiB)
  })
})

describe('what was learnt', () => {
  test('keeps plans the same while the link is much as it was, and is dropped when it is not', () => {
    const before = { roundTrip: 80, bandwidth: 125_000_000 }
    const gapAt = (milliseconds: number) => {
      const one = new Link(() => 0, before)
      one.answered(milliseconds)
      return one.gap
    }
    expect([60, 80, 110, 150].map(gapAt)).toEqual([1, 1, 1, 1].map((gap) => gap * MiB))
    expect(gapAt(0.5)).toBe(8 * KiB)
    expect(gapAt(400)).toBe(512 * KiB)
  })

  test('comes from a transfer, not from its plan', () => {
    expect(measured(80).learnt).toBeUndefined()
    expect(measured(80, { bytes: 12 * MiB, seconds: 1 }).learnt).toEqual({ roundTrip: 80, bandwidth: 12 * MiB })
  })
})

describe('the longest range', () => {
  test('is 8 MiB on a near link, and on a far one short enough for every connection to get several', () => {
    expect(link(0.4).longest(10 * MiB)).toBe(8 * MiB)
    expect(link(80).longest(64 * MiB)).toBe(2 * MiB)
    expect(link(80).longest(3 * MiB)).toBe(1 * MiB)
    expect(link(80).longest(4096 * MiB)).toBe(8 * MiB)
  })
})
