// One command from its words to its exit status: clipanion's parser, help, signals.
import { setFlagsFromString } from 'node:v8'
import { Cli } from 'clipanion'
import { exitCodes, PsyblobError, visible } from '../core/mod.ts'
import type { CatalogueEntry } from './catalogue.ts'
import { commandHelp, usageLine } from './help.ts'

const { stdout, stderr } = process

/** Parses the rest of `argv` and runs the command; answers its exit status. */
export async function run(entry: CatalogueEntry, argv: string[]): Promise<number> {
  // buffers of streams lie outside the heap and go when the young generation is collected: keep that small, and it happens often
  setFlagsFromString('--semi-space-growth-factor=1')
  const command = await entry.load()
  const cli = new Cli<InstanceType<typeof command>['context']>({ binaryName: 'psyblob', enableColors: false })
  cli.register(command)
  const name = entry.path.join(' ')
  const end = argv.indexOf('--')
  if ((end < 0 ? argv : argv.slice(0, end)).some((word) => word === '--help' || word === '-h')) {
    const { options } = cli.definitions()[0] ?? { options: [] }
    const { description, details, examples } = command.usage ?? {}
    stdout.write(commandHelp(entry, { description, details, examples, options }))
    return 0
  }
  const interruption = new AbortController()
  const interrupt = () => {
    // a second one means it
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted)
    interruption.abort(new PsyblobError('interrupted', 'interrupted', { hint: 'run the same command again: it goes on where it stopped' }))
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt).on('SIGHUP', interrupt)
  const { stdin } = process
  const context = { stdin, stdout, stderr, env: process.env, colorDepth: 1, signal: interruption.signal, clock: () => Date.now() }
  try {
    return await cli.process(argv, context).validateAndExecute()
  } catch (error) {
    if (!isUsageError(error)) throw error
    const [line = ''] = error.message.split('\n')
    const { options } = cli.definitions()[0] ?? { options: [] }
    const message = visible(refusal(line, options, argv))
    const hint = `${usageLine(entry).replace('Usage: ', '').trim()}; psyblob ${name} --help explains it`
    if (argv.includes('--json')) stdout.write(`${JSON.stringify({ error: { code: 'usage', message, hint } })}\n`)
    stderr.write(`psyblob: usage: ${message}\n  hint: ${hint}\n`)
    return exitCodes.usage
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt).off('SIGHUP', interrupt)
  }
}

/** clipanion's own refusals: unknown options, missing arguments. */
function isUsageError(error: unknown): error is Error {
  return error instanceof Error && ['UsageError', 'UnknownSyntaxError', 'AmbiguousSyntaxError'].includes(error.name)
}

type Options = readonly { readonly definition: string; readonly required: boolean }[]

/** The first required option that was not given, e.g. `--key`. */
function absentOption(options: Options, argv: readonly string[]): string | undefined {
  const names = options.filter(({ required }) => required).map(({ definition }) => definition.split(' ')[0] ?? '')
  return names.find((name) => !argv.some((word) => word === name || word.startsWith(`${name}=`)))
}

/** The first word that looks like an option and is none, or needs a value that is not there. */
function unknownOption(options: Options, argv: readonly string[]): string | undefined {
  const takesValue = new Map<string, boolean>()
  for (const { definition } of options) {
    const [names = '', value] = definition.split(' ')
    for (const name of names.split(',')) takesValue.set(name, value !== undefined)
  }
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (word === '--') return undefined
    if (!word.startsWith('-') || word === '-') continue
    const name = word.split('=', 1)[0] ?? ''
    const known = takesValue.get(name)
    if (known === undefined) return name
    if (known && !word.includes('=')) at++
    if (at >= argv.length) return `${name} without a value`
  }
  return undefined
}

/** clipanion's first line, in the form of our messages. */
function refusal(line: string, options: Options, argv: readonly string[]): string {
  const unknown = unknownOption(options, argv)
  if (unknown?.endsWith(' without a value')) return unknown
  if (unknown !== undefined) return `no option called ${unknown}`
  const absent = absentOption(options, argv)
  if (line.startsWith('Command not found')) return absent === undefined ? 'too many words, or too few' : `${absent} is missing`
  return `${line.charAt(0).toLowerCase()}${line.slice(1)}`.replace(/\.$/, '')
}
