// Several threads that work on one patch. Where there are none to be had, the main one does it all.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { Answer, Job, Setting } from './job.ts'
import { type PatchTask, ready } from './patch-task.ts'
import { Workbench } from './workbench.ts'

/** More take more memory than they save time. */
const most = 4
/** The program of a thread: beside the bundle, or the one file that the bundle is. */
const program = ['./patch-worker.js', '../patch-worker.js', ...(/\.cjs$/.test(import.meta.url) ? [import.meta.url] : [])]
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url))

/** How many threads there would be. */
export function threadCount(): number {
  return program === undefined ? 1 : Math.min(most, availableParallelism())
}

/** Undefined when the system has none left. */
function begun(at: URL, task: PatchTask): Worker | undefined {
  try {
    return new Worker(at, { workerData: task, resourceLimits: { maxYoungGenerationSizeMb: 4 } })
  } catch {
    return undefined
  }
}

const killed = 'a thread did not come through it'

type Waiting = { readonly job: Job; readonly resolve: (answer: Answer) => void }

export class Threads {
  readonly #setting: Setting
  readonly #queue: Waiting[] = []
  readonly #workers: Worker[] = []
  #idle: Worker[] = []
  readonly #busy = new Map<Worker, Waiting>()
  /** Those that have begun. */
  readonly #ready = new Set<Worker>()
  /** One that had begun was killed by what it did. */
  #isKilled = false
  #bench: Promise<Workbench> | undefined
  #own: Promise<void> = Promise.resolve()
  #ending: Promise<void> | undefined

  constructor(setting: Setting, count = threadCount()) {
    this.#setting = setting
    if (program === undefined) return
    const task: PatchTask = { psyblob: 'patch', setting }
    for (let number = 0; number < count; number++) {
      // young garbage is all there is: what lives long lies outside the heap
      const worker = begun(program, task)
      if (worker === undefined) break
      worker.on('message', (answer: Answer | typeof ready) => {
        if (answer === ready) this.#ready.add(worker)
        else this.#answered(worker, answer)
      })
      worker.on('error', () => this.#lost(worker))
      worker.on('exit', () => this.#lost(worker))
      this.#workers.push(worker)
      this.#idle.push(worker)
    }
  }

  /** How many jobs are worth having under way: one for each thread, and one that is packed or waits meanwhile. */
  get width(): number {
    return 2 * Math.max(1, this.#workers.length)
  }

  /** Never fails: what goes wrong is answered as `fail`. */
  run(job: Job): Promise<Answer> {
    if (this.#ending !== undefined) return Promise.resolve({ did: 'fail', why: 'ended' })
    return new Promise((resolve) => {
      this.#queue.push({ job, resolve })
      this.#next()
    })
  }

  /** May be called several times. */
  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    const workers = this.#workers.splice(0)
    this.#idle = []
    for (const { resolve } of [...this.#busy.values(), ...this.#queue.splice(0)]) resolve({ did: 'fail', why: 'ended' })
    await Promise.all(workers.map((worker) => worker.terminate()))
    await this.#own
    ;(await this.#bench?.catch(() => undefined))?.close()
  }

  #next(): void {
    while (this.#queue.length > 0 && this.#idle.length > 0) {
      const worker = this.#idle.pop() as Worker
      const waiting = this.#queue.shift() as Waiting
      this.#busy.set(worker, waiting)
      worker.postMessage(waiting.job)
    }
    if (this.#workers.length > 0) return
    // what killed threads is not tried in the one that everything hangs on
    if (this.#isKilled) for (const { resolve } of this.#queue.splice(0)) resolve({ did: 'fail', why: killed })
    for (const waiting of this.#queue.splice(0)) this.#own = this.#own.then(() => this.#here(waiting))
  }

  async #here({ job, resolve }: Waiting): Promise<void> {
    this.#bench ??= Workbench.open(this.#setting)
    try {
      resolve((await this.#bench).do(job))
    } catch (error) {
      resolve({ did: 'fail', why: error instanceof Error ? error.message : 'unknown' })
    }
    // others get a turn
    await new Promise((done) => setImmediate(done))
  }

  #answered(worker: Worker, answer: Answer): void {
    this.#busy.get(worker)?.resolve(answer)
    this.#busy.delete(worker)
    this.#idle.push(worker)
    this.#next()
  }

  /** A thread that never began leaves its job to another, or to this one. One that had begun was killed by it: nobody tries that again. */
  #lost(worker: Worker): void {
    const at = this.#workers.indexOf(worker)
    if (at < 0) return
    this.#workers.splice(at, 1)
    this.#idle = this.#idle.filter((one) => one !== worker)
    const job = this.#busy.get(worker)
    this.#busy.delete(worker)
    if (this.#ready.has(worker)) this.#isKilled = true
    if (job !== undefined && this.#ready.has(worker)) job.resolve({ did: 'fail', why: killed })
    else if (job !== undefined) this.#queue.unshift(job)
    this.#next()
  }
}
