// The thread that cuts and hashes the second half of a large file while the first is cut (store/second-half.ts).
import { parentPort, workerData } from 'node:worker_threads'
import { ChunkIndexBuilder, chunks } from '../core/mod.ts'
import { blake3 } from './blake3.ts'
import { cutterOf } from './cutter.ts'
import { fileBytes } from './ingest.ts'
import type { ChunkTask } from './second-half.ts'

async function work({ path, size, from, layout }: ChunkTask): Promise<void> {
  const engine = blake3()
  const builder = new ChunkIndexBuilder()
  for await (const chunk of chunks(fileBytes(path, { from }), { cutter: cutterOf(layout, { size, from }) }))
    builder.add(chunk.length, engine.digest(chunk))
  const bytes = builder.finish()
  parentPort?.postMessage(bytes, [bytes.buffer as ArrayBuffer])
}

// a failure becomes the error event of the worker
void work(workerData as ChunkTask).catch((error: unknown) => {
  setImmediate(() => {
    throw error
  })
})
