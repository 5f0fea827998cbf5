// GRUB's boot state in a folder: what is written, in which order, and what a power cut between any two writes leaves.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BootState } from '../../../images/bootloader.ts'
import { grub } from '../../../images/bootloaders/grub.ts'
import { formatEnvironment, sectorBytes } from '../../../images/environment-block.ts'
import { folderStateFiles } from '../../../images/esp/folder-state-files.ts'
import type { StateFiles } from '../../../images/esp/state-files.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'psyblob-grub-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const path = (name: string) => join(dir, name)
const select = ['state1/select', 'state2/select'] as const
const ba = { order: ['b', 'a'], good: ['a'] } as const

/** The folder, with the power cut at the write numbered `at`: of that sector only the first `torn` bytes arrive. */
function failing(at: number, torn: number): StateFiles {
  const files = folderStateFiles(dir)
  let writes = 0
  return {
    ...files,
    async writeSector(name, bytes) {
      if (writes++ === at) {
        const before = readFileSync(path(name))
        writeFileSync(path(name), Buffer.concat([bytes.subarray(0, torn), before.subarray(torn)]))
        throw new Error('power cut')
      }
      await files.writeSector(name, bytes)
    },
  }
}

describe('the boot state', () => {
  test('that nobody wrote yet tries a, then b, and knows no good slot', async () => {
    expect(await grub(folderStateFiles(dir)).read()).toEqual({
      seq: undefined,
      order: ['a', 'b'],
      good: [],
      tries: undefined,
      copies: ['absent', 'absent'],
    })
  })

  test('is three files of 1,024 bytes once it is prepared, and preparing again changes nothing', async () => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    const first = [...select, 'tries'].map((name) => readFileSync(path(name)))
    expect(first.map((bytes) => bytes.length)).toEqual([1024, 1024, 1024])
    await bootloader.prepare()
    expect([...select, 'tries'].map((name) => readFileSync(path(name)))).toEqual(first)
  })

  test('goes up by one with each write, keeps its length, and reads back as it was written', async () => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    const before = select.map((name) => statSync(path(name)))
    for (const [at, good] of ([[], ['a'], ['b'], ['a', 'b']] as const).entries()) {
      const state = await bootloader.write({ order: ['b', 'a'], good })
      expect(state).toEqual({ seq: 1_000_000_001 + at, order: ['b', 'a'], good, tries: 0, copies: ['valid', 'valid'] })
      expect(await bootloader.read()).toEqual(state)
    }
    const after = select.map((name) => statSync(path(name)))
    expect(after.map(({ ino, size }) => [ino, size])).toEqual(before.map(({ ino, size }) => [ino, size]))
  })

  test('is these very bytes', async () => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    await bootloader.write(ba)
    const expected = '# GRUB Environment Block\nseq=1000000001\norder=ba\ngood=a\ncommit=1000000001\n'.padEnd(1024, '#')
    for (const name of select) expect(readFileSync(path(name), 'latin1')).toBe(expected)
    expect(readFileSync(path('tries'), 'latin1')).toBe('# GRUB Environment Block\ntries_for=0000000000\ntries=0\n'.padEnd(1024, '#'))
  })

  test('is written to copy 2 first, then to copy 1, one sector each', async () => {
    const files = folderStateFiles(dir)
    await grub(files).prepare()
    const written: string[] = []
    const bootloader = grub({
      ...files,
      create: () => Promise.reject(new Error('a write creates nothing')),
      writeSector: (name, bytes) => {
        written.push(name)
        return files.writeSector(name, bytes)
      },
    })
    await bootloader.write(ba)
    expect(written).toEqual(['state2/select', 'state1/select'])
  })

  test('after a power cut anywhere in either write is the old one or the new one, and can be written again', async () => {
    for (const at of [0, 1]) {
      for (let torn = 0; torn <= sectorBytes; torn += torn > 20 && torn < 90 ? 1 : 13) {
        rmSync(dir, { recursive: true })
        const start = grub(folderStateFiles(dir))
        await start.prepare()
        const old = await start.write({ order: ['a', 'b'], good: ['a', 'b'] })
        await expect(grub(failing(at, torn)).write(ba)).rejects.toThrow('power cut')
        const found = await start.read()
        const isOld = found.seq === old.seq && found.order[0] === 'a' && found.good.length === 2
        const isNew = found.seq === (old.seq ?? 0) + 1 && found.order[0] === 'b' && found.good.length === 1
        expect(`copy ${2 - at} torn at ${torn}: ${isOld || isNew}`).toBe(`copy ${2 - at} torn at ${torn}: true`)
        // the second write begins when the first copy already holds
        if (at === 1) expect(isNew).toBe(true)
        await start.prepare()
        const next = await start.write(ba)
        expect(next).toMatchObject({ seq: (found.seq ?? 0) + 1, ...ba, copies: ['valid', 'valid'] })
      }
    }
  })

  test('begins again after the last seq, and one above it is damaged', async () => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    const put = (seq: string) => {
      for (const name of select) writeFileSync(path(name), formatEnvironment({ seq, order: 'ab', good: 'a', commit: seq }))
    }
    put('1999999999')
    expect(await bootloader.write(ba)).toMatchObject({ seq: 1_000_000_001, ...ba, copies: ['valid', 'valid'] })
    put('2000000000')
    expect(await bootloader.read()).toMatchObject({ seq: undefined, copies: ['damaged', 'damaged'] })
  })

  test('of any length is damaged, not an error', async () => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    for (const length of [0, 1023, 1025, 70_000, 10_000_000]) {
      writeFileSync(path('state1/select'), Buffer.alloc(length, '#'))
      expect((await bootloader.read()).copies).toEqual(['damaged', 'valid'])
    }
    await bootloader.prepare()
    expect((await bootloader.read()).copies).toEqual(['valid', 'valid'])
  })

  test('that did not stick is corrupt, with a hint', async () => {
    const files = folderStateFiles(dir)
    await grub(files).prepare()
    const deaf = grub({
      ...files,
      writeSector: async (name, bytes) => (name === 'state1/select' ? undefined : files.writeSector(name, bytes)),
    })
    await expect(deaf.write(ba)).rejects.toMatchObject({ code: 'corrupt', hint: expect.stringMatching(/\S/) })
  })
})

describe('the count of tries', () => {
  const withTries = async (variables: Record<string, string>): Promise<BootState> => {
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    await bootloader.write(ba)
    writeFileSync(path('tries'), formatEnvironment(variables))
    return bootloader.read()
  }

  test('is GRUB’s for this seq, and none for another', async () => {
    expect((await withTries({ tries_for: '1000000001', tries: '3' })).tries).toBe(3)
    expect((await withTries({ tries_for: '1000000001', tries: '3' })).tries).toBe(0)
  })

  test('ends at three: above are tries of the other slot', async () => {
    expect((await withTries({ tries_for: '1000000001', tries: '5' })).tries).toBe(3)
  })

  test('is left alone by a write, mended when it cannot be read', async () => {
    await withTries({ tries_for: '1000000001', tries: '3' })
    const bootloader = grub(folderStateFiles(dir))
    const kept = readFileSync(path('tries'))
    await bootloader.prepare()
    await bootloader.write(ba)
    expect(readFileSync(path('tries'))).toEqual(kept)
    writeFileSync(path('tries'), 'torn')
    expect((await bootloader.read()).tries).toBeUndefined()
    await bootloader.prepare()
    expect((await bootloader.read()).tries).toBe(0)
  })

  test('that names a seq which cannot be is mended, and never leads to one', async () => {
    await withTries({ tries_for: '9999999999', tries: '3' })
    for (const name of select) writeFileSync(path(name), '')
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    expect(await bootloader.write(ba)).toMatchObject({ seq: 1_000_000_001, tries: 0, copies: ['valid', 'valid'] })
  })

  test('keeps seq from repeating when both copies are lost', async () => {
    await withTries({ tries_for: '1000000041', tries: '3' })
    for (const name of select) writeFileSync(path(name), '')
    const bootloader = grub(folderStateFiles(dir))
    await bootloader.prepare()
    // and what makes the files anew does not take up the one whose tries are used
    expect(await bootloader.read()).toMatchObject({ seq: 1_000_000_042, tries: 0 })
    expect(await bootloader.write(ba)).toMatchObject({ seq: 1_000_000_043, tries: 0, copies: ['valid', 'valid'] })
  })
})
