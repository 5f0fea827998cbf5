// Which boot loader is to be tried once: `loader`, written by the system alone, and `trial`, by GRUB alone (spec/efisys.md 3).
import { formatEnvironment, parseEnvironment } from '../environment-block.ts'
import type { StateFiles } from './state-files.ts'

const loaderFile = 'loader'
const trialFile = 'trial'
const firstTrial = 1_000_000_000
const lastTrial = 1_999_999_999
const none = '0000000000'
const trialPattern = /^1\d{9}$/

export type LoaderState = {
  /** The trial that `loader` asks for; undefined when it asks for none. */
  readonly asked: { readonly trial: number; readonly id: string } | undefined
  /** The one that GRUB began last. */
  readonly begun: number | undefined
}

export async function readLoaderState(state: StateFiles): Promise<LoaderState> {
  const [loader, trial] = [await variablesOf(state, loaderFile), await variablesOf(state, trialFile)]
  const [number, id] = [loader?.get('trial') ?? '', loader?.get('id') ?? '']
  const isAsked = trialPattern.test(number) && loader?.get('commit') === number && id !== ''
  const begun = trial?.get('trial_for') ?? ''
  return {
    asked: isAsked ? { trial: Number(number), id } : undefined,
    begun: trialPattern.test(begun) ? Number(begun) : undefined,
  }
}

async function variablesOf(state: StateFiles, name: string): Promise<ReadonlyMap<string, string> | undefined> {
  const bytes = await state.read(name)
  return bytes === undefined ? undefined : parseEnvironment(bytes)
}

/** Asks for one trial of the loader called `id`; answers its number, one above all that were. */
export async function askTrial(state: StateFiles, id: string): Promise<number> {
  // GRUB writes into the file that is there, and makes none
  if ((await variablesOf(state, trialFile)) === undefined) await state.create(trialFile, formatEnvironment({ trial_for: none }))
  const { asked, begun } = await readLoaderState(state)
  const last = Math.max(firstTrial, asked?.trial ?? 0, begun ?? 0)
  const trial = last < lastTrial ? last + 1 : firstTrial + 1
  await write(state, { trial: String(trial), id })
  return trial
}

/** Asks for none any more. */
export async function dropTrial(state: StateFiles): Promise<void> {
  const bytes = await state.read(loaderFile)
  const same = bytes !== undefined && Buffer.compare(bytes, formatLoader({ trial: none, id: '' })) === 0
  if (!same) await write(state, { trial: none, id: '' })
}

type Loader = { readonly trial: string; readonly id: string }

function formatLoader({ trial, id }: Loader): Uint8Array {
  // commit stands last: a sector that was torn in writing does not end with the trial it begins with
  return formatEnvironment({ trial, id, commit: trial })
}

/** One sector in place; a file that is not there, or not what it must be, is made. */
async function write(state: StateFiles, loader: Loader): Promise<void> {
  const bytes = formatLoader(loader)
  if ((await variablesOf(state, loaderFile)) === undefined) await state.create(loaderFile, bytes)
  else await state.writeSector(loaderFile, bytes)
}

/** What `psyblob.loader=` says on the kernel's command line. */
export function bootedLoader(cmdline: string): string | undefined {
  return /(?:^|\s)psyblob\.loader=(\S+)/.exec(cmdline)?.[1]
}
