// The node's side as typed: first sync, update, nothing to do, dry run, offline, going back.
import { existsSync, readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { snapshot, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
})
afterEach(() => world.close())

/** What a slot holds besides its manifest equals the release folder. */
function expectSlot(slot: string, release: string): void {
  const files = (name: string) =>
    snapshot(world.path(name))
      .split('\n')
      .filter((line) => !/^\/manifest/.test(line))
      .map((line) => line.replace(/ 100[67]\d\d /, ' '))
  expect(files(slot)).toEqual(files(release))
  expect(existsSync(world.path(slot, 'manifest'))).toBe(true)
}

describe('sync', () => {
  test('installs the first release into slot a of a machine that has nothing', async () => {
    const result = (await world.must(`sync os ${world.node()} --json`)).json
    expect(result).toMatchObject({ product: 'os', serial: 1, previousSerial: null, slot: 'a', changed: true, activated: true, requests: 8 })
    expect(result.bytes.total).toBe(3_320_011)
    expect(result.bytes.written).toBe(3_320_011)
    expect(result.bytes.fetched).toBeGreaterThan(3_320_011)
    expect(result.seconds).toBeGreaterThan(0)
    expect(result.plan.map((line: { path: string }) => line.path)).toEqual(['/dtbs/board.dtb', '/kernel', '/old-file', '/squashfs'])
    expectSlot('a', 'r1')
    expect(readdirSync(world.path('a')).sort()).toEqual(['dtbs', 'kernel', 'manifest', 'manifest.minisig', 'old-file', 'squashfs'])
  })

  test('writes an update into the other slot, fetching only what it lacks, and flips', async () => {
    await world.must(`sync os ${world.node()}`)
    const before = snapshot(world.path('a'))
    await world.publish2()
    const result = (await world.must(`sync os ${world.node()} --booted a --json`)).json
    expect(result).toMatchObject({ serial: 2, previousSerial: 1, slot: 'b', changed: true, activated: true })
    expect(result.bytes.fetched).toBeLessThan(310_000 + 250_000)
    expect(result.bytes.reused).toBeGreaterThan(2_900_000)
    expectSlot('b', 'r2')
    expect(snapshot(world.path('a'))).toBe(before)
    expect((await world.must(`status os ${world.node()} --json`)).json).toMatchObject({
      known: { latest: 2, current: 1, previous: null },
      boot: { order: ['b', 'a'], copies: ['valid', 'valid'] },
    })
  })

  test('current and previous follow what was booted', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    await world.must(`sync os ${world.node()} --booted b`)
    expect((await world.must(`status os ${world.node()} --json`)).json.known).toEqual({ latest: 2, current: 2, previous: 1 })
  })

  test('leaves no file of the old release in the slot', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted b`)
    expectSlot('a', 'r2')
    expect(existsSync(world.path('a/old-file'))).toBe(false)
    expect(existsSync(world.path('a/.psyblob'))).toBe(false)
  })

  test('with nothing to do makes one request and changes nothing', async () => {
    await world.must(`sync os ${world.node()}`)
    const before = world.state()
    const result = (await world.must(`sync os ${world.node()} --json`)).json
    expect(result).toMatchObject({
      changed: false,
      activated: false,
      requests: 1,
      slot: 'a',
      serial: 1,
      previousSerial: 1,
      bytes: { written: 0 },
    })
    expect(world.state()).toBe(before)
  })

  test('a dry run changes nothing, and the run that follows takes exactly the bytes and requests it said', async () => {
    const check = async (options: string) => {
      const before = world.state()
      const dry = (await world.must(`sync os ${world.node()} ${options} --dry-run --json`)).json
      expect(world.state()).toBe(before)
      const run = (await world.must(`sync os ${world.node()} ${options} --json`)).json
      // seconds are reckoned by what was measured in that run
      const figures = ({ bytes, requests, plan, slot, activated }: typeof dry) => ({
        bytes,
        requests,
        plan: JSON.parse(JSON.stringify(plan, (key, value) => (key === 'seconds' ? undefined : value))),
        slot,
        activated,
      })
      expect(figures(run)).toEqual(figures(dry))
    }
    await check('')
    await world.publish2()
    await check('--booted a')
    await check('--booted b')
    await check('--booted a --force')
  })

  test('--no-activate leaves the boot order; activate changes it later', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    expect((await world.must(`sync os ${world.node()} --no-activate --json`)).json).toMatchObject({
      changed: true,
      activated: false,
      slot: 'b',
    })
    expect((await world.must(`status os ${world.node()} --json`)).json.boot.order).toEqual(['a', 'b'])
    expect((await world.must(`activate b ${world.node()} --json`)).json).toMatchObject({ slot: 'b', order: ['b', 'a'], changed: true })
    expect((await world.must(`activate b ${world.node()} --json`)).json.changed).toBe(false)
  })

  test('from a downloaded folder gives the same slot as from the network', async () => {
    await world.must(`download os stick --key os.pub --remote repo`)
    await world.must(`sync os ${world.node()}`)
    await world.must(`sync os --path stick --key os.pub --slot-a a2 --slot-b b2 --esp esp2 --store store2`)
    expect(snapshot(world.path('a2'))).toBe(snapshot(world.path('a')))
    await world.must(`apply os --path stick/manifests/os/1 --key os.pub --slot-a a3 --slot-b b3 --esp esp3 --store store3`)
    expect(snapshot(world.path('a3'))).toBe(snapshot(world.path('a')))
  })

  test('an older stick is refused as an older network is', async () => {
    await world.must(`download os stick --key os.pub --remote repo`)
    await world.publish2()
    await world.must(`sync os ${world.node()}`)
    const before = world.state()
    const refused = await world.psyblob(`sync os --path stick ${world.node()}`)
    expect(refused.code).toBe(12)
    expect(refused.stderr).toContain('rollback: ')
    // that it was refused is recorded
    const kept = (state: string) => state.replace(/\/(state.json|attempts) .*/g, '')
    expect(kept(world.state())).toBe(kept(before))
  })

  test('rollback goes back, and the release left behind is not installed again by itself', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    expect((await world.must(`rollback ${world.node()} --booted b --json`)).json).toMatchObject({ slot: 'a', serial: 1, order: ['a', 'b'] })
    const held = (await world.must(`sync os ${world.node()} --booted a --json`)).json
    expect(held).toMatchObject({ changed: false, activated: false })
    expect(held.held).toContain('rolled back')
    expect((await world.must(`sync os ${world.node()} --booted a --force --json`)).json).toMatchObject({
      changed: true,
      slot: 'b',
      activated: true,
      held: null,
    })
  })

  test('mark good raises the floor: nothing older is applied, and a slot being rewritten is not good any more', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    expect((await world.must(`mark good ${world.node()} --booted b --json`)).json).toMatchObject({ slot: 'b', good: ['b'], serial: 2 })
    const refused = await world.psyblob(`apply os a --version 1 ${world.node()} --booted b`)
    expect(refused.code).toBe(12)
    expect(refused.stderr).toContain('rollback: os 1 is older than 2')
    expect((await world.must(`mark bad b ${world.node()} --booted b --json`)).json).toMatchObject({ good: [], order: ['a', 'b'] })
  })

  test('apply takes a slot, a version and refuses the booted slot', async () => {
    await world.publish2()
    expect((await world.must(`apply os b --version 1 ${world.node()} --json`)).json).toMatchObject({ slot: 'b', serial: 1 })
    expect((await world.must(`apply os a --version two ${world.node()} --json`)).json).toMatchObject({ slot: 'a', serial: 2 })
    const before = snapshot(world.path('a'))
    const refused = await world.psyblob(`apply os a --version 1 ${world.node()} --booted a`)
    expect(refused.code).toBe(11)
    expect(refused.stderr).toContain('the one this machine runs from')
    expect(snapshot(world.path('a'))).toBe(before)
  })

  test('check says yes, no, and why', async () => {
    await world.must(`sync os ${world.node()}`)
    const check = (words: string) => world.psyblob(`check ${words} ${world.node()}`)
    expect((await check('latest')).code).toBe(0)
    expect((await check('current os')).code).toBe(0)
    expect((await check('os a --version 1')).code).toBe(0)
    expect((await check('os a --version one')).code).toBe(0)
    expect((await check('os --path repo/manifests/os/1')).code).toBe(0)
    expect(await check('os b')).toMatchObject({ code: 1, stdout: expect.stringContaining('the slot holds no release') })
    await world.publish2()
    expect((await check('latest')).code).toBe(0)
    await world.must(`refresh ${world.node()}`)
    expect(await check('latest')).toMatchObject({ code: 1, stdout: expect.stringContaining('expected serial 2 (two), got 1 (one)') })
    expect((await check('current')).code).toBe(0)
    expect((await check('os --version 7')).code).toBe(10)
    world.write('a/kernel', 'damaged')
    expect(await check('current')).toMatchObject({ code: 1, stdout: expect.stringContaining('/kernel: wrong size') })
  })

  test('verify names the bad file and range, repair mends it, and files that nobody signed go', async () => {
    await world.must(`sync os ${world.node()}`)
    const good = snapshot(world.path('a'))
    const squashfs = world.read('a/squashfs')
    squashfs[1_500_000] = (squashfs[1_500_000] ?? 0) ^ 1
    world.write('a/squashfs', squashfs)
    world.write('a/kernel', world.read('a/kernel').subarray(0, 1000))
    world.write('a/stranger', 'who put me here')
    const found = await world.psyblob(`verify os --slot a ${world.node()} --json`)
    expect(found.code).toBe(13)
    const [audit] = found.json
    expect(audit.findings.map(({ path, problem }: { path: string; problem: string }) => `${path} ${problem}`)).toEqual([
      '/kernel wrong size',
      '/squashfs changed',
      '/stranger unexpected',
    ])
    const [range] = audit.findings[1].ranges
    expect(range.offset).toBeLessThanOrEqual(1_500_000)
    expect(range.offset + range.length).toBeGreaterThan(1_500_000)
    expect(range.length).toBeLessThanOrEqual(65_536)
    const repaired = (await world.must(`repair --slot a ${world.node()} --json`)).json
    expect(repaired.bytes.fetched).toBe(300_000 + range.length)
    expect(snapshot(world.path('a'))).toBe(good)
    await world.must(`verify ${world.node()}`)
    expect((await world.psyblob(`repair --slot a ${world.node()} --booted a`)).code).toBe(11)
  })

  test('a folder that is no slot is not taken over unless told so', async () => {
    world.write('a/thesis.txt', 'years of work')
    const refused = await world.psyblob(`sync os ${world.node()}`)
    expect(refused.code).toBe(11)
    expect(refused.stderr).toContain('thesis.txt')
    expect(world.read('a/thesis.txt').toString()).toBe('years of work')
    await world.must(`sync os ${world.node()} --force`)
    expect(existsSync(world.path('a/thesis.txt'))).toBe(false)
  })

  test('a composition says all of it, and is refused by line when it is wrong', async () => {
    const line = {
      name: 'os',
      key: world.read('os.pub').toString().split('\n')[1],
      uris: ['repo'],
      target: { kind: 'slots', a: { dir: 'a' }, b: { dir: 'b' }, esp: { dir: 'esp' } },
    }
    world.write('composition', `${JSON.stringify(line)}\n`)
    expect((await world.must('sync --composition composition --json')).json).toMatchObject({ serial: 1, slot: 'a' })
    expect((await world.must('status --json', { env: { PSYBLOB_COMPOSITION: 'composition' } })).json.product).toBe('os')
    world.write('composition', `${JSON.stringify(line)}\n${JSON.stringify({ ...line, name: 'two', typo: 1 })}\n`)
    expect(await world.psyblob('status --composition composition')).toMatchObject({ code: 13, stderr: expect.stringContaining('line 2') })
  })

  test('a release that did not boot in three tries is told, remembered, and not installed again until forced', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.must(`mark good a ${world.node()} --booted a`)
    await world.publish2()
    await world.must(`sync os ${world.node()} --booted a`)
    // as GRUB leaves it after three tries of slot b: it runs from a again
    const seq = (await world.must(`status ${world.node()} --json`)).json.boot.seq
    const lines = `# GRUB Environment Block\ntries_for=${seq}\ntries=3\n`
    world.write('esp/tries', lines.padEnd(1024, '#'))
    expect((await world.must(`status ${world.node()} --booted a`)).stdout).toContain('2 did not boot in three tries')
    const held = await world.must(`sync os ${world.node()} --booted a`)
    expect(held.stderr).toContain('did not boot in three tries')
    // nothing is new for the slot that runs, and nothing is tried again
    expect((await world.must(`status ${world.node()} --booted a --json`)).json).toMatchObject({ fellBackFrom: 2, avoided: [2] })
    world.write('r3/kernel', 'third')
    await world.must('publish os r3 --remote repo --key os.key')
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({ serial: 3, slot: 'b', held: null })
    expect((await world.must(`status ${world.node()} --booted a --json`)).json).toMatchObject({ fellBackFrom: null, avoided: [2] })
  })

  test('a machine that knows its product only from a stick learns all the same what has booted and what is not wanted', async () => {
    await world.publish2()
    await world.must(`apply os --path repo/manifests/os/1 ${world.node()}`)
    await world.must(`mark good a ${world.node()}`)
    await world.must(`apply os --path repo/manifests/os/2 ${world.node()} --booted a`)
    await world.must(`rollback ${world.node()} --booted a`)
    expect((await world.must(`status ${world.node()} --json`)).json).toMatchObject({ floor: 1, avoided: [2], repo: 'org.example.test' })
    expect((await world.must(`sync os ${world.node()} --booted a --json`)).json).toMatchObject({
      changed: false,
      held: expect.stringContaining('serial 2'),
    })
  })

  test('two products never share slots: neither in one composition nor one after the other', async () => {
    const line = (name: string) => ({
      name,
      key: world.read('os.pub').toString().split('\n')[1],
      uris: ['repo'],
      target: { kind: 'slots', a: { dir: 'a' }, b: { dir: 'b' }, esp: { dir: 'esp' } },
    })
    await world.must(`sync os ${world.node()}`)
    await world.must('publish two r2 --remote repo --key os.key')
    world.write('composition', `${JSON.stringify(line('os'))}\n${JSON.stringify(line('two'))}\n`)
    expect(await world.psyblob('sync two --composition composition')).toMatchObject({ code: 11, stderr: expect.stringContaining('os') })
    world.remove('store')
    const taken = await world.psyblob(`apply two a ${world.node()}`)
    expect(taken).toMatchObject({ code: 11, stderr: expect.stringMatching(/belongs to product os\n {2}hint: .*--force/) })
    await world.must(`verify ${world.node()}`)
    await world.must(`apply two a ${world.node()} --force`)
    await world.must(`verify two --slot a ${world.node()}`)
  })

  test('a product that fails keeps no other from its update, and the status tells', async () => {
    const line = (name: string, slots: string) => ({
      name,
      key: world.read('os.pub').toString().split('\n')[1],
      uris: ['repo'],
      target: { kind: 'slots', a: { dir: `${slots}/a` }, b: { dir: `${slots}/b` }, esp: { dir: `${slots}/esp` } },
    })
    world.write('composition', `${JSON.stringify(line('absent', 'x'))}\n${JSON.stringify(line('os', 'y'))}\n`)
    const both = await world.psyblob('sync --composition composition --json')
    expect(both.code).toBe(10)
    expect(both.json).toMatchObject([
      { product: 'os', changed: true },
      { product: 'absent', error: { code: 'not-found' } },
    ])
    expect(both.stderr).toContain('absent: ')
  })

  test('whatever is called manifest makes way', async () => {
    world.write('a/manifest/deep/file', 'what is this')
    await world.must(`sync os ${world.node()} --force`)
    await world.must(`verify ${world.node()}`)
    expect(existsSync(world.path('a/.psyblob'))).toBe(false)
  })

  test('verify --store takes a plain word as the place of the store once the product is named', async () => {
    await world.must(`sync os ${world.node()} --store st2`)
    await world.must(`verify os --store st2 ${world.node()}`)
    expect((await world.must(`verify --store os ${world.node()} --json`)).json).toMatchObject([
      { place: expect.stringContaining('store ') },
    ])
  })

  test('gc keeps what slots and links need, and drops the rest', async () => {
    await world.must(`sync os ${world.node()}`)
    await world.publish2()
    await world.must(`sync os ${world.node()}`)
    world.write('r3/kernel', 'third')
    await world.must('publish os r3 --remote repo --key os.key')
    await world.must(`sync os ${world.node()} --booted b`)
    await world.must(`sync os ${world.node()} --booted a`)
    const dry = (await world.must(`gc --dry-run ${world.node()} --json`)).json
    expect(dry.removed.length).toBeGreaterThan(0)
    const gone = (await world.must(`gc ${world.node()} --json`)).json
    expect(gone.removed).toEqual(dry.removed)
    expect((await world.must(`gc ${world.node()} --json`)).json.removed).toEqual([])
    await world.must(`verify ${world.node()}`)
    await world.must(`verify --store ${world.node()}`)
  })

  test('diff and show tell what is in a release and what an update fetches', async () => {
    await world.publish2()
    const diff = (await world.must(`diff os 1 2 ${world.node()} --json`)).json
    expect(diff.entries.map(({ path, change }: { path: string; change: string }) => `${path} ${change}`)).toEqual([
      '/dtbs/board.dtb same',
      '/kernel changed',
      '/old-file removed',
      '/squashfs changed',
    ])
    expect(diff.fetch).toBeLessThan(310_000 + 250_000)
    expect((await world.must(`show os --version 2 ${world.node()}`)).stdout).toContain('os 2 (two)')
    expect((await world.must(`show os --path repo/manifests/os/1 --key os.pub --json`)).json).toMatchObject({ serial: 1, version: 'one' })
  })
})
