// Compressed manifests: what xz writes is read, whatever its settings; what anybody else writes costs no more than was allowed.
import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { isPsyblobError } from '../../core/errors.ts'
import { readXz } from '../../core/xz.ts'
import { madeUp } from '../fixtures/repository.ts'

const hasXz = spawnSync('xz', ['--version']).status === 0
const text = Buffer.from(Array.from({ length: 4000 }, (_, at) => `{"path":"/usr/share/doc/${at % 37}/${at}","size":${at * at}}\n`).join(''))
const xz = (input: Uint8Array, ...args: readonly string[]) =>
  Uint8Array.from(spawnSync('xz', ['-c', '-T1', ...args], { input, maxBuffer: 2 ** 30 }).stdout)

/** How many bytes came of it; -1 when it was refused as it should be. */
function outcome(bytes: Uint8Array, most: number): number {
  try {
    return readXz(bytes, most, 'it').length
  } catch (error) {
    if (!isPsyblobError(error, 'malformed')) throw error
    return -1
  }
}

describe.runIf(hasXz)('what xz writes', () => {
  test.each([
    ['-0'],
    ['-6'],
    ['-9e'],
    ['--check=none'],
    ['--check=sha256'],
    ['--block-size=20000'],
    ['--lzma2=lc=0,lp=4,pb=0'],
    ['--lzma2=lc=4,lp=0,pb=4'],
    ['--lzma2=dict=4096,mode=fast,nice=3'],
  ])('with %s is read', (option) => {
    for (const input of [
      text,
      Buffer.alloc(300_000),
      Buffer.from(madeUp(200_000, 3)),
      Buffer.concat([madeUp(90_000, 1), text, madeUp(90_000, 1)]),
    ])
      expect(Buffer.compare(readXz(xz(input, option), input.length, 'it'), input)).toBe(0)
  })

  test('with any byte damaged is refused, or becomes no more than was allowed', () => {
    const packed = xz(text.subarray(0, 3000))
    for (let at = 0; at < packed.length; at++) {
      for (const wrong of [0, 0xff, (packed[at] as number) ^ 0x80, (packed[at] as number) ^ 1]) {
        const damaged = Uint8Array.from(packed)
        damaged[at] = wrong
        expect(outcome(damaged, 3000)).toBeLessThanOrEqual(3000)
      }
      expect(outcome(packed.subarray(0, at), 3000)).toBe(-1)
    }
    expect(outcome(packed, 2999)).toBe(-1)
    expect(outcome(packed, 3000)).toBe(3000)
    expect(outcome(packed, 9000)).toBe(3000)
  })

  test('of sixteen mebibytes of zeros is refused in no time and no room', () => {
    const bomb = xz(Buffer.alloc(2 ** 24))
    expect(bomb.length).toBeLessThan(100_000)
    const before = performance.now()
    expect(outcome(bomb, 65_536)).toBe(-1)
    expect(performance.now() - before).toBeLessThan(2000)
  })
})

test('noise is refused', () => {
  const head = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0x21, 1, 16, 0, 0, 0, 0, 0, 0, 0]
  for (let seed = 0; seed < 2000; seed++) {
    const noise = madeUp(1 + ((seed * 37) % 4000), seed)
    expect(outcome(noise, 8192)).toBe(-1)
    expect(outcome(Uint8Array.from([...head, 0xe0, ...noise]), 8192)).toBe(-1)
  }
})
