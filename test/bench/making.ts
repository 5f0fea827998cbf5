// Patches as the publisher makes them, and a word that they were what a node used.
import type { SyncPrinted, World } from './psyblob.ts'
import { alone, type Track } from './race.ts'
import type { Making } from './results.ts'

/** Publishes the new release with patches, once: it takes minutes. Undefined when no patch came of it. */
export async function makePatches(world: World, { scratch, say }: Track): Promise<Making | undefined> {
  say('publish with patches')
  let patches = { made: 0, bytes: 0 }
  const hear = (printed: string) => {
    patches = JSON.parse(printed).patches
  }
  const { seconds, memory } = await alone({ ...world.publishPatches, hear }, { scratch, say, runs: 1 })
  const { made: count, bytes } = patches
  if (count > 0) return { seconds, memory, bytes, count }
  say('no patch came of it: none is worth it, or no encoder here makes the blocks of these images')
  return undefined
}

/** For what `sync` prints: throws unless that was the way it took to its image. */
export function expectWay(way: string): (printed: string) => void {
  return (printed) => {
    const { plan }: SyncPrinted = JSON.parse(printed)
    const how = plan.find(({ path }) => path === '/squashfs')?.how
    if (how !== way) throw new Error(`expected an update by ${way}, got one by ${how}`)
  }
}
