// Several programs that do the same work, run in turn under the same conditions, with medians at the end.
import { closeSync, fsyncSync, openSync } from 'node:fs'
import { median } from './numbers.ts'
import { type Argv, run, timed } from './run.ts'
import type { Server } from './server.ts'

export type Contender = {
  readonly tool: string
  readonly argv: Argv
  readonly cwd?: string
  /** Puts everything back to how it was before the run. */
  readonly reset?: () => void
  /** The file that the run makes: it is flushed to disk afterwards, with the seconds of that told apart. */
  readonly output?: string
  /** Throws unless the run did what it had to. */
  readonly check?: () => void | Promise<void>
  /** Hears what the run printed, after `check`. */
  readonly hear?: (printed: string) => void
}

/** Medians of `runs` runs: seconds, bytes; `onDisk` counts on until the output is flushed. */
export type Figures = {
  readonly tool: string
  readonly runs: number
  readonly seconds: number
  readonly onDisk: number
  readonly memory: number
  readonly bytes: number
  readonly requests: number
}

export type Track = {
  readonly runs: number
  readonly scratch: string
  readonly inside?: Argv
  readonly server?: Server
  readonly say: (text: string) => void
}

// A run that takes longer than this is not repeated: its noise is small beside what it tells.
export const longRun = 60

/** Every tool runs once, then every tool again, each time beginning with another one. Caches are left alone, writes are waited for. */
export async function race(contenders: readonly Contender[], track: Track): Promise<readonly Figures[]> {
  const samples = contenders.map((): Figures[] => [])
  for (let turn = 0; turn < track.runs; turn++) {
    for (let place = 0; place < contenders.length; place++) {
      const at = (place + turn) % contenders.length
      const contender = contenders[at]
      const done = samples[at]
      if (contender === undefined || done === undefined || (done[0]?.seconds ?? 0) > longRun) continue
      done.push(await once(contender, track))
    }
  }
  return samples.map((runs, at) => middle(contenders[at]?.tool ?? '', runs))
}

/** One program, by itself. */
export async function alone(contender: Contender, track: Track): Promise<Figures> {
  const [figures] = await race([contender], track)
  if (figures === undefined) throw new Error(`${contender.tool} was not measured`)
  return figures
}

async function once(contender: Contender, { server, scratch, inside, say }: Track): Promise<Figures> {
  contender.reset?.()
  await run(['sync', '-f', scratch])
  await server?.traffic()
  const where = { scratch, ...(inside === undefined ? {} : { inside }), ...(contender.cwd === undefined ? {} : { cwd: contender.cwd }) }
  const { printed, ...timing } = await timed(contender.argv, where)
  const flush = contender.output === undefined ? 0 : flushed(contender.output)
  const traffic = (await server?.traffic()) ?? { bytes: 0, requests: 0 }
  await contender.check?.()
  contender.hear?.(printed)
  say(`  ${contender.tool.padEnd(16)} ${timing.seconds.toFixed(2)} s`)
  return { tool: contender.tool, runs: 1, ...timing, onDisk: timing.seconds + flush, ...traffic }
}

function flushed(path: string): number {
  const begin = performance.now()
  const file = openSync(path, 'r')
  fsyncSync(file)
  closeSync(file)
  return (performance.now() - begin) / 1000
}

function middle(tool: string, runs: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number) => median(runs.map(pick))
  return {
    tool,
    runs: runs.length,
    seconds: of(({ seconds }) => seconds),
    onDisk: of(({ onDisk }) => onDisk),
    memory: of(({ memory }) => memory),
    bytes: of(({ bytes }) => bytes),
    requests: of(({ requests }) => requests),
  }
}
