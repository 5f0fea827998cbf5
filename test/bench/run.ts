// Other programs: run and timed as a whole process, or started and left running until the benchmark ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { atExit } from './exit.ts'

export type Argv = readonly string[]

/** Wall time in seconds from start to end of the process, peak memory of it or its largest child in bytes. */
export type Timing = { readonly seconds: number; readonly memory: number }

type RunOptions = { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> }

const alive = new Set<ChildProcess>()
atExit(() => {
  for (const child of alive) kill(child)
})

// a group of its own each, so that helpers (casync has some) end with the program that began them
function spawnGroup([program, ...words]: Argv, options: RunOptions, stdout: 'pipe' | 'ignore', stdin: 'pipe' | 'ignore'): ChildProcess {
  if (program === undefined) throw new Error('expected a program to run, got nothing')
  const child = spawn(program, words, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: [stdin, stdout, 'pipe'],
    detached: true,
  })
  alive.add(child)
  child.on('close', () => alive.delete(child))
  return child
}

function kill(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {}
}

/** Runs a program to its end and answers what it printed; a failure is an error with the end of what it said. */
export function run(argv: Argv, options: RunOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawnGroup(argv, options, 'pipe', 'ignore')
    let out = ''
    let err = ''
    child.stdout?.on('data', (data: Buffer) => {
      out += data
    })
    child.stderr?.on('data', (data: Buffer) => {
      err = `${err}${data}`.slice(-2000)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out)
      else reject(new Error(`${argv.join(' ')}: ${signal ?? `exit status ${code}`}\n${out.slice(-2000)}${err}`))
    })
  })
}

/** As `run`, and timed; `inside` are words that go before, such as those of a network namespace. */
export async function timed(
  argv: Argv,
  options: { cwd?: string; scratch: string; inside?: Argv },
): Promise<Timing & { readonly printed: string }> {
  const note = join(options.scratch, 'memory')
  const whole = [...(options.inside ?? []), '/usr/bin/time', '-f', '%M', '-o', note, ...argv]
  const begin = performance.now()
  const printed = await run(whole, options.cwd === undefined ? {} : { cwd: options.cwd })
  const seconds = (performance.now() - begin) / 1000
  const kibibytes = Number(readFileSync(note, 'utf8').trim().split('\n').at(-1))
  return { seconds, memory: kibibytes * 1024, printed }
}

/** Starts a program that runs on; with `until`, waits for that word on its stdout. It ends with the benchmark, or by the answer. */
export function start(argv: Argv, { until }: { until?: string } = {}): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const child = spawnGroup(argv, {}, 'pipe', 'pipe')
    const ended = new Promise<void>((done) => child.on('close', () => done()))
    const stop = () => {
      kill(child)
      return ended
    }
    let err = ''
    child.stderr?.on('data', (data: Buffer) => {
      err = `${err}${data}`.slice(-2000)
    })
    child.on('error', reject)
    child.on('close', (code) => reject(new Error(`${argv.join(' ')}: ended with ${code}\n${err}`)))
    if (until === undefined) child.on('spawn', () => resolve(stop))
    else
      child.stdout?.on('data', (data: Buffer) => {
        if (data.includes(until)) resolve(stop)
      })
  })
}
