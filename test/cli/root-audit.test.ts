// psyblob verify --remote under roots: what it finds in the chain of a repository.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Ceremony, node } from './ceremony.ts'

let world: Ceremony
afterAll(() => world.close())

const verify = (store = 'store') => world.psyblob(`verify os --remote --key os.pub --remote repo --json --store ${store}`)
const found = async (store?: string) => {
  const { code, json } = await verify(store)
  const [{ ok, error, findings }] = json
  return {
    code,
    ok,
    error: error?.code ?? null,
    findings: findings.map(({ path, problem, why }: Record<string, string>) => [path, problem, why ?? '']),
  }
}
const copies = (version: number) => ({
  body: world.read(`repo/root/${version}.json`),
  signatures: world.read(`repo/root/${version}.minisig`),
})
beforeAll(async () => {
  world = await new Ceremony().begin()
  await world.underRoot()
  await world.next(['add-key root.json --role release new.pub'], ['anna', 'ben'])
  world.copy('repo/root', 'kept')
  await world.next(['add-key root.json --role release cleo.pub'], ['anna', 'ben'])
  await world.refresh('ci')
  await world.must(`refresh os ${node}`)
  world.copy('repo', 'good')
})
beforeEach(() => {
  world.remove('repo')
  world.copy('good', 'repo')
})

test('goes through the chain of roots, also from a node that knows none', async () => {
  for (const store of ['store', 'nothing']) expect(await found(store)).toEqual({ code: 0, ok: true, error: null, findings: [] })
  expect((await world.must('verify os --remote --key os.pub --remote repo')).stdout).toContain('every byte is as signed')
})

test('names a root that is missing, in the middle and at the end, and a signature', async () => {
  const good = [1, 2, 3].map(copies)
  const restore = () =>
    good.forEach(({ body, signatures }, at) => {
      world.write(`repo/root/${at + 1}.json`, body)
      world.write(`repo/root/${at + 1}.minisig`, signatures)
    })
  for (const name of ['root/1.json', 'root/2.json', 'root/3.json', 'root/2.minisig', 'root/3.minisig']) {
    world.remove(`repo/${name}`)
    // what the pointer says is enough to miss it; without the first one a node that knows none can believe nobody
    for (const store of ['store', 'nothing']) {
      const isLost = store === 'nothing' && name === 'root/1.json'
      expect(await found(store)).toEqual({
        code: isLost ? 12 : 13,
        ok: false,
        error: isLost ? 'untrusted' : null,
        findings: [[`/${name}`, 'missing', '']],
      })
    }
    restore()
  }
  const { code, stdout, stderr } = await world.psyblob('verify os --remote --key os.pub --remote repo')
  expect({ code, stdout, stderr }).toMatchObject({ code: 0 })
})

test('names a root that is not signed by those before it, by its own, or by the key that nodes have', async () => {
  const { body, signatures } = copies(2)
  const blocks = signatures.toString().split(/(?<=^(?:.*\n){4})/)
  const cases: readonly (readonly [string, string | Buffer, string, RegExp])[] = [
    ['2.minisig', blocks[0] ?? '', 'untrusted', /expected signatures by 2 of the keys .*, got 1 that hold/],
    ['2.minisig', 'x', 'malformed', /the last line is not ended/],
    ['2.json', body.toString().replace('"floors":{}', '"floors":{"os":1}'), 'untrusted', /got 0 that hold/],
    ['2.json', body.subarray(0, 100), 'untrusted', /got 0 that hold/],
    ['2.json', Buffer.alloc(70_000, 'x'), 'malformed', /longer than 65536 bytes/],
  ]
  for (const [name, bytes, problem, why] of cases) {
    const before = world.read(`repo/root/${name}`)
    world.write(`repo/root/${name}`, bytes)
    const outcome = await found()
    expect(outcome).toMatchObject({
      code: problem === 'untrusted' ? 12 : 13,
      ok: false,
      error: null,
      findings: [['/root/2.json', problem, expect.stringMatching(why)]],
    })
    world.write(`repo/root/${name}`, before)
  }
  // anna and ben, without the key that nodes have
  world.write('repo/root/1.minisig', copies(1).signatures.toString().split('\n').slice(0, 8).join('\n').concat('\n'))
  expect(await found()).toMatchObject({
    code: 12,
    findings: [['/root/1.json', 'untrusted', expect.stringContaining('expected a signature by key')]],
  })
  const { stdout, stderr } = await world.psyblob('verify os --remote --key os.pub --remote repo')
  expect(stdout).toMatch(/1 problem in .*\n {2}\/root\/1\.json: untrusted: root 1 of .*: expected a signature by key/)
  expect(stderr).toContain('roots come from a copy')
})

test('names one in the place of another, and one that those who may have signed twice', async () => {
  world.write('repo/root/2.json', copies(3).body)
  world.write('repo/root/2.minisig', copies(3).signatures)
  expect(await found('nothing')).toMatchObject({
    code: 12,
    findings: [['/root/2.json', 'untrusted', expect.stringContaining('expected version 2, got 3')]],
  })
  // the keepers sign another root 3 behind the back of this node
  world.remove('repo/root')
  world.copy('kept', 'repo/root')
  await world.next([], ['anna', 'ben'])
  expect(await found()).toMatchObject({
    code: 12,
    findings: [['/root/3.json', 'untrusted', expect.stringContaining('another one than the one in force')]],
  })
  expect(await found('nothing')).toMatchObject({ code: 0 })
})
