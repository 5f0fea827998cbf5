// The thread that makes, checks or applies groups of a patch (store/patches/threads.ts).
import { parentPort, workerData } from 'node:worker_threads'
import type { Job, Setting } from './job.ts'
import { Workbench } from './workbench.ts'

/** What a thread is told that it is for: a bundle of one file is the program of every thread. */
export type PatchTask = { readonly psyblob: 'patch'; readonly setting: Setting }

export function isPatchTask(task: unknown): task is PatchTask {
  return typeof task === 'object' && task !== null && (task as Partial<PatchTask>).psyblob === 'patch'
}

/** Does the jobs it is sent until it is ended. A failure to begin becomes the error event of the worker. */
export function servePatches({ setting }: PatchTask): void {
  const bench = Workbench.open(setting)
  parentPort?.on('message', (job: Job) => {
    void bench.then(
      (open) => {
        const answer = open.do(job)
        // what was made moves over, and is no garbage here
        parentPort?.postMessage(answer, answer.did === 'apply' ? answer.bytes.map(({ bytes }) => bytes.buffer as ArrayBuffer) : [])
      },
      (error: unknown) => parentPort?.postMessage({ did: 'fail', why: error instanceof Error ? error.message : 'unknown' }),
    )
  })
}

if (isPatchTask(workerData)) servePatches(workerData)
