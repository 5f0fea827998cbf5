// Large manifests as typed: published compressed as well, fetched so, copied so.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { World } from './world.ts'

const hasXz = spawnSync('xz', ['--version']).status === 0
let world: World
beforeEach(async () => {
  world = new World()
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key --repo org.example.test')
  for (let file = 0; file < 400; file++) world.write(`root/etc/file-${file}`, `${file % 7}\n`)
})
afterEach(() => world.close())

const publish = 'publish base-system root --remote repo --key os.key'
const name = 'repo/manifests/base-system/1'

describe('a release with a large manifest', () => {
  test.runIf(hasXz)('has a compressed one beside it, the same bytes; a small one has none', async () => {
    await world.must(publish)
    expect(world.read(name).length).toBeGreaterThan(64 * 1024)
    expect(world.read(`${name}.xz`).length).toBeLessThan(world.read(name).length / 3)
    expect(execFileSync('xz', ['-dc', world.path(`${name}.xz`)]).equals(world.read(name))).toBe(true)
    world.write('slots/kernel', 'k')
    await world.must('publish os slots --remote repo --key os.key')
    expect(existsSync(world.path('repo/manifests/os/1.xz'))).toBe(false)
  })

  test('is published plain where there is no xz', async () => {
    const bin = world.path('bin')
    world.write('bin/xz', '#!/bin/sh\nexit 1\n')
    world.run('chmod', ['+x', 'bin/xz'])
    await world.must(publish, { env: { PATH: `${bin}:${process.env['PATH']}` } })
    expect(existsSync(world.path(`${name}.xz`))).toBe(false)
    await world.must('refresh base-system --key os.pub --remote repo')
  })

  test.runIf(hasXz)('is fetched from either, by pointer and by serial, and copied with both', async () => {
    await world.must(publish)
    await world.must('download base-system stick --key os.pub --remote repo')
    expect(world.read('stick/manifests/base-system/1.xz').equals(world.read(`${name}.xz`))).toBe(true)
    const node = '--key os.pub --remote stick'
    world.remove('stick/manifests/base-system/1')
    await world.must(`refresh base-system ${node}`)
    expect((await world.must(`show base-system --version 1 ${node} --store other --json`)).json.entries).toBe(401)
    world.write('stick/manifests/base-system/1', world.read(name))
    world.write('stick/manifests/base-system/1.xz', 'nothing of the kind')
    const { stderr } = await world.must(`refresh base-system ${node} --store third`)
    expect(stderr).not.toContain('is not used any more')
    world.remove('copy')
    await world.must(`download base-system copy ${node}`)
    expect(existsSync(world.path('copy/manifests/base-system/1.xz'))).toBe(false)
    expect(world.read('copy/manifests/base-system/1').equals(world.read(name))).toBe(true)
  })

  test.runIf(hasXz).each([
    ['damaged', () => world.write(`${name}.xz`, world.read(`${name}.xz`).fill(7, 500, 600))],
    ['cut short', () => world.write(`${name}.xz`, world.read(`${name}.xz`).subarray(0, 500))],
    ['lost', () => world.remove(`${name}.xz`)],
  ])('whose compressed manifest was %s is told by an audit, and whole again when it is published again', async (how, harm) => {
    await world.must(publish)
    const whole = world.read(`${name}.xz`)
    harm()
    const audit = await world.psyblob('verify base-system --remote --key os.pub --remote repo')
    // who lost it has the plain one
    if (how === 'lost') expect(audit.code).toBe(0)
    else expect(audit).toMatchObject({ code: 13, stdout: expect.stringContaining('/manifests/base-system/1.xz: changed') })
    expect((await world.must(`${publish} --json`)).json).toMatchObject({ changed: false, serial: 1, bytes: { uploaded: whole.length } })
    expect(world.read(`${name}.xz`).equals(whole)).toBe(true)
    await world.must('verify base-system --remote --key os.pub --remote repo')
    expect((await world.must(`${publish} --json`)).json).toMatchObject({ changed: false, bytes: { uploaded: 0 } })
  })
})
