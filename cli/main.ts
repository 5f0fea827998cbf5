// psyblob: from the words typed to an exit status. Only the module of the command that was typed is loaded.
import { readFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { exitBug, exitCodes } from '../core/errors.ts'
import { nearest } from '../core/nearest.ts'
import { visible } from '../core/visible.ts'
import { nameBareFlags } from './bare-flags.ts'
import { catalogue, findEntry } from './catalogue.ts'
import { groupOverview, overview } from './help.ts'

const { stdout, stderr } = process

const leadingFlags = ['--json', '-q', '--quiet', '-v', '--verbose']

async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv
  if (first === undefined || first === 'help' || first === '--help' || first === '-h') {
    const words = argv.slice(1)
    if (first === 'help' && words.length > 0) return main([...words, '--help'])
    stdout.write(overview())
    return 0
  }
  if (first === '--version' || first === 'version') {
    stdout.write(await versionText(argv.includes('-v') || argv.includes('--verbose')))
    return 0
  }
  // flags may stand before the command too
  const flags = argv.findIndex((word) => !leadingFlags.includes(word))
  const words = [...argv.slice(flags), ...argv.slice(0, flags)]
  const entry = findEntry(words)
  if (entry === undefined) return unknownCommand(words)
  if (entry.path[0] === 'build' && typeof PSYBLOB_VERSION === 'string') return buildsNothing(words)
  const { run } = await import('./run.ts')
  return run(entry, entry.path[0] === 'verify' ? nameBareFlags(words) : words)
}

/** Put in by the bundler where there is no package.json to ask. */
declare const PSYBLOB_VERSION: string | undefined

/** The version, and with `verbose` what it runs on. */
async function versionText(verbose: boolean): Promise<string> {
  const version =
    typeof PSYBLOB_VERSION === 'string'
      ? PSYBLOB_VERSION
      : (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version
  if (!verbose) return `psyblob ${version}\n`
  const { blake3 } = await import('../store/blake3.ts')
  return `psyblob ${version}\nBLAKE3 engine: ${blake3().name}\nNode.js ${process.version}, ${process.platform} ${process.arch}\n`
}

/** An image has neither the packages nor the tools for it. */
function buildsNothing(argv: readonly string[]): number {
  const [what, hint] = ['this psyblob is part of an image, and builds none', 'build where psyblob was installed with npm']
  if (argv.includes('--json')) stdout.write(`${JSON.stringify({ error: { code: 'unsupported', message: what, hint } })}\n`)
  stderr.write(`psyblob: unsupported: ${what}\n  hint: ${hint}\n`)
  return exitCodes.unsupported
}

function unknownCommand(argv: readonly string[]): number {
  const [first = ''] = argv
  const below = groupOverview(first)
  if (below !== undefined && (argv.length === 1 || argv.includes('--help') || argv.includes('-h'))) {
    stdout.write(below)
    return argv.length === 1 ? exitCodes.usage : 0
  }
  const names = catalogue.map(({ path }) => path.join(' '))
  const guess = nearest(argv.slice(0, below === undefined ? 1 : 2).join(' '), names)
  const what = first.startsWith('-')
    ? 'no command given'
    : `no command called ${visible(argv.slice(0, below === undefined ? 1 : 2).join(' '))}`
  const hint = guess === undefined ? 'psyblob lists the commands' : `did you mean psyblob ${guess}?`
  if (argv.includes('--json')) stdout.write(`${JSON.stringify({ error: { code: 'usage', message: what, hint } })}\n`)
  stderr.write(`psyblob: usage: ${what}\n  hint: ${hint}\n`)
  return exitCodes.usage
}

/** Writes out what is pending, for process.exit would drop it in a pipe. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((done) => stream.write('', () => done()))
}

// whoever read it has read enough; the work goes on, for a slot half written or a status 0 for nothing done would be worse than silence
for (const stream of [stdout, stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.exit(exitBug)
  })
}
process.on('uncaughtException', (error) => {
  stderr.write(`psyblob: this is a bug, please report it with the lines below\n${error.stack ?? String(error)}\n`)
  process.exit(exitBug)
})
// a promise that nobody keeps ends the process as well: never as if all were well
process.exitCode = exitBug
// where the bundle is one file, it is the program of its threads too
const work = isMainThread
  ? main(process.argv.slice(2))
  : import('../store/patches/patch-worker.ts').then(() => new Promise<number>(() => undefined))
work
  .catch((error: unknown) => {
    stderr.write(`psyblob: this is a bug, please report it with the lines below\n${error instanceof Error ? error.stack : String(error)}\n`)
    return exitBug
  })
  .then(async (code) => {
    await Promise.all([flushed(stdout), flushed(stderr)])
    process.exit(code)
  })
