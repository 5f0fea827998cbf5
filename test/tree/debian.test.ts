// A real Debian as a tree: published, installed, compared by other programs, and brought on by a month of its updates.
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Server, serve } from '../bench/server.ts'
import { TreeWorld } from '../cli/tree-world.ts'

const images = process.env['PSYBLOB_IMAGES'] ?? 'work/bench/images'
const own = ['/etc/composition', '/var/psyblob']

let world: TreeWorld
let server: Server

beforeAll(async () => {
  world = new TreeWorld()
  mkdirSync(world.path('scratch'))
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  server = await serve(world.path('repo'), world.path('scratch'))
  world.compose({ name: 'base', uris: [`${server.url}/`], allow: ['setuid'] })
})
afterAll(() => world.close())

/** Type, mode, owner, link target and size of everything, as find tells it; folders have no size that means anything. */
function listing(dir: string): string {
  const skip = own.flatMap((path) => ['-path', `.${path}`, '-prune', '-o'])
  const format = ['(', '-type', 'd', '-printf', '%P %y %m %U %G\\n', ')', '-o', '-printf', '%P %y %m %U %G %s %l\\n']
  const found = execFileSync('find', ['.', ...skip, ...format], { cwd: dir, maxBuffer: 2 ** 28 })
  return found.toString('latin1').split('\n').sort().join('\n')
}

function expectSame(tree: string): void {
  const root = world.path('root')
  const found = execFileSync('sh', ['-c', 'diff -r --no-dereference "$1" "$2" || true', 'sh', tree, root], { maxBuffer: 2 ** 28 })
  const said = found.toString().trim().split('\n')
  expect(said.sort()).toEqual([`Only in ${root}/etc: composition`, `Only in ${root}/var: psyblob`])
  expect(listing(root) === listing(tree)).toBe(true)
}

/** Blobs of the repository: name and bytes. */
function blobs(): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const entry of readdirSync(world.path('repo/blobs'), { recursive: true, withFileTypes: true }))
    if (entry.isFile()) found.set(entry.name, lstatSync(join(entry.parentPath, entry.name)).size)
  return found
}

describe('a Debian', () => {
  let first: ReadonlyMap<string, number>

  it('is published, installed into an empty root, and is the same for diff and find', async () => {
    const base = join(images, 'base')
    const published = (await world.must(`publish base ${base} --tree --remote repo --key os.key --json`)).json
    expect(published.tree.files).toBeGreaterThan(13_000)
    first = blobs()
    await world.must('apply base --root root')
    expectSame(base)
    expect((await world.must('check current --root root --json')).json).toMatchObject({ matches: true, findings: [] })
  })

  it('is brought on by a month of updates, and only what is new of it is fetched', async () => {
    const month = join(images, 'month')
    await world.must(`publish base ${month} --tree --remote repo --key os.key --version month`)
    const news = [...blobs()].filter(([cid]) => !first.has(cid))
    const bytes = news.reduce((sum, [, size]) => sum + size, 0)
    await server.traffic()
    const applied = (await world.must('apply base --root root --json')).json
    const traffic = await server.traffic()
    console.log(`${news.length} new blobs of ${bytes} bytes; ${traffic.requests} requests for ${traffic.bytes} bytes`)
    // indexes of large files, which are among the new blobs, are not needed for files that are taken whole
    expect(applied.bytes.fetched).toBeLessThanOrEqual(bytes)
    expect(applied.bytes.fetched).toBeGreaterThan(0.99 * bytes)
    // each blob once; with pointer, manifest and signature
    expect(traffic.requests).toBeLessThanOrEqual(news.length + 4)
    expect(traffic.bytes - applied.bytes.fetched).toBeLessThan(1e6)
    expectSame(month)
    await world.must('check current --root root')
  })

  it('asks for the pointer only when there is no news', async () => {
    await server.traffic()
    expect((await world.must('apply base --root root --json')).json).toMatchObject({ changed: false })
    expect((await server.traffic()).requests).toBe(1)
  })

  it('goes back to what it was, from its own store', async () => {
    rmSync(world.path('repo/blobs'), { recursive: true })
    await world.must('rollback base --root root')
    expectSame(join(images, 'base'))
  })

  it('is put in order after it was damaged in a thousand places', async () => {
    await world.must('apply base --root root --version 2')
    const root = world.path('root')
    const files = execFileSync('find', ['usr/lib', '-xdev', '-type', 'f', '-size', '-64k'], { cwd: root, maxBuffer: 2 ** 28 })
    const chosen = files
      .toString()
      .trim()
      .split('\n')
      .sort()
      .filter((_, at) => at % 8 === 0)
      .slice(0, 1000)
    for (const [at, path] of chosen.entries()) {
      rmSync(join(root, path))
      if (at % 3 === 1) symlinkSync('/nowhere', join(root, path))
      if (at % 3 === 2) mkdirSync(join(root, path))
    }
    const found = await world.psyblob('check current --root root --json')
    expect(found.code).not.toBe(0)
    expect(found.json.findings.map(({ path }: { path: string }) => path).sort()).toEqual(chosen.map((path) => `/${path}`).sort())
    await world.must(`repair base --root root --path ${world.path('repo/manifests/base/2')}`)
    expectSame(join(images, 'month'))
  })
})
