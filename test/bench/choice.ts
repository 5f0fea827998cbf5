// Whether `sync` chooses well: over each link all ways to an update, and the one that it took when time was to decide.
import { join } from 'node:path'
import { formatLink, type LinkSpec } from './link-spec.ts'
import { expectWay, makePatches } from './making.ts'
import { makeWorld, type SyncPrinted, type World } from './psyblob.ts'
import { alone, type Contender, type Figures, longRun, race, type Track } from './race.ts'
import type { Choice, UpdateName } from './results.ts'
import { openLink, type TestedLink } from './tested-link.ts'
import { expose, imageOf, steps } from './updates.ts'

/** Rates from a village to a data centre. */
export const choiceLinks: readonly LinkSpec[] = [5e6, 20e6, 100e6, 1e9].map((rate) => ({ roundTrip: 80, rate }))

type Place = { readonly images: string; readonly served: string }
type Prepared = { readonly update: UpdateName; readonly world: World }

async function prepare({ images }: Place, track: Track): Promise<readonly Prepared[]> {
  const { scratch, say } = track
  const prepared: Prepared[] = []
  for (const [from, update] of steps) {
    say(`publish ${update}`)
    const next = imageOf({ images }, update, 'default')
    const world = await makeWorld(join(scratch, update), imageOf({ images }, from, 'default').path, next.path)
    await race([world.publish], { runs: 1, scratch, say() {} })
    if ((await makePatches(world, track)) === undefined) throw new Error(`expected a patch to choose, got none of ${next.name}`)
    prepared.push({ update, world })
  }
  return prepared
}

/** Each link by itself; `found` hears of it at once, for the next one may take long. A link that cannot be made here is left out. */
export async function measureChoice(
  { place, links, found }: { place: Place; links: readonly LinkSpec[]; found: (label: string, choice: Choice) => void },
  track: Track,
): Promise<void> {
  const { scratch, say } = track
  const prepared = await prepare(place, track)
  for (const spec of links) {
    const label = formatLink(spec)
    say(`over ${label}`)
    const tested = await openLink(spec, { served: place.served, scratch, say }).catch((error: unknown) => {
      say(`left out: ${error instanceof Error ? error.message : String(error)}`)
    })
    if (tested === undefined) continue
    try {
      found(label, { link: tested.found, updates: await overLink(prepared, { place, tested }, track) })
    } finally {
      await tested.close()
    }
  }
}

type Over = { readonly place: Place; readonly tested: TestedLink }

async function overLink(prepared: readonly Prepared[], { place, tested }: Over, track: Track): Promise<Choice['updates']> {
  const { scratch } = track
  const { link, server } = tested
  const there: Track = { ...track, inside: link.near, server }
  const updates: Choice['updates'][number][] = []
  let learnt: { readonly links: string; readonly whole: Figures } | undefined
  for (const { update, world } of prepared) {
    // one address for both repositories, so that what is learnt of one is known of the other
    const at = (repository: string) => expose(join(world.dir, repository), { served: place.served, scratch, server })
    const from = (repository: string, contender: Contender): Contender => ({
      ...contender,
      reset() {
        at(repository)
        contender.reset?.()
      },
    })
    const url = at('repo')
    // a machine is installed once over its link; as slow as some are, the figures are good for the next update too
    const whole: Figures =
      learnt === undefined || learnt.whole.seconds <= longRun
        ? await alone({ ...from('repo', world.install(url)), tool: 'whole' }, there)
        : learnt.whole
    learnt ??= { links: world.learnt(), whole }
    world.teach(learnt.links)
    let printed: SyncPrinted['plan'][number] | undefined
    const hear = (text: string) => {
      const { plan }: SyncPrinted = JSON.parse(text)
      printed = plan.find(({ path }) => path === '/squashfs')
    }
    const [patch, chunks, chosen] = await race(
      [
        { ...from('patched', world.sync(url, '--prefer', 'bytes')), tool: 'patch', hear: expectWay('patch') },
        { ...from('repo', world.sync(url)), tool: 'chunks', hear: expectWay('chunks') },
        { ...from('patched', world.sync(url, '--prefer', 'time')), tool: '--prefer time', hear },
      ],
      there,
    )
    if (patch === undefined || chunks === undefined || chosen === undefined || printed === undefined) throw new Error('nothing was chosen')
    const { how, ways } = printed
    track.say(`  chose ${how} of ${ways.map((way) => `${way.how} ${way.seconds} s`).join(', ')}`)
    updates.push({
      update,
      ways: [patch, chunks, whole].map(({ tool, seconds }) => {
        const reckoned = ways.find((way) => way.how === tool)?.seconds
        return { how: tool, seconds, ...(reckoned === undefined ? {} : { reckoned }) }
      }),
      chosen: how,
      seconds: chosen.seconds,
    })
  }
  return updates
}
