// Many histories, one after the other; one that breaks is made as short as it can be and told in sentences.

import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type History, makeHistory } from './history.ts'
import { Broken, type Counts, Trial } from './trial.ts'
import { makeWorld, type World } from './world.ts'

/** Signing is what takes long, so that many histories have one world. */
const inOneWorld = 200

export type Slice = {
  readonly seed: string
  readonly from: number
  readonly count: number
  readonly progress?: (done: number) => void
}
export type Summary = Counts & { readonly histories: number; readonly failure: string | undefined }

/** Ends at the first that breaks. */
export async function tryHistories({ seed, from, count, progress }: Slice): Promise<Summary> {
  const counts: Counts = { refreshes: 0, codes: {} }
  // in memory where there is such a folder: a flush to disk for each step would take days
  const base = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'psyblob-model-'))
  let world: World | undefined
  let number: number | undefined
  try {
    for (let at = from; at < from + count; at++) {
      const needed = Math.floor(at / inOneWorld)
      if (number !== needed) world = makeWorld(`${seed} world ${needed}`)
      number = needed
      const history = makeHistory(`${seed} history ${at}`)
      const failure = await told(world as World, history, { base, counts })
      if (failure !== undefined) {
        const again = `npm run model -- --seed ${seed} --from ${at} --histories 1`
        return { ...counts, histories: at - from, failure: `history ${at} of seed ${seed}: ${failure}\n\nonce more: ${again}` }
      }
      progress?.(at - from + 1)
    }
    return { ...counts, histories: count, failure: undefined }
  } finally {
    await rm(base, { recursive: true, force: true })
  }
}

type Where = { readonly base: string; readonly counts: Counts }

async function told(world: World, history: History, where: Where): Promise<string | undefined> {
  const broken = await tried(world, history, where)
  if (broken === undefined) return undefined
  const [shortest, last] = await shortened(world, history, broken, where)
  const facts = [
    shortest.hasThief ? 'a thief has keys' : 'no key is stolen',
    shortest.isStated ? 'the composition states the repository' : 'the composition states no repository',
    `${shortest.steps.length} of ${history.steps.length} steps are needed`,
  ]
  const lines = last.story.map((sentence, at) => `  ${at + 1}. ${sentence}`)
  return `${last.message}\n\n${facts.join('; ')}:\n${lines.join('\n')}`
}

let names = 0

async function tried(world: World, history: History, { base, counts }: Where): Promise<Broken | undefined> {
  try {
    await new Trial(world, history, join(base, `node${names++}`), counts).run()
    return undefined
  } catch (error) {
    return error instanceof Broken ? error : new Broken(error instanceof Error ? String(error.stack) : String(error), ['(no story: a bug)'])
  }
}

/** Steps, and then mirrors and what is bent about them, are left out as long as it still breaks. */
async function shortened(world: World, history: History, broken: Broken, { base }: Where): Promise<readonly [History, Broken]> {
  const where = { base, counts: { refreshes: 0, codes: {} } }
  for (const shorter of shorterOnes(history)) {
    const still = await tried(world, shorter, where)
    if (still !== undefined) return shortened(world, shorter, still, where)
  }
  return [history, broken]
}

function* shorterOnes(history: History): Generator<History> {
  const { steps, strangers } = history
  for (let at = steps.length - 1; at >= 0; at--) yield { ...history, steps: steps.toSpliced(at, 1) }
  for (let at = strangers.length - 1; at >= 0; at--) yield { ...history, strangers: strangers.toSpliced(at, 1), place: 0 }
  for (const [at, step] of steps.entries()) {
    if (step.kind !== 'refresh') continue
    for (let mirror = 0; mirror < step.mirrors.length && step.mirrors.length > 1; mirror++)
      yield { ...history, steps: steps.with(at, { ...step, mirrors: step.mirrors.toSpliced(mirror, 1) }) }
    for (const [number, mirror] of step.mirrors.entries()) {
      for (let bend = 0; bend < mirror.bends.length; bend++) {
        const less = { ...mirror, bends: mirror.bends.toSpliced(bend, 1) }
        yield { ...history, steps: steps.with(at, { ...step, mirrors: step.mirrors.with(number, less) }) }
      }
    }
  }
}
