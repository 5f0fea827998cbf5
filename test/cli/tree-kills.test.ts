// An apply that is killed at random moments: every file is the old one or the new one, and the next run finishes or begins again.
import { existsSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TreeWorld } from './tree-world.ts'

/** How many kills: 8, or as PSYBLOB_KILLS says; `npm run test:tree` says 50. */
const wanted = Number(process.env['PSYBLOB_KILLS'] ?? 8)

let world: TreeWorld
beforeAll(async () => {
  world = new TreeWorld()
  for (let file = 0; file < 1500; file++) world.write(`src/usr/share/${file % 40}/file-${file}`, `one ${file}\n`)
  await world.withSystem()
  for (let file = 0; file < 1500; file += 2) world.write(`src/usr/share/${file % 40}/file-${file}`, `two ${file}\n`)
  for (let file = 1; file < 300; file += 2) world.remove(`src/usr/share/${file % 40}/file-${file}`)
  for (let file = 0; file < 300; file++) world.write(`src/usr/lib/new/${file % 7}/${file}`, `new ${file}\n`)
  world.change()
  await world.publish()
})
afterAll(() => world.close())

test('of which the next run makes the whole release', async () => {
  await world.must('apply base --root root --version 1')
  const one = world.tree('root')
  const started = performance.now()
  await world.must('apply base --root root --version 2')
  const long = performance.now() - started
  const two = world.tree('root')
  expect(two).toEqual(world.tree('src'))
  let [finished, undone] = [0, 0]
  for (let kill = 0; kill < wanted; kill++) {
    const [to, from, whole, old] = kill % 2 === 0 ? [1, 2, one, two] : [2, 1, two, one]
    const moment = Math.random() * long * 1.1
    const outcome = await world.psyblob(`apply base --root root --version ${to}`, {
      started: (child) => void sleep(moment).then(() => child.kill('SIGKILL')),
    })
    const isCut = outcome.code === 137
    const now = world.tree('root', (path) => path.startsWith('/.psyblob'))
    for (const [path, state] of Object.entries(now)) {
      // a new folder is nobody's to enter until it has its owner and mode, which the next run sees to
      if (old[path] === undefined && state === 'folder 700 0:0' && whole[path]?.startsWith('folder')) continue
      expect([path, [whole[path], old[path]]]).toEqual([path, expect.arrayContaining([state])])
    }
    for (const path of Object.keys(one)) if (two[path] !== undefined) expect([path, now[path]]).toEqual([path, expect.anything()])
    const hasJournal = existsSync(world.inRoot('.psyblob/base/journal'))
    if (isCut && !hasJournal && JSON.stringify(now) === JSON.stringify(old)) {
      undone++
      expect((await world.must('status --root root --json')).json.tree).toMatchObject({ state: 'release', serial: from })
    }
    if (isCut && hasJournal) {
      finished++
      expect((await world.must('status --root root --json')).json.tree.state).toBe('unfinished')
      expect((await world.psyblob('check current --root root')).stdout).toContain('cut short')
    }
    // any command that writes finishes it, whatever it was asked for
    const finishing =
      kill % 3 === 0 ? 'repair base --root root' : kill % 3 === 1 ? 'repair /tmp --root root' : `apply base --root root --version ${to}`
    await world.must(hasJournal ? finishing : `apply base --root root --version ${to}`)
    if (hasJournal) expect((await world.must('status --root root --json')).json.tree.serial).toBe(to)
    expect([moment, world.tree('root')]).toEqual([moment, whole])
    expect(existsSync(world.inRoot('.psyblob'))).toBe(false)
  }
  console.log(`${wanted} kills: ${finished} finished by the next run, ${undone} that had changed nothing`)
  rmSync(world.inRoot('var/psyblob/blob'), { recursive: true })
  await world.must('check current --root root')
}, 3_600_000)
