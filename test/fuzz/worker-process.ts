// The worker from outside: what is asked of it, and what it was at when it did not come back.
import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { scratchFolder } from './scratch.ts'
import type { Order, Report } from './worker.ts'

/** The worker is gone; the input is the one it was at. */
export type Lost = { readonly lost: string; readonly input: Uint8Array }

/** An input that takes longer takes for ever: of the processor, for others may keep it from us, and by the clock, for who only waits. Milliseconds. */
const patience = 10_000
const longWait = 300_000
const glance = 250
/** MiB. */
const mostMemory = 1536
const mostHeap = 512

export class WorkerProcess {
  readonly #child: ChildProcess
  readonly #journal = join(scratchFolder(), 'journal')

  constructor(program: string, seed: number) {
    this.#child = fork(program, [this.#journal, String(seed)], { execArgv: [`--max-old-space-size=${mostHeap}`] })
  }

  ask(order: Order): Promise<Report | Lost> {
    const child = this.#child
    return new Promise((resolve) => {
      let at = { noted: 0, since: Date.now(), spent: 0 }
      let why: string | undefined
      const end = (answer: Report | Lost) => {
        clearInterval(watch)
        child.removeAllListeners()
        resolve(answer)
      }
      const watch = setInterval(() => {
        const { noted, spent, memory } = this.#look()
        if (noted !== at.noted) at = { noted, since: Date.now(), spent }
        if (memory > mostMemory) why = `took more than ${mostMemory} MiB`
        else if (spent - at.spent > patience || Date.now() - at.since > longWait) why = `took more than ${patience / 1000} seconds`
        if (why !== undefined) child.kill('SIGKILL')
      }, glance)
      child.once('message', (report) => end(report as Report))
      child.once('exit', (code, signal) => end({ lost: why ?? `the process died of ${signal ?? `status ${code}`}`, input: this.#input() }))
      child.send(order)
    })
  }

  /** It goes when nobody asks any more. */
  dismiss(): void {
    if (this.#child.connected) this.#child.disconnect()
  }

  /** When it noted its input, the milliseconds of the processor that it had, and its MiB. */
  #look(): { readonly noted: number; readonly spent: number; readonly memory: number } {
    const proc = `/proc/${this.#child.pid}`
    try {
      const [, pages = '0'] = readFileSync(`${proc}/statm`, 'utf8').split(' ')
      const fields = readFileSync(`${proc}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ')
      // in hundredths of a second (proc_pid_stat(5), utime and stime)
      const spent = 10 * (Number(fields[11]) + Number(fields[12]))
      return { noted: statSync(this.#journal).mtimeMs, spent, memory: (Number(pages) * 4096) / 2 ** 20 }
    } catch {
      // nothing noted yet, or a system without such a folder
      return { noted: 0, spent: 0, memory: 0 }
    }
  }

  #input(): Uint8Array {
    try {
      const noted = readFileSync(this.#journal)
      return new Uint8Array(noted.subarray(4, 4 + noted.readUInt32LE(0)))
    } catch {
      return new Uint8Array()
    }
  }
}
