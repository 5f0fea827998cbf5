// The .xz of a large manifest, made by the program of that name: the packages that there are for it store bytes and compress nothing.
import { isPsyblobError, type Report } from '../core/mod.ts'
import { openRun } from './run.ts'

/** Makes an .xz stream; undefined, with a word about it, where there is no xz, or one that only decompresses. */
export function xzCompressor({
  report,
  signal,
}: {
  readonly report: Report
  readonly signal: AbortSignal
}): (bytes: Uint8Array) => Promise<Uint8Array | undefined> {
  return async (input) => {
    try {
      // one thread is one block, and the same bytes on every machine
      const argv = ['xz', '--compress', '--stdout', '--format=xz', '--check=crc32', '--threads=1', '-6'] as const
      return (await openRun(report)(argv, { input, env: { XZ_DEFAULTS: '', XZ_OPT: '' }, signal })).stdout
    } catch (error) {
      if (!isPsyblobError(error, 'command-failed', 'unsupported')) throw error
      report({ type: 'trace', text: `the manifest is published without a compressed one: ${error.message}` })
      return undefined
    }
  }
}
