// The transfers: an image is there, the next one is published, each tool gets it; and what publishing takes.
import { rmSync, statSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Ostree } from './ostree.ts'
import { download, fetchers, type Image, publishAll, publishers } from './peers.ts'
import { makeWorld } from './psyblob.ts'
import { type Figures, race, type Track } from './race.ts'
import type { Packing, Results, Update, UpdateName } from './results.ts'
import type { Server } from './server.ts'

export const steps: readonly (readonly [string, UpdateName])[] = [
  ['base', 'month'],
  ['month', 'small'],
]
const suffixes: Readonly<Record<Packing, string>> = { default: '.squashfs', 'no-fragments': '.no-fragments.squashfs' }

export type Site = {
  readonly images: string
  readonly served: string
  readonly server: Server
  readonly ostree?: Ostree | undefined
  /** With a link: a plain download goes along, and publishing is not measured. */
  readonly linked: boolean
}

export async function measureUpdates(site: Site, track: Track): Promise<Pick<Results, 'updates' | 'publish' | 'idle'>> {
  const { served, server, ostree, linked } = site
  const { scratch, say, runs } = track
  const image = (name: string, packing: Packing): Image => {
    const file = `${name}${suffixes[packing]}`
    return { name: file, path: join(site.images, file) }
  }
  const packings: readonly Packing[] = ['default', 'no-fragments']
  say('publishing for the other tools')
  await publishAll(
    served,
    packings.flatMap((packing) => ['base', ...steps.map(([, next]) => next)].map((name) => image(name, packing))),
  )
  const updates: Update[] = []
  let publish: Results['publish']
  let idle: Figures | undefined
  const local: Track = { runs, scratch, say }
  for (const packing of packings) {
    for (const [from, to] of steps) {
      const [old, next] = [image(from, packing), image(to, packing)]
      const size = statSync(next.path).size
      const first = packing === 'default' && to === 'month'
      const world = await makeWorld(join(scratch, 'psyblob'), old.path, next.path)
      if (first && !linked) {
        say(`publish ${next.name}`)
        publish = { size, rows: await race([world.publish, ...(await publishers(join(scratch, 'publish'), old, next))], local) }
        rmSync(join(scratch, 'publish'), { recursive: true })
      } else await race([world.publish], { runs: 1, scratch, say() {} })
      const url = expose(join(world.dir, 'repo'), { served, scratch, server })
      say(`update ${next.name}`)
      const work = join(scratch, 'fetch')
      // casync waits for each chunk before it asks for the next: with small ones, minutes that tell nothing new
      const peers = fetchers(served, server.url, work, old, next).filter(({ tool }) => !linked || tool !== 'casync 16 KiB')
      const contenders = [world.sync(url), ...peers]
      if (packing === 'default' && ostree !== undefined) contenders.push(await ostree.update(server.url, from, to))
      if (linked) contenders.push(download(server.url, work, next))
      updates.push({ packing, update: to, size, rows: await race(contenders, { ...track, server }) })
      if (first) {
        // the turns may have ended with another tool, but psyblob's node is as its last sync left it
        say('sync with nothing to do')
        ;[idle] = await race([world.again(url)], { ...track, server })
      }
      rmSync(world.dir, { recursive: true })
      rmSync(work, { recursive: true, force: true })
    }
  }
  if (idle === undefined) throw new Error('nothing was measured')
  return { updates, idle, ...(publish === undefined ? {} : { publish }) }
}

/** Puts a repository among what is served, under a name that no other run of the benchmark has; answers its address. */
export function expose(repository: string, { served, scratch, server }: { served: string; scratch: string; server: Server }): string {
  const name = basename(scratch)
  rmSync(join(served, name), { force: true })
  symlinkSync(repository, join(served, name))
  return `${server.url}/${name}`
}
