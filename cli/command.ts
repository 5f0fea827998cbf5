// What every command has: the global options, the one place that catches errors, the exit status.
import { Command, Option } from 'clipanion'
import { exitBug, exitCodes, isPsyblobError, PsyblobError } from '../core/mod.ts'
import { type ProgressMode, progressModes } from './ui/progress.ts'
import { Ui } from './ui.ts'

export type CommandContext = {
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

export abstract class BaseCommand extends Command<CommandContext & { env: Record<string, string | undefined>; colorDepth: number }> {
  isJson = Option.Boolean('--json', false, { description: 'Print one JSON value on stdout' })
  isQuiet = Option.Boolean('-q,--quiet', false, { description: 'No progress and no talk: data, warnings and errors only' })
  isVerbose = Option.Boolean('-v,--verbose', false, { description: 'Print every program run and every request' })
  log = Option.String('--log', { description: 'Append all of it to a file, with times' })
  progress = Option.String('--progress', 'auto', { description: 'auto, bar, lines, json or none' })

  ui!: Ui

  /** The work of the command; answers the exit status, 0 when it says nothing. */
  abstract work(): Promise<number | void>

  get signal(): AbortSignal {
    return this.context.signal
  }

  async execute(): Promise<number> {
    const { stdout, stderr, env } = this.context
    const make = (log: string | undefined, progress: ProgressMode) =>
      new Ui({ stdout, stderr, json: this.isJson, quiet: this.isQuiet, verbose: this.isVerbose, progress, log, env })
    this.ui = make(undefined, 'none')
    try {
      this.ui = make(this.log, choice('--progress', this.progress, progressModes))
      return (await this.work()) ?? 0
    } catch (error) {
      return this.#failed(error)
    } finally {
      this.ui.close()
    }
  }

  #failed(error: unknown): number {
    const { signal } = this.context
    const told = signal.aborted && !isPsyblobError(error) ? signal.reason : error
    if (!isPsyblobError(told)) {
      this.ui.bug(told)
      return exitBug
    }
    this.ui.fail(told)
    return exitCodes[told.code]
  }
}

/** `value` if it is one of `allowed`. Throws `usage`. */
export function choice<const Allowed extends string>(option: string, value: string, allowed: readonly Allowed[]): Allowed {
  const found = allowed.find((one) => one === value)
  if (found !== undefined) return found
  throw new PsyblobError('usage', `${option} is one of ${allowed.join(', ')}; got ${value}`, {
    hint: 'psyblob COMMAND --help lists the options',
  })
}

/** A whole number from `least` to `most`. Throws `usage`. */
export function wholeNumber(option: string, value: string, range: { readonly least: number; readonly most: number }): number {
  const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
  if (number >= range.least && number <= range.most) return number
  throw new PsyblobError('usage', `${option} is a whole number from ${range.least} to ${range.most}; got ${value}`, {
    hint: 'psyblob COMMAND --help lists the options',
  })
}
