// What comes to a repository while somebody publishes: patches take minutes, and a timer signs the pointer again every day.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openSecretKey, type ProgressEvent, parseSecretKeyFile } from '../../core/mod.ts'
import { openWriter, type Published, publish, signatureEngine } from '../../store/mod.ts'
import { snapshot, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

/** psyblob as typed, to its end. */
const psyblob = (line: string) => world.run(process.execPath, [join(import.meta.dirname, '../../dist/psyblob.js'), ...line.split(' ')])

/** Release 2 of os; as its upload begins, when the pointer was read, `meanwhile` happens. */
async function publishWith(meanwhile: () => void): Promise<Published> {
  const file = world.path('os.key')
  const opened = { password: undefined, engine: signatureEngine, what: file }
  const key = await openSecretKey(parseSecretKeyFile(readFileSync(file, 'utf8'), file), opened)
  let isRun = false
  const report = (event: ProgressEvent) => {
    if (event.type !== 'step' || event.step !== 'upload') return
    isRun = true
    meanwhile()
  }
  const compat = JSON.parse(world.read('repo/manifests/os/1').toString().split('\n')[0] ?? '').compat
  try {
    return await publish({
      product: 'os',
      dir: world.path('r2'),
      remote: openWriter(world.path('repo')),
      keys: [key],
      channel: 'stable',
      compat,
      version: 'two',
      description: undefined,
      remotes: [],
      now: Date.now(),
      days: 7,
      report,
    })
  } finally {
    expect(isRun).toBe(true)
  }
}

const pointer = () => JSON.parse(world.read('repo/channels/stable').toString().split('\n')[0] ?? '')

test('a pointer that was signed again is gone on from', async () => {
  const { version } = pointer()
  expect(await publishWith(() => psyblob('publish --refresh --remote repo --key os.key'))).toMatchObject({
    serial: 2,
    pointerVersion: version + 2,
  })
  await world.must(`sync os ${world.node()}`)
  expect((await world.must('show os --version 2 --key os.pub --remote repo --json')).json.version).toBe('two')
})

test('a release of another product stays', async () => {
  world.write('apps/tool', 'a tool')
  expect(await publishWith(() => psyblob('publish apps apps --remote repo --key os.key'))).toMatchObject({ serial: 2 })
  expect(pointer().products).toMatchObject({ os: { serial: 2 }, apps: { serial: 1 } })
  await world.must('verify apps --remote --key os.pub --remote repo')
})

test('a release of the same product is a conflict, and stays as it is', async () => {
  world.write('r3/kernel', 'another kernel')
  let after = ''
  await expect(
    publishWith(() => psyblob('publish os r3 --remote repo --key os.key --version three')).finally(() => {
      after = snapshot(world.path('repo/manifests')) + snapshot(world.path('repo/channels'))
    }),
  ).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('somebody else published os to channel stable'),
    hint: expect.stringMatching(/run the same command again/),
  })
  expect(pointer().products.os.serial).toBe(2)
  expect((await world.must('show os --version 2 --key os.pub --remote repo --json')).json.version).toBe('three')
  expect(snapshot(world.path('repo/manifests')) + snapshot(world.path('repo/channels'))).toBe(after)
})

test('a pointer put back to an earlier one is a conflict', async () => {
  const first = world.read('repo/channels/stable')
  await world.must('publish --refresh --remote repo --key os.key')
  const before = snapshot(world.path('repo/manifests'))
  await expect(publishWith(() => world.write('repo/channels/stable', first))).rejects.toMatchObject({ code: 'conflict' })
  expect(snapshot(world.path('repo/manifests'))).toBe(before)
})

test('a root that takes the key away is a refusal, and nothing is signed', async () => {
  await world.must('key new next --no-password')
  await world.must('root init root.json --repo org.example.test --root next.pub --release next.pub --pointer next.pub')
  await world.must('root sign root.json --key next.key')
  await world.must('root sign root.json --key os.key')
  const before = snapshot(world.path('repo/manifests'))
  await expect(
    publishWith(() => {
      psyblob('root publish root.json --remote repo')
      psyblob('publish --refresh --remote repo --key next.key --key os.key')
    }),
  ).rejects.toMatchObject({ code: 'usage' })
  expect(snapshot(world.path('repo/manifests'))).toBe(before)
})
