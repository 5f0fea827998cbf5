// The worked examples of the chapters are one release: it is published and installed here, and each chapter must hold its very bytes. And
// what a chapter lists is what the code has.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  cidOf,
  documents,
  formatRoot,
  parseChunkIndex,
  parseComposition,
  parsePublicKey,
  parseRoot,
  type SecretKey,
  shardOf,
  visible,
} from '../../core/mod.ts'
import { openNode } from '../../images/node.ts'
import { sync } from '../../images/sync.ts'
import { blake3 } from '../../store/blake3.ts'
import { authorityOf, initRepository, openWriter, publish, verifyKept } from '../../store/mod.ts'
import { temporaryFolder } from '../fixtures/repository.ts'
import { madeOf } from './made-of.ts'

// minisign.md 6
const key: SecretKey = {
  seed: new Uint8Array(createHash('sha256').update('psyblob test key one').digest()),
  publicKey: parsePublicKey('RWQBAgMEBQYHCOqvviARd8aHQGkkUp/ZXgfZWnyIt9Pl+a7TiPAMPC4Q'),
}
const now = Date.parse('2026-11-23T10:15:00Z')
const report = () => undefined
const chapter = (name: string) => readFile(join(import.meta.dirname, `../../spec/${name}.md`), 'utf8')

let world: Awaited<ReturnType<typeof temporaryFolder>>
const at = (...names: readonly string[]) => join(world.dir, ...names)
const text = (...names: readonly string[]) => readFile(at(...names), 'utf8')

async function filesBelow(dir: string): Promise<readonly string[]> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true })
  return found.flatMap((entry) => (entry.isDirectory() ? [] : [join(entry.parentPath, entry.name).slice(dir.length + 1)])).sort()
}

beforeAll(async () => {
  world = await temporaryFolder()
  await mkdir(at('build'))
  await mkdir(at('repo'))
  await writeFile(at('build/kernel'), 'kernel\n')
  await writeFile(at('build/squashfs'), madeOf({ seed: 'example ', length: 70_000 }))
  const remote = openWriter(at('repo'))
  await initRepository(remote, { key, repo: 'org.example.os', channel: 'stable', now, days: 7 })
  const product = { product: 'os', dir: at('build'), channel: 'stable', compat: 'x86_64-uefi', remotes: ['https://os.example/'] }
  await publish({ ...product, remote, keys: [key], version: '1.0', description: 'Example', now, days: 7, report })
  const places = { a: { dir: at('a') }, b: { dir: at('b') }, esp: { dir: at('esp') } }
  const line = { name: 'os', key: key.publicKey.text, uris: [at('repo')], compat: 'x86_64-uefi', target: { kind: 'slots', ...places } }
  const components = parseComposition(JSON.stringify(line), 'composition')
  const run = async () => ({ code: 0, stdout: Buffer.alloc(0), stderr: '' })
  const clock = () => now + 60_000
  const node = await openNode({
    storeDir: at('store'),
    components,
    disk: undefined,
    booted: undefined,
    stallSeconds: 30,
    run,
    report,
    clock,
  })
  const [component] = components
  if (component === undefined) throw new Error('no component')
  await sync(node, component, { dryRun: false, force: false, activate: true, path: undefined, reboot: false })
})
afterAll(async () => world.remove())

describe('the worked example', () => {
  test('of manifest.md is the manifest, its CID and its signature', async () => {
    const body = await text('repo', documents.manifest('os', 1))
    const signatures = await text('repo', documents.manifestSignature('os', 1))
    const said = await chapter('manifest')
    expect(said).toContain(`\n\`\`\`\n${body}\`\`\`\n`)
    expect(said).toContain(`\n\`\`\`\n${signatures}\`\`\`\n`)
    expect(said).toContain(cidOf(blake3().digest(Buffer.from(body))))
  })

  test('of pointer.md is the pointer file', async () => {
    expect(await chapter('pointer')).toContain(`\n\`\`\`\n${await text('repo', documents.pointer('stable'))}\`\`\`\n`)
  })

  test('of root.md is a root that the key signs, and its CID', async () => {
    const said = await chapter('root')
    const [, line = ''] = /```\n(\{"psyblob":"root\/1".*\n)```/.exec(said) ?? []
    const { psyblob: _, ...content } = parseRoot(Buffer.from(line))
    expect(Buffer.from(formatRoot(content)).toString()).toBe(line)
    expect(said).toContain(`Its CID is ${cidOf(blake3().digest(Buffer.from(line)))}.`)
  })

  test('of chunk-index.md is the index of the squashfs', async () => {
    const body = await readFile(at('repo', documents.manifest('os', 1)))
    const signatures = await readFile(at('repo', documents.manifestSignature('os', 1)))
    const { manifest } = verifyKept(
      { body, signatures },
      { authority: authorityOf({}, { key: key.publicKey, repo: undefined }), product: 'os' },
      'manifest',
    )
    const index = manifest.records[1]?.bin?.index
    if (index === undefined) throw new Error('no index')
    const bytes = await readFile(at('repo/blobs', shardOf(index.cid), index.cid))
    const hex = Buffer.from(bytes).toString('hex')
    const { count } = parseChunkIndex(bytes, 70_000, 'index')
    const record = (chunk: number) => hex.slice(48 + 72 * chunk, 120 + 72 * chunk).replace(/^.{8}/, '$& ')
    const lines = [`${hex.slice(0, 32)} ${hex.slice(32, 48)}`, ...Array.from({ length: count }, (_, chunk) => record(chunk))]
    const said = await chapter('chunk-index')
    expect(said).toContain(`\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`)
    expect(said).toContain(index.cid)
  })

  test('of repository.md is every file of the repository', async () => {
    const said = await chapter('repository')
    const lines: string[] = []
    for (const name of await filesBelow(at('repo'))) lines.push(`${String((await readFile(at('repo', name))).length).padStart(6)} ${name}`)
    expect(said).toContain(`\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`)
    for (const name of ['psyblob.json', 'index.json']) expect(said).toContain(`\n\`\`\`\n${await text('repo', name)}\`\`\`\n`)
  })

  test('of store.md is every file of the store, and the state', async () => {
    const said = await chapter('store')
    const lines: string[] = []
    for (const name of await filesBelow(at('store'))) {
      const link = await readlink(at('store', name)).catch(() => undefined)
      lines.push(link === undefined ? name : `${name} -> ${link}`)
    }
    expect(said).toContain(`\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`)
    expect(said).toContain(`\n\`\`\`\n${await text('store/state.json')}\`\`\`\n`)
    expect(said).toContain(`\n\`\`\`\n${await text('store/attempts')}\`\`\`\n`)
  })

  test('of boot-state.md is what the first sync leaves on the EFI partition', async () => {
    const said = await chapter('boot-state')
    for (const name of ['state1/select', 'state2/select', 'tries']) {
      const block = await text('esp', name)
      const variables = block.replace(/#+$/, '')
      expect(block).toHaveLength(1024)
      expect(said).toContain(`\n\`\`\`\n${variables}${'#'.repeat(40)}\n\`\`\`\n`)
    }
  })
})

test('names.md 4 lists exactly the characters that are escaped', async () => {
  const [, section = ''] = /## 4 (.*?)## 5/s.exec(await chapter('names')) ?? []
  const listed = new Set<number>()
  for (const [, cell = ''] of section.matchAll(/^\| U\+([^|]*) \|/gm)) {
    for (const range of cell.split(', ')) {
      const [first = '', last = first] = range.split('-')
      for (let point = Number.parseInt(first, 16); point <= Number.parseInt(last, 16); point++) listed.add(point)
    }
  }
  const wrong: string[] = []
  for (let point = 0; point <= 0x10ffff; point++) {
    const character = String.fromCodePoint(point)
    const escaped = `\\u{${point.toString(16)}}`
    if (visible(character) !== (listed.has(point) ? escaped : character)) wrong.push(escaped)
  }
  expect(wrong).toEqual([])
})
