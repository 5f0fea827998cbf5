// How progress is shown: a bar on a terminal, a line a step in a pipe, JSON Lines for programs.
import { type ProgressEvent, type Report, visible } from '../../core/mod.ts'
import { bytesText, secondsText } from './sizes.ts'

export const progressModes = ['auto', 'bar', 'lines', 'json', 'none'] as const
export type ProgressMode = (typeof progressModes)[number]

export interface Progress {
  readonly report: Report
  /** Takes the bar away, so that a line of text can be written. */
  clear(): void
  /** Tells how the last step ended. */
  finish(): void
}

type Write = (text: string) => void
/** Milliseconds, from any start. */
type Clock = () => number

type Bytes = Extract<ProgressEvent, { type: 'bytes' }>

export function noProgress(): Progress {
  return { report: () => undefined, clear: () => undefined, finish: () => undefined }
}

/** One line when a step ends: its name, what it was about, seconds and bytes. */
export function lineProgress(write: Write, clock: Clock): Progress {
  let step: { readonly name: string; readonly about: string; readonly at: number; bytes: Bytes | undefined } | undefined
  const finish = () => {
    if (step === undefined) return
    const { name, about, at, bytes } = step
    write(
      `${name}${about}: ${bytes === undefined ? '' : `${bytesText(bytes.done)}${partsText(bytes)}, `}${secondsText((clock() - at) / 1000)}\n`,
    )
    step = undefined
  }
  return {
    report(event) {
      if (event.type === 'step') {
        finish()
        step = { name: event.step, about: event.about === undefined ? '' : ` ${visible(event.about)}`, at: clock(), bytes: undefined }
      } else if (event.type === 'bytes' && step !== undefined) step.bytes = event
    },
    clear: () => undefined,
    finish,
  }
}

function partsText({ fetched, reused }: Bytes): string {
  if (fetched === undefined || reused === undefined) return ''
  return ` (${bytesText(fetched)} fetched, ${bytesText(reused)} reused)`
}

const redrawEvery = 100

/** One line at the foot of the terminal, redrawn at most ten times a second. */
export function barProgress(write: Write, clock: Clock, columns: () => number): Progress {
  let name = ''
  let started = 0
  let drawn = Number.NEGATIVE_INFINITY
  let shown = false
  const clear = () => {
    if (shown) write('\r\u001b[K')
    shown = false
  }
  return {
    report(event) {
      if (event.type === 'step') {
        name = event.about === undefined ? event.step : `${event.step} ${visible(event.about)}`
        started = clock()
        drawn = Number.NEGATIVE_INFINITY
      }
      if ((event.type !== 'step' && event.type !== 'bytes') || clock() - drawn < redrawEvery) return
      drawn = clock()
      const line = event.type === 'step' ? name : barText(name, event, (clock() - started) / 1000)
      write(`\r\u001b[K${line.slice(0, Math.max(10, columns() - 1))}`)
      shown = true
    },
    clear,
    finish: clear,
  }
}

function barText(name: string, event: Bytes, seconds: number): string {
  const { done, total, reused } = event
  const part = total === 0 ? 1 : done / total
  const filled = Math.round(part * 20)
  const rate = seconds > 0.2 ? done / seconds : 0
  const left = rate > 0 ? `, ${secondsText(Math.ceil((total - done) / rate))} left` : ''
  const parts = [
    `${Math.floor(part * 100)} %`,
    `${bytesText(done)} of ${bytesText(total)}`,
    rate > 0 ? `${bytesText(rate)}/s${left}` : '',
    reused === undefined ? '' : `${bytesText(reused)} reused`,
  ]
  return `${name} [${'#'.repeat(filled)}${'.'.repeat(20 - filled)}] ${parts.filter((text) => text !== '').join(', ')}`
}

/** Every event as one line of JSON; bytes at most ten times a second and at the end of a step. */
export function jsonProgress(write: Write, clock: Clock): Progress {
  let told = Number.NEGATIVE_INFINITY
  let held: Bytes | undefined
  const flush = () => {
    if (held !== undefined) write(`${JSON.stringify(held)}\n`)
    held = undefined
  }
  return {
    report(event) {
      if (event.type === 'bytes') {
        held = event
        if (clock() - told < redrawEvery) return
        told = clock()
        return flush()
      }
      if (event.type === 'trace') return
      flush()
      write(`${JSON.stringify(event)}\n`)
    },
    clear: () => undefined,
    finish: flush,
  }
}
