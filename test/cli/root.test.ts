// Roots, as typed: ceremonies by psyblob and by stock minisign, nodes that follow them, thresholds, keys that are taken away, releases that are.
import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatPointer, joinPointerFile, openSecretKey, parseSecretKeyFile, signPrehash } from '../../core/mod.ts'
import { prehash, signatureEngine } from '../../store/crypto.ts'
import { Ceremony, node } from './ceremony.ts'

let world: Ceremony
beforeEach(async () => {
  world = await new Ceremony().begin()
})
afterEach(() => world.close())

describe('a first root', () => {
  test('needs as many keepers as it says, and the key that nodes trust so far', async () => {
    expect(await world.psyblob('root publish root.json --remote repo')).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('is not signed'),
    })
    await world.sign('anna', 'os')
    expect(await world.psyblob('root publish root.json --remote repo')).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('signatures by 2 of the keys'),
    })
    world.remove('root.json.minisig')
    await world.sign('anna', 'ben')
    expect(await world.psyblob('root publish root.json --remote repo')).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('which nodes of the channel stable trust now'),
    })
    expect(existsSync(world.path('repo/root'))).toBe(false)
    await world.sign('os')
    await world.publishRoot()
    world.run('minisign', ['-V', '-H', '-m', 'repo/root/1.json', '-x', 'repo/root/1.minisig', '-p', 'anna.pub'])
    expect(await world.psyblob('root publish root.json --remote repo')).toMatchObject({
      code: 11,
      stderr: expect.stringContaining('the next one of org.example.os is 2'),
    })
  })

  test('may be signed by stock minisign, each keeper for himself', async () => {
    for (const name of ['anna', 'cleo', 'os'])
      world.run('minisign', ['-S', '-H', '-W', '-s', `${name}.key`, '-m', 'root.json', '-x', `${name}.sig`, '-t', `${name} agrees`])
    await world.must('root publish root.json --remote repo --signature anna.sig --signature cleo.sig --signature os.sig')
    await world.refresh('ci', 'os')
    expect(await world.sync()).toMatchObject({ code: 0 })
    expect((await world.must(`status os ${node} --json`)).json.root).toMatchObject({ version: 1, isExpired: false })
  })

  test('is not published with a signature that only looks like that of the key that nodes trust', async () => {
    const publish = 'root publish root.json --remote repo'
    const forge = () => {
      // the block of os with another signature in it: its key id is right
      const lines = world.read('root.json.minisig').toString().split('\n')
      const bytes = Buffer.from(lines[9] ?? '', 'base64')
      bytes[20] = (bytes[20] as number) ^ 1
      lines[9] = bytes.toString('base64')
      world.write('root.json.minisig', lines.join('\n'))
    }
    // a key that the root names is at hand
    await world.sign('anna', 'ben', 'os')
    forge()
    expect(await world.psyblob(publish)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('which nodes of the channel stable trust now'),
    })
    // one that it does not name has to be given
    world.remove('root.json')
    await world.must('root init root.json --repo org.example.os --root anna.pub --root ben.pub --release new.pub --pointer ci.pub')
    await world.sign('anna', 'ben', 'os')
    const good = world.read('root.json.minisig')
    forge()
    expect(await world.psyblob(`${publish} --old-key os.pub`)).toMatchObject({
      code: 12,
      stderr: expect.stringMatching(
        /untrusted: root 1 in root\.json: the signature by key \w{16} does not hold\n {2}hint: .*psyblob root sign FILE/,
      ),
    })
    world.write('root.json.minisig', good)
    expect(await world.psyblob(`${publish} --old-key new.pub`)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('expected a signature by key'),
    })
    await world.sign('new')
    expect(await world.psyblob(`${publish} --old-key new.pub`)).toMatchObject({
      code: 12,
      stderr: expect.stringContaining('none of those given by --old-key'),
    })
    world.write('root.json.minisig', good)
    expect(existsSync(world.path('repo/root'))).toBe(false)
    // without it the id is compared, and that is told
    world.copy('repo', 'copy')
    expect(await world.must('root publish root.json --remote copy')).toMatchObject({
      stderr: expect.stringMatching(/warning: the signature by key \w{16}, .* could not be verified/),
    })
    const published = await world.must(`${publish} --old-key os.pub --json`)
    expect(published).toMatchObject({ stderr: '', json: { version: 1, unverified: [] } })
    await world.must('root prepare next.json --remote repo')
    expect(await world.psyblob('root publish next.json --remote repo --old-key os.pub')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('leave them out'),
    })
  })

  test('is signed by the key of every channel, or of those that are named', async () => {
    await world.must('publish other build --remote repo --key new.key --channel beta')
    await world.sign('anna', 'ben', 'os')
    expect(await world.psyblob('root publish root.json --remote repo')).toMatchObject({
      code: 12,
      stderr: expect.stringMatching(/not signed by key \w{16}, which nodes of the channel beta trust now/),
    })
    expect(existsSync(world.path('repo/root'))).toBe(false)
    world.copy('repo', 'copy')
    await world.must('root publish root.json --remote copy --channel stable')
    await world.sign('new')
    await world.must('root publish root.json --remote repo --old-key os.pub --old-key new.pub')
  })

  test('ends the time of the one key: nothing that it signs alone counts any more', async () => {
    const before = world.read('repo/channels/stable')
    await world.underRoot()
    const known = world.trusted()
    expect(await world.release('os')).toMatchObject({ code: 2 })
    world.write('repo/channels/stable', before)
    expect(await world.sync()).toMatchObject({ code: 12 })
    expect(world.trusted().roots).toEqual(known.roots)
    // also for a repository that hides its roots
    world.remove('repo/root')
    expect(await world.sync()).toMatchObject({ code: 12 })
  })

  test('is told by status, and so is that there is none', async () => {
    expect((await world.must(`status os ${node}`)).stdout).toContain('root: none; one key signs everything')
    await world.underRoot()
    expect((await world.must(`status os ${node}`)).stdout).toMatch(/root: 1, expires 20/)
    expect((await world.must('root show --remote repo')).stdout).toContain('2 of 3')
  })

  test('is missed by sync, refresh, download and agent, in one line a run on stderr, until it is there', async () => {
    const warning = /^warning: one key signs all of os, and nothing can take it away: the publisher runs psyblob root init$/gm
    const lines = [
      `sync os ${node}`,
      `sync os ${node} --dry-run`,
      `refresh os ${node}`,
      `download os stick ${node}`,
      `agent --once ${node}`,
    ]
    for (const line of lines) {
      const { stdout, stderr } = await world.must(line)
      expect(`${line}: ${stderr.match(warning)?.length}`).toBe(`${line}: 1`)
      expect(stdout).not.toContain('one key')
      expect((await world.must(`${line} --quiet`)).stderr).not.toContain('one key')
      expect((await world.must(`${line} --json`)).stderr).not.toContain('one key')
    }
    // two products, one line
    await world.must(`publish efisys build --remote repo --key os.key`)
    expect((await world.must(`refresh os efisys --key os.pub --remote repo`)).stderr).toContain('one key signs all of os, efisys, and')
    expect((await world.must(`status os ${node} --json`)).json.root).toBeNull()
    await world.underRoot()
    for (const line of lines) expect((await world.must(line)).stderr).not.toContain('one key')
  })

  test('loses its signatures when it is changed', async () => {
    await world.sign('anna')
    const changed = await world.must('root add-key root.json --role release new.pub')
    expect(changed.stderr).toContain('its signatures were of what it said before')
    expect(existsSync(world.path('root.json.minisig'))).toBe(false)
  })
})

describe('the next root', () => {
  beforeEach(() => world.underRoot())

  test('is signed by the keepers of the one before and by its own', async () => {
    await world.must('root prepare next.json --remote repo')
    await world.must('root remove-key next.json --role root anna.pub')
    await world.must('root add-key next.json --role root new.pub')
    await world.must('root sign next.json --key new.key')
    await world.must('root sign next.json --key ben.key')
    // two of the new ones, one of the old ones
    expect(await world.psyblob('root publish next.json --remote repo')).toMatchObject({ code: 12 })
    await world.must('root sign next.json --key anna.key')
    await world.must('root publish next.json --remote repo')
    expect(await world.sync()).toMatchObject({ code: 0 })
    expect(JSON.parse(world.trusted().roots[0].root).version).toBe(2)
  })

  test('takes a key away that was stolen, and with it what the thief raised', async () => {
    const honest = world.read('repo/channels/stable')
    const { psyblob: _, ...pointer } = JSON.parse(honest.toString().split('\n')[0] ?? '')
    const file = parseSecretKeyFile(world.read('ci.key').toString(), 'ci.key')
    const secretKey = await openSecretKey(file, { password: undefined, engine: signatureEngine, what: 'ci.key' })
    // the thief leaps ahead, and every node believes him
    const body = formatPointer({ ...pointer, version: pointer.version + 900_000 })
    world.write(
      'repo/channels/stable',
      joinPointerFile({ body, signatures: signPrehash({ secretKey, prehash: prehash(body), trustedComment: '' }) }),
    )
    expect(await world.sync()).toMatchObject({ code: 0 })
    world.write('repo/channels/stable', honest)
    expect(await world.sync()).toMatchObject({ code: 12, stderr: expect.stringContaining('rollback') })
    await world.next(['add-key root.json --role pointer new.pub', 'remove-key root.json --role pointer ci.pub'], ['anna', 'ben'])
    expect(await world.sync()).toMatchObject({ code: 12, stderr: expect.stringContaining('untrusted') })
    await world.refresh('new')
    expect(await world.sync()).toMatchObject({ code: 0 })
    expect(world.trusted().products.os.channels.stable.version).toBe(pointer.version + 1)
  })

  test('makes up for a release of the thief that was installed and has booted well', async () => {
    world.copy('repo', 'honest')
    for (let serial = 2; serial <= 4; serial++) expect(await world.release('os', 'ci')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted a')).toMatchObject({ code: 0 })
    await world.must(`mark good ${node} --booted b`)
    expect(world.trusted().products.os).toMatchObject({ seen: { serial: 4 }, floor: 4 })
    world.remove('repo')
    world.copy('honest', 'repo')
    const taken = ['release', 'pointer'].flatMap((role) => [
      `add-key root.json --role ${role} new.pub`,
      `remove-key root.json --role ${role} ${role === 'release' ? 'os' : 'ci'}.pub`,
    ])
    await world.next(taken, ['anna', 'ben'])
    // the root is followed, and what runs is still the thief's
    expect(await world.sync(' --booted b')).toMatchObject({ code: 12 })
    await world.must(`mark good ${node} --booted b`)
    await world.refresh('new')
    expect(await world.release('new')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted b')).toMatchObject({ code: 0 })
    expect(world.trusted().products.os.seen.serial).toBe(2)
  })

  test('asks for two signatures of a release, of two keys', async () => {
    await world.next(
      [
        'add-key root.json --role release/os os.pub',
        'add-key root.json --role release/os new.pub',
        'set-threshold root.json --role release/os 2',
      ],
      ['anna', 'cleo'],
    )
    expect(await world.release('os', 'ci')).toMatchObject({ code: 2, stderr: expect.stringContaining('is signed by 2 of the keys') })
    expect(await world.release('os', 'os', 'ci')).toMatchObject({ code: 2 })
    expect(await world.release('os', 'new', 'ci')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted a')).toMatchObject({ code: 0 })
    // one signature twice is one
    const serial = JSON.parse(world.read('repo/channels/stable').toString().split('\n')[0] ?? '').products.os.serial
    const name = `repo/manifests/os/${serial}.minisig`
    const [first] = world
      .read(name)
      .toString()
      .split(/(?<=^(?:.*\n){4})/)
    world.write(name, `${first}${first}`)
    world.remove('store/os')
    world.remove('b')
    expect(await world.sync(' --booted a')).toMatchObject({ code: 12, stderr: expect.stringContaining('got 1 that hold') })
  })

  test('takes a release back, wherever a node has it from', async () => {
    expect(await world.release('os', 'ci')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted a')).toMatchObject({ code: 0 })
    const bad = JSON.parse(world.read('repo/channels/stable').toString().split('\n')[0] ?? '').products.os
    await world.next([`revoke root.json ${bad.manifest}`], ['anna', 'ben'])
    await world.refresh('ci')
    expect(await world.sync(' --booted b')).toMatchObject({ code: 12, stderr: expect.stringContaining('revoked') })
    expect(await world.psyblob(`apply os a --version ${bad.serial} --force ${node} --booted b`)).toMatchObject({ code: 12 })
    expect((await world.must(`status os ${node}`)).stdout).toContain('revoked')
    expect(await world.release('os', 'ci')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted b')).toMatchObject({ code: 0 })
  })

  test('says from which serial on', async () => {
    await world.next(['set-floor root.json os 9'], ['anna', 'ben'])
    await world.refresh('ci')
    expect(await world.sync()).toMatchObject({ code: 12, stderr: expect.stringContaining('the least that root 2') })
    await world.must('root prepare lower.json --remote repo')
    expect(await world.psyblob('root set-floor lower.json os 3')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('never goes down'),
    })
  })

  test('comes along with a download, and counts the same from a stick', async () => {
    await world.must(`download os stick ${node}`)
    expect(existsSync(world.path('stick/root/1.json'))).toBe(true)
    world.remove('store')
    expect(await world.psyblob(`sync os --path stick ${node} --booted a --force`)).toMatchObject({ code: 0 })
    expect(JSON.parse(world.trusted().roots[0].root).version).toBe(1)
  })

  test('is followed over many at once, and a slot that an old key signed is still known', async () => {
    for (let at = 0; at < 5; at++)
      await world.next(at === 2 ? ['add-key root.json --role release new.pub', 'remove-key root.json --role release os.pub'] : [], [
        'anna',
        'ben',
      ])
    await world.refresh('ci')
    expect(await world.sync()).toMatchObject({ code: 12 })
    expect(await world.release('new', 'ci')).toMatchObject({ code: 0 })
    expect(await world.sync(' --booted a')).toMatchObject({ code: 0 })
    const { slots } = (await world.must(`status os ${node} --booted a --json`)).json
    expect(slots).toMatchObject([
      { serial: 1, state: 'release' },
      { serial: 2, state: 'release' },
    ])
    expect(JSON.parse(world.trusted().roots[0].root).version).toBe(6)
  })

  test('that is held back by a mirror is noticed by the pointer', async () => {
    await world.next([], ['anna', 'ben'])
    await world.refresh('ci')
    world.remove('repo/root/2.json')
    expect(await world.sync()).toMatchObject({ code: 12, stderr: expect.stringContaining('gives only root 1') })
  })

  test('that is damaged, skipped or of another repository is refused, and the one in force stays', async () => {
    await world.next([], ['anna', 'ben'])
    const good = world.read('repo/root/2.json')
    const before = world.trusted()
    for (const bad of [
      good.subarray(0, 40),
      Buffer.from(good.toString().replace('"version":2', '"version":3')),
      Buffer.from('{}\n'),
      Buffer.alloc(70_000, 'x'),
    ]) {
      world.write('repo/root/2.json', bad)
      expect([12, 13]).toContain((await world.sync()).code)
      expect(world.trusted().roots).toEqual(before.roots)
    }
    world.write('repo/root/2.json', good)
    expect(await world.sync()).toMatchObject({ code: 0 })
  })
})

test('what makes no sense in a draft is refused, and nothing is changed', async () => {
  const before = world.read('root.json')
  for (const [line, code] of [
    ['root add-key root.json --role keeper new.pub', 2],
    ['root add-key root.json --role root anna.pub', 11],
    ['root remove-key root.json --role root new.pub', 10],
    ['root set-threshold root.json --role root 4', 2],
    ['root set-threshold root.json --role release/other 1', 10],
    ['root revoke root.json nonsense', 2],
    ['root set-floor root.json os 0', 2],
    ['root init root.json --repo a --root anna.pub --release os.pub --pointer ci.pub', 11],
    ['root show nothing.json', 10],
    ['root prepare other.json --remote repo', 10],
  ] as const)
    expect(await world.psyblob(line), line).toMatchObject({ code, stderr: expect.stringContaining('hint: ') })
  expect(world.read('root.json').equals(before)).toBe(true)
  await world.must('root remove-key root.json --role root cleo.pub')
  expect(await world.psyblob('root remove-key root.json --role root ben.pub')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('lower the threshold'),
  })
})
