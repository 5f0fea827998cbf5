// Two threads look at one tree, each at some hundred records at a time. Where there is no second one to be had, one does it all.
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { Entry } from '../../core/mod.ts'
import type { AuditAnswer, AuditTask } from './audit-worker.ts'

/** The program of the thread: beside the bundle, as for cutting. */
const program = ['./audit-worker.js', '../audit-worker.js'].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url))

/** Smaller trees are looked at before another thread has started. Bytes of the manifest. */
const worthIt = 500_000
/** Batches that it has in hand, so that it need not wait for the next. */
const inHand = 2

export class SecondAuditor {
  readonly #worker: Worker | undefined
  readonly #waiting: ((answer: AuditAnswer | undefined) => void)[] = []
  /** Nobody answers any more: it could not start, has failed, or was told to end. */
  #isGone = false
  #hasEnded = false

  /** To be made before the manifest, of so many bytes, is read: the thread starts meanwhile. */
  constructor(task: AuditTask, manifestBytes: number) {
    if (program === undefined || manifestBytes < worthIt) return
    // whoever waits does it alone
    const failed = () => {
      this.#isGone = true
      for (const done of this.#waiting.splice(0)) done(undefined)
    }
    try {
      this.#worker = new Worker(program, { workerData: task })
    } catch {
      // no thread is to be had
      return
    }
    this.#worker.on('message', (answer: AuditAnswer) => this.#waiting.shift()?.(answer))
    this.#worker.on('error', failed)
    this.#worker.on('exit', failed)
  }

  /** Batches that `next` gives until it gives none; those that came to nothing go to `alone`. */
  async work(
    next: () => readonly Entry[] | undefined,
    { found, alone }: { readonly found: (answer: AuditAnswer) => void; readonly alone: (records: readonly Entry[]) => void },
  ): Promise<void> {
    const one = async () => {
      for (let records = next(); records !== undefined; records = next()) {
        const answer = await this.#ask(records)
        if (answer !== undefined) found(answer)
        else return this.#hasEnded ? undefined : alone(records)
      }
    }
    if (this.#worker !== undefined && !this.#isGone) await Promise.all(Array.from({ length: inHand }, one))
  }

  async end(): Promise<void> {
    this.#hasEnded = true
    await this.#worker?.terminate()
  }

  #ask(records: readonly Entry[]): Promise<AuditAnswer | undefined> {
    return new Promise((resolve) => {
      if (this.#isGone) return resolve(undefined)
      this.#waiting.push(resolve)
      this.#worker?.postMessage(records)
    })
  }
}
