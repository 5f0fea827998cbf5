// What a piece of work took of memory at its peak: nodes and attackers of the table live in this process, so it is counted for both.
import { readFileSync, writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function resident(what: 'VmRSS' | 'VmHWM'): number {
  const [, kilobytes] = new RegExp(`^${what}:\\s*(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  if (kilobytes === undefined) throw new Error(`no ${what} in /proc/self/status: these tests need Linux`)
  return Number(kilobytes) * 1024
}

/** Bytes of this process that are in memory, without what nobody needs any more. */
export function standing(): number {
  collect()
  return resident('VmRSS')
}

/** Runs `work` and answers the most bytes that were in memory meanwhile, as the kernel counted them. */
export async function peakOf<Result>(work: () => Promise<Result>): Promise<{ readonly result: Result; readonly peak: number }> {
  collect()
  // the high-water mark begins anew (proc(5), clear_refs)
  writeFileSync('/proc/self/clear_refs', '5')
  const result = await work()
  return { result, peak: resident('VmHWM') }
}
