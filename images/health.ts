// Health checks: the executables of one folder, run in order, each in bounds (spec/agent.md 2).
import { constants } from 'node:fs'
import { access, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isPsyblobError, PsyblobError } from '../core/mod.ts'
import { hasCode, translated } from '../store/mod.ts'
import type { Run } from './run.ts'

/** The first check that did not pass. */
export type Failing = {
  readonly check: string
  /** Its exit status; null when it did not end by itself. */
  readonly status: number | null
  /** The last line it printed, or why it did not run. */
  readonly line: string
}

export type HealthOptions = {
  readonly dir: string
  /** Milliseconds that one check may take. */
  readonly limit: number
  readonly run: Run
  readonly signal?: AbortSignal | undefined
}

const anyStatus = Array.from({ length: 256 }, (_, status) => status)
const mostText = 200

/** Runs all checks until one fails: undefined when all pass, or there is none. */
export async function failingCheck({ dir, limit, run, signal }: HealthOptions): Promise<Failing | undefined> {
  for (const check of await checksIn(dir)) {
    signal?.throwIfAborted()
    try {
      const { code, stdout, stderr } = await run([join(dir, check)], { allow: anyStatus, limit, signal })
      if (code !== 0) return { check, status: code, line: lastLine(stderr) || lastLine(stdout.toString('utf8')) }
    } catch (error) {
      if (!isPsyblobError(error) || error.code === 'interrupted') throw error
      return { check, status: null, line: error.message.slice(0, mostText) }
    }
  }
  return undefined
}

/** Plain files that may be executed, by name. Names that begin with a dot are nobody's checks. Throws `unsupported` for a folder that cannot be read. */
async function checksIn(dir: string): Promise<readonly string[]> {
  const names: readonly string[] = await readdir(dir).catch((error: unknown): string[] => {
    if (hasCode(error, 'ENOENT')) return []
    const told = translated(error, `reading ${dir}`)
    throw isPsyblobError(told)
      ? new PsyblobError(told.code, told.message, { cause: told, hint: 'name another folder with --health-dir' })
      : told
  })
  const checks: string[] = []
  for (const name of [...names].sort()) {
    const path = join(dir, name)
    if (name.startsWith('.') || (await stat(path).catch(() => undefined))?.isFile() !== true) continue
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isExecutable) checks.push(name)
  }
  return checks
}

function lastLine(text: string): string {
  return (text.trimEnd().split('\n').at(-1) ?? '').trim().slice(0, mostText)
}

/** Said of a check that failed, after its name. */
export function failingText({ check, status, line }: Failing): string {
  const how = status === null ? '' : ` ended with status ${status}`
  return `${check}${how}${line === '' ? '' : `: ${line}`}`
}
