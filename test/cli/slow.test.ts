// A remote that pauses in the middle of a range, while everything else goes on at full speed.
import { test } from 'vitest'
import { bentServer } from '../fixtures/bent-server.ts'
import { noise, World } from './world.ts'

test('what has come but is not written yet is not read back as if it were', async () => {
  const world = new World()
  const old = noise('image', 80_000_000)
  world.write('r1/squashfs', old)
  world.write('r2/squashfs', Buffer.concat([old.subarray(0, 1_000_000), noise('new', 400_000), old.subarray(1_000_000)]))
  await world.must('key new os --no-password')
  await world.must('init repo --key os.key')
  await world.must('publish os r1 --remote repo --key os.key')
  await world.must(`sync os ${world.node()}`)
  await world.must('publish os r2 --remote repo --key os.key')
  const server = await bentServer(({ target, headers }) => {
    const bytes = world.read(`repo${target}`)
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(headers['range'] ?? '') ?? []
    if (from === undefined) return { body: bytes }
    const body = bytes.subarray(Number(from), Number(to) + 1)
    async function* paused() {
      yield body.subarray(0, 150_000)
      // by then the rest of the image has been copied, and flushed
      await new Promise((done) => setTimeout(done, 1500))
      yield body.subarray(150_000)
    }
    const head = { 'Content-Range': `bytes ${from}-${to}/${bytes.length}`, 'Content-Length': String(body.length) }
    return { status: 206, headers: head, body: body.length > 200_000 ? paused() : body }
  })
  try {
    await world.must(`sync os ${world.node(server.url)} --booted a`)
    await world.must(`verify --slot b ${world.node()}`)
  } finally {
    await server.close()
    world.close()
  }
}, 60_000)
