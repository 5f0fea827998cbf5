// The only writer to a terminal: stdout carries data, stderr carries talk, the log carries both.
import { closeSync, openSync, writeSync } from 'node:fs'
import { type ProgressEvent, PsyblobError, type Report, visible, visibleJson } from '../core/mod.ts'
import { barProgress, jsonProgress, lineProgress, noProgress, type Progress, type ProgressMode } from './ui/progress.ts'
import { tableText } from './ui/table.ts'

export type Output = { write(text: string): unknown; readonly isTTY?: boolean | undefined; readonly columns?: number | undefined }

export type UiOptions = {
  readonly stdout: Output
  readonly stderr: Output
  readonly json: boolean
  readonly quiet: boolean
  readonly verbose: boolean
  readonly progress: ProgressMode
  /** A file to append to. */
  readonly log: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

export class Ui {
  readonly #options: UiOptions
  readonly #progress: Progress
  readonly #log: number | undefined

  constructor(options: UiOptions) {
    this.#options = options
    this.#progress = progressFor(options)
    this.#log = options.log === undefined ? undefined : openLog(options.log)
  }

  /** Data for people: not printed when JSON is wanted. */
  data(text: string): void {
    if (this.#options.json) return
    this.#progress.finish()
    this.#options.stdout.write(text)
    this.#note(text)
  }

  /** The one JSON value of a command: printed when JSON is wanted, only logged otherwise. */
  json(value: unknown): void {
    const text = jsonText(value)
    if (!this.#options.json) return
    this.#progress.finish()
    this.#options.stdout.write(text)
    this.#note(text)
  }

  table(rows: readonly (readonly string[])[]): void {
    this.data(tableText(rows))
  }

  /** A word to the user that is no data. */
  say(text: string): void {
    this.#note(text)
    if (this.#options.quiet || this.#options.json) return
    this.#talk(`${text}\n`)
  }

  warn(text: string): void {
    this.#note(`warning: ${text}`)
    this.#talk(`psyblob: warning: ${text}\n`)
  }

  readonly report: Report = (event: ProgressEvent) => {
    if (event.type === 'warning') return this.warn(visible(event.text))
    if (event.type === 'trace') {
      this.#note(visible(event.text))
      if (this.#options.verbose) this.#talk(`${visible(event.text)}\n`)
      return
    }
    if (event.type === 'step') this.#note(`step ${event.step}${event.about === undefined ? '' : ` ${visible(event.about)}`}`)
    this.#progress.report(event)
  }

  /** Prints an error as every command does. */
  fail(error: PsyblobError): void {
    const { code, message } = error
    const hint = hintOf(error)
    // in JSON mode the error is the value; people still read it on stderr
    if (this.#options.json) this.#options.stdout.write(jsonText({ error: { code, message, hint: hint ?? null } }))
    this.tell(error)
  }

  /** Prints an error for people and goes on; `about` is what it was about, e.g. a product. */
  tell(error: PsyblobError, about?: string): void {
    const { code, message } = error
    const hint = hintOf(error)
    this.#progress.finish()
    const text = about === undefined ? message : `${about}: ${message}`
    this.#note(visible(`${code}: ${text}`))
    this.#talk(`psyblob: ${code}: ${visible(text)}\n${hint === undefined ? '' : `  hint: ${visible(hint)}\n`}`)
  }

  /** Prints what nobody foresaw. */
  bug(error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#note(stack.split('\n').map(visible).join('\n'))
    if (this.#options.json)
      this.#options.stdout.write(
        jsonText({ error: { code: 'bug', message: error instanceof Error ? error.message : String(error), hint: null } }),
      )
    this.#talk(`psyblob: this is a bug, please report it with the lines below\n${stack.split('\n').map(visible).join('\n')}\n`)
  }

  close(): void {
    this.#progress.finish()
    if (this.#log !== undefined) closeSync(this.#log)
  }

  #talk(text: string): void {
    this.#progress.clear()
    this.#options.stderr.write(text)
  }

  #note(text: string): void {
    if (this.#log === undefined) return
    const at = new Date().toISOString()
    for (const line of text.trimEnd().split('\n')) writeSync(this.#log, `${at} ${line}\n`)
  }
}

/** What to do next: the error's own hint, else what helps with errors of its kind. */
function hintOf({ code, hint }: PsyblobError): string | undefined {
  if (hint !== undefined) return hint
  if (code === 'unavailable') return 'check the address and the network, then run the same command again'
  if (code === 'malformed') return 'what lies there is damaged or something else: check address and path, or ask whoever wrote it'
  if (code === 'corrupt') return 'psyblob verify says what else is damaged'
  return undefined
}

/** One line of JSON that steers no terminal. */
function jsonText(value: unknown): string {
  return `${visibleJson(JSON.stringify(value))}\n`
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o644)
  } catch (cause) {
    throw new PsyblobError('usage', `cannot write the log ${visible(path)}`, {
      cause,
      hint: 'name a file in a folder that exists and can be written',
    })
  }
}

function progressFor({ stdout, stderr, progress, quiet, json, env }: UiOptions): Progress {
  const clock = () => performance.now()
  if (progress === 'json') return jsonProgress((text) => stdout.write(text), clock)
  if (progress === 'none' || quiet) return noProgress()
  const write = (text: string) => void stderr.write(text)
  const isBar = progress === 'bar' || (progress === 'auto' && stderr.isTTY === true && env['TERM'] !== 'dumb')
  if (isBar) return barProgress(write, clock, () => stderr.columns || 80)
  return progress === 'auto' && json ? noProgress() : lineProgress(write, clock)
}
