// A vitest reporter with one job: the closing line that continuous integration reads.
import type { Reporter, TestModule } from 'vitest/node'

/** Prints `N passed, N failed`; a file that could not be loaded counts as one failure. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    let passed = 0
    let failed = unhandled.length
    for (const module of modules) {
      failed += module.errors().length
      for (const test of module.children.allTests()) {
        const state = test.result().state
        if (state === 'passed') passed++
        if (state === 'failed') failed++
      }
    }
    process.stdout.on('error', () => undefined)
    process.on('exit', () => console.log(`${passed} passed, ${failed} failed`))
  }
}
