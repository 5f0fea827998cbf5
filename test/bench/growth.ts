// What depends on size: images that nothing compresses, from 0.2 to 4 GB; and what does not: the start of the program.
import { mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { makeWorld, program } from './psyblob.ts'
import { alone, race, type Track } from './race.ts'
import type { Growth, Results } from './results.ts'
import type { Server } from './server.ts'
import { makeSynthetic, releases } from './synthetic.ts'
import { expose } from './updates.ts'

export async function measureGrowth(site: { images: string; served: string; server: Server; sizes: readonly number[] }, track: Track) {
  const { images, served, server, sizes } = site
  const { scratch, say } = track
  const local: Track = { runs: track.runs, scratch, say }
  mkdirSync(images, { recursive: true })
  const growth: Growth[] = []
  for (const size of sizes) {
    const paths = ['old', 'next'].map((name) => join(images, `synthetic-${size / 1e6}-${name}`)) as [string, string]
    say(`synthetic images of ${size / 1e9} GB`)
    const [first, second] = releases(size)
    makeSynthetic(paths[0], first)
    makeSynthetic(paths[1], second)
    const { bavail, bsize } = statfsSync(scratch)
    if (bavail * bsize < 4.5 * size)
      throw new Error(`expected ${4.5 * size} bytes of room in ${scratch} for an image of ${size} bytes, got ${bavail * bsize}`)
    const world = await makeWorld(join(scratch, 'psyblob'), ...paths)
    say('publish')
    const publish = await alone(world.publish, local)
    say('sync')
    const url = expose(join(world.dir, 'repo'), { served, scratch, server })
    const sync = await alone(world.sync(url), { ...local, server })
    say('verify')
    const hash = { tool: 'b3sum', argv: ['b3sum', '--num-threads', '1', world.output] }
    const [verify, b3sum] = await race([world.verify(url), hash], local)
    if (verify === undefined || b3sum === undefined) throw new Error('verify was not measured')
    growth.push({ size, publish, sync, verify, b3sum })
    rmSync(world.dir, { recursive: true })
  }
  return growth
}

/** Start-up, of programs that do nothing: so short that it is run twenty times. */
export async function measureStart(track: Track): Promise<NonNullable<Results['start']>> {
  track.say('start')
  const [psyblob, node] = await race(
    [
      { tool: 'psyblob --version', argv: [process.execPath, program, '--version'] },
      { tool: 'node -e 0', argv: [process.execPath, '-e', '0'] },
    ],
    { ...track, runs: 20, say() {} },
  )
  if (psyblob === undefined || node === undefined) throw new Error('start was not measured')
  return { psyblob, node }
}
