// A repository in a folder: what a publisher needs of it, and what must not happen when the folder is damaged or hostile.
import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { documents } from '../../../core/mod.ts'
import { DirRemote } from '../../../store/remotes/dir.ts'
import { blobOf, collect, madeUp, piecesOf, refusal, same, temporaryFolder, writeBelow } from '../../fixtures/repository.ts'

const blob = blobOf(madeUp(200_000, 1))
const pointer = documents.pointer('stable')
const bytes = (text: string) => Uint8Array.from(Buffer.from(text))

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let dir: string
let remote: DirRemote

beforeEach(async () => {
  folder = await temporaryFolder()
  dir = join(folder.dir, 'repo')
  remote = new DirRemote(dir)
})

afterEach(() => folder.remove())

async function everything(): Promise<readonly string[]> {
  return (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
}

describe('storing a blob', () => {
  test('puts it where readers look, and twice is the same as once', async () => {
    expect(await remote.has(blob.cid, 200_000)).toBe(false)
    await remote.put(blob.cid, piecesOf(blob.bytes))
    await remote.put(blob.cid, piecesOf(blob.bytes))
    expect(await everything()).toEqual([blob.path])
    expect(same(await readFile(join(dir, blob.path)), blob.bytes)).toBe(true)
    expect(await remote.has(blob.cid, 200_000)).toBe(true)
    expect(await remote.has(blob.cid, 199_999)).toBe(false)
  })

  test('refuses bytes of another blob and leaves nothing behind', async () => {
    const other = blobOf(madeUp(10, 2))
    expect(await refusal(remote.put(blob.cid, piecesOf(other.bytes)))).toBe(
      `corrupt: storing a blob in ${dir}: expected ${blob.cid}, got ${other.cid}`,
    )
    expect(await everything()).toEqual([])
  })

  test('leaves nothing behind when its source fails, and keeps what lay there', async () => {
    await remote.put(blob.cid, piecesOf(blob.bytes))
    const failing = async function* () {
      yield blob.bytes.subarray(0, 1000)
      throw new Error('source gone')
    }
    expect(await refusal(remote.put(blob.cid, failing()))).toBe('Error: source gone')
    expect(await everything()).toEqual([blob.path])
    expect(await remote.has(blob.cid, 200_000)).toBe(true)
  })
})

describe('replacing a document', () => {
  test('happens when what lies there is what was expected', async () => {
    await remote.replace(pointer, bytes('one'), undefined)
    await remote.replace(pointer, bytes('two'), bytes('one'))
    expect(await everything()).toEqual([pointer])
    expect(await readFile(join(dir, pointer), 'utf8')).toBe('two')
  })

  test.each([
    ['something lies there and nothing was expected', 'one', undefined],
    ['something else lies there', 'one', 'two'],
    ['nothing lies there and something was expected', undefined, 'one'],
    ['nothing lies there and an empty document was expected', undefined, ''],
    ['an empty document lies there and nothing was expected', '', undefined],
    ['the expected one lies there, and more', 'one more', 'one'],
  ])('is a conflict when %s', async (_, there, expected) => {
    await mkdir(dir)
    if (there !== undefined) await writeBelow(dir, { [pointer]: there })
    const told = await refusal(remote.replace(pointer, bytes('new'), expected === undefined ? undefined : bytes(expected)))
    expect(told).toBe(`conflict: channels/stable of ${dir} was changed by somebody else meanwhile`)
    expect(await everything()).toEqual(there === undefined ? [] : [pointer])
    if (there !== undefined) expect(await readFile(join(dir, pointer), 'utf8')).toBe(there)
  })

  test('succeeds for one of many who try at once; the others get a conflict', async () => {
    await remote.replace(pointer, bytes('start'), undefined)
    const told = await Promise.all(
      Array.from({ length: 10 }, (_, at) => refusal(new DirRemote(dir).replace(pointer, bytes(`new ${at}`), bytes('start')))),
    )
    expect(told.filter((one) => one === 'none')).toHaveLength(1)
    expect(told.filter((one) => one.startsWith('conflict: '))).toHaveLength(9)
    expect(await everything()).toEqual([pointer])
  })

  test('of several documents at once succeeds for all', async () => {
    const names = ['stable', 'beta', 'nightly'].map((channel) => documents.pointer(channel))
    await Promise.all(names.map((name) => remote.replace(name, bytes(name), undefined)))
    expect([...(await everything())].sort()).toEqual([...names].sort())
  })
})

describe('a folder that is not as it should be', () => {
  test('absent: everything is unavailable, with a hint', async () => {
    const told = `unavailable: ${dir}: no such folder`
    expect(await refusal(remote.read(pointer, { limit: 10 }))).toBe(told)
    expect(await refusal(collect(remote.get(blob.cid, { size: 1 })))).toBe(told)
    expect(await refusal(collect(remote.range(blob.cid, { offset: 0, length: 1 }, { size: 1 })))).toBe(told)
    await expect(remote.read(pointer, { limit: 10 })).rejects.toMatchObject({ hint: expect.stringContaining('attach it first') })
  })

  test('a file: unavailable', async () => {
    await writeFile(dir, '')
    expect(await refusal(remote.read(pointer, { limit: 10 }))).toBe(`unavailable: ${dir}: not a folder`)
  })

  test('a link that leaves the folder is the user’s own and is followed', async () => {
    await writeBelow(folder.dir, { 'repo/psyblob.json': '{}', 'outside/stable': 'linked' })
    await symlink(join(folder.dir, 'outside'), join(dir, 'channels'))
    expect(Buffer.from((await remote.read(pointer, { limit: 10 })) ?? []).toString()).toBe('linked')
  })

  test('a pipe, a device or a folder in the place of a file neither blocks nor goes on for ever', async () => {
    await mkdir(join(dir, 'channels'), { recursive: true })
    const path = join(dir, pointer)
    const makers = [() => execFileSync('mkfifo', [path]), () => symlink('/dev/zero', path), () => mkdir(path), () => symlink(path, path)]
    for (const make of makers) {
      await make()
      expect(await refusal(remote.read(pointer, { limit: 10 }))).toBe(`corrupt: channels/stable of ${dir} is no plain file`)
      await rm(path, { recursive: true })
    }
    await mkdir(join(dir, blob.path, 'x'), { recursive: true })
    expect(await refusal(collect(remote.get(blob.cid, { size: 10 })))).toBe(`corrupt: ${blob.path} of ${dir} is no plain file`)
    expect(await remote.has(blob.cid, (await stat(join(dir, blob.path))).size)).toBe(false)
  })
})
