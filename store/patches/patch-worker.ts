// The thread that makes, checks or applies groups of a patch (store/patches/threads.ts).
import { parentPort, workerData } from 'node:worker_threads'
import type { Job } from './job.ts'
import { isPatchTask, type PatchTask, ready } from './patch-task.ts'
import { Workbench } from './workbench.ts'

/** Does the jobs it is sent until it is ended. */
function servePatches({ setting }: PatchTask): void {
  const bench = Workbench.open(setting)
  // each job is told why there is none
  bench.catch(() => undefined)
  parentPort?.postMessage(ready)
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
