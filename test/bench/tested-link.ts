// A link with a server at its far end, tried before anything is measured over it.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Link, makeLink } from './link.ts'
import { formatLink, type LinkSpec } from './link-spec.ts'
import type { LinkFound } from './results.ts'
import { run } from './run.ts'
import { type Server, serve } from './server.ts'

export type TestedLink = { readonly link: Link; readonly server: Server; readonly found: LinkFound; close(): Promise<void> }

type Place = { readonly served: string; readonly scratch: string; readonly say: (text: string) => void }

/** Throws when this machine cannot make such a link. One at a time. */
export async function openLink(spec: LinkSpec, { served, scratch, say }: Place): Promise<TestedLink> {
  const link = await makeLink(spec)
  const own = join(scratch, `link-${formatLink(spec).replace(',', '-')}`)
  mkdirSync(own, { recursive: true })
  const server = await serve(served, own, link)
  const close = async () => {
    await server.close()
    await link.close()
  }
  try {
    return { link, server, found: await testLink({ link, server }, { served, scratch: own, say }), close }
  } catch (error) {
    await close()
    throw error
  }
}

async function testLink({ link, server }: { readonly link: Link; readonly server: Server }, place: Place): Promise<LinkFound> {
  writeFileSync(join(place.served, 'ping'), 'pong\n')
  writeFileSync(join(place.served, '20-megabytes'), Buffer.alloc(20e6))
  const curl = async (name: string, what: string) =>
    Number(await run([...link.near, 'curl', '-sf', '-o', join(place.scratch, 'curl'), '-w', `%{${what}}`, `${server.url}/${name}`]))
  const roundTrip = await curl('ping', 'time_connect')
  const rate = 8 * (await curl('20-megabytes', 'speed_download'))
  place.say(`the link: ${(roundTrip * 1000).toFixed(1)} ms, ${(rate / 1e6).toFixed(1)} Mbit/s by ${link.by}`)
  // 20 MB over a long link are mostly slow start; far below that the machine is too slow to be such a link
  const ideal = 160e6 / (160e6 / link.rate + (link.roundTrip / 1000) * 15)
  if (roundTrip * 1000 < link.roundTrip || rate > 1.05 * link.rate || rate < 0.7 * ideal)
    throw new Error(`expected a link of ${formatLink(link)}, got ${(roundTrip * 1000).toFixed(1)} ms and ${(rate / 1e6).toFixed(1)} Mbit/s`)
  return { roundTrip: link.roundTrip, rate: link.rate, by: link.by, measured: { roundTrip, rate } }
}
