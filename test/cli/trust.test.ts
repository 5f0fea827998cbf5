// A node trusts its key and nothing else: each lie is refused with its exit code, no slot changes, and the next good sync works.
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSecretKey, parseSecretKeyFile } from '../../core/secret-key.ts'
import { signatureEngine } from '../../store/crypto.ts'
import { solePublisher } from '../../store/publisher.ts'
import { signPointer } from '../../store/repository.ts'
import { snapshot, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
  world.copy('repo', 'first')
  await world.must(`sync os ${world.node()}`)
  await world.publish2()
  world.copy('repo', 'good')
})
afterEach(() => world.close())

const slots = () => ['a', 'b', 'esp'].map((name) => snapshot(world.path(name))).join('\n')

/** Bends the repository, expects the refusal, then expects the good one to be taken. */
async function refused(bend: () => unknown, expected: { code: number; text: string; options?: string }): Promise<void> {
  await bend()
  const before = slots()
  const outcome = await world.psyblob(`sync os ${expected.options ?? world.node()} --booted a`)
  expect(outcome.stderr).toContain(expected.text)
  expect(outcome.stderr).toContain('hint: ')
  expect(outcome.code).toBe(expected.code)
  expect(slots()).toBe(before)
  world.remove('repo')
  world.copy('good', 'repo')
  expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 2, changed: true, slot: 'b' })
  await world.must(`verify ${world.node()}`)
}

function flip(name: string, at: number): void {
  const bytes = world.read(name)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  world.write(name, bytes)
}

/** The path of a blob, by the path of its entry in the newest manifest. */
function blobOf(entry: string, part: 'blob' | 'index'): string {
  const record = world
    .read('repo/manifests/os/2')
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .find((line) => line.path === entry)
  const cid: string = part === 'blob' ? record.bin.cid : record.bin.index.cid
  return `repo/blobs/${cid.slice(-3, -1)}/${cid}`
}

describe('a node refuses', () => {
  test('a pointer signed by another key', async () => {
    await world.must('key new evil --no-password')
    await world.must('init evil --key evil.key --repo org.example.test')
    await world.must('publish os r2 --remote evil --key evil.key')
    await refused(() => undefined, { code: 12, text: 'untrusted: ', options: world.node('evil') })
  })

  test('a changed byte in the pointer’s body', () => refused(() => flip('repo/channels/stable', 40), { code: 12, text: 'does not hold' }))

  test('a changed byte in the manifest', () => refused(() => flip('repo/manifests/os/2', 60), { code: 13, text: 'corrupt: ' }))

  test('a manifest of another length', () =>
    refused(() => world.write('repo/manifests/os/2', `${world.read('repo/manifests/os/2')}\n`), { code: 13, text: 'longer than' }))

  test('a changed byte in the manifest’s signature', () =>
    refused(() => flip('repo/manifests/os/2.minisig', world.read('repo/manifests/os/2.minisig').indexOf('type=manifest')), {
      code: 12,
      text: 'os/2',
    }))

  test('a manifest without a signature', () =>
    refused(() => world.remove('repo/manifests/os/2.minisig'), { code: 12, text: 'has no signature' }))

  test.each([
    ['a whole blob', '/kernel', 1000],
    ['a chunk', '/squashfs', 910_000],
  ])('a changed byte in %s: the slot that was being written says nothing, the other is untouched', async (_, entry, at) => {
    const before = snapshot(world.path('a'))
    flip(blobOf(entry, 'blob'), at)
    const outcome = await world.psyblob(`sync os ${world.node()} --booted a`)
    expect(outcome).toMatchObject({ code: 13, stderr: expect.stringMatching(/corrupt: .*expected bafkr4i.*\n {2}hint: /s) })
    expect(readdirSync(world.path('b'))).toEqual(['.psyblob'])
    expect(snapshot(world.path('a'))).toBe(before)
    expect((await world.must(`status ${world.node()} --json`)).json.boot.order).toEqual(['a', 'b'])
    world.remove('repo')
    world.copy('good', 'repo')
    await world.must(`sync os ${world.node()} --booted a`)
    await world.must(`verify ${world.node()}`)
  })

  test('a changed byte in a chunk index', () => refused(() => flip(blobOf('/squashfs', 'index'), 500), { code: 13, text: 'corrupt: ' }))

  test('an older pointer', () =>
    refused(
      async () => {
        await world.must(`refresh ${world.node()}`)
        world.write('repo/channels/stable', world.read('first/channels/stable'))
      },
      { code: 12, text: 'rollback: ' },
    ))

  test('an expired pointer, and one from the future', async () => {
    const days = 86_400_000
    const { products } = JSON.parse(world.read('repo/channels/stable').toString().split('\n')[0] ?? '')
    const file = parseSecretKeyFile(world.read('os.key').toString(), 'os.key')
    const key = await openSecretKey(file, { password: undefined, engine: signatureEngine, what: 'os.key' })
    const pointer = (now: number) =>
      signPointer({ publisher: solePublisher(key), repo: 'org.example.test', channel: 'stable', version: 9, products, now, days: 7 })
    world.write('repo/channels/stable', pointer(Date.now() + 2 * days))
    expect(await world.psyblob(`sync os ${world.node()} --booted a`)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('more than a day after now'),
    })
    await refused(() => world.write('repo/channels/stable', pointer(Date.now() - 8 * days)), { code: 12, text: 'expired: ' })
  })

  test('the same serial with other content', async () => {
    await world.must(`refresh ${world.node()}`)
    // the publisher lost the second release and made another one of the same number
    await refused(
      async () => {
        world.remove('repo')
        world.copy('first', 'repo')
        world.write('r3/kernel', 'something else')
        await world.must('publish --refresh --remote repo --key os.key')
        await world.must('publish --refresh --remote repo --key os.key')
        await world.must('publish os r3 --remote repo --key os.key')
      },
      { code: 12, text: 'os: serial 2 was bafkr4i' },
    )
  })

  test('another product in its place', () =>
    refused(
      async () => {
        await world.must('publish other r1 --remote repo --key os.key')
        const other = JSON.parse(world.read('repo/channels/stable').toString().split('\n')[0] ?? '').products.other
        expect(other.serial).toBe(1)
        world.write('repo/manifests/os/2', world.read('repo/manifests/other/1'))
        world.write('repo/manifests/os/2.minisig', world.read('repo/manifests/other/1.minisig'))
      },
      { code: 13, text: 'manifests/os/2' },
    ))

  test('a release for another kind of machine', () =>
    refused(() => undefined, {
      code: 12,
      text: 'expected compatibility riscv64-uefi, got x86_64-uefi',
      options: `${world.node()} --compat riscv64-uefi`,
    }))

  test('another repository signed by the same key', async () => {
    await world.must('init second --key os.key --repo org.example.second')
    await world.must('publish os r2 --remote second --key os.key')
    await refused(() => undefined, {
      code: 12,
      text: 'expected repository org.example.test, got org.example.second',
      options: world.node('second'),
    })
  })

  test('another channel in its place', () =>
    refused(
      async () => {
        await world.must('publish os r1 --remote repo --key os.key --channel beta --version beta')
        world.write('repo/channels/stable', world.read('repo/channels/beta'))
      },
      { code: 12, text: 'expected channel stable, got beta' },
    ))

  test('something else than a repository', () =>
    refused(() => world.write('repo/channels/stable', '<html>\u001b[31mhello</html>\n'), { code: 13, text: 'malformed: ' }))

  test('an endless pointer', () =>
    refused(() => world.write('repo/channels/stable', Buffer.alloc(10_000_000, 'x')), { code: 13, text: 'malformed: ' }))

  test('everything while its own trusted state is damaged, rather than begin anew', async () => {
    const state = world.read('store/state.json')
    world.write('store/state.json', state.subarray(0, 50))
    const before = slots()
    const outcome = await world.psyblob(`sync os ${world.node()}`)
    expect(outcome).toMatchObject({ code: 13, stderr: expect.stringContaining('the trusted state is damaged') })
    expect(outcome.stderr).toContain('rm ')
    expect(slots()).toBe(before)
    world.write('store/state.json', state)
    await world.must(`sync os ${world.node()}`)
  })

  test('nothing because of what a newer psyblob noted, which is left as it is; a misspelt member is damage, a newer format is told', async () => {
    const state = JSON.parse(world.read('store/state.json').toString())
    const noted = structuredClone(state)
    Object.assign(noted, { witnesses: ['one'] })
    Object.assign(noted.products.os, { thresholds: { pointer: 2 } })
    Object.assign(noted.last.os, { duration: 17 })
    world.write('store/state.json', JSON.stringify(noted))
    await world.must(`hold os ${world.node()}`)
    await world.must(`unhold os ${world.node()}`)
    await world.must(`sync os ${world.node()}`)
    const after = JSON.parse(world.read('store/state.json').toString())
    expect(after).toMatchObject({ witnesses: ['one'], products: { os: { thresholds: { pointer: 2 } } } })
    const { seen, ...rest } = state.products.os
    world.write('store/state.json', JSON.stringify({ ...state, products: { os: { ...rest, sein: seen } } }))
    const damaged = await world.psyblob(`sync os ${world.node()}`)
    expect(damaged).toMatchObject({ code: 13, stderr: expect.stringContaining('misspelt') })
    world.write('store/state.json', JSON.stringify({ ...state, psyblob: 'state/2' }))
    const newer = await world.psyblob(`sync os ${world.node()}`)
    expect(newer).toMatchObject({ code: 16, stderr: expect.stringContaining('of a newer psyblob: state/2') })
    expect(newer.stderr).not.toContain('rm ')
  })
})

describe('a release signed offline', () => {
  test('by stock minisign is taken like any other', async () => {
    world.remove('repo/manifests/os/2.minisig')
    world.run('minisign', ['-S', '-H', '-W', '-s', 'os.key', '-m', 'repo/manifests/os/2', '-t', 'signed at the ceremony'])
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 2, slot: 'b' })
    await world.must(`verify ${world.node()}`)
  })
})

describe('a chunk index that is not there', () => {
  test('costs bytes, not safety: the whole blob is fetched instead', async () => {
    world.remove(blobOf('/squashfs', 'index'))
    const result = (await world.must(`sync os ${world.node()} --booted a --json`)).json
    expect(result.plan.find((line: { path: string }) => line.path === '/squashfs')).toMatchObject({ how: 'whole', fetch: 3_050_000 })
    await world.must(`verify ${world.node()}`)
  })
})
