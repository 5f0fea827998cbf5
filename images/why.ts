// Why: what runs here, and in sentences how it came to that (spec/agent.md 6).
import type { Component } from '../core/mod.ts'
import { type Attempt, readAttempts } from '../store/mod.ts'
import type { Node } from './node.ts'
import { type SlotStatus, type Status, status } from './status.ts'
import type { TreeStatus } from './tree/tree-audit.ts'

export type Reason = {
  /** One word for programs. */
  readonly kind:
    | 'nothing-installed'
    | 'first'
    | 'newest'
    | 'older'
    | 'unmarked'
    | 'waits-for-reboot'
    | 'waits'
    | 'fell-back'
    | 'not-bootable'
    | 'unknown-boot-state'
    | 'avoided'
    | 'held'
  /** A sentence. */
  readonly text: string
}

export type Why = {
  readonly product: string
  /** What runs, or counts as running when no slot of this machine is booted. */
  readonly runs: {
    readonly slot: string
    readonly serial: number | null
    readonly version: string | null
    readonly booted: boolean
    /** When it was first booted of those times in a row that the agent remembers; null when it remembers none. */
    readonly since: string | null
  } | null
  readonly reasons: readonly Reason[]
  readonly hold: Status['hold']
  /** What was tried last, oldest first. */
  readonly attempts: readonly Attempt[]
}

const mostAttempts = 10

/** Reads only; an empty store answers too. */
export async function why(node: Node, component: Component): Promise<Why> {
  const found = await status(node, component)
  const attempts = (await readAttempts(node.store.dir)).filter(({ product }) => product === undefined || product === component.name)
  const running = found.slots.find(({ slot }) => slot === found.running)
  const account: Account = { found, attempts }
  return {
    product: component.name,
    runs:
      running === undefined || (running.serial === null && !running.booted)
        ? null
        : {
            slot: running.slot,
            serial: running.serial,
            version: running.version,
            booted: running.booted,
            since: running.booted ? sinceOf(attempts, running.serial) : null,
          },
    reasons: [...runningReasons(account, running), ...nextReasons(account), ...avoidedReasons(account), ...heldReasons(account)],
    hold: found.hold,
    attempts: attempts.slice(-mostAttempts),
  }
}

type Account = { readonly found: Status; readonly attempts: readonly Attempt[] }

/** How what runs came to run. */
function runningReasons({ found, attempts }: Account, running: SlotStatus | undefined): readonly Reason[] {
  const { product, slots, boot, known } = found
  if (found.tree !== null) return treeReasons(found, found.tree)
  if (slots.length === 0) return []
  if (running === undefined || running.serial === null) {
    const text =
      running?.state === 'refused' ? `what lies in slot ${running.slot} is not believed: ${running.why}` : 'no slot holds a release of it'
    return [{ kind: 'nothing-installed', text: `${text}; psyblob sync ${product} installs the newest` }]
  }
  const { slot, serial, good } = running
  if (boot?.seq === undefined)
    return [
      {
        kind: 'unknown-boot-state',
        text: 'the boot loader was never told anything, or its state is lost; psyblob mark good makes it anew',
      },
    ]
  const reasons: Reason[] = []
  const other = slots.find((one) => one.slot !== slot)
  const isFirst = other?.serial === null && known.previous === null
  const marked = good ? `marked good${timeOf(lastOf(attempts, { what: 'mark good', serial }))}` : 'not marked good yet'
  const newest = Math.max(known.latest ?? 0, ...slots.map((one) => one.serial ?? 0))
  if (newest > serial) reasons.push({ kind: 'older', text: `it is ${marked}, but not the newest known here: that is ${newest}` })
  else if (isFirst) reasons.push({ kind: 'first', text: `it is the first installation on this machine, and ${marked}` })
  else reasons.push({ kind: 'newest', text: `it is the newest release known here${pointerText(found)}, and ${marked}` })
  if (!good && running.booted) {
    const failing = failureOf(attempts, serial)
    const health = failing === undefined ? 'its health checks have not passed yet' : `its last health report: ${failing.message}`
    const tries = running.next && boot.tries !== undefined ? `; the boot loader has used ${boot.tries} of 3 tries` : ''
    reasons.push({ kind: 'unmarked', text: `nobody has called it good: ${health}${tries}. psyblob agent or psyblob mark good does` })
  }
  return reasons
}

function treeReasons({ product, known }: Status, { root, state, serial, why: reason }: TreeStatus): readonly Reason[] {
  const next = `psyblob apply ${product}`
  if (state === 'refused')
    return [{ kind: 'nothing-installed', text: `${reason ?? 'it is not known what is installed'}; ${next} --force finds out` }]
  if (state === 'unfinished') return [{ kind: 'waits', text: `an apply in ${root} was cut short; ${next} finishes it` }]
  if (serial === null) return [{ kind: 'nothing-installed', text: `nothing of it is installed in ${root}; ${next} installs the newest` }]
  if ((known.latest ?? 0) > serial)
    return [{ kind: 'older', text: `${serial} is in ${root}, not the newest known here: that is ${known.latest}` }]
  return [{ kind: 'newest', text: `${serial} is in ${root}, the newest release known here` }]
}

/** What the boot loader tries first, where that is not what runs. */
function nextReasons({ found, attempts }: Account): readonly Reason[] {
  const { slots, boot, running, booted, product, fellBackFrom } = found
  if (boot?.seq === undefined || booted === null || boot.order[0] === running) return []
  const next = slots.find(({ slot }) => slot === boot.order[0])
  if (next === undefined) return []
  if (fellBackFrom !== null) {
    const failing = failureOf(attempts, fellBackFrom)
    const when = failing === undefined ? '' : ` (${failing.last ?? failing.at})`
    const report = `${failedText(attempts, fellBackFrom)}${when}`
    return [
      {
        kind: 'fell-back',
        text: `this machine fell back: ${product} ${fellBackFrom} in slot ${next.slot} was tried three times and never marked good; ${report}. ${againText(product, fellBackFrom)}`,
      },
    ]
  }
  if (next.serial === null)
    return [
      { kind: 'not-bootable', text: `slot ${next.slot} stands first, but holds no release that boots; psyblob sync ${product} mends that` },
    ]
  const what = `${product} ${next.serial} (${next.version})`
  return [{ kind: 'waits-for-reboot', text: `${what} is in slot ${next.slot} and waits for a reboot` }]
}

/** Serials that are not installed by themselves, each with what is remembered of it. */
function avoidedReasons({ found, attempts }: Account): readonly Reason[] {
  const { product, avoided, fellBackFrom } = found
  return avoided
    .filter((serial) => serial !== fellBackFrom)
    .slice(-mostAttempts)
    .map((serial) => {
      const blame = attempts.findLast((one) => one.serial === serial && ['fallback', 'rollback', 'mark bad'].includes(one.what))
      return {
        kind: 'avoided',
        text: `${product} ${serial} ${blameText(blame, failedText(attempts, serial))}. ${againText(product, serial)}`,
      }
    })
}

function blameText(blame: Attempt | undefined, report: string): string {
  if (blame?.what === 'rollback') return `was rolled back by hand${timeOf(blame)}`
  if (blame?.what === 'mark bad') return `was marked bad by hand${timeOf(blame)}`
  if (blame?.what === 'fallback') return `did not boot in three tries, told${timeOf(blame)}; ${report}`
  return 'did not boot, was rolled back or was marked bad; when is not remembered'
}

/** What a release that did not boot was seen to do. */
function failedText(attempts: readonly Attempt[], serial: number): string {
  const boots = attempts.filter((one) => one.what === 'boot' && one.serial === serial).length
  const times = boots === 1 ? 'once' : `${boots} times`
  const failing = failureOf(attempts, serial)
  if (failing !== undefined) return `it came up${boots === 0 ? '' : ` ${times}`}, but its health checks did not pass: ${failing.message}`
  if (boots > 0) return `it came up ${times} as far as psyblob agent, then hung, panicked or lost power: no health report came back`
  return 'it panicked, hung or lost power: no report came back'
}

/** The first of the last boots that were all of this serial. */
function sinceOf(attempts: readonly Attempt[], serial: number | null): string | null {
  const boots = attempts.filter(({ what }) => what === 'boot')
  const before = boots.findLastIndex((one) => one.serial !== serial)
  return serial === null ? null : (boots[before + 1]?.at ?? null)
}

function againText(product: string, serial: number): string {
  return `serial ${serial} is remembered and not installed again, unless it is forced (psyblob sync ${product} --force) or a newer one is published`
}

function heldReasons({ found: { hold, product } }: Account): readonly Reason[] {
  if (hold === null) return []
  const reason = hold.why === '' ? '' : ` (${hold.why})`
  return [{ kind: 'held', text: `it is held since ${hold.at}${reason}: nothing is installed until psyblob unhold ${product}` }]
}

/** The last health report of a serial, if it was a bad one. */
function failureOf(attempts: readonly Attempt[], serial: number): Attempt | undefined {
  const last = lastOf(attempts, { what: 'health', serial })
  return last?.result === 'failed' ? last : undefined
}

function lastOf(attempts: readonly Attempt[], { what, serial }: Pick<Attempt, 'what'> & { readonly serial: number }): Attempt | undefined {
  return attempts.findLast((one) => one.what === what && one.serial === serial && (what !== 'mark good' || one.result === 'ok'))
}

function timeOf(attempt: Attempt | undefined): string {
  return attempt === undefined ? '' : ` at ${attempt.last ?? attempt.at}`
}

function pointerText({ pointer }: Status): string {
  return pointer === null ? '' : `, as of ${pointer.issued}`
}
