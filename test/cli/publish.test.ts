// The publisher's side as typed: init, publish, and what stock minisign says of the result.
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { snapshot, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

const minisign = (...args: string[]) => spawnSync('minisign', args, { cwd: world.dir, encoding: 'utf8' })

describe('publish', () => {
  test('signs what minisign accepts, as the files lie there', () => {
    const checked = minisign('-V', '-H', '-m', 'repo/manifests/os/1', '-p', 'os.pub')
    expect(checked.stdout).toContain('Signature and comment signature verified')
    expect(checked.stdout).toContain('type=manifest repo=org.example.test name=os serial=1')
    world.write('repo/manifests/os/1', `${world.read('repo/manifests/os/1').toString()} `)
    expect(minisign('-V', '-H', '-m', 'repo/manifests/os/1', '-p', 'os.pub').status).not.toBe(0)
  })

  test('the same folder again changes nothing and says so', async () => {
    const before = snapshot(world.path('repo'))
    const again = await world.must('publish os r1 --remote repo --key os.key')
    expect(again.stdout).toContain('nothing changed')
    expect((await world.must('publish os r1 --remote repo --key os.key --json')).json).toMatchObject({
      changed: false,
      serial: 1,
      bytes: { uploaded: 0 },
    })
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('after a release that somebody else signed is refused, whatever the pointer says', async () => {
    await world.must('key new thief --no-password')
    await world.must('sign --key thief.key repo/manifests/os/1 --force')
    const before = snapshot(world.path('repo'))
    expect(await world.psyblob('publish os r2 --remote repo --key os.key')).toMatchObject({ code: 12 })
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('after a release whose signature was lost says so, and follows nothing', async () => {
    world.remove('repo/manifests/os/1.minisig')
    const outcome = await world.must('publish os r2 --remote repo --key os.key --json')
    expect(outcome.stderr).toMatch(/manifest os\/1 of \S+ has no signature beside it/)
    expect(outcome.json.serial).toBe(2)
    expect(JSON.parse(world.read('repo/manifests/os/2').toString().split('\n')[0] ?? '').previous).toBeNull()
  })

  test('the next release links to the one before', async () => {
    const published = (await world.must('publish os r2 --remote repo --key os.key --version two --json')).json
    expect(published).toMatchObject({ changed: true, serial: 2, version: 'two' })
    const [first, second] = [1, 2].map((serial) => JSON.parse(world.read(`repo/manifests/os/${serial}`).toString().split('\n')[0] ?? ''))
    expect(first.previous).toBeNull()
    const { stdout } = await world
      .must('history os --key os.pub --remote repo --json', {})
      .catch(() => world.must('refresh os --key os.pub --remote repo'))
    expect(stdout).not.toBe('')
    expect(second.previous).toMatch(/^bafkr4i/)
    const history = (await world.must('history os --key os.pub --remote repo --json')).json
    expect(history.map((line: { serial: number }) => line.serial)).toEqual([2, 1])
    expect(history[1].manifest).toBe(second.previous)
  })

  test('of two publishers at once, at least one wins and the other hears of a conflict; nothing is half there', async () => {
    world.write('r3/kernel', 'another kernel')
    const outcomes = await Promise.all([
      world.psyblob('publish os r2 --remote repo --key os.key'),
      world.psyblob('publish os r3 --remote repo --key os.key'),
    ])
    const codes = outcomes.map(({ code }) => code).sort()
    expect([
      [0, 0],
      [0, 11],
    ]).toContainEqual(codes)
    for (const { code, stderr } of outcomes) if (code === 11) expect(stderr).toMatch(/conflict: .*\n {2}hint: .*run the same command again/)
    await world.must('verify os --remote --key os.pub --remote repo')
  })

  test('a publish that began before another one ended is a conflict', async () => {
    const pointer = world.read('repo/channels/stable')
    const meanwhile = world.psyblob('publish os r2 --remote repo --key os.key', {
      started: () => undefined,
    })
    // the pointer changes at some moment of it: either before it was read, and all is well, or after, and it is a conflict
    const refreshed = await world.psyblob('publish --refresh --remote repo --key os.key')
    const published = await meanwhile
    expect([0, 11]).toContain(published.code)
    // whoever comes when the other one signs has to come again; one of the two is always through
    expect([0, 11]).toContain(refreshed.code)
    expect(Math.min(published.code, refreshed.code)).toBe(0)
    expect(world.read('repo/channels/stable').equals(pointer)).toBe(false)
    await world.must('publish os r2 --remote repo --key os.key')
  })

  test('another key is refused, and nothing is written', async () => {
    await world.must('key new other --no-password')
    const before = snapshot(world.path('repo'))
    const refused = await world.psyblob('publish os r2 --remote repo --key other.key')
    expect(refused.code).toBe(12)
    expect(refused.stderr).toContain('expected a signature by key')
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('what no slot can hold is refused with its name', async () => {
    const refuse = async (code: number, text: string) => {
      const before = snapshot(world.path('repo'))
      const refused = await world.psyblob('publish os bad --remote repo --key os.key')
      expect(refused.stderr).toContain(text)
      expect(refused.stderr).toContain('hint: ')
      expect(refused.code).toBe(code)
      expect(snapshot(world.path('repo'))).toBe(before)
      world.remove('bad')
    }
    await refuse(10, 'no folder bad')
    world.write('bad', 'a file')
    await refuse(2, 'no folder')
    mkdirSync(world.path('bad'))
    await refuse(2, 'nothing to publish')
    world.write('bad/kernel', 'x')
    symlinkSync('kernel', world.path('bad/link'))
    await refuse(2, 'no plain file')
    world.write('bad/manifest', 'x')
    await refuse(2, 'a name that psyblob keeps for itself')
    world.write('bad/Kernel', 'x')
    world.write('bad/kernel', 'x')
    await refuse(2, 'would be one file')
  })

  test('without a repository it says how to make one', async () => {
    const refused = await world.psyblob('publish os r1 --remote nowhere --key os.key')
    expect(refused.code).toBe(14)
    expect(refused.stderr).toContain('psyblob init')
    mkdirSync(world.path('empty'))
    expect((await world.psyblob('publish os r1 --remote empty --key os.key')).code).toBe(10)
    expect((await world.psyblob('publish os r1 --remote https://os.example/ --key os.key')).code).toBe(16)
  })

  test('--refresh signs the pointer again, one version higher', async () => {
    const before = (await world.must('refresh os --key os.pub --remote repo --json')).json
    const refreshed = (await world.must('publish --refresh --remote repo --key os.key --expires 30 --json')).json
    expect(refreshed.version).toBe(3)
    const after = (await world.must('refresh os --key os.pub --remote repo --json')).json
    expect(after).toMatchObject({ serial: before.serial, news: true })
    expect(Date.parse(after.expires)).toBeGreaterThan(Date.parse(before.expires) + 20 * 86_400_000)
  })

  test('init refuses a folder that is a repository', async () => {
    const before = snapshot(world.path('repo'))
    const refused = await world.psyblob('init repo --key os.key')
    expect(refused.code).toBe(11)
    expect(snapshot(world.path('repo'))).toBe(before)
  })

  test('a crash before the pointer leaves what the next publish steps over', async () => {
    await world.publish2()
    // the pointer of before: as if the power had gone between manifest and pointer
    world.copy('repo', 'saved')
    world.remove('repo/manifests/os/2')
    await world.must('publish os r1 --remote repo --key os.key --version three').catch(() => undefined)
    world.remove('repo')
    world.copy('saved', 'repo')
    await world.must('publish os r1 --remote repo --key os.key --version three')
    await world.must('verify os --remote --key os.pub --remote repo')
  })
})
