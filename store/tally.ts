// How far the assembling of a release is, for whoever watches.
import type { Report } from '../core/mod.ts'
import { costOf, type EntryPlan } from './plan.ts'

/** Counts bytes: all, those that were here, those that came. */
export class Tally {
  readonly #report: Report
  readonly #total: number
  #reused = 0
  #fetched = 0
  #patches = 0

  constructor(plans: readonly EntryPlan[], report: Report) {
    this.#report = report
    this.#total = plans.reduce((sum, plan) => sum + plan.entry.bin.size, 0)
    for (const plan of plans) this.#reused += plan.how === 'copy' ? 0 : plan.entry.bin.size - costOf(plan).written
    this.tell()
  }

  reuse(bytes: number): void {
    this.#reused += bytes
    this.tell()
  }

  /** Of a patch: what comes is not yet anything of the release. */
  fetchPatch(bytes: number): void {
    this.#patches += bytes
    this.tell()
  }

  fetch(bytes: number): void {
    this.#fetched += bytes
    this.tell()
  }

  tell(): void {
    const done = Math.min(this.#total, this.#reused + this.#fetched)
    this.#report({ type: 'bytes', done, total: this.#total, fetched: this.#fetched + this.#patches, reused: this.#reused })
  }
}
