// The second thread of an audit may fail: the first does its work then.
import { spawnSync } from 'node:child_process'
import { cpSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TreeWorld } from './tree-world.ts'

const root = join(import.meta.dirname, '../..')

let world: TreeWorld
beforeAll(async () => {
  world = new TreeWorld()
  // enough for a second thread to be worth it
  for (let file = 0; file < 3000; file++) world.write(`src/usr/share/${file % 40}/file-${file}`, `one ${file}\n`)
  await world.withSystem()
  await world.must('apply base --root root')
  cpSync(join(root, 'dist'), world.path('psyblob/dist'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), world.path('psyblob/node_modules'))
  writeFileSync(world.path('psyblob/package.json'), '{"type":"module"}\n')
})
afterAll(() => world.close())

const check = () =>
  spawnSync(process.execPath, [world.path('psyblob/dist/psyblob.js'), 'check', 'current', '--root', 'root'], {
    cwd: world.dir,
    encoding: 'utf8',
    timeout: 60_000,
  })

test.each([
  ['does not start', 'throw new Error("no memory")\n'],
  ['ends at once', 'process.exit(0)\n'],
  ['is not there', undefined],
  [
    'dies at the first thing it is asked',
    'import { parentPort } from "node:worker_threads"\nparentPort.on("message", () => process.exit(1))\n',
  ],
])('one that %s', (_, program) => {
  if (program === undefined) rmSync(world.path('psyblob/dist/audit-worker.js'))
  else writeFileSync(world.path('psyblob/dist/audit-worker.js'), program)
  expect(check()).toMatchObject({ status: 0, stdout: expect.stringContaining('is base 1') })
  writeFileSync(world.inRoot('usr/share/7/file-2967'), 'two 2967\n')
  expect(check()).toMatchObject({ status: 1, stdout: expect.stringContaining('/usr/share/7/file-2967: changed') })
  writeFileSync(world.inRoot('usr/share/7/file-2967'), 'one 2967\n')
})
