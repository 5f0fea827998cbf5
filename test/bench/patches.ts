// Patches by themselves: each update made, applied and held beside the other tools, and a whole release of several files.
import { join } from 'node:path'
import { makePatches } from './making.ts'
import { makeWorld } from './psyblob.ts'
import { alone, race, type Track } from './race.ts'
import type { Patches, Release, Update } from './results.ts'
import type { Server } from './server.ts'
import { expose, measureUpdate, packings, publishImages, type Site, steps } from './updates.ts'

type Wanted = {
  readonly site: Site
  /** One way of packing is enough. */
  readonly quick: boolean
  /** Folders of two releases. */
  readonly releases: readonly [string, string] | undefined
}

export async function measurePatches({ site, quick, releases }: Wanted, track: Track): Promise<Pick<Patches, 'updates' | 'release'>> {
  const { scratch, say } = track
  const shown = quick ? packings.slice(0, 1) : packings
  say('publishing for the other tools')
  await publishImages(site, shown)
  const updates: Update[] = []
  for (const packing of shown)
    for (const [from, to] of steps) {
      const publish = (world: Parameters<typeof makePatches>[0]) => race([world.publish], { runs: 1, scratch, say() {} })
      updates.push(await measureUpdate(site, { packing, from, to, publish }, track))
    }
  if (releases !== undefined) return { updates, release: await measureRelease(releases, site, track) }
  say('no whole release: PSYBLOB_RELEASES=OLD,NEW names the folders of two')
  return { updates }
}

async function measureRelease(
  [old, next]: readonly [string, string],
  { served, server }: { readonly served: string; readonly server: Server },
  track: Track,
): Promise<Release> {
  const { scratch, say } = track
  say(`a whole release: ${next}`)
  const world = await makeWorld(join(scratch, 'release'), old, next)
  const making = await makePatches(world, track)
  const url = expose(join(world.dir, 'patched'), { served, scratch, server, suffix: '-patched' })
  const { plan, bytes } = await world.plan(url, '--prefer', 'bytes')
  const files = plan.map(({ path, size, how, fetch, ways }) => {
    const chunks = ways.find((way) => way.how === 'chunks')?.bytes ?? fetch
    return { path, size, how, bytes: fetch, chunks }
  })
  const sync = await alone({ ...world.sync(url, '--prefer', 'bytes'), tool: 'psyblob patch' }, { ...track, server })
  return { ...(making === undefined ? {} : { making }), files, bytes: bytes.fetched, sync }
}
