// Large files are cut by two threads: the same chunks as by one.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { indexTree } from '../../store/index-tree.ts'
import { ingest } from '../../store/ingest.ts'
import { noise, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = new World()
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key')
})
afterEach(() => world.close())

describe('a file that two threads cut', () => {
  test.each([
    ['noise', () => noise('large', 60_000_000)],
    ['one byte over and over', () => Buffer.alloc(60_000_000, 7)],
    ['zeros in the middle', () => Buffer.concat([noise('a', 20_000_000), Buffer.alloc(20_000_000), noise('b', 20_000_000)])],
  ])('of %s has the index that one thread makes', async (_, bytes) => {
    world.write('r/image', bytes())
    await world.must('publish os r --remote repo --key os.key')
    const record = JSON.parse(world.read('repo/manifests/os/1').toString().split('\n')[1] ?? '')
    // the sources as they are have no second thread
    const alone = await ingest(world.path('r/image'), { chunked: true })
    expect(record.bin).toEqual({ cid: alone.cid, size: 60_000_000, index: indexTree(alone.index?.bytes ?? new Uint8Array()).index })
  })

  test('that is a squashfs image has it too', async () => {
    for (let at = 0; at < 400; at++) world.write(`root/files/${at}`, noise(`file ${at}`, at % 7 === 0 ? 900_000 : 50_000))
    world.write('r/keep', '')
    world.run('mksquashfs', ['root', 'r/squashfs', '-comp', 'zstd', '-noappend', '-quiet', '-no-progress', '-all-time', '0'])
    await world.must('publish os r --remote repo --key os.key')
    const record = JSON.parse(world.read('repo/manifests/os/1').toString().split('\n')[2] ?? '')
    const alone = await ingest(world.path('r/squashfs'), { chunked: true })
    expect(alone.size).toBeGreaterThan(50_000_000)
    expect(record.bin.index).toEqual(indexTree(alone.index?.bytes ?? new Uint8Array()).index)
  })
})
