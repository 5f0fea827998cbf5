// What a thread is told that it is for, and what it says when it has begun.
import type { Setting } from './job.ts'

/** A bundle of one file is the program of every thread: each looks whether it is meant. */
export type PatchTask = { readonly psyblob: 'patch'; readonly setting: Setting }

export const ready = 'ready'

export function isPatchTask(task: unknown): task is PatchTask {
  return typeof task === 'object' && task !== null && (task as Partial<PatchTask>).psyblob === 'patch'
}
