// Repair: a slot is what it was until everything that mends it is there.
import { rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
  await world.must(`sync os ${world.node()}`)
  const bytes = world.read('a/squashfs')
  bytes[1_500_000] = (bytes[1_500_000] as number) ^ 1
  world.write('a/squashfs', bytes)
})
afterEach(() => world.close())

const serial = async () => (await world.must(`status ${world.node()} --json`)).json.slots[0].serial

test('mends one byte by one chunk, as its dry run said', async () => {
  const dry = (await world.must(`repair --slot a --dry-run --json ${world.node()}`)).json
  const done = (await world.must(`repair --slot a --json ${world.node()}`)).json
  expect(done.bytes.fetched).toBe(dry.bytes.fetched)
  expect(done.requests).toBe(dry.requests)
  expect(done.bytes.fetched).toBeLessThan(70_000)
  expect((await world.must(`verify --slot a ${world.node()}`)).stdout).toContain('every byte is as signed')
})

test('with the remote gone leaves the slot the release it was, and mends it when the remote is back', async () => {
  world.copy('repo', 'kept')
  world.remove('repo/blobs')
  expect((await world.psyblob(`repair --slot a ${world.node()}`)).code).toBe(14)
  expect(await serial()).toBe(1)
  await world.publish2()
  rmSync(world.path('repo'), { recursive: true })
  world.copy('kept', 'repo')
  await world.must(`repair --slot a ${world.node()}`)
  expect(await serial()).toBe(1)
  await world.must(`verify --slot a ${world.node()}`)
})

test('goes on with the release that an installation into it was replacing when it was cut short, if nothing else is there', async () => {
  await world.publish2()
  world.remove('store/os/1')
  await world.must(`refresh ${world.node()}`)
  // as a killed installation leaves it
  world.run('mkdir', ['a/.psyblob'])
  world.run('mv', ['a/manifest', 'a/.psyblob/replaced'])
  world.run('mv', ['a/manifest.minisig', 'a/.psyblob/replaced.minisig'])
  expect((await world.must(`repair --slot a --json ${world.node()}`)).json.serial).toBe(1)
  await world.must(`verify --slot a ${world.node()}`)
})
