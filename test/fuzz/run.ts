// The command: all parsers in turns, each for a moment, until the time is over; what was found is kept and told.
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { visible } from '../../core/mod.ts'
import { keepCase } from './corpus.ts'
import { targets } from './targets.ts'
import { WorkerProcess } from './worker-process.ts'

const usage = `npm run fuzz -- [--minutes N] [--parser NAME]... [--seed N]

  --minutes N    how long, by the clock; default 1
  --parser NAME  only this one; may be given more than once
  --seed N       where the inputs come from: the same seed tries the same ones; default: another one every time

Parsers: ${targets.map(({ name }) => name).join(', ')}`

/** Milliseconds that a parser has before it is another one's turn, at most. */
const turn = 2000

type Options = { readonly minutes: number; readonly parsers: readonly string[]; readonly seed: number }

function optionsOf(argv: readonly string[]): Options {
  const string = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...argv],
    options: { minutes: string, seed: string, parser: { type: 'string', multiple: true }, help: { type: 'boolean' } },
  })
  const known = targets.map(({ name }) => name)
  const [minutes, seed, parsers] = [Number(values.minutes ?? 1), Number(values.seed ?? Date.now() % 1e6), values.parser ?? known]
  const unknown = parsers.find((name) => !known.includes(name))
  if (values.help === true || unknown !== undefined || !(minutes > 0) || !Number.isInteger(seed)) {
    console.log(unknown === undefined ? usage : `no parser is called ${visible(unknown)}\n\n${usage}`)
    process.exit(values.help === true ? 0 : 2)
  }
  return { minutes, parsers, seed }
}

const { minutes, parsers, seed } = optionsOf(process.argv.slice(2))
const program = join(import.meta.dirname, 'worker.mjs')
const executions = new Map(parsers.map((name) => [name, 0]))
const kinds = new Map<string, number>()
const known = new Set<string>()
let worker = new WorkerProcess(program, seed)
let lost = 0

function tell(parser: string, what: string, input: Uint8Array): void {
  const path = keepCase(parser, input)
  if (known.has(path)) return
  known.add(path)
  console.log(`found in ${parser}: ${what}\n  ${input.length} bytes in ${relative(process.cwd(), path)}`)
}

console.log(`${parsers.length} parsers, ${minutes} minutes, seed ${seed}`)
const end = Date.now() + minutes * 60_000
const slice = Math.min(turn, (minutes * 60_000) / parsers.length)
while (Date.now() < end) {
  for (const parser of parsers) {
    const answer = await worker.ask({ parser, milliseconds: slice })
    if ('lost' in answer) {
      tell(parser, answer.lost, answer.input)
      worker = new WorkerProcess(program, seed + ++lost)
      continue
    }
    executions.set(parser, (executions.get(parser) ?? 0) + answer.executions)
    kinds.set(parser, answer.kinds)
    for (const { what, input } of answer.findings) tell(parser, what, new Uint8Array(Buffer.from(input, 'base64')))
  }
}
worker.dismiss()

for (const [parser, count] of executions)
  console.log(`${parser.padEnd(16)} ${String(count).padStart(10)} inputs, which went ${kinds.get(parser) ?? 0} ways`)
const sum = [...executions.values()].reduce((total, count) => total + count, 0)
console.log(`${sum} inputs, ${known.size} findings${known.size === 0 ? '' : '; they lie in test/fuzz/corpus and are tried by npm test'}`)
process.exitCode = known.size === 0 ? 0 : 1
