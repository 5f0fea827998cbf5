// File systems that can share bytes between files: a blob that is there already costs no room.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noise, World } from './world.ts'

let world: World
beforeEach(async () => {
  world = await new World().withRelease()
  world.run('truncate', ['-s', '300M', 'disk.btrfs'])
  world.run('mkfs.btrfs', ['-q', 'disk.btrfs'])
  world.run('mkdir', ['mounted'])
  world.run('mount', ['-o', 'loop', 'disk.btrfs', 'mounted'])
})
afterEach(() => {
  world.run('umount', ['mounted'])
  world.close()
})

/** Megabytes that files take, shared ones once. */
function used(): number {
  world.run('sync', ['-f', 'mounted'])
  return Number(/used=(\d+)/.exec(world.run('btrfs', ['filesystem', 'df', '-b', 'mounted']).split('\n')[0] ?? '')?.[1]) / 1e6
}

test('on btrfs a file that both releases have is not written a second time, nor copied into the repository', async () => {
  const large = noise('large', 40_000_000)
  world.write('mounted/r1/modloop', large)
  world.write('mounted/r1/kernel', noise('kernel 1', 300_000))
  await world.must('init mounted/repo --key os.key')
  const before = used()
  await world.must('publish os mounted/r1 --remote mounted/repo --key os.key')
  expect(used() - before).toBeLessThan(5)
  const node = '--key os.pub --remote mounted/repo --slot-a mounted/a --slot-b mounted/b --esp mounted/esp'
  await world.must(`sync os ${node}`)
  world.write('mounted/r2/modloop', large)
  world.write('mounted/r2/kernel', noise('kernel 2', 300_000))
  await world.must('publish os mounted/r2 --remote mounted/repo --key os.key')
  const installed = used()
  await world.must(`sync os --booted a ${node}`)
  await world.must(`verify ${node}`)
  expect(used() - installed).toBeLessThan(5)
}, 60_000)
