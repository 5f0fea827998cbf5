// The agent: what an unattended machine does by itself. Health after a boot, then updates on a timer, then reboots where they are allowed (spec/agent.md).
import { type Component, isPsyblobError, PsyblobError } from '../core/mod.ts'
import { type Agent, type AgentOptions, type AgentSurroundings, attempted } from './attending.ts'
import { isAnyLeft, isToBeLeft, noticeBoot, oneRound, vouch, waitForHealth } from './boot-verdict.ts'
import { bootedOf } from './booted.ts'
import { mark } from './choice.ts'
import { dueTrial, type EfiResult, syncEfi } from './efi-product.ts'
import type { Failing } from './health.ts'
import { type Node, prepareStore, recordAttempt, reloadTrust } from './node.ts'
import { isRebootDue } from './pending.ts'
import { untilReboot } from './reboot-window.ts'
import { type Synced, sync } from './sync.ts'
import type { TreeResult } from './tree/installation.ts'
import { syncTree } from './tree/tree-product.ts'
import { endWatchdog } from './watchdog.ts'

export type AgentResult = {
  /** The check that did not pass; undefined when all did. */
  readonly failing: Failing | undefined
  readonly synced: readonly (Synced | EfiResult | TreeResult)[]
  /** The first thing that went wrong in the last round. */
  readonly error: PsyblobError | undefined
  readonly rebooting: boolean
}

/** The clock of a machine may jump when it learns the time: a span of the day is looked at again at least this often. */
const longestWait = 5 * 60_000

/** Goes on until it reboots the machine or is told to end, which throws `interrupted`; with `once`, one round. */
export async function runAgent(node: Node, options: AgentOptions, surroundings: AgentSurroundings): Promise<AgentResult> {
  const { once, every, jitter } = options
  const { random, sleep } = surroundings
  const all = node.components
  const ofKind = (kind: Component['target']['kind']) => all.filter(({ target }) => target.kind === kind)
  const [components, loaders, trees] = [ofKind('slots'), ofKind('esp'), ofKind('tree')]
  const agent: Agent = { node, components, loaders, trees, options, surroundings, passedOver: new Map() }
  await attempted(agent, undefined, () => prepareStore(node))
  await noticeBoot(agent)
  // a slot that no reboot leads away from is not left to the watchdog: it would be reset for ever
  if (!(await isAnyLeft(agent))) await attempted(agent, undefined, () => endWatchdog())
  let failing = await waitForHealth(agent)
  // nothing is installed from a slot on trial that is not well: the other one is what it falls back to
  if (failing !== undefined && (await isToBeLeft(agent, failing)))
    return { failing, synced: [], error: undefined, rebooting: await reboot(agent, 'the health checks did not pass') }
  await attempted(agent, undefined, () => endWatchdog())
  if (failing === undefined) await vouch(agent)
  if (!once) await sleep(Math.round(random() * jitter), node.signal)
  for (;;) {
    const round = await syncAll(agent, failing === undefined)
    if (await rebootIfDue(agent)) return { failing, ...round, rebooting: true }
    if (once) return { failing, ...round, rebooting: false }
    for (let left = every + Math.round(random() * jitter); left > 0; ) {
      const wait = Math.min(left, await untilDue(agent))
      await sleep(wait, node.signal)
      left -= wait
      if (left > 0 && (await rebootIfDue(agent))) return { failing, ...round, rebooting: true }
    }
    if (failing === undefined) continue
    failing = await oneRound(agent)
    if (failing === undefined) await vouch(agent)
  }
}

async function syncAll(agent: Agent, isHealthy: boolean): Promise<Pick<AgentResult, 'synced' | 'error'>> {
  const { node, components, loaders, trees, surroundings } = agent
  // an operator may have followed a root meanwhile
  await attempted(agent, undefined, () => reloadTrust(node))
  const synced: (Synced | EfiResult | TreeResult)[] = []
  let first: PsyblobError | undefined
  for (const component of [...components, ...loaders, ...trees]) {
    const result = await attempted(agent, component.name, async () => {
      if (component.target.kind === 'esp') return syncEfi(node, component, { dryRun: false, force: false, path: undefined })
      if (component.target.kind === 'tree') return syncTree(node, component, { dryRun: false, force: false, path: undefined })
      // a mark that could not be written comes again before anything is installed beside it
      const booted = isHealthy ? await bootedOf(node, component) : undefined
      if (booted?.isGood === false && !booted.isAvoided) await mark(node, component, 'good', booted.slot)
      return sync(node, component, { dryRun: false, force: false, activate: true, path: undefined, reboot: true })
    })
    if (result instanceof PsyblobError) first ??= result
    else {
      synced.push(result)
      surroundings.synced(result)
    }
  }
  return { synced, error: first }
}

/** Products whose other slot, or whose new boot loader, waits to be booted. Asked anew each time: somebody may have rolled back meanwhile. */
async function dueProducts({ node, components, loaders, passedOver }: Agent): Promise<readonly string[]> {
  const due: string[] = []
  const ask = async ({ name }: Component, isDue: () => Promise<boolean>) => {
    try {
      if (await isDue()) due.push(name)
    } catch (error) {
      if (!isPsyblobError(error) || error.code === 'interrupted') throw error
    }
  }
  for (const component of components) await ask(component, () => isRebootDue(node, component, passedOver.get(component.name)))
  for (const component of loaders)
    await ask(component, async () => {
      const trial = await dueTrial(node, component)
      return trial !== undefined && trial !== passedOver.get(component.name)
    })
  return due
}

async function rebootIfDue(agent: Agent): Promise<boolean> {
  const { node, options } = agent
  if (node.disk !== undefined || untilReboot(options.window, new Date(node.clock())) !== 0) return false
  const due = await dueProducts(agent)
  return due.length > 0 && reboot(agent, `into what is new of ${due.join(', ')}`)
}

/** Milliseconds after which a reboot that waits for its hour is looked at again. */
async function untilDue(agent: Agent): Promise<number> {
  const { node, options } = agent
  const wait = untilReboot(options.window, new Date(node.clock()))
  if (wait === undefined || node.disk !== undefined || (await dueProducts(agent)).length === 0) return Number.POSITIVE_INFINITY
  return Math.min(Math.max(wait, 1000), longestWait)
}

/** False when this system does not reboot; that is told. A disk image is not this machine. */
async function reboot(agent: Agent, why: string): Promise<boolean> {
  const { node, surroundings } = agent
  if (node.disk !== undefined) return false
  await recordAttempt(node, { what: 'reboot', result: 'ok', message: why })
  surroundings.say(`psyblob: rebooting: ${why}`)
  return !((await attempted(agent, undefined, () => node.run(['reboot']))) instanceof PsyblobError)
}
