// Four evil remotes of five, where each role takes two keys: the honest one is enough, also for the next root.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bentServer } from '../fixtures/bent-server.ts'
import { evilAnswer } from '../fixtures/evil.ts'
import { answerFrom } from '../fixtures/site.ts'
import { World } from './world.ts'

const kinds = ['hang', 'garbage', 'old', 'huge', 'redirect loop'] as const
const slots = '--slot-a a --slot-b b --esp esp'
const keys = '--key os.key --key otto.key --key ci.key --key carl.key'

let world: World
let first: ReadonlyMap<string, Uint8Array>
let files: ReadonlyMap<string, Uint8Array>
/** Milliseconds of a sync from the honest one alone. */
let clean: number

function filesOf(dir: string): ReadonlyMap<string, Uint8Array> {
  const all = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return new Map(all.map(({ parentPath, name }) => [join(parentPath, name).slice(dir.length + 1), readFileSync(join(parentPath, name))]))
}

async function setRoot(name: string, signers: readonly string[]): Promise<void> {
  for (const signer of signers) await world.must(`root sign ${name} --key ${signer}.key`)
  await world.must(`root publish ${name} --remote repo`)
  await world.must(`publish --refresh --remote repo ${keys}`)
}

beforeAll(async () => {
  world = await new World().withRelease()
  for (const name of ['otto', 'ci', 'carl', 'anna', 'ben', 'cleo']) await world.must(`key new ${name} --no-password`)
  const people = '--root anna.pub --root ben.pub --root cleo.pub --release os.pub --release otto.pub --pointer ci.pub --pointer carl.pub'
  await world.must(`root init root.json --repo org.example.test ${people}`)
  for (const role of ['release', 'pointer']) await world.must(`root set-threshold root.json --role ${role} 2`)
  await setRoot('root.json', ['anna', 'ben', 'os'])
  world.write('r1/more', 'signed by two')
  await world.must(`publish os r1 --remote repo ${keys}`)
  await world.must(`sync os ${world.node()}`)
  first = filesOf(world.path('repo'))
  await world.must('root prepare next.json --remote repo')
  await world.must('root remove-key next.json --role root cleo.pub')
  await setRoot('next.json', ['anna', 'ben'])
  await world.must(`publish os r2 --remote repo ${keys} --version two`)
  files = filesOf(world.path('repo'))
  for (const name of ['a', 'esp', 'store']) world.copy(name, `${name}.before`)
  clean = await sync([])
})
afterAll(() => world.close())

/** A node with release 1 asks these, and the honest one at `place` among them; answers the milliseconds. */
async function sync(evil: readonly ReturnType<typeof evilAnswer>[], place = 0): Promise<number> {
  for (const name of ['a', 'b', 'esp', 'store']) world.remove(name)
  for (const name of ['a', 'esp', 'store']) world.copy(`${name}.before`, name)
  const servers = await Promise.all(evil.toSpliced(place, 0, (asked) => answerFrom(files, asked)).map(bentServer))
  try {
    const remotes = servers.map(({ url }) => `--remote ${url}`).join(' ')
    const begin = performance.now()
    const { json } = await world.must(`sync os --key os.pub ${remotes} ${slots} --booted a --timeout 2 --json`)
    const took = performance.now() - begin
    expect(json).toMatchObject({ slot: 'b', version: 'two' })
    const [root] = JSON.parse(world.read('store/state.json').toString()).roots
    expect(JSON.parse(root.root).version).toBe(2)
    await world.must(`verify --slot b ${world.node()}`)
    return took
  } finally {
    await Promise.all(servers.map((server) => server.close()))
  }
}

describe('four evil remotes of five keep no root and no release from a node', () => {
  test.each(kinds.map((kind, at) => [kind, at] as const))(
    'all of them but %s, with the honest one at place %i',
    async (left, place) => {
      for (const from of ['the start', 'blobs'] as const) {
        const four = kinds.filter((kind) => kind !== left).map((how) => evilAnswer({ files, first }, how, from))
        // the promise is 60 s for a limit of 30; here the limit is 2
        expect(await sync(four, place)).toBeLessThan(2 * clean + 20_000)
      }
    },
    200_000,
  )
})
