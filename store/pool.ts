// Several jobs at once, a few at a time; the first that fails stops the others.

export type PoolOptions = { readonly workers: number; readonly signal?: AbortSignal | undefined }

/** Runs `jobs` and ends when all have. Throws the first failure, after every job that had begun has stopped. */
export async function pool(jobs: readonly ((signal: AbortSignal) => Promise<void>)[], { workers, signal }: PoolOptions): Promise<void> {
  const stop = new AbortController()
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const failures: unknown[] = []
  let next = 0
  const work = async () => {
    while (next < jobs.length && failures.length === 0) {
      const job = jobs[next++] as (signal: AbortSignal) => Promise<void>
      try {
        both.throwIfAborted()
        await job(both)
      } catch (error) {
        failures.push(error)
        stop.abort()
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(workers, jobs.length) }, work))
  if (failures.length > 0) throw signal?.aborted === true ? signal.reason : failures[0]
}
