// What the agent has in hand while it attends a machine, and how it goes on after errors (spec/agent.md 1).
import { type Component, isPsyblobError, type PsyblobError } from '../core/mod.ts'
import type { EfiResult } from './efi-product.ts'
import type { Node } from './node.ts'
import type { RebootWindow } from './reboot-window.ts'
import type { Synced } from './sync.ts'
import type { TreeResult } from './tree/installation.ts'

/** All times are milliseconds. */
export type AgentOptions = {
  readonly healthDir: string
  /** What one check may take. */
  readonly healthTime: number
  /** How long checks may go on failing. */
  readonly patience: number
  readonly every: number
  readonly jitter: number
  readonly window: RebootWindow
  /** Health, mark and one sync, without waiting for anything but the checks. */
  readonly once: boolean
}

/** What the agent cannot do alone. */
export type AgentSurroundings = {
  /** From 0 to 1, without 1. */
  readonly random: () => number
  /** Throws the signal's reason as soon as it is aborted. */
  readonly sleep: (milliseconds: number, signal: AbortSignal | undefined) => Promise<void>
  readonly say: (text: string) => void
  readonly tell: (error: PsyblobError, product: string) => void
  readonly synced: (result: Synced | EfiResult | TreeResult) => void
}

export type Agent = {
  readonly node: Node
  /** Products with slots, and those of the EFI partition. */
  readonly components: readonly Component[]
  readonly loaders: readonly Component[]
  /** Files of the system. */
  readonly trees: readonly Component[]
  readonly options: AgentOptions
  readonly surroundings: AgentSurroundings
  /** What the boot loader was asked for before this boot, and did not do: the boot state's seq, or the number of a loader's trial. */
  readonly passedOver: Map<string, number>
}

/** Runs `work`; what psyblob refuses or cannot do is told, and comes again. */
export async function attempted<Result>(
  { surroundings }: Agent,
  product: string | undefined,
  work: () => Promise<Result>,
): Promise<Result | PsyblobError> {
  try {
    return await work()
  } catch (error) {
    if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    surroundings.tell(error, product ?? 'agent')
    return error
  }
}
