// The transfers: an image is there, the next one is published, each tool gets it; and what publishing takes.
import { rmSync, statSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { atExit } from './exit.ts'
import { expectWay, makePatches } from './making.ts'
import type { Ostree } from './ostree.ts'
import { download, fetchers, type Image, publishAll, publishers } from './peers.ts'
import { makeWorld, type World } from './psyblob.ts'
import { type Figures, race, type Track } from './race.ts'
import type { Packing, Results, Update, UpdateName } from './results.ts'
import type { Server } from './server.ts'

export const steps: readonly (readonly [string, UpdateName])[] = [
  ['base', 'month'],
  ['month', 'small'],
]
export const packings: readonly Packing[] = ['default', 'no-fragments']
const suffixes: Readonly<Record<Packing, string>> = { default: '.squashfs', 'no-fragments': '.no-fragments.squashfs' }

/** Where everything is that an update is measured with. */
export type Site = {
  readonly images: string
  readonly served: string
  readonly server: Server
  readonly ostree?: Ostree | undefined
  /** Patches are made and applied too: minutes more. */
  readonly patches: boolean
  /** With a link: a plain download goes along, and publishing is not measured. */
  readonly linked: boolean
}

export const imageOf = ({ images }: Pick<Site, 'images'>, name: string, packing: Packing): Image => {
  const file = `${name}${suffixes[packing]}`
  return { name: file, path: join(images, file) }
}

/** Puts all images among what is served, in the form that each of the other tools needs. */
export async function publishImages(site: Site, packings: readonly Packing[]): Promise<void> {
  const names = ['base', ...steps.map(([, next]) => next)]
  await publishAll(
    site.served,
    packings.flatMap((packing) => names.map((name) => imageOf(site, name, packing))),
  )
}

/** One update: the two releases, and what is measured with the node after all tools had their turns. */
export type Step = {
  readonly packing: Packing
  readonly from: string
  readonly to: UpdateName
  /** Publishes into the repository of chunks. */
  readonly publish: (world: World, images: { readonly old: Image; readonly next: Image }) => Promise<unknown>
  readonly after?: (world: World, url: string) => Promise<void>
}

export async function measureUpdate(site: Site, { packing, from, to, publish, after }: Step, track: Track): Promise<Update> {
  const { served, server, ostree, linked, patches } = site
  const { scratch, say } = track
  const [old, next] = [imageOf(site, from, packing), imageOf(site, to, packing)]
  const world = await makeWorld(join(scratch, 'psyblob'), old.path, next.path)
  await publish(world, { old, next })
  const making = patches ? await makePatches(world, track) : undefined
  const url = expose(join(world.dir, 'repo'), { served, scratch, server })
  say(`update ${next.name}`)
  const work = join(scratch, 'fetch')
  // casync waits for each chunk before it asks for the next: with small ones, minutes that tell nothing new
  const peers = fetchers(served, server.url, work, old, next).filter(({ tool }) => !linked || tool !== 'casync 16 KiB')
  const contenders = [world.sync(url)]
  if (making !== undefined) {
    const patched = expose(join(world.dir, 'patched'), { served, scratch, server, suffix: '-patched' })
    contenders.push({ ...world.sync(patched, '--prefer', 'bytes'), tool: 'psyblob patch', hear: expectWay('patch') })
  }
  contenders.push(...peers)
  if (packing === 'default' && ostree !== undefined) contenders.push(await ostree.update(server.url, from, to))
  if (linked) contenders.push(download(server.url, work, next))
  const rows = await race(contenders, { ...track, server })
  await after?.(world, url)
  rmSync(world.dir, { recursive: true })
  rmSync(work, { recursive: true, force: true })
  return { packing, update: to, size: statSync(next.path).size, rows, ...(making === undefined ? {} : { making }) }
}

export async function measureUpdates(site: Site, track: Track): Promise<Pick<Results, 'updates' | 'publish' | 'idle'>> {
  const { server, linked } = site
  const { scratch, say, runs } = track
  say('publishing for the other tools')
  await publishImages(site, packings)
  const updates: Update[] = []
  let published: Results['publish']
  let idle: Figures | undefined
  const local: Track = { runs, scratch, say }
  for (const packing of packings) {
    for (const [from, to] of steps) {
      const first = packing === 'default' && to === 'month'
      const step: Step = {
        packing,
        from,
        to,
        async publish(world, { old, next }) {
          if (!first || linked) return race([world.publish], { runs: 1, scratch, say() {} })
          say(`publish ${next.name}`)
          const rows = await race([world.publish, ...(await publishers(join(scratch, 'publish'), old, next))], local)
          published = { size: statSync(next.path).size, rows }
          return rmSync(join(scratch, 'publish'), { recursive: true })
        },
        async after(world, url) {
          if (!first) return
          say('sync with nothing to do')
          // the last turn may have been one by patch, from the other repository
          await race([world.sync(url)], { ...track, runs: 1, say() {} })
          ;[idle] = await race([world.again(url)], { ...track, server })
        },
      }
      updates.push(await measureUpdate(site, step, track))
    }
  }
  if (idle === undefined) throw new Error('nothing was measured')
  return { updates, idle, ...(published === undefined ? {} : { publish: published }) }
}

/** Puts a repository among what is served, under a name that no other run of the benchmark has; answers its address. */
export function expose(
  repository: string,
  { served, scratch, server, suffix = '' }: { served: string; scratch: string; server: Server; suffix?: string },
): string {
  const name = `${basename(scratch)}${suffix}`
  rmSync(join(served, name), { force: true })
  symlinkSync(repository, join(served, name))
  atExit(() => rmSync(join(served, name), { force: true }))
  return `${server.url}/${name}`
}
